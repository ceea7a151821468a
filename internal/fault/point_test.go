//go:build fault

package fault

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/fault/wire"
	"github.com/genmesh/genmesh/internal/shipped"
)

// A point is a moment in the work of a process, told by what passes between it and NATS.
type point struct {
	name    string
	ingress bool // else workers
	at      func(wire.Operation) bool
	// rejects makes the subscriber refuse every tenth event for good, so that there are dead letters.
	rejects bool
}

// stored is the server's word that a stream has a message: the answer to the publish.
func stored(stream string) func(wire.Operation) bool {
	return func(op wire.Operation) bool {
		return !op.FromClient && bytes.Contains(op.Payload, []byte(`"stream":"`+stream+`"`)) && bytes.Contains(op.Payload, []byte(`"seq":`)) &&
			!bytes.Contains(op.Payload, []byte(`"type":`)) // what answers a question says its type
	}
}

// settles is a worker's word to the server on an event.
func settles(word string) func(wire.Operation) bool {
	return func(op wire.Operation) bool {
		return op.FromClient && strings.HasPrefix(op.Subject, "$JS.ACK.INTERACTIONS.") && bytes.HasPrefix(op.Payload, []byte(word))
	}
}

var points = []point{
	{name: "ingress, after the event is stored, before the answer", ingress: true, at: stored("INTERACTIONS")},
	{name: "workers, after the target's 2xx, before the ack", at: settles("+ACK")},
	{name: "workers, before the dead letter is known to be stored", at: stored("DEAD_LETTERS"), rejects: true},
	{name: "workers, after the dead letter is stored, before the term", at: settles("+TERM"), rejects: true},
}

// TestKilledAtEachPoint kills a process with -9 at the worst moments, again and again: the operation that shows the moment does not pass.
func TestKilledAtEachPoint(t *testing.T) {
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) { p.try(t) })
	}
}

func (p point) try(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	if p.rejects {
		crm.answer(rejectEveryTenth(l))
	}
	mesh := &parts{nats: newNode(t, t.TempDir())}
	mesh.nats.Start()
	dir := writeConfiguration(t, configuration(1, crm.entry("")))
	mesh.nats.apply(dir)

	var victim atomic.Pointer[shipped.Process]
	var armed atomic.Bool
	proxy := &wire.Proxy{Server: mesh.nats.addr(), Look: func(op wire.Operation) bool {
		if p.at(op) && armed.CompareAndSwap(true, false) {
			victim.Load().Strike()
			return false
		}
		return true
	}}
	addr, err := proxy.Start()
	require.NoError(t, err)
	defer proxy.Close()
	ingressURL, workersURL := mesh.nats.url, mesh.nats.url
	if p.ingress {
		ingressURL = "nats://" + addr
	} else {
		workersURL = "nats://" + addr
	}
	ingress, workers := mesh.addIngress(t, dir, ingressURL), mesh.addWorkers(t, dir, workersURL)
	struck := workers
	if p.ingress {
		struck = ingress
	}
	victim.Store(struck)

	load := send(t, l, "point", 8, time.Millisecond, mesh.http...)
	kills := rounds(3, 30)
	for range kills {
		load.more(30, time.Minute)
		armed.Store(true)
		select {
		case <-struck.Done():
		case <-time.After(time.Minute):
			require.Fail(t, "the point was not reached", "%s", struck.Tail(20))
		}
		struck.Start()
	}
	load.more(50, time.Minute)
	load.stop()
	v := settled(t, l, mesh.nats.jetStream(), time.Minute, crm)
	doubledAtMost(t, v, kills*maxInFlight)
	figure(t, "P2", "%s: killed %d times, %d events, none missing", p.name, kills, l.Tally().Answered)
	if strings.Contains(p.name, "2xx") {
		assert.Positive(t, v.Doubled["crm"], "an event whose ack was lost comes again: else the point was missed")
	}
	if p.rejects {
		assert.NotEmpty(t, deadOf(t, mesh.nats, crm))
	}
}

// rejectEveryTenth refuses events by their names, so that an event meets the same fate at each attempt.
func rejectEveryTenth(l *ledger.Ledger) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
		name, _ := ledger.NameOf(body)
		if name.Number != 0 || len(name.Interaction)%2 == 0 {
			return false
		}
		http.Error(w, "not this one", http.StatusUnprocessableEntity)
		return true
	}
}

func deadOf(t testing.TB, n *node, s *subscriber) [][]byte {
	t.Helper()
	after, err := aftermath(t.Context(), n.jetStream(), s)
	require.NoError(t, err)
	return after.Dead[s.name]
}

// TestKilledOnTheLastDelivery: an event whose worker dies with it each time it is delivered, the last time included, is a dead letter, and nothing
// else is.
func TestKilledOnTheLastDelivery(t *testing.T) {
	const mostDeliveries = 3
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	mesh := &parts{nats: newNode(t, t.TempDir())}
	mesh.nats.Start()
	entry := strings.Replace(crm.entry(""), `"max_attempts": 6, "max_deliver": 40`, fmt.Sprintf(`"max_attempts": 1, "max_deliver": %d`, mostDeliveries), 1)
	dir := writeConfiguration(t, configuration(1, entry))
	mesh.nats.apply(dir)

	var victim atomic.Pointer[shipped.Process]
	fatal := make(chan struct{}, mostDeliveries)
	proxy := &wire.Proxy{Server: mesh.nats.addr(), Look: func(op wire.Operation) bool {
		if op.FromClient || !strings.Contains(op.Reply, "$JS.ACK.INTERACTIONS.crm.") || !bytes.Contains(op.Payload, []byte(`"id":"fatal"`)) {
			return true
		}
		victim.Load().Strike()
		fatal <- struct{}{}
		return false
	}}
	addr, err := proxy.Start()
	require.NoError(t, err)
	defer proxy.Close()
	mesh.addIngress(t, dir, mesh.nats.url)
	workers := mesh.addWorkers(t, dir, "nats://"+addr)
	victim.Store(workers)

	name := ledger.Name{Interaction: "fatal"}
	body := l.Body(name)
	load := send(t, l, "last", 0, 0, mesh.http...) // nobody else's events: they would be delivered as often
	require.True(t, load.deliver(t.Context(), body, mesh.http, 0))
	l.Answered(name)
	for range mostDeliveries {
		select {
		case <-fatal:
		case <-time.After(time.Minute):
			require.Fail(t, "it is not delivered again")
		}
		<-workers.Done()
		workers.Launch() // it may die before it is ready
	}
	others := send(t, l, "other", 2, 20*time.Millisecond, mesh.http...)
	others.more(50, time.Minute)
	others.stop()
	settled(t, l, mesh.nats.jetStream(), time.Minute, crm)
	dead := deadOf(t, mesh.nats, crm)
	require.Equal(t, 1, len(dead))
	assert.Equal(t, string(body), string(dead[0]))
}
