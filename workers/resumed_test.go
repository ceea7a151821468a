package workers_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// An operator pauses a consumer and resumes it, both with the nats CLI. The server does not look by itself for what came
// meanwhile, and no further event comes for it to notice.
func TestConsumerThatWasResumedByHandIsServedBeforeTheNextEvent(t *testing.T) {
	for name, layout := range map[string]string{"in order": `"partitions": 1`, "shared": `"order": "none"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of its time
			m := newMill(t, quick+","+layout)
			d := newDiary()
			for range 2 {
				m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
			}
			m.publish("987", 0)
			require.Eventually(t, func() bool { return d.count() == 1 }, resumption, 5*time.Millisecond)
			durable := m.topology.Subscribers[0].Readers()[0].Durable
			_, err := m.js.PauseConsumer(t.Context(), "INTERACTIONS", durable, time.Now().Add(time.Hour))
			require.NoError(t, err)
			m.publish("987", 1)
			_, err = m.js.ResumeConsumer(t.Context(), "INTERACTIONS", durable)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return d.count() == 2 }, resumption, 5*time.Millisecond)
		})
	}
}

// A process stops serving a subscriber that all share while NATS is away, and lives on. Once NATS is back everything goes to the others,
// and nothing to a subscription that nobody listens to.
func TestSharedConsumerThatIsLeftWhileNATSIsAwayIsLeftForGood(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, `"order": "none", "ack_wait": "60s"`)
	leaves, stays := newDiary(), newDiary()
	handler := func(d *diary) workers.HandlerFunc {
		return func(_ context.Context, e mesh.Event) error { d.write(e); return nil }
	}
	leaver := m.staff()
	stop := leaver.serve(0, handler(leaves))
	m.staff().serve(0, handler(stays))
	published := 0
	for began := time.Now(); leaves.count() == 0 || stays.count() == 0; {
		require.Less(t, time.Since(began), resumption, "both serve it")
		m.publish("987", published)
		published++
		require.Eventually(t, func() bool { return leaves.count()+stays.count() == published }, resumption, time.Millisecond)
	}
	m.server.Stop()
	require.Eventually(t, func() bool { return !leaver.js.Conn().IsConnected() }, resumption, time.Millisecond, "it knows that NATS is away")
	left := make(chan struct{})
	go func() {
		defer close(left)
		stop()
	}()
	m.server.Restart()
	<-left
	require.Eventually(t, func() bool { _, err := m.js.AccountInfo(t.Context()); return err == nil }, resumption, 20*time.Millisecond)
	require.Eventually(t, func() bool { return m.consumer("crm=shared").PushBound }, resumption, 20*time.Millisecond)
	for range 40 {
		m.publish("987", published)
		published++
	}
	require.Eventually(t, func() bool { return leaves.distinct()+stays.distinct() >= published }, resumption, 20*time.Millisecond)
}
