package mesh_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// A node of a cluster is lost, and the consumers that it led have no leader for some seconds: the server's list leaves them out.
func TestConsumersWithoutALeaderAreListed(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	for _, name := range []string{"a", "b", "c"} {
		_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: name})
		require.NoError(t, err)
	}
	_, err = stream.CreatePushConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "d", DeliverSubject: "delivered"})
	require.NoError(t, err)
	for _, missing := range []map[string]bool{nil, {"b": true}, {"d": true}, {"a": true, "b": true, "c": true, "d": true}} {
		all, err := mesh.ListConsumers(t.Context(), leaderless{stream, missing})
		require.NoError(t, err)
		var names []string
		for _, info := range all {
			names = append(names, info.Name)
		}
		assert.ElementsMatch(t, []string{"a", "b", "c", "d"}, names)
	}
}

// leaderless is a stream whose list leaves some consumers out.
type leaderless struct {
	jetstream.Stream
	missing map[string]bool
}

func (l leaderless) ListConsumers(ctx context.Context) jetstream.ConsumerInfoLister {
	return leaderlessList{l.Stream.ListConsumers(ctx), l.missing}
}

type leaderlessList struct {
	jetstream.ConsumerInfoLister
	missing map[string]bool
}

func (l leaderlessList) Info() <-chan *jetstream.ConsumerInfo {
	infos := make(chan *jetstream.ConsumerInfo, 10)
	for info := range l.ConsumerInfoLister.Info() {
		if !l.missing[info.Name] {
			infos <- info
		}
	}
	close(infos)
	return infos
}
