package processes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// serve is a whole process: it serves the subscriber with a connection, metrics and a Member of its own.
func serve(t *testing.T, server *meshtest.Server, topology *mesh.Topology, id string) (end func()) {
	t.Helper()
	registry := prometheus.NewRegistry()
	metrics := workers.NewMetrics(registry)
	js := server.JetStream()
	letters, err := mesh.NewDeadLetters(js, topology)
	require.NoError(t, err)
	runner := workers.NewRunner(workers.Options{
		JetStream: js, Subscriber: topology.Subscribers[0], DeadLetters: letters, Logger: meshtest.Quiet(), Metrics: metrics,
		Handler: workers.HandlerFunc(func(_ context.Context, e mesh.Event) error {
			if e.Type == "refused" {
				return workers.Permanent(errors.New("crm does not want it"))
			}
			return nil
		}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	leave := join(t, server, Options{ID: id, Gatherer: registry, Errors: func() map[string][]live.Error {
		all := map[string][]live.Error{}
		for subscriber, faults := range metrics.Faults() {
			for _, fault := range faults {
				all[subscriber] = append(all[subscriber], live.Error(fault))
			}
		}
		return all
	}})
	end = sync.OnceFunc(func() { leave(); cancel(); require.NoError(t, <-done) })
	t.Cleanup(end)
	return end
}

func TestWhoWatchesSeesTheSumOfAllProcessesWhileTheyComeAndGo(t *testing.T) {
	server := meshtest.Start(t)
	topology := meshtest.Topology(t, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
	  "streams": [{"name": "INTERACTIONS", "subjects": ["genesys.>"]}, {"name": "DEAD_LETTERS", "subjects": ["dead.>"]},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", "order": "none", "target": {"url": "log:"}}]}`)
	js := server.JetStream()
	meshtest.Apply(t, js, topology)
	serve(t, server, topology, "a")
	endB := serve(t, server, topology, "b")

	watcher := live.NewWatcher(live.Options{
		JetStream: js, Topology: func() *mesh.Topology { return topology }, Reports: NewAsker(server.Connect()).Reports,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- watcher.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	sees := func(what string, is func(s live.Snapshot) bool) (seen live.Snapshot) {
		t.Helper()
		require.Eventually(t, func() bool {
			seen = watcher.Snapshot()
			for _, rate := range append(seen.Subscribers["crm"].OutSeries, seen.Subscribers["crm"].Out) {
				require.GreaterOrEqual(t, rate, 0.0)
				require.LessOrEqual(t, rate, 300.0, "no more than all events in a second")
			}
			return seen.Problem == "" && is(seen)
		}, 30*time.Second, 50*time.Millisecond, what)
		return seen
	}
	publish := func(eventType string, from, to int) {
		for i := from; i < to; i++ {
			interaction := fmt.Sprint(i)
			e := mesh.Event{
				Source: "genesys", Interaction: interaction, Type: eventType, Media: "call", Fingerprint: fmt.Sprintf("%032x", i), Body: []byte(`{}`),
				Subject: "genesys." + mesh.Partition(interaction) + "." + eventType + ".call." + interaction,
			}
			_, err := js.PublishMsg(t.Context(), e.Msg(interaction))
			require.NoError(t, err)
		}
	}

	sees("both answer", func(s live.Snapshot) bool { return s.Processes == 2 && s.Subscribers["crm"].Served })
	publish("interaction", 0, 200)
	publish("refused", 200, 210)
	s := sees("all is done", func(s live.Snapshot) bool {
		return s.Subscribers["crm"].Attempts["delivered"] == 200 && s.DeadLetters["crm"] == 10
	})
	crm := s.Subscribers["crm"]
	require.Len(t, crm.Errors, 1, "what both processes met is one error")
	assert.Equal(t, "crm does not want it", crm.Errors[0].Text)
	assert.EqualValues(t, 10, crm.Errors[0].Count)
	assert.NotEmpty(t, crm.Buckets)

	endB()
	s = sees("one is gone", func(s live.Snapshot) bool { return s.Processes == 1 })
	left := s.Subscribers["crm"].Attempts["delivered"]
	assert.Less(t, left, uint64(200), "what only the other one counted went with it")
	publish("interaction", 210, 260)
	sees("the other one goes on", func(s live.Snapshot) bool { return s.Subscribers["crm"].Attempts["delivered"] == left+50 })
}
