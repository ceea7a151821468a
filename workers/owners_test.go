package workers_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// resumption is how long it may take until deliveries go on after something was lost that all workers share. It is
// what a busy machine takes; a quiet one needs two seconds.
const resumption = 15 * time.Second

// Somebody deletes or purges the bucket in which the workers tell each other who serves what. They go on once it is
// there again, and never are two at one interaction.
func TestLossOfTheStateBucketMakesNoTwoOwners(t *testing.T) {
	bucket := "KV_" + mesh.StateBucket
	for name, lose := range map[string]loss{
		"deleted, and made anew at once": func(t *testing.T, o *owners) {
			require.NoError(t, o.js.DeleteStream(t.Context(), bucket))
			meshtest.Apply(t, o.js, o.topology)
		},
		// The newcomer finds nobody in the bucket; it must not take what the others are at.
		"deleted, and made anew at once for a newcomer": func(t *testing.T, o *owners) {
			require.NoError(t, o.js.DeleteStream(t.Context(), bucket))
			meshtest.Apply(t, o.js, o.topology)
			o.hireNewcomer()
		},
		"deleted, and made anew when all have stopped": func(t *testing.T, o *owners) {
			require.NoError(t, o.js.DeleteStream(t.Context(), bucket))
			settled := o.settledFor(shortLease)
			require.Eventually(t, settled, resumption, 50*time.Millisecond, "nobody acts without it")
			meshtest.Apply(t, o.js, o.topology)
			o.hireNewcomer()
		},
		"purged": func(t *testing.T, o *owners) {
			stream, err := o.js.Stream(t.Context(), bucket)
			require.NoError(t, err)
			require.NoError(t, stream.Purge(t.Context()))
			o.hireNewcomer() // it knows nothing but what is in the bucket now
		},
	} {
		t.Run(name, lose.makesNoTwoOwners)
	}
}

// loss is what happens to two processes that share the partitions of a subscriber, in full flow.
type loss func(t *testing.T, o *owners)

type owners struct {
	*mill
	w *witness
	a *worker
}

func (o *owners) hireNewcomer() { o.hire(o.w.handler("newcomer", takes)) }

// makesNoTwoOwners checks that deliveries go on, that all come, and that never two processes are at one interaction.
func (lose loss) makesNoTwoOwners(t *testing.T) {
	m := newMill(t, quick+`, "partitions": 4`)
	m.lease = shortLease
	w := newWitness()
	a := m.hire(w.handler("a", takes))
	m.hire(w.handler("b", takes))
	f := m.flow(20, 2*time.Millisecond)
	w.awaitMore(t, 50, resumption, "at first")
	lose(t, &owners{m, w, a})
	w.awaitMore(t, 200, resumption, "after the loss")
	w.awaitAll(t, f.stop())
	w.requireOneByOne(t)
	t.Log(w.doubles(), "doubles")
	assert.Empty(t, m.dead())
}

// settledFor reports whether nothing was acknowledged for that long.
func (m *mill) settledFor(long time.Duration) func() bool {
	floor, since := uint64(0), time.Now()
	return func() bool {
		stream, err := m.js.Stream(m.t.Context(), "INTERACTIONS")
		if err != nil {
			return false
		}
		sum := uint64(0)
		list := stream.ListConsumers(m.t.Context())
		for info := range list.Info() {
			sum += info.AckFloor.Consumer
		}
		if list.Err() != nil || sum != floor {
			floor, since = sum, time.Now()
		}
		return time.Since(since) > long
	}
}

// Somebody deletes the consumer by hand and applies again, while events are in hand. All of them come again, from the
// first one: in their order, and in no more than one new pass.
func TestConsumerMadeAnewWhileServedBeginsOneNewPass(t *testing.T) {
	m := newMill(t, quick)
	w := newWitness()
	m.hire(w.handler("a", takes))
	m.hire(w.handler("b", takes))
	f := m.flow(10, 2*time.Millisecond)
	w.awaitMore(t, 100, resumption, "at first")
	m.remakeConsumer()
	w.awaitMore(t, 300, resumption, "with the new one")
	m.requireOneNewPass(w, f.stop())
}

