package workers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// clerk is a Recorder that hands each record to a test.
type clerk chan mesh.Delivery

func (c clerk) Record(d mesh.Delivery, _ string) { c <- d }

// record brings one event to its end, by a handler, and returns what is recorded of that.
func (m *mill) record(h workers.HandlerFunc) mesh.Delivery {
	m.t.Helper()
	records := make(clerk, 1)
	m.records = records
	m.run(h)
	m.publish("call", 1)
	select {
	case record := <-records:
		return record
	case <-time.After(20 * time.Second):
		m.t.Fatal("the delivery has not ended")
		return mesh.Delivery{}
	}
}

// Somebody who asks what became of an event hears of each attempt: when it was, how long it took, and what came of it.
func TestADeliveryTellsEachOfItsAttempts(t *testing.T) {
	type attempt struct {
		outcome string
		status  int
	}
	down := &workers.Failure{Status: 500, Err: errors.New("crm answered 500")}
	for name, tc := range map[string]struct {
		answers  []error
		outcome  mesh.Outcome
		attempts []attempt
	}{
		"taken at once":       {[]error{nil}, mesh.OutcomeDelivered, nil},
		"taken in the end":    {[]error{down, errors.New("no answer"), nil}, mesh.OutcomeDelivered, []attempt{{"failed", 500}, {"failed", 0}, {"delivered", 0}}},
		"asked for air first": {[]error{workers.RetryAfter(time.Millisecond, down), nil}, mesh.OutcomeDelivered, []attempt{{"waits", 500}, {"delivered", 0}}},
		"given up":            {[]error{down, down, down}, mesh.OutcomeDead, []attempt{{"failed", 500}, {"failed", 500}, {"failed", 500}}},
		"refused for good":    {[]error{down, workers.Permanent(down)}, mesh.OutcomeDead, []attempt{{"failed", 500}, {"rejected", 500}}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := tc.answers
			record := newMill(t, fast+`, "breaker": {"disabled": true}`).record(func(context.Context, mesh.Event) error {
				answer := answers[0]
				answers = answers[1:]
				return answer
			})
			assert.Equal(t, tc.outcome, record.Outcome)
			var attempts []attempt
			last := record.Began
			for _, one := range record.EachAttempt {
				attempts = append(attempts, attempt{one.Outcome, one.Status})
				assert.False(t, one.At.Before(last) || one.At.After(record.Ended), "they are told in their order")
				last = one.At
			}
			assert.Equal(t, tc.attempts, attempts)
		})
	}
}

func TestOnlyTheLatestOfManyAttemptsAreTold(t *testing.T) {
	m := newMill(t, `"max_attempts": 30, "max_deliver": 40, "ack_wait": "1s", "backoff": {"base": "10ms", "max": "10ms"}, "breaker": {"disabled": true}`)
	var began []time.Time
	record := m.record(func(context.Context, mesh.Event) error {
		began = append(began, time.Now())
		return errors.New("down")
	})
	assert.Equal(t, 30, record.Attempts)
	require.Len(t, record.EachAttempt, mesh.MaxEachAttempt)
	assert.WithinRange(t, record.EachAttempt[0].At, began[9], began[10], "the first ten are left out")
}

// Somebody who asks while the event is in hand hears of what was tried so far, and when the next attempt is.
func TestWhatIsUnderWayTellsItsAttemptsSoFar(t *testing.T) {
	m := newMill(t, `"max_attempts": 5, "max_deliver": 10, "ack_wait": "2s", "backoff": {"base": "10m", "max": "10m"}, "breaker": {"disabled": true}`)
	w := m.hire(func(context.Context, mesh.Event) error {
		return &workers.Failure{Status: 503, Err: errors.New("crm answered 503")}
	})
	m.publish("call", 1)
	sequence := m.publish("another", 2)
	event, err := mesh.GetEvent(t.Context(), m.js, "INTERACTIONS", sequence)
	require.NoError(t, err)
	at := event.FirstPlace()
	var told []mesh.UnderWay
	require.Eventually(t, func() bool {
		told = w.crew.UnderWay([]mesh.Place{at, {Stream: "INTERACTIONS", Sequence: sequence - 1, Stored: time.Now()}})
		return len(told) == 1 && len(told[0].EachAttempt) == 1 && !told[0].NextAttempt.IsZero()
	}, 10*time.Second, 5*time.Millisecond, "and nothing of an earlier event with the same sequence")
	u := told[0]
	assert.Equal(t, "crm", u.Subscriber)
	assert.Equal(t, 1, u.Attempts)
	assert.True(t, u.Stored.Equal(at.Stored))
	assert.Equal(t, "failed", u.EachAttempt[0].Outcome)
	assert.Equal(t, 503, u.EachAttempt[0].Status)
	assert.WithinDuration(t, time.Now().Add(10*time.Minute), u.NextAttempt, 9*time.Minute, "half of the pause is chance")

	line := mesh.TimelineEvent{Stream: at.Stream, Sequence: at.Sequence, Stored: at.Stored, Deliveries: []mesh.TimelineDelivery{
		{Subscriber: "crm", State: "dead", Attempts: 9}, {Subscriber: "crm", State: mesh.StateWaiting, Replay: true},
		{Subscriber: "crm", State: mesh.StateWaiting}, {Subscriber: "analytics", State: mesh.StateWaiting},
	}}
	line.Tell(told)
	assert.Equal(t, mesh.TimelineDelivery{
		Subscriber: "crm", State: mesh.StateInHand, Attempts: 1, Began: u.Began, NextAttempt: u.NextAttempt, EachAttempt: u.EachAttempt,
	}, line.Deliveries[2])
	assert.Equal(t, mesh.StateWaiting, line.Deliveries[1].State)
	assert.Equal(t, mesh.StateWaiting, line.Deliveries[3].State)
	assert.Equal(t, 9, line.Deliveries[0].Attempts)
}
