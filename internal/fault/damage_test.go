//go:build fault

package fault

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// TestADamagedStoreIsShown damages a file of the store while its NATS is down, which says nothing of it when it is back. What is lost has to be
// shown, with its number; what a subscriber gets from then on are the bytes that were sent, or nothing.
func TestADamagedStoreIsShown(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, block string){
		"a flipped bit":    flipBit,
		"half a file":      func(t *testing.T, block string) { require.NoError(t, os.Truncate(block, fileSize(t, block)/2)) },
		"a file that went": func(t *testing.T, block string) { require.NoError(t, os.Remove(block)) },
	} {
		t.Run(name, func(t *testing.T) { tryDamage(t, name, damage) })
	}
}

func tryDamage(t *testing.T, name string, damage func(t *testing.T, block string)) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	// nats-server cuts the files of so small a stream to 32 KB. Within the window it would read all ids again at its start.
	config := bytes.ReplaceAll(configuration(1, crm.entry("")), []byte(`"max_bytes": 1073741824`), []byte(`"max_bytes": 127000`))
	config = bytes.Replace(config, []byte(`"duplicate_window": "2h"`), []byte(`"duplicate_window": "1s"`), 1)
	dir, store := writeConfiguration(t, config), t.TempDir()
	mesh := &parts{nats: newNode(t, store)}
	mesh.nats.Start()
	mesh.nats.apply(dir)
	mesh.addIngress(t, dir, mesh.nats.url)
	load := send(t, l, "damage", 2, time.Millisecond, mesh.http...)
	for len(blocks(t, store)) < 3 {
		load.more(5, time.Minute)
	}
	load.stop()
	scrub(t, dir, mesh.nats.url) // what there was before

	mesh.nats.Kill()
	damage(t, blocks(t, store)[1]) // neither the first nor the last
	mesh.nats.Start()
	require.Eventually(t, func() bool { return len(scrub(t, dir, mesh.nats.url)) > 0 }, time.Minute, time.Second, "nothing of the damage is shown")

	mesh.addWorkers(t, dir, mesh.nats.url)
	after := send(t, l, "after", 2, 10*time.Millisecond, mesh.http...)
	after.more(10, time.Minute)
	after.stop()
	v := allDelivered(t, l, mesh.nats, crm)
	assert.Empty(t, v.Altered, "bytes that nobody sent")
	assert.Empty(t, v.Foreign, "events that nobody sent")
	assert.NotEmpty(t, v.Lost, "the damage took nothing: this run proves nothing")
	assert.Equal(t, len(v.Lost), lostBy(scrub(t, dir, mesh.nats.url)), "as many are shown as are lost: %v", v.Lost)
	figure(t, "P12", "%s in the store: %d of %d events lost, all of them shown, no wrong byte delivered", name, len(v.Lost), l.Tally().Answered)
}

// allDelivered waits until the subscriber has what there is.
func allDelivered(t *testing.T, l *ledger.Ledger, n *node, s *subscriber) (v ledger.Verdict) {
	t.Helper()
	require.Eventually(t, func() bool {
		after, err := aftermath(t.Context(), n.jetStream(), s)
		v = l.Check(after)
		return err == nil && after.Waiting[s.name] == 0
	}, time.Minute, 500*time.Millisecond, "events wait for %s", s.name)
	return v
}

// finding is what genmesh scrub shows of a loss.
type finding struct {
	Stream string `json:"stream"`
	Kind   string `json:"kind"`
	Count  int    `json:"count"`
}

// scrub runs genmesh scrub as an operator does, and returns what it has found.
func scrub(t *testing.T, dir, url string) []finding {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("genmesh"), "scrub", "--deep", "--output", "json", "--server", url)
	cmd.Dir = dir
	cmd.Env = append(shipped.Environment(), "SECRET="+secret)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var report struct {
		Findings []finding `json:"findings"`
	}
	if uncertain := json.Unmarshal(out, &report); uncertain != nil {
		t.Logf("genmesh scrub: %v: %v: %s", err, uncertain, stderr.String())
	}
	return report.Findings
}

func lostBy(found []finding) int {
	n := 0
	for _, f := range found {
		if f.Stream == "INTERACTIONS" {
			n += f.Count
		}
	}
	return n
}

// blocks are the files of the stream's messages.
func blocks(t *testing.T, store string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(store, "jetstream", "$G", "streams", "INTERACTIONS", "msgs", "*.blk"))
	require.NoError(t, err)
	return found // their names have one digit
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Size()
}

func flipBit(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(name, data, 0o600))
}
