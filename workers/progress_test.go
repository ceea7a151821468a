package workers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// A deployment a day while a subscriber is paused must not cost an event its life, nor any of its attempts.
func TestRestartsSpendNoAttempts(t *testing.T) {
	m := newMill(t, `"max_attempts": 3, "ack_wait": "10s", "backoff": {"base": "10m", "max": "10m"}`)
	m.lease = shortLease
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	attempts := make(chan int, 1)
	fails := func(_ context.Context, e mesh.Event) error { attempts <- e.Attempt; return errors.New("no") }

	m.publish("a", 1)
	before := m.hire(fails)
	require.Equal(t, 1, <-attempts)
	before.end() // the event waited for its second attempt

	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: time.Now()}))
	for range 5 {
		deliveries := m.deliveries()
		paused := m.hire(fails)
		require.Eventually(t, func() bool { return m.deliveries() > deliveries }, 10*time.Second, 10*time.Millisecond)
		paused.end()
	}
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{}))
	m.hire(fails)
	assert.Equal(t, 2, <-attempts)
}

// A restart in the first seconds of an outage does not make the attempts that are left come in a row.
func TestBackoffGoesOnAfterARestart(t *testing.T) {
	m := newMill(t, `"max_attempts": 10, "ack_wait": "10s", "backoff": {"base": "300ms", "max": "10s", "jitter": "none"}`)
	m.lease = shortLease
	attempts := make(chan int, 10)
	fails := func(_ context.Context, e mesh.Event) error { attempts <- e.Attempt; return errors.New("no") }
	m.publish("a", 1)
	before := m.hire(fails)
	for n := range 3 {
		require.Equal(t, n+1, <-attempts)
	}
	before.end()

	m.hire(fails)
	require.Equal(t, 4, <-attempts)
	began := time.Now()
	require.Equal(t, 5, <-attempts)
	assert.Greater(t, time.Since(began), 1500*time.Millisecond, "300 ms were the first wait, 2.4 s are the fourth")
}

// A server that is away for longer than the lease, again and again, is no fault of an event that only waits.
func TestOutagesOfTheServerSpendNoAttempts(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, `"max_attempts": 1, "ack_wait": "30s"`)
	m.lease = shortLease
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: time.Now()}))
	m.publish("a", 1)
	attempts := make(chan int, 1)
	m.hire(func(_ context.Context, e mesh.Event) error { attempts <- e.Attempt; return nil })
	for range 5 { // more than an event survives that kills its workers
		deliveries := m.deliveries()
		m.server.Stop()
		time.Sleep(m.lease) // it is what is tested: a lease without a sign of life
		m.server.Restart()
		require.Eventually(t, func() bool { return m.deliveries() > deliveries }, resumption, 20*time.Millisecond)
	}
	require.Eventually(t, func() bool { return state.SetPause(t.Context(), "crm", mesh.Pause{}) == nil }, resumption, 50*time.Millisecond)
	assert.Equal(t, 1, <-attempts)
	assert.Empty(t, m.dead())
}

// deliveries counts what the server has handed to crm, redeliveries included.
func (m *mill) deliveries() uint64 {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Second)
	defer cancel()
	consumer, err := m.js.PushConsumer(ctx, "INTERACTIONS", "crm")
	if err != nil {
		return 0 // the server is away
	}
	return consumer.CachedInfo().Delivered.Consumer
}

// An event that kills whoever tries it must come to an end, however far max_deliver is.
func TestAnEventThatKillsItsWorkersBecomesADeadLetter(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, `"max_attempts": 1, "ack_wait": "30s"`)
	m.lease = shortLease
	m.publish("poison", 1)
	for range 4 {
		entered := make(chan struct{})
		w := m.hire(func(ctx context.Context, _ mesh.Event) error { close(entered); <-ctx.Done(); return ctx.Err() })
		<-entered
		w.die()
	}
	m.hire(func(context.Context, mesh.Event) error { t.Error("it was tried again"); return nil })
	letter := m.deadLetter()
	assert.Equal(t, mesh.DeadAbandoned, letter.Reason)
	assert.Equal(t, 4, letter.Attempts)
}
