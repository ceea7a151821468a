//go:build fault

package fault

import (
	"testing"
	"time"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// TestEachPartFrozen stops each process in the middle of its work (SIGSTOP), longer than its lease and the ack wait, and lets it go on
// as if nothing had been.
func TestEachPartFrozen(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	mesh := startParts(t, configuration(1, crm.entry(""), analytics.entry("")), 2)
	load := send(t, l, "freeze", 16, time.Millisecond, mesh.http...)
	freezes := 0
	for range rounds(1, 5) {
		for _, frozen := range mesh.all() {
			load.more(100, time.Minute)
			frozen.Freeze()
			pause(t.Context(), time.Duration(rounds(5, 12))*time.Second)
			frozen.Resume()
			freezes++
		}
	}
	load.more(200, time.Minute)
	load.stop()
	v := settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm, analytics)
	doubledAtMost(t, v, freezes*maxInFlight)
	figure(t, "P4", "each process frozen, %d times in all: taken again %v", freezes, v.Doubled)
}

// TestEachPartTerminatedUnderLoad is a rolling restart (SIGTERM): in-flight requests are answered, the process ends by itself, and nothing is
// delivered again.
func TestEachPartTerminatedUnderLoad(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	mesh := startParts(t, configuration(1, crm.entry(""), analytics.entry("")), 2)
	load := send(t, l, "terminate", 16, time.Millisecond, mesh.http...)
	for range rounds(1, 10) {
		for _, p := range mesh.all()[1:] { // a NATS node that ends is killed elsewhere
			load.more(100, time.Minute)
			if code := p.Terminate(20 * time.Second); code != 0 {
				t.Errorf("%s ended with exit code %d", p.Name, code)
			}
			p.Start()
		}
	}
	load.more(100, time.Minute)
	load.stop()
	v := settled(t, l, mesh.nats.jetStream(), time.Minute, crm, analytics)
	doubledAtMost(t, v, 0)
	figure(t, "P12", "ingress and workers ended with SIGTERM under load: %d events, none lost, none taken again", l.Tally().Answered)
}
