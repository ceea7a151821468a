package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// rounds is how many times each fault strikes.
const rounds = 3

// untilCount waits until the load had n more events answered.
func (l *load) untilMore(t *testing.T, n int) {
	t.Helper()
	from := l.count()
	require.Eventually(t, func() bool { return l.count() >= from+n }, 60*time.Second, 5*time.Millisecond, "the mesh does not go on")
}

// complete checks the promise: what was answered is at every sink, and nothing else is.
func (l *load) complete(t *testing.T, sinks ...*sink) {
	t.Helper()
	for i, s := range sinks {
		require.Eventually(t, func() bool { return len(l.missing(s, nil)) == 0 }, 60*time.Second, 20*time.Millisecond,
			"sink %d misses answered events", i)
		assert.Empty(t, l.foreign(s))
	}
	t.Logf("%d events answered, deliveries %v", l.count(), func() (n []int) {
		for _, s := range sinks {
			n = append(n, len(s.all()))
		}
		return n
	}())
}

func writeStreams(t *testing.T, config []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "streams.json"), config, 0o600))
	return dir
}

func TestKilledProcessLosesNothingThatItAnswered(t *testing.T) {
	crm, analytics := newSink(t), newSink(t)
	dir := writeStreams(t, streams(subscriber("crm", crm), subscriber("analytics", analytics)))
	addr := meshtest.FreeAddr(t)
	dev := startChild(t, dir, "dev", "--http", addr, "--nats", "")
	l, stop := startLoad(t, addr, 8)
	defer stop()

	for range rounds {
		l.untilMore(t, 100)
		dev.kill()
		dev.again()
	}
	l.untilMore(t, 100)
	stop()
	l.complete(t, crm, analytics)
}

func TestKilledIngressAndWorkersLoseNothing(t *testing.T) {
	server := meshtest.Start(t)
	crm, analytics := newSink(t), newSink(t)
	config := streams(subscriber("crm", crm), subscriber("analytics", analytics))
	dir := writeStreams(t, config)
	topology, err := app.ParseStreams(config, lookup)
	require.NoError(t, err)
	meshtest.Apply(t, server.JetStream(), topology)
	addr := meshtest.FreeAddr(t)
	ingress := startChild(t, dir, "serve", "ingress", "--server", server.URL(), "--http", addr)
	workers := []*child{
		startChild(t, dir, "serve", "workers", "--server", server.URL()),
		startChild(t, dir, "serve", "workers", "--server", server.URL()),
	}
	l, stop := startLoad(t, addr, 8)
	defer stop()

	for round := range rounds {
		l.untilMore(t, 50)
		ingress.kill()
		ingress.again()
		l.untilMore(t, 50)
		workers[round%2].kill()
		l.untilMore(t, 50)
		workers[round%2].again()
	}
	stop()
	l.complete(t, crm, analytics)
	stream, err := server.JetStream().Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	assert.EqualValues(t, l.count(), stream.CachedInfo().State.Msgs, "each event is stored once")
}

// The server counts the deliveries; it lives on when a worker dies.
func TestEventThatKillsItsWorkersIsADeadLetterAndTheOthersArrive(t *testing.T) {
	server := meshtest.Start(t)
	crm := newSink(t)
	config := []byte(strings.Replace(string(streams(subscriber("crm", crm))),
		`"max_attempts": 4, "max_deliver": 9`, `"max_attempts": 1, "max_deliver": 3`, 1))
	dir := writeStreams(t, config)
	topology, err := app.ParseStreams(config, lookup)
	require.NoError(t, err)
	meshtest.Apply(t, server.JetStream(), topology)
	letters, err := mesh.NewDeadLetters(server.JetStream(), topology)
	require.NoError(t, err)
	addr := meshtest.FreeAddr(t)
	worker := startChild(t, dir, "serve", "--server", server.URL(), "--http", addr)
	poison := event("poison", 1)
	hit, over := make(chan struct{}, 10), make(chan struct{})
	defer close(over)
	crm.answerWith(func(d delivery) int {
		if d.body == poison {
			hit <- struct{}{}
			<-over // the worker is killed while it waits for this answer
		}
		return http.StatusOK
	})

	mustSend(t, addr, poison)
	for n := range 2 {
		<-hit
		worker.kill()
		worker.again()
		mustSend(t, addr, event("good", n))
	}

	crm.await(t, 2)
	require.Eventually(t, func() bool { return len(deadLetters(t, letters)) == 1 }, 30*time.Second, 50*time.Millisecond)
	d := deadLetters(t, letters)[0]
	assert.Equal(t, mesh.DeadAbandoned, d.Reason)
	assert.Equal(t, poison, string(d.Body))
}

func mustSend(t *testing.T, addr, body string) {
	t.Helper()
	a, err := post(t.Context(), addr, body)
	require.NoError(t, err)
	require.Contains(t, []int{200, 202}, a.status, a)
}

func TestTerminatedProcessFinishesRequestsAndDeliveries(t *testing.T) {
	crm := newSink(t)
	dir := writeStreams(t, streams(subscriber("crm", crm)))
	addr := meshtest.FreeAddr(t)
	dev := startChild(t, dir, "dev", "--http", addr, "--nats", "")
	entered, leave := make(chan struct{}), make(chan struct{})
	crm.answerWith(func(d delivery) int {
		if d.interaction == "slow" {
			close(entered)
			<-leave
		}
		return http.StatusOK
	})
	l, stop := startLoad(t, addr, 4)
	defer stop()
	l.untilMore(t, 50)
	l.note(event("slow", 1), event("late", 1))
	mustSend(t, addr, event("slow", 1))
	<-entered

	ended := make(chan int, 1)
	go func() { ended <- dev.terminate() }()
	// It refuses or is gone, while the delivery under way goes on.
	require.Eventually(t, func() bool {
		a, err := post(t.Context(), addr, event("late", 1))
		return err != nil || a.status == 503
	}, 10*time.Second, 5*time.Millisecond)
	close(leave)
	assert.Zero(t, <-ended)
	assert.Equal(t, 1, crm.bodies()[event("slow", 1)])

	dev.again()
	stop()
	l.complete(t, crm)
	for body, n := range crm.bodies() {
		assert.Equal(t, 1, n, "an orderly end doubles nothing: %s", body)
	}
}
