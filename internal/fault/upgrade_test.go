//go:build fault

package fault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// TestRollingUpgrade replaces each process of a mesh under load by a new one of the same program, one after another, in the order of docs/production.md: the nodes, each only
// after the one before has caught up, then ingress and workers.
func TestRollingUpgrade(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	cluster := newCluster(t, loopback(), []string{t.TempDir(), t.TempDir(), t.TempDir()}, "sync_interval: always")
	cluster.start()
	mesh := cluster.startParts(t, configuration(3, crm.entry(""), analytics.entry("")), 2)
	load := send(t, l, "upgrade", 8, 2*time.Millisecond, mesh.http...)
	replaced := 0
	replace := func(p *shipped.Process) {
		load.more(50, time.Minute)
		assert.Zero(t, p.Terminate(30*time.Second), "%s: exit code", p.Name)
		load.more(50, time.Minute) // the others go on without it
		p.Start()
		replaced++
	}
	for range rounds(1, 5) {
		for _, n := range cluster.nodes {
			replace(n.Process)
			cluster.caughtUp(n)
		}
		for _, p := range append(mesh.ingress, mesh.workers...) {
			replace(p)
		}
	}
	load.more(100, time.Minute)
	load.stop()
	v := settled(t, l, cluster.jetStream(), 2*time.Minute, crm, analytics)
	figure(t, "P12", "%d processes replaced under load, three NATS nodes among them: %d events, none lost, longest stall %s, taken again %v",
		replaced, l.Tally().Answered, l.Tally().Stall.Round(time.Millisecond), v.Doubled)
}
