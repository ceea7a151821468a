package live

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// town is a mesh that a test watches: it takes the samples itself, when it likes.
type town struct {
	t         testing.TB
	server    *meshtest.Server
	js        jetstream.JetStream
	topology  *mesh.Topology
	letters   *mesh.DeadLetters
	processes []*worker
	watcher   *Watcher
	published int
}

func newTown(t testing.TB, subscribers string) *town {
	t.Helper()
	server := meshtest.Start(t)
	v := &town{t: t, server: server, js: server.JetStream(), topology: meshtest.Topology(t, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "discard": "new", "max_bytes": 10485760, "duplicate_window": "10m", "allow_atomic": true, "allow_direct": true},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "10m", "allow_direct": true},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [`+subscribers+`]}`)}
	meshtest.Apply(t, v.js, v.topology)
	var err error
	v.letters, err = mesh.NewDeadLetters(v.js, v.topology)
	require.NoError(t, err)
	v.watcher = NewWatcher(Options{
		JetStream: server.JetStream(), Topology: func() *mesh.Topology { return v.topology },
		Reports: func(context.Context) ([]Report, error) { return v.reports(), nil },
	})
	return v
}

// subscriber is one of a topology, with the fields that the test chooses.
func subscriber(name, fields string) string {
	return fmt.Sprintf(`{"name": %q, "stream": "INTERACTIONS", "target": {"url": "log:"}%s}`, name, fields)
}

// sample takes a sample and returns it.
func (v *town) sample() Snapshot {
	v.t.Helper()
	v.watcher.sample(v.t.Context())
	s := v.watcher.Snapshot()
	require.Empty(v.t, s.Problem)
	return s
}

// publish stores events of a type, of so many interactions in turn.
func (v *town) publish(eventType string, events int) {
	v.t.Helper()
	for range events {
		v.published++
		interaction := fmt.Sprintf("i%d", v.published%64)
		e := mesh.Event{
			Source: "genesys", Interaction: interaction, Type: eventType, Media: "call",
			Fingerprint: fmt.Sprintf("%032x", v.published), Body: []byte(`{}`),
			Subject: "genesys." + mesh.Partition(interaction) + "." + eventType + ".call." + interaction,
		}
		_, err := v.js.PublishMsg(v.t.Context(), e.Msg(fmt.Sprint(v.published)))
		require.NoError(v.t, err)
	}
	v.noticed()
}

// noticed waits until the server has counted what is stored for all consumers, which it does a moment after it has acknowledged it.
func (v *town) noticed() {
	v.t.Helper()
	require.Eventually(v.t, func() bool {
		stream, err := v.js.Stream(v.t.Context(), "INTERACTIONS")
		if err != nil {
			return false
		}
		consumers, err := mesh.ListConsumers(v.t.Context(), stream)
		if err != nil {
			return false
		}
		for _, info := range consumers {
			filters := info.Config.FilterSubjects
			if len(filters) == 0 {
				filters = []string{cmp.Or(info.Config.FilterSubject, ">")}
			}
			stored := uint64(0)
			for _, filter := range filters {
				state, err := stream.Info(v.t.Context(), jetstream.WithSubjectFilter(filter))
				if err != nil {
					return false
				}
				for _, n := range state.State.Subjects {
					stored += n
				}
			}
			if info.NumPending+info.Delivered.Consumer < stored {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

// worker is a process that serves all subscribers, with a connection and metrics of its own.
type worker struct {
	id       string
	began    time.Time
	registry *prometheus.Registry
	metrics  *workers.Metrics
	end      func()
}

// work starts one, whose targets do as h does.
func (v *town) work(id string, h workers.HandlerFunc) *worker {
	v.t.Helper()
	registry := prometheus.NewRegistry()
	p := &worker{id: id, began: time.Now(), registry: registry, metrics: workers.NewMetrics(registry)}
	ctx, cancel := context.WithCancel(context.Background())
	js := v.server.JetStream()
	crew := workers.NewCrew(workers.CrewOptions{JetStream: js, Logger: meshtest.Quiet()})
	var running sync.WaitGroup
	for _, s := range v.topology.Subscribers {
		runner := workers.NewRunner(workers.Options{
			JetStream: js, Subscriber: s, ReplayStream: v.letters.Stream(), Handler: h, DeadLetters: v.letters, Crew: crew,
			Logger: meshtest.Quiet(), Metrics: p.metrics, Grace: time.Millisecond,
		})
		running.Go(func() { _ = runner.Run(ctx) })
	}
	crewing, stop := context.WithCancel(context.Background())
	crewed := make(chan struct{})
	go func() { defer close(crewed); _ = crew.Run(crewing) }()
	p.end = sync.OnceFunc(func() { cancel(); running.Wait(); stop(); <-crewed })
	v.t.Cleanup(p.end)
	v.processes = append(v.processes, p)
	return p
}

// reports are what the processes say that have not ended.
func (v *town) reports() []Report {
	var all []Report
	for _, p := range v.processes {
		families, err := p.registry.Gather()
		require.NoError(v.t, err)
		errs := map[string][]Error{}
		for name, faults := range p.metrics.Faults() {
			for _, f := range faults {
				errs[name] = append(errs[name], Error(f))
			}
		}
		all = append(all, Report{Process: p.id, Up: time.Since(p.began), Families: families, Errors: errs})
	}
	return all
}

func (v *town) eventually(what string, is func(s Snapshot) bool) Snapshot {
	v.t.Helper()
	var s Snapshot
	require.Eventually(v.t, func() bool {
		s = v.sample()
		return is(s)
	}, 20*time.Second, 50*time.Millisecond, what)
	return s
}

func took(context.Context, mesh.Event) error { return nil }

func (v *town) dead() []mesh.DeadLetter {
	v.t.Helper()
	var all []mesh.DeadLetter
	for letter, err := range v.letters.Find(v.t.Context(), mesh.DeadFilter{}) {
		require.NoError(v.t, err)
		all = append(all, letter)
	}
	return all
}
