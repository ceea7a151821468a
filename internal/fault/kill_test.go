//go:build fault

package fault

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// dev is genmesh dev: everything in one process, with its data in a folder.
type dev struct {
	*shipped.Process
	ingress, nats string
}

func newDev(t testing.TB, dir, data string) *dev {
	t.Helper()
	d := &dev{ingress: meshtest.FreeAddr(t), nats: meshtest.FreeAddr(t)}
	d.Process = genmesh(t, "dev", dir, meshtest.FreeAddr(t), "dev", "--http", d.ingress, "--nats", d.nats, "--data", data)
	return d
}

// TestDevKilledAtRandom: kill -9 of the one process that has everything in it, server included.
func TestDevKilledAtRandom(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	dir := writeConfiguration(t, configuration(1, crm.entry(""), analytics.entry("")))
	mesh := newDev(t, dir, t.TempDir())
	mesh.Start()
	load := send(t, l, "kill", 16, 0, mesh.ingress)

	kills, again := rounds(3, 20), 0
	for range kills {
		load.more(100+rand.IntN(400), time.Minute)
		struck := time.Now()
		mesh.Kill()
		again += mayComeAgain(l, struck, crm, analytics)
		mesh.Start()
	}
	load.more(200, time.Minute)
	load.stop()
	v := settled(t, l, connect(t, mesh.nats), time.Minute, crm, analytics)
	doubledAtMost(t, v, again)
	figure(t, "P1", "genmesh dev killed %d times: %d events answered, none lost", kills, l.Tally().Answered)
}

// unnoted is for how long NATS may not have written down what was acknowledged. It does so some ten times a second for each consumer
// (server/filestore.go of nats-server 2.15.2, consumerFileStore.flushLoop), and on a busy machine later.
const unnoted = 500 * time.Millisecond

// mayComeAgain is how many events a subscriber may take again after NATS was struck.
func mayComeAgain(l *ledger.Ledger, struck time.Time, subscribers ...*subscriber) int {
	most := 0
	for _, s := range subscribers {
		most = max(most, l.ArrivedSince(s.name, struck.Add(-unnoted)))
	}
	return most + maxInFlight
}

// maxInFlight is how many events of a subscriber are on their way to its target at once, by default.
const maxInFlight = 32

// parts is a mesh in several processes: one NATS node, ingress and workers.
type parts struct {
	nats    *node
	ingress []*shipped.Process
	workers []*shipped.Process
	http    []string // where the ingress listen
}

func (p *parts) all() []*shipped.Process {
	all := []*shipped.Process{p.nats.Process}
	return append(append(all, p.ingress...), p.workers...)
}

// startParts runs a mesh against a node of its own. ingressURL and workersURL are where they find NATS; "" is the node itself.
func startParts(t testing.TB, config []byte, many int) *parts {
	t.Helper()
	p := &parts{nats: newNode(t, t.TempDir())}
	p.nats.Start()
	dir := writeConfiguration(t, config)
	p.nats.apply(dir)
	for range many {
		p.addIngress(t, dir, p.nats.url)
		p.addWorkers(t, dir, p.nats.url)
	}
	return p
}

func (p *parts) addIngress(t testing.TB, dir, url string) *shipped.Process {
	t.Helper()
	http := meshtest.FreeAddr(t)
	ingress := genmesh(t, "ingress", dir, meshtest.FreeAddr(t), "serve", "ingress", "--server", url, "--http", http)
	ingress.Start()
	p.ingress, p.http = append(p.ingress, ingress), append(p.http, http)
	return ingress
}

func (p *parts) addWorkers(t testing.TB, dir, url string) *shipped.Process {
	t.Helper()
	workers := genmesh(t, "workers", dir, meshtest.FreeAddr(t), "serve", "workers", "--server", url, "--lease", "2s")
	workers.Start()
	p.workers = append(p.workers, workers)
	return workers
}

// TestAnyPartKilledAtRandom: kill -9 of NATS, of ingress and of workers, as it comes.
func TestAnyPartKilledAtRandom(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	mesh := startParts(t, configuration(1, crm.entry(""), analytics.entry("")), 2)
	load := send(t, l, "kill", 16, 0, mesh.http...)

	kills, again := rounds(6, 40), 0
	for n := range kills {
		load.more(50+rand.IntN(200), time.Minute)
		victim := mesh.all()[n%len(mesh.all())] // each comes to its turn, at a random moment
		struck := time.Now()
		victim.Kill()
		if victim == mesh.nats.Process {
			again += mayComeAgain(l, struck, crm, analytics)
		} else {
			again += maxInFlight
		}
		if rand.IntN(2) == 0 {
			pause(t.Context(), time.Duration(rand.IntN(3000))*time.Millisecond)
		}
		victim.Start()
	}
	load.more(200, time.Minute)
	load.stop()
	v := settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm, analytics)
	doubledAtMost(t, v, again)
	require.Zero(t, load.strange.Load())
	figure(t, "P2", "NATS, ingress and workers killed %d times: %d events to two subscribers, none missing", kills, l.Tally().Answered)
	figure(t, "P4", "NATS, ingress and workers killed %d times: taken again %v", kills, v.Doubled)
}
