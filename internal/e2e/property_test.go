package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// Whatever happens in whatever order, an event that was answered 2xx is at every subscriber or
// is its dead letter, and no subscriber gets what nobody sent.
func TestAnsweredEventsArriveWhateverHappens(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		defer w.end()
		r.Repeat(map[string]func(*rapid.T){
			"new event":       func(r *rapid.T) { w.send(w.fresh(rapid.IntRange(0, 9).Draw(r, "interaction"))) },
			"redelivery":      func(r *rapid.T) { w.send(w.old(rapid.Uint().Draw(r, "which"))) },
			"burst":           func(r *rapid.T) { w.burst(rapid.IntRange(2, 40).Draw(r, "size")) },
			"target fails":    func(*rapid.T) { w.crm.answerWith(always(http.StatusBadGateway)) },
			"target rejects":  func(*rapid.T) { w.crm.answerWith(always(http.StatusUnprocessableEntity)) },
			"target heals":    func(*rapid.T) { w.crm.answerWith(always(http.StatusOK)) },
			"restart":         func(*rapid.T) { w.restart() },
			"replay the dead": func(*rapid.T) { w.replay() },
		})
		w.crm.answerWith(always(http.StatusOK))
		w.check(r)
	})
}

// world is a mesh with two subscribers and a ledger.
type world struct {
	t              *testing.T
	dir            string
	config         []byte
	crm, analytics *sink
	addr           app.Addresses
	stop           func()
	ledger         *load
	order          []string
	next           int
	letters        *mesh.DeadLetters
	hangUp         func()
	log            *logRecorder
}

// patient is a subscriber that outlasts any number of restarts that a test makes.
func patient(name string, s *sink) string {
	return strings.Replace(subscriber(name, s), `"max_deliver": 9,`, "", 1)
}

func newWorld(t *testing.T) *world {
	crm, analytics := newSink(t), newSink(t)
	dir, err := os.MkdirTemp(t.TempDir(), "world")
	require.NoError(t, err)
	w := &world{
		t: t, dir: dir, crm: crm, analytics: analytics,
		config: streams(patient("crm", crm), patient("analytics", analytics)), log: newLog(),
		ledger: &load{answered: map[string]bool{}, sent: map[string]bool{}},
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "streams.json"), w.config, 0o600))
	w.start()
	return w
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan app.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{
			Streams:  app.StreamsFile{Path: filepath.Join(w.dir, "streams.json")},
			Embedded: &app.Embedded{DataDir: filepath.Join(w.dir, "nats"), Listen: "127.0.0.1:0"},
			Ingress:  &app.Ingress{Addr: "127.0.0.1:0"}, Workers: &app.Workers{},
			Apply: true, LookupEnv: lookup, Logger: w.log.Logger, Version: "test",
			Started: func(a app.Addresses) { started <- a },
		})
	}()
	select {
	case w.addr = <-started:
	case err := <-ended:
		require.NoError(w.t, err)
	}
	w.stop = func() { cancel(); require.NoError(w.t, <-ended) }
	nc, err := mesh.Connect("ledger", w.addr.NATS, meshtest.Quiet())
	require.NoError(w.t, err)
	js, err := mesh.JetStream(nc)
	require.NoError(w.t, err)
	topology, err := app.ParseStreams(w.config, lookup)
	require.NoError(w.t, err)
	w.letters, err = mesh.NewDeadLetters(js, topology)
	require.NoError(w.t, err)
	w.hangUp = nc.Close
}

func (w *world) end() { w.hangUp(); w.stop() }

func (w *world) restart() { w.end(); w.start() }

func (w *world) fresh(interaction int) string {
	w.next++
	body := event(fmt.Sprint(interaction), w.next)
	w.order = append(w.order, body)
	return body
}

func (w *world) old(which uint) string {
	if len(w.order) == 0 {
		return w.fresh(0)
	}
	return w.order[which%uint(len(w.order))]
}

func (w *world) send(body string) { w.ledger.send(w.t, w.addr.Ingress, body) }

func (w *world) burst(size int) {
	var all sync.WaitGroup
	for i := range size {
		body := w.fresh(i % 3)
		all.Go(func() { w.send(body) })
	}
	all.Wait()
}

func (w *world) replay() {
	for _, d := range deadLetters(w.t, w.letters) {
		require.NoError(w.t, w.letters.Replay(w.t.Context(), d))
	}
}

func (w *world) check(r *rapid.T) {
	var missing []string
	arrived := assert.Eventually(w.t, func() bool {
		missing = append(w.ledger.missing(w.crm, w.dead("crm")), w.ledger.missing(w.analytics, w.dead("analytics"))...)
		return len(missing) == 0
	}, time.Minute, 20*time.Millisecond) // longer than any ack_wait
	if !arrived {
		r.Fatalf("answered, and neither delivered nor a dead letter: %v\n%s", missing, w.log)
	}
	if foreign := append(w.ledger.foreign(w.crm), w.ledger.foreign(w.analytics)...); len(foreign) > 0 {
		r.Fatalf("delivered, and never sent: %v", foreign)
	}
	for body, n := range w.analytics.bodies() {
		if n > 1 {
			r.Fatalf("analytics, which never failed, got %d times: %s", n, body)
		}
	}
}

func (w *world) dead(subscriber string) map[string]bool {
	dead := map[string]bool{}
	for _, d := range deadLetters(w.t, w.letters) {
		if d.Subscriber == subscriber {
			dead[string(d.Body)] = true
		}
	}
	return dead
}
