package workers_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// Everything at once, for four seconds: processes die, end and come, the layout changes and applies of that are cut
// short, the target fails. Then it is quiet, and each event has come, in order, to one process at a time.
func TestChaosLosesNothingAndKeepsTheOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	layouts := []string{`"partitions": 1`, `"partitions": 4`, `"partitions": 3`, `"partitions": 8`}
	m := newMill(t, quick+","+layouts[0])
	m.lease = shortLease
	w := newWitness()
	var ill atomic.Bool
	target := func(ctx context.Context, e mesh.Event) error {
		if ill.Load() && rand.N(3) > 0 || rand.N(20) == 0 {
			return errors.New("the target has a bad moment")
		}
		return takes(ctx, e)
	}
	hired := 0
	hire := func() *worker {
		hired++
		return m.hire(w.handler(fmt.Sprint("worker ", hired), target))
	}
	crew := []*worker{hire(), hire(), hire()}
	f := m.flow(25, 2*time.Millisecond)
	layout := layouts[0]
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		victim := random.IntN(len(crew))
		switch random.IntN(6) {
		case 0:
			t.Log("a process dies after", w.count(), "deliveries")
			crew[victim].die()
			crew[victim] = hire()
		case 1:
			t.Log("a process ends after", w.count(), "deliveries")
			crew[victim].end()
			crew[victim] = hire()
		case 2:
			ill.Store(!ill.Load())
		case 3, 4:
			layout = layouts[random.IntN(len(layouts))]
			plan, err := topology(t, quick+","+layout).Plan(t.Context(), m.js)
			require.NoError(t, err)
			require.Empty(t, plan.Destructive())
			changes := 1 + random.IntN(24)
			t.Log(layout, "after", w.count(), "deliveries, cut after", changes, "changes:", m.applyUntil(plan, changes, random.IntN(2) == 0))
		}
		select {
		case <-time.After(time.Duration(random.IntN(300)) * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	ill.Store(false)
	meshtest.Apply(t, m.js, topology(t, quick+","+layout))
	w.awaitAll(t, f.stop())
	w.requireOneByOne(t)
	w.requireOrder(t)
	assert.Empty(t, m.dead())
	t.Logf("%d events, %d processes, %d doubles", w.distinct(), hired, w.doubles())
}
