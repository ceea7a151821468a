package workers_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// inHand is how many of the subscriber's events the server has handed to workers that have not settled them yet.
func (m *mill) inHand() int {
	m.t.Helper()
	c, err := m.js.PushConsumer(m.t.Context(), "INTERACTIONS", "crm")
	require.NoError(m.t, err)
	return c.CachedInfo().NumAckPending
}

// awaitQueue waits until so many events wait for a slot in this process. Nothing tells that outside of the runner, and an event that
// was handed to it may still be on its way to the queue; so it looks at where the goroutines are. A test that uses it must not be parallel.
func awaitQueue(t *testing.T, n int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	require.Eventually(t, func() bool {
		waiting := 0
		for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
			state, frames, _ := bytes.Cut(stack, []byte("\n"))
			if bytes.Contains(state, []byte("[select")) && bytes.Contains(frames, []byte("workers.(*slots).take(")) {
				waiting++
			}
		}
		return waiting == n
	}, 20*time.Second, 5*time.Millisecond, "%d events wait for a slot", n)
}

// A target that bears three calls at once gets three, however many events of as many interactions are ready.
func TestNoMoreCallsAreUnderWayThanMaxInFlight(t *testing.T) {
	m := newMill(t, `"ack_wait": "10s", "max_in_flight": 3`)
	const limit, events = 3, 20
	var mu sync.Mutex
	underWay, most, done := 0, 0, 0
	release := make(chan struct{})
	m.run(func(ctx context.Context, _ mesh.Event) error {
		mu.Lock()
		underWay++
		most = max(most, underWay)
		mu.Unlock()
		select {
		case <-release:
		case <-ctx.Done():
		}
		mu.Lock()
		defer mu.Unlock()
		underWay--
		done++
		return ctx.Err()
	})
	for i := range events {
		m.publish(fmt.Sprint(i), 1)
	}
	require.Eventually(t, func() bool { return m.inHand() == events }, 20*time.Second, 10*time.Millisecond,
		"the worker has all of them, so that nothing but the limit holds them back")
	for i := range events {
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return done == i && underWay >= min(limit, events-i)
		}, 20*time.Second, time.Millisecond, "as many as may be are under way after %d", i)
		release <- struct{}{}
	}
	m.settled()
	assert.Equal(t, limit, most)
	assert.Equal(t, events, done)
}

// A target answers that it takes nothing more until its limit starts anew. Those who wait for their turn meanwhile are not sent to be
// refused.
func TestTargetThatSaysItTakesNoMoreIsNotCalledUntilItDoes(t *testing.T) {
	m := newMill(t, `"max_attempts": 1, "ack_wait": "10s", "max_in_flight": 1`)
	const reset = 700 * time.Millisecond
	type begun struct {
		event mesh.Event
		at    time.Time
	}
	entered, ready, told := make(chan struct{}), make(chan struct{}), make(chan time.Time, 1)
	calls := make(chan begun, 10)
	m.run(func(ctx context.Context, e mesh.Event) error {
		if e.Interaction != "first" {
			calls <- begun{e, time.Now()}
			return nil
		}
		close(entered)
		<-ready
		told <- time.Now()
		workers.NotePace(ctx, 0, reset)
		return nil
	})
	m.publish("first", 1)
	<-entered
	m.publish("waits", 1)
	awaitQueue(t, 1) // that the way was open when it came must not let it through
	close(ready)
	at := <-told
	m.publish("later", 1)
	for range 2 {
		select {
		case call := <-calls:
			assert.GreaterOrEqual(t, call.at.Sub(at), reset, call.event.Interaction)
			assert.Equal(t, 1, call.event.Attempt, "waiting spends no attempt")
		case <-time.After(20 * time.Second):
			t.Fatal("the target is not called again")
		}
	}
	m.settled()
	assert.Empty(t, m.dead())
}

// Somebody replays the history to a target that takes one call at a time. What comes in meanwhile does not queue up behind that.
func TestLiveEventsOvertakeTheReplayThatWaits(t *testing.T) {
	m := newMill(t, `"ack_wait": "10s", "max_in_flight": 1`)
	const old, live = 3, 4
	g := new(got)
	var replaying atomic.Bool
	var once sync.Once
	entered, release := make(chan struct{}), make(chan struct{})
	m.run(func(ctx context.Context, e mesh.Event) error {
		if replaying.Load() {
			once.Do(func() {
				close(entered)
				select {
				case <-release:
				case <-ctx.Done():
				}
			})
		}
		g.add(e)
		return nil
	})
	for i := range old {
		m.publish(fmt.Sprint("old", i), 1)
	}
	g.await(t, old)
	m.settled()

	replaying.Store(true)
	crm := m.topology.Subscribers[0]
	plan, err := m.topology.PlanReplay(t.Context(), m.js, crm, mesh.HistorySpan{})
	require.NoError(t, err)
	_, err = m.topology.StartReplay(t.Context(), m.js, crm, plan)
	require.NoError(t, err)
	<-entered
	awaitQueue(t, old-1)
	for i := range live {
		m.publish(fmt.Sprint("new", i), 1)
	}
	awaitQueue(t, old-1+live)
	close(release)
	g.await(t, 2*old+live)

	var order []string
	for _, e := range g.events[old:] {
		order = append(order, strings.TrimRight(e.Interaction, "0123456789"))
	}
	assert.Equal(t, []string{"old", "new", "new", "new", "new", "old", "old"}, order, "but the call that was under way")
}

// The server slows the subscriber down, and tells nowhere of an event that waits for its turn there. A replay has a pace of its own, and
// does not end before its last event.
func TestReplayToASubscriberThatTheServerSlowsDownReachesItsEnd(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick+`, "rate_limit_bps": 1600000`)
	const events = 8
	d := newDiary()
	m.run(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	for n := range events {
		m.publishLarge("987", n, 200_000)
	}
	require.Eventually(t, func() bool { return d.count() == events }, 20*time.Second, 10*time.Millisecond)
	crm := m.topology.Subscribers[0]
	plan, err := m.topology.PlanReplay(t.Context(), m.js, crm, mesh.HistorySpan{})
	require.NoError(t, err)
	_, err = m.topology.StartReplay(t.Context(), m.js, crm, plan)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		running, err := mesh.Replays(t.Context(), m.js, crm)
		return err == nil && len(running) == 0
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, 2*events, d.count())
}
