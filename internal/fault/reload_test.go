//go:build fault

package fault

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// TestEditsHalfWrittenAndAllAtOnce: several people save streams.json again and again, some with editors that write in place, and apply it. What runs
// is always a whole file that somebody meant, nobody loses an event by it, and what is saved last counts.
func TestEditsHalfWrittenAndAllAtOnce(t *testing.T) {
	l := ledger.New()
	crm, analytics, billing := subscribe(t, l, "crm"), subscribe(t, l, "analytics"), subscribe(t, l, "billing")
	plain := configuration(1, crm.entry(""), analytics.entry(""))
	withBilling := configuration(1, crm.entry(""), analytics.entry(`"max_in_flight": 7,`), billing.entry(`"start": "now",`))
	mesh := startParts(t, plain, 2)
	file := filepath.Join(mesh.ingress[0].Dir, "streams.json")
	load := send(t, l, "edit", 8, 2*time.Millisecond, mesh.http...)
	load.more(100, time.Minute)

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds(8, 60))*time.Second)
	defer cancel()
	var editors sync.WaitGroup
	for editor := range 4 {
		editors.Go(func() {
			for ctx.Err() == nil {
				config := [][]byte{plain, withBilling}[rand.IntN(2)]
				if editor%2 == 0 {
					writeInPlace(t, file, config)
				} else {
					replaceFile(t, file, config)
				}
				pause(ctx, time.Duration(rand.IntN(300))*time.Millisecond)
			}
		})
	}
	for range 2 {
		editors.Go(func() {
			for ctx.Err() == nil {
				applyAnyway(ctx, mesh.ingress[0].Dir, mesh.nats.url)
				pause(ctx, 200*time.Millisecond)
			}
		})
	}
	editors.Wait()
	replaceFile(t, file, plain)
	load.more(200, time.Minute)
	load.stop()
	settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm, analytics)
	for _, p := range append(mesh.ingress, mesh.workers...) {
		assert.Equal(t, 200, shipped.Status(p.Ready), p.Name)
	}
}

// writeInPlace is an editor that truncates the file and writes it piece by piece, so that others see halves of it.
func writeInPlace(t testing.TB, file string, text []byte) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0o600)
	if !assert.NoError(t, err) {
		return
	}
	defer f.Close()
	for len(text) > 0 {
		n := min(len(text), 200)
		if _, err := f.Write(text[:n]); !assert.NoError(t, err) {
			return
		}
		text = text[n:]
		pause(context.Background(), time.Duration(rand.IntN(20))*time.Millisecond)
	}
}

// replaceFile is an editor that writes another file and renames it.
func replaceFile(t testing.TB, file string, text []byte) {
	next, err := os.CreateTemp(filepath.Dir(file), "edit")
	if !assert.NoError(t, err) {
		return
	}
	defer next.Close()
	_, err = next.Write(text)
	assert.NoError(t, err)
	assert.NoError(t, os.Rename(next.Name(), file))
}

// applyAnyway runs genmesh apply on whatever the file is just now; a half of one is refused.
func applyAnyway(ctx context.Context, dir, url string) {
	command := exec.CommandContext(ctx, program("genmesh"), "apply", "--server", url)
	command.Dir, command.Env = dir, append(os.Environ(), "SECRET="+secret)
	_ = command.Run()
}

// TestARemovedSubscriberGetsNothingMore from the moment the processes have taken the edit up, retries included.
func TestARemovedSubscriberGetsNothingMore(t *testing.T) {
	l := ledger.New()
	crm, billing := subscribe(t, l, "crm"), subscribe(t, l, "billing")
	mesh := startParts(t, configuration(1, crm.entry(""), billing.entry("")), 2)
	load := send(t, l, "remove", 8, 2*time.Millisecond, mesh.http...)
	load.more(100, time.Minute)
	tries := failing(billing)
	load.more(100, time.Minute)
	replaceFile(t, filepath.Join(mesh.ingress[0].Dir, "streams.json"), configuration(1, crm.entry("")))
	for _, w := range mesh.workers {
		require.Eventually(t, func() bool { return w.Logged("billing") > 0 && w.Logged("streams.json") > 0 }, 20*time.Second, 50*time.Millisecond)
	}
	// An attempt may be under way when the file is read; its target has two seconds.
	var after int64
	require.Eventually(t, func() bool {
		before := tries.Load()
		pause(t.Context(), 3*time.Second)
		after = tries.Load()
		return after == before
	}, time.Minute, time.Millisecond, "it is still served")
	load.more(300, time.Minute)
	load.stop()
	settled(t, l, mesh.nats.jetStream(), time.Minute, crm)
	assert.Equal(t, after, tries.Load(), "it is served no more")
}
