package mesh_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// BenchmarkCommit shows what group commit gains over one publish per event, on a server that
// fsyncs, for distinct events and for lifecycles: ten events to an interaction, every tenth of
// them delivered twice.
func BenchmarkCommit(b *testing.B) {
	padding := strings.Repeat("x", 900)
	build := func(interaction, content string) mesh.Event {
		e := event(interaction, content)
		e.Body = []byte(`{"data":{"id":"` + interaction + `","state":"` + content + padding + `"}}`)
		return e
	}
	mixes := map[string]func(n int64) mesh.Event{
		"distinct":  func(n int64) mesh.Event { return build(fmt.Sprint(n), "connected") },
		"lifecycle": func(n int64) mesh.Event { n -= n % 10 / 9; return build(fmt.Sprint(n/10), fmt.Sprint(n%10)) },
	}
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("one publish each/%d senders", senders), func(b *testing.B) {
			js := meshtest.Start(b).JetStream()
			meshtest.Apply(b, js, meshtest.Topology(b, committerTopology))
			var n atomic.Int64
			b.SetParallelism(max(senders/2, 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					e := build(fmt.Sprint(n.Add(1)), "connected")
					e.Subject = "genesys.00.interaction.call." + e.Interaction
					_, err := js.PublishMsg(context.Background(), e.Msg(e.Interaction))
					require.NoError(b, err)
				}
			})
		})
		for mix, next := range mixes {
			b.Run(fmt.Sprintf("group commit, %s/%d senders", mix, senders), func(b *testing.B) {
				js := meshtest.Start(b).JetStream()
				topology := meshtest.Topology(b, committerTopology)
				meshtest.Apply(b, js, topology)
				c, err := mesh.NewCommitter(js, topology, meshtest.Quiet(), nil)
				require.NoError(b, err)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				defer func() { cancel(); <-done }()
				var n atomic.Int64
				b.SetParallelism(max(senders/2, 1))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_, err := c.Commit(context.Background(), next(n.Add(1)))
						require.NoError(b, err)
					}
				})
			})
		}
	}
}
