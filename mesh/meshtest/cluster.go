package meshtest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// Cluster is three nats-servers that replicate each stream.
type Cluster struct {
	t     testing.TB
	nodes []*server.Server
}

// StartCluster runs three servers until the test ends.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	const size = 3
	c := &Cluster{t: t}
	routes, ports := make([]*url.URL, size), make([]int, size)
	for i := range size {
		ports[i] = FreePort(t)
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])}
	}
	for i := range size {
		node, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
		require.NoError(t, err)
		c.nodes = append(c.nodes, node)
		node.Start()
		t.Cleanup(func() {
			node.Shutdown()
			node.WaitForShutdown()
		})
	}
	require.Eventually(t, c.takesStreams, 30*time.Second, 50*time.Millisecond)
	return c
}

// takesStreams tells whether a leader has heard from each other node: it places no replica on one that it takes for offline.
func (c *Cluster) takesStreams() bool {
	for _, n := range c.nodes {
		if !n.JetStreamIsLeader() {
			continue
		}
		state, err := n.Jsz(nil)
		return err == nil && state.Meta != nil && len(state.Meta.Replicas) == len(c.nodes)-1 &&
			!slices.ContainsFunc(state.Meta.Replicas, func(p *server.PeerInfo) bool { return p.Offline || !p.Current })
	}
	return false
}

// JetStream opens a JetStream context on the i-th node that lasts until the test ends.
func (c *Cluster) JetStream(i int) jetstream.JetStream {
	c.t.Helper()
	nc, err := mesh.Connect(c.t.Name(), c.nodes[i].ClientURL(), Quiet())
	require.NoError(c.t, err)
	c.t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(c.t, err)
	return js
}

// StepDown makes the leader of a stream give way to another node.
func (c *Cluster) StepDown(ctx context.Context, js jetstream.JetStream, stream string) error {
	_, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	return err
}
