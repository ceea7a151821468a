package workers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Nothing moves, nothing fails and nothing is dead: somebody has to say that the target asked for air.
func TestPeopleAreToldWhyASubscriberWaits(t *testing.T) {
	m := newMill(t, fast)
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	waits := func() mesh.Wait {
		w, err := state.Wait(t.Context(), "crm")
		require.NoError(t, err)
		return w
	}
	entered, taken := make(chan struct{}), make(chan struct{})
	m.run(func(_ context.Context, e mesh.Event) error {
		if e.Interaction == "taken" {
			close(entered)
			<-taken
			return nil
		}
		<-entered
		return workers.RetryAfter(time.Minute, errors.New("the target answered 429"))
	})
	m.publish("taken", 1)
	m.publish("asks", 1)
	require.Eventually(t, func() bool { return !waits().Since.IsZero() }, 10*time.Second, 10*time.Millisecond)
	w := waits()
	assert.Equal(t, "the target answered 429", w.Reason)
	assert.WithinDuration(t, w.Since.Add(time.Minute), w.Until, time.Second)
	close(taken)
	require.Eventually(t, func() bool { return waits().Since.IsZero() }, 10*time.Second, 10*time.Millisecond)
}

// A target refuses one event as it would refuse all, by a 401 for what a tenant must not see. It is found out to be the
// event's own fault, because others are taken meanwhile; they hardly wait for that.
func TestEventThatAloneIsRefusedLikeAllDoesNotHoldTheOthersUp(t *testing.T) {
	m := newMill(t, `"max_attempts": 3, "max_in_flight": 1, "ack_wait": "10s", "backoff": {"base": "200ms", "max": "1s"}`)
	const others = 100
	for i := range 3 {
		m.publish(fmt.Sprint("poison", i), 1)
	}
	for i := range others {
		m.publish(fmt.Sprint("good", i), 1)
	}
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		if strings.HasPrefix(e.Interaction, "poison") {
			return workers.Unusable(errors.New("the target answered 401"))
		}
		g.add(e)
		return nil
	})
	g.await(t, others)
	more := 0
	require.Eventually(t, func() bool {
		more++
		m.publish(fmt.Sprint("more", more), 1) // the traffic goes on
		return len(m.dead()) == 3
	}, 15*time.Second, 100*time.Millisecond)
	assert.Equal(t, mesh.DeadExhausted, m.dead()[0].Reason)
	assert.Equal(t, 3, m.dead()[0].Attempts)
}

func TestTargetThatRefusesAllAlikeSpendsNoAttempt(t *testing.T) {
	m := newMill(t, `"max_attempts": 1, "ack_wait": "10s", "backoff": {"base": "50ms", "max": "100ms"}`)
	const events = 20
	for i := range events {
		m.publish(fmt.Sprint("i", i), 1)
	}
	g := new(got)
	var refused atomic.Int64
	m.run(func(_ context.Context, e mesh.Event) error {
		if refused.Add(1) <= 3*events {
			return workers.Unusable(errors.New("the target answered 401"))
		}
		assert.Equal(t, 1, e.Attempt)
		g.add(e)
		return nil
	})
	g.await(t, events)
	assert.Empty(t, m.dead())
}

// What a process told that is gone, the next one takes back.
func TestNextProcessTakesBackThatASubscriberWaits(t *testing.T) {
	m := newMill(t, fast)
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, state.SetWait(t.Context(), "crm", mesh.Wait{Since: now, Until: now.Add(15 * time.Minute), Reason: "429"}))
	m.run(func(context.Context, mesh.Event) error { return nil })
	m.publish("a", 1)
	require.Eventually(t, func() bool {
		w, err := state.Wait(t.Context(), "crm")
		return err == nil && w.Since.IsZero()
	}, 10*time.Second, 10*time.Millisecond)
}

// The credentials are revoked while a call is under way that began before. That it is answered is no proof against an event
// that was refused meanwhile.
func TestCallThatBeganBeforeIsNoProofAgainstAnEvent(t *testing.T) {
	m := newMill(t, `"max_attempts": 3, "ack_wait": "10s", "backoff": {"base": "50ms", "max": "100ms"}`)
	entered, revoked := make(chan struct{}), make(chan struct{})
	var refused atomic.Int64
	m.run(func(_ context.Context, e mesh.Event) error {
		if e.Interaction == "slow" {
			close(entered)
			<-revoked
			return nil
		}
		if refused.Add(1) == 1 {
			close(revoked)
		}
		return workers.Unusable(errors.New("the target answered 401"))
	})
	m.publish("slow", 1)
	<-entered
	m.publish("other", 1)
	require.Eventually(t, func() bool { return refused.Load() >= 12 }, 15*time.Second, 10*time.Millisecond)
	assert.Empty(t, m.dead())
}
