package workers_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// BenchmarkDelivery is what an event costs from the stream to a handler that does nothing, with the server
// in this process. Events of 64 interactions take turns.
func BenchmarkDelivery(b *testing.B) {
	for name, fields := range map[string]string{
		"interaction":   `"order": "interaction"`,
		"none":          `"order": "none"`,
		"4-partitions":  `"partitions": 4`,
		"16-partitions": `"partitions": 16`,
	} {
		b.Run(name, func(b *testing.B) { benchmarkDelivery(b, fields) })
	}
}

func benchmarkDelivery(b *testing.B, fields string) {
	js, topology := benchMesh(b, fields)
	var left atomic.Int64
	left.Store(int64(b.N))
	all := make(chan struct{})
	letters, err := mesh.NewDeadLetters(js, topology)
	require.NoError(b, err)
	runner := workers.NewRunner(workers.Options{
		JetStream: js, Subscriber: topology.Subscribers[0], DeadLetters: letters,
		Handler: workers.HandlerFunc(func(context.Context, mesh.Event) error {
			if left.Add(-1) == 0 {
				close(all)
			}
			return nil
		}),
		Logger: meshtest.Quiet(), Metrics: workers.NewMetrics(nil), Grace: time.Millisecond,
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- runner.Run(ctx) }()
	<-all
	b.StopTimer()
	cancel()
	require.NoError(b, <-ended)
}

// benchMesh is a stream with b.N events and a subscriber for them.
func benchMesh(b *testing.B, fields string) (jetstream.JetStream, *mesh.Topology) {
	b.Helper()
	js := meshtest.Start(b).JetStream()
	topology := meshtest.Topology(b, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "discard": "new", "allow_atomic": true, "allow_direct": true},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "allow_direct": true},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", "max_ack_pending": 1024, "target": {"url": "log:"}, `+fields+`}]}`)
	meshtest.Apply(b, js, topology)
	publishMany(b, js, b.N, 64)
	return js, topology
}
