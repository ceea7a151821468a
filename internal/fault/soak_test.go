//go:build fault

package fault

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// TestEverythingAtOnce: processes die and freeze, nodes are cut off and targets misbehave, as it comes, for a while. When all is well again, nothing
// is missing.
func TestEverythingAtOnce(t *testing.T) {
	l := ledger.New()
	network := newLAN(t, 3)
	targets := []*subscriber{subscribe(t, l, "crm"), subscribe(t, l, "analytics"), subscribe(t, l, "compliance")}
	var entries []string
	for _, s := range targets {
		entries = append(entries, s.entry(""))
	}
	cluster := newCluster(t, network.sites(), []string{t.TempDir(), t.TempDir(), t.TempDir()}, "sync_interval: always")
	cluster.start()
	mesh := cluster.startParts(t, configuration(3, entries...), 2)
	load := send(t, l, "soak", 16, 5*time.Millisecond, mesh.http...)
	load.more(100, time.Minute)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	faults := 0
	for until := time.Now().Add(time.Duration(rounds(45, 600)) * time.Second); time.Now().Before(until); faults++ {
		aWhile := func() { pause(t.Context(), time.Duration(500+random.IntN(5000))*time.Millisecond) }
		processes := append(mesh.ingress, mesh.workers...)
		victim, host := processes[random.IntN(len(processes))], random.IntN(3)
		switch random.IntN(5) {
		case 0:
			victim.Kill()
			aWhile()
			victim.Start()
		case 1:
			victim.Freeze()
			aWhile()
			victim.Resume()
		case 2:
			network.cut(host)
			aWhile()
			network.heal(host)
		case 3:
			cluster.nodes[host].Kill()
			aWhile()
			cluster.nodes[host].Start()
		case 4:
			target := targets[random.IntN(len(targets))]
			target.answer(misbehaviours[[]string{"hangs", "resets connections", "fails and fails", "asks for air all the time"}[random.IntN(4)]])
			aWhile()
			target.answer(nil)
		}
		aWhile()
	}
	for _, n := range cluster.nodes {
		cluster.caughtUp(n)
	}
	load.more(100, 2*time.Minute)
	load.stop()
	v := settled(t, l, cluster.jetStream(), 5*time.Minute, targets...)
	figure(t, "P2", "%d faults of all kinds on three nodes, two ingress and two workers: %d events to three subscribers, none missing, stranded or out of order, taken again %v",
		faults, l.Tally().Answered, v.Doubled)
}
