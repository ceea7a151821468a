package mesh_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// TestApplyTellsWhatItWaitsFor: whoever changes a layout while the target is slow hears why nothing seems to happen.
func TestApplyTellsWhatItWaitsFor(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	publish(t, js, "genesys.00.interaction.call.1", 3)
	held := make(chan jetstream.Msg, 3)
	consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { held <- m })
	require.NoError(t, err)
	defer consuming.Stop()
	under := []jetstream.Msg{<-held, <-held, <-held}

	plan := planned(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 2,`, `"name": "analytics",`, `"name": "analytics", "partitions": 2,`), js)
	require.Contains(t, steps(plan), "switch consumer INTERACTIONS/crm")
	began := time.Now()
	var told []string
	plan.Draining.Waits = func(subscriber string, events int) {
		told = append(told, fmt.Sprintf("%s waits for %d", subscriber, events))
		assert.GreaterOrEqual(t, time.Since(began), 2*time.Second, "nobody wonders before")
		for _, m := range under {
			assert.NoError(t, m.DoubleAck(t.Context()))
		}
	}
	require.NoError(t, plan.Apply(t.Context(), js, false))
	assert.Equal(t, []string{"crm waits for 3"}, told, "once, and nothing of analytics, which had nothing in hand")
}

// A drain of many idle consumers takes as long as its steps do, and waits for nothing.
func TestApplyDoesNotSayThatItWaitsForNothing(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 64,`), js)
	plan := planned(t, edited(t), js)
	plan.Draining.Waits = func(subscriber string, events int) { t.Errorf("%s waits for %d events", subscriber, events) }
	require.NoError(t, plan.Apply(t.Context(), js, false))
}

// TestRefusedStepsAreNamedUpToThree: a log line that dev writes after each edit stays a line.
func TestRefusedStepsAreNamedUpToThree(t *testing.T) {
	refused := &mesh.DestructiveError{}
	for i := range 42 {
		refused.Steps = append(refused.Steps, mesh.Step{Action: mesh.Delete, Kind: mesh.KindConsumer, Name: fmt.Sprintf("EVENTS/s%d", i+1), Loses: "its position"})
	}
	require.EqualError(t, refused, "refused without --allow-destroy: delete consumer EVENTS/s1: its position; "+
		"delete consumer EVENTS/s2: its position; delete consumer EVENTS/s3: its position; and 39 more")
	refused.Steps = refused.Steps[:3]
	require.NotContains(t, refused.Error(), "more")
}

// However often a consumer is made anew, its subject is that of the subscriber and one mark.
func TestDeliverSubjectDoesNotGrowWithEachReplacement(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	for i := range 4 {
		plan := planned(t, edited(t, `"name": "crm",`, fmt.Sprintf(`"name": "crm", "mem_storage": %v,`, i%2 == 0)), js)
		require.Contains(t, steps(plan), "replace consumer INTERACTIONS/crm")
		require.NoError(t, plan.Apply(t.Context(), js, true))
		consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
		require.NoError(t, err)
		assert.Regexp(t, `^_mesh\.deliver\.INTERACTIONS\.crm\.[0-9a-z]+$`, consumer.CachedInfo().Config.DeliverSubject)
	}
}

// lateCluster is a cluster of three of which not all nodes run yet.
type lateCluster struct {
	t     *testing.T
	nodes []*server.Server
}

func newLateCluster(t *testing.T) *lateCluster {
	const size = 3
	c := &lateCluster{t: t}
	routes, ports := make([]*url.URL, size), make([]int, size)
	for i := range size {
		ports[i] = meshtest.FreePort(t)
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])}
	}
	for i := range size {
		node, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Cluster: server.ClusterOpts{Name: "late", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
		require.NoError(t, err)
		c.nodes = append(c.nodes, node)
	}
	return c
}

func (c *lateCluster) start(i int) {
	c.nodes[i].Start()
	c.t.Cleanup(func() {
		c.nodes[i].Shutdown()
		c.nodes[i].WaitForShutdown()
	})
}

// connect reaches node 0, which runs.
func (c *lateCluster) connect() jetstream.JetStream {
	var nc *nats.Conn
	require.Eventually(c.t, func() bool {
		var err error
		nc, err = mesh.Connect(c.t.Name(), c.nodes[0].ClientURL(), meshtest.Quiet())
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	c.t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(c.t, err)
	return js
}

// TestApplyWaitsForNodesThatComeLater: who starts a cluster and applies at once need not know when it is ready.
func TestApplyWaitsForNodesThatComeLater(t *testing.T) {
	for name, late := range map[string][]int{"one of three": {2}, "two of three": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newLateCluster(t)
			for i := range 3 {
				if !slices.Contains(late, i) {
					c.start(i)
				}
			}
			js, topology := c.connect(), edited(t, `"${NATS_REPLICAS:-1}"`, "3")
			applied := make(chan error, 1)
			go func() {
				_, err := topology.Apply(t.Context(), js, false, mesh.Draining{})
				applied <- err
			}()
			select {
			case err := <-applied:
				require.Fail(t, "it did not wait", "%v", err)
			case <-time.After(6 * time.Second): // longer than one question waits for its answer: a refusal would have come by now
			}
			for _, i := range late {
				c.start(i)
			}
			require.NoError(t, <-applied)
			stream, err := js.Stream(t.Context(), "INTERACTIONS")
			require.NoError(t, err)
			assert.Len(t, stream.CachedInfo().Cluster.Replicas, 2)
		})
	}
}

// TestApplyGivesUpOnNodesThatNeverCome, says what to look at, and does not wait at all for what no patience cures. It takes the 20 s that apply waits.
func TestApplyGivesUpOnNodesThatNeverCome(t *testing.T) {
	t.Parallel()
	js := meshtest.StartCluster(t).JetStream(0)
	_, err := edited(t, `"${NATS_REPLICAS:-1}"`, "5").Apply(t.Context(), js, false, mesh.Draining{})
	require.ErrorContains(t, err, "no suitable peers for placement")
	require.ErrorContains(t, err, "see that at least 5 nodes with JetStream run")

	began := time.Now()
	_, err = edited(t, `"${NATS_REPLICAS:-1}"`, "3").Apply(t.Context(), meshtest.Start(t).JetStream(), false, mesh.Draining{})
	require.ErrorContains(t, err, "not supported in non-clustered mode")
	assert.Less(t, time.Since(began), 10*time.Second, "a server of its own never becomes three")
}
