package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

func TestDriveCountsTheEventsOfAllWorkers(t *testing.T) {
	var calls atomic.Int64
	start := time.Now()
	one, err := drive(t.Context(), 4, 50*time.Millisecond, func(ctx context.Context, _ int) (int, error) {
		calls.Add(1)
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
		return 10, nil
	})
	require.NoError(t, err)
	elapsed := time.Since(start).Seconds()
	assert.GreaterOrEqual(t, one.rate, 10*float64(calls.Load())/elapsed)
	assert.GreaterOrEqual(t, one.p50, time.Millisecond)
	assert.GreaterOrEqual(t, one.p99, one.p50)
}

func TestFirstErrorEndsTheOtherWorkers(t *testing.T) {
	broken := errors.New("broken")
	_, err := drive(t.Context(), 4, time.Hour, func(ctx context.Context, worker int) (int, error) {
		if worker == 2 {
			return 0, broken
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	require.ErrorIs(t, err, broken)
}

func TestTallyCountsEachEventOnce(t *testing.T) {
	count := newTally(2, 2, 5)
	for subscriber := range 2 {
		h := count.tapOf(subscriber).handler(workers.HandlerFunc(func(context.Context, mesh.Event) error { return nil }))
		for _, sequence := range []uint64{5, 5, 5} {
			require.NoError(t, h.Handle(t.Context(), mesh.Event{Sequence: sequence}))
		}
	}
	require.EqualValues(t, 2, count.left.Load(), "redeliveries are no deliveries")
	count.take(0, 6)
	count.take(1, 6)
	one, err := count.await(t.Context())
	require.NoError(t, err)
	assert.Positive(t, one.rate)
}

func TestTallyFailsOnWhatShouldNotHappen(t *testing.T) {
	broken := errors.New("broken")
	for name, happens := range map[string]func(*tally){
		"an event before the first": func(c *tally) { c.take(0, 4) },
		"an event after the last":   func(c *tally) { c.take(0, 7) },
		"an acknowledgement fails":  func(c *tally) { c.count(0, nil, broken) },
		"a target fails": func(c *tally) {
			h := c.tapOf(0).handler(workers.HandlerFunc(func(context.Context, mesh.Event) error { return broken }))
			require.ErrorIs(t, h.Handle(t.Context(), mesh.Event{Sequence: 5}), broken)
		},
	} {
		t.Run(name, func(t *testing.T) {
			count := newTally(1, 2, 5)
			happens(count)
			_, err := count.await(t.Context())
			require.Error(t, err)
		})
	}
}

// passing passes events by: those of which it is not true.
type passing func(mesh.Event) bool

func (p passing) Shape(_ context.Context, e mesh.Event) (mesh.Event, bool, string, error) {
	return e, p(e), "", nil
}

func TestTallyCountsWhatAFilterPassesByOnce(t *testing.T) {
	count := newTally(1, 2, 5)
	shaper := count.tapOf(0).shaper(passing(func(e mesh.Event) bool { return e.Sequence == 6 }))
	for _, sequence := range []uint64{5, 5, 6} {
		_, _, _, err := shaper.Shape(t.Context(), mesh.Event{Sequence: sequence})
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, count.left.Load(), "what is not passed by counts at the handler")
	count.take(0, 6)
	_, err := count.await(t.Context())
	require.NoError(t, err)
}