// The same while the process that takes over from a dead one gathers what that held, and does not have it yet.
func TestConsumerMadeAnewWhileItsEventsAreGatheredBeginsOneNewPass(t *testing.T) {
	m := newMill(t, quick)
	m.lease = shortLease
	w := newWitness()
	var calls atomic.Int64
	hangs := func(ctx context.Context, e mesh.Event) error {
		if calls.Add(1) <= 30 {
			return takes(ctx, e)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	a := m.hire(w.handler("a", hangs))
	f := m.flow(10, 2*time.Millisecond)
	require.Eventually(t, func() bool { return calls.Load() > 35 }, resumption, 5*time.Millisecond)
	// A pause keeps what is out from coming again, so that whoever begins to serve waits for it.
	_, err := m.js.PauseConsumer(t.Context(), "INTERACTIONS", "crm", time.Now().Add(time.Hour))
	require.NoError(t, err)
	a.die()
	require.Eventually(t, func() bool { return !m.isBound("crm") }, resumption, 5*time.Millisecond)
	m.hire(w.handler("b", takes))
	require.Eventually(t, func() bool { return m.isBound("crm") }, resumption, 5*time.Millisecond, "b serves it")
	m.remakeConsumer()
	w.awaitMore(t, 300, resumption, "with the new one")
	m.requireOneNewPass(w, f.stop())
}

// remakeConsumer is what an operator does with nats consumer rm and genmesh apply.
func (m *mill) remakeConsumer() {
	m.t.Helper()
	require.NoError(m.t, m.js.DeleteConsumer(m.t.Context(), "INTERACTIONS", "crm"))
	meshtest.Apply(m.t, m.js, m.topology)
}

func (m *mill) isBound(consumer string) bool {
	c, err := m.js.PushConsumer(m.t.Context(), "INTERACTIONS", consumer)
	return err == nil && c.CachedInfo().PushBound
}

// requireOneNewPass checks that all events came, and that they did not begin anew more than once.
func (m *mill) requireOneNewPass(w *witness, published int) {
	m.t.Helper()
	m.settled()
	w.awaitAll(m.t, published)
	w.requireOneByOne(m.t)
	w.requirePasses(m.t, 2)
	assert.Empty(m.t, m.dead())
}

// The server, or the way to it, is lost in full flow. Deliveries go on in seconds, and two processes never are at one
// interaction, although neither can hear of the other meanwhile.
func TestLossOfTheServerMakesNoTwoOwners(t *testing.T) {
	for name, lose := range map[string]loss{
		"it restarts": func(_ *testing.T, o *owners) { o.server.Restart() },
		"it restarts twice": func(_ *testing.T, o *owners) {
			o.server.Restart()
			o.server.Restart()
		},
		"it is away for longer than the lease": func(_ *testing.T, o *owners) {
			o.server.Stop()
			time.Sleep(shortLease * 3 / 2)
			o.server.Restart()
		},
		"one process connects anew": func(t *testing.T, o *owners) { require.NoError(t, o.a.conn.ForceReconnect()) },
		// As after a restart that took the server longer: the client notices only by its heartbeats.
		"the processes hear nothing of the bucket any more": func(t *testing.T, o *owners) {
			stream, err := o.js.Stream(t.Context(), "KV_"+mesh.StateBucket)
			require.NoError(t, err)
			for watch := range stream.ListConsumers(t.Context()).Info() {
				require.NoError(t, stream.DeleteConsumer(t.Context(), watch.Name))
			}
		},
	} {
		t.Run(name, lose.makesNoTwoOwners)
	}
}

// The server restarts while the targets of two owners think about their events. Both go on in order, whoever has
// which partition then.
func TestOrderHoldsWhenTheServerRestartsUnderEventsInFlight(t *testing.T) {
	m := newMill(t, quick+`, "partitions": 2`)
	m.lease = shortLease
	w := newWitness()
	release := make(chan struct{})
	var mu sync.Mutex
	thinking := map[string]bool{}
	thinks := func(process string) workers.HandlerFunc {
		return func(ctx context.Context, e mesh.Event) error {
			mu.Lock()
			thinking[process] = true
			mu.Unlock()
			select {
			case <-release:
				return takes(ctx, e)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	m.hire(w.handler("a", thinks("a")))
	m.hire(w.handler("b", thinks("b")))
	f := m.flow(20, 2*time.Millisecond)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(thinking) == 2 && f.stored.Load() > 100
	}, resumption, 5*time.Millisecond, "both have events in flight")
	m.server.Restart()
	close(release)
	w.awaitMore(t, 100, resumption, "after the restart")
	w.awaitAll(t, f.stop())
	w.requireOneByOne(t)
	t.Log(w.doubles(), "doubles")
	assert.Empty(t, m.dead())
}

// A process joins those that share a consumer, in full flow. It takes its part at once: what the server has counted by then and not
// sent yet is no sign of another consumer.
func TestProcessThatJoinsASharedConsumerTakesItsPartAtOnce(t *testing.T) {
	m := newMill(t, quick+`, "order": "none"`)
	log, said := test.NewNullLogger()
	m.log = log
	var taken atomic.Int64
	m.hire(func(context.Context, mesh.Event) error { taken.Add(1); return nil })
	flooding, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.flood(flooding, &taken)
	}()
	defer func() { stop(); <-ended }()
	for range 4 {
		var joined atomic.Int64
		m.hire(func(context.Context, mesh.Event) error { joined.Add(1); taken.Add(1); return nil })
		require.Eventually(t, func() bool { return joined.Load() > 10 }, 20*time.Second, 5*time.Millisecond)
	}
	for _, entry := range said.AllEntries() {
		assert.NotContains(t, entry.Message, "the consumer is not served")
	}
}

// flood publishes some thousand events a second until ctx ends, or as many as the machine lets the workers take.
func (m *mill) flood(ctx context.Context, taken *atomic.Int64) {
	const batch, ahead = 20, 500
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if int64(i*batch)-taken.Load() > ahead {
			i--
			continue
		}
		for j := range batch {
			interaction := fmt.Sprintf("%d-%d", i, j)
			e := mesh.Event{
				Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call", Fingerprint: fmt.Sprintf("%032x", i), Body: []byte(`{}`),
				Subject: "genesys." + mesh.Partition(interaction) + ".interaction.call." + mesh.Token(interaction),
			}
			_, _ = m.js.PublishMsgAsync(e.Msg(interaction)) // what is refused is not missed
		}
	}
}
