package targettest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Run holds a kind of target to the suite. start makes a new target with an empty far end; what
// it starts, it ends in the test's cleanup.
func Run(t *testing.T, start func(t *testing.T) Fixture) {
	rules := []struct {
		name string
		rule func(t *testing.T, f Fixture)
	}{
		{"AnEventArrivesWithItsIdentity", testIdentity},
		{"HostileValuesArriveUnharmed", testHostileValues},
		{"BodiesArriveByteForByte", testBodies},
		{"ConcurrentEventsArriveOnceEach", testConcurrent},
		{"TheEndOfTheContextEndsTheCall", testCancelled},
		{"RepeatedEventsShareTheirKey", testRepeated},
		{"AClosedTargetRefusesEvents", testClosed},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			f := start(t)
			t.Cleanup(func() { assert.NoError(t, f.Target.Close()) })
			r.rule(t, f)
		})
	}
}

func testIdentity(t *testing.T, f Fixture) {
	event := Event(7)
	require.NoError(t, f.Target.Handle(t.Context(), event))
	requireArrived(t, f, event)
}

func testHostileValues(t *testing.T, f Fixture) {
	var sent []mesh.Event
	for name, value := range hostileValues() {
		event := eventWith(uint64(len(sent)+1), value, value, []byte(`{}`))
		event.Organization, event.ID, event.Media = value, value, value
		event.DeliveryID, event.DeliveryType = value, value
		event.TraceParent, event.TraceState = value, value
		require.NoError(t, f.Target.Handle(t.Context(), event), name)
		sent = append(sent, event)
	}
	requireArrived(t, f, sent...)
}

func testBodies(t *testing.T, f Fixture) {
	var sent []mesh.Event
	for name, body := range bodies() {
		event := eventWith(uint64(len(sent)+1), name, "interaction", slices.Clone(body))
		require.NoError(t, f.Target.Handle(t.Context(), event), name)
		require.Equal(t, body, event.Body, "the target changed the event's body")
		sent = append(sent, event)
	}
	requireArrived(t, f, sent...)
}

func testConcurrent(t *testing.T, f Fixture) {
	const callers, each = 64, 4
	sent := make([]mesh.Event, callers*each)
	for i := range sent {
		sent[i] = Event(uint64(i + 1))
	}
	var calls sync.WaitGroup
	for events := range slices.Chunk(sent, each) {
		calls.Go(func() {
			for _, event := range events {
				assert.NoError(t, f.Target.Handle(t.Context(), event))
			}
		})
	}
	calls.Wait()
	requireArrived(t, f, sent...)
}

func testCancelled(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answered := make(chan error, 1)
	go func() { answered <- f.Target.Handle(ctx, Event(1)) }()
	select {
	case err := <-answered:
		require.Error(t, err)
		assert.NotEqual(t, workers.Refuse, FateOf(err), "no fault of the event: %v", err)
	case <-time.After(5 * time.Second):
		t.Fatal("Handle goes on although its context has ended")
	}
	require.NoError(t, f.Target.Handle(t.Context(), Event(2)), "the next event")
}

func testRepeated(t *testing.T, f Fixture) {
	event := Event(1)
	replayed := event
	replayed.Attempt, replayed.ID, replayed.Sequence = 2, "another envelope", 99
	require.NoError(t, f.Target.Handle(t.Context(), event))
	require.NoError(t, f.Target.Handle(t.Context(), replayed))
	arrived := f.Arrived(t)
	if f.Collapses {
		require.Len(t, arrived, 1)
	} else {
		require.Len(t, arrived, 2)
	}
	for _, a := range arrived {
		assert.Equal(t, event.IdempotencyKey(), a.Key)
	}
}

func testClosed(t *testing.T, f Fixture) {
	require.NoError(t, f.Target.Handle(t.Context(), Event(1)))
	require.NoError(t, f.Target.Close())
	err := f.Target.Handle(t.Context(), Event(2))
	require.Error(t, err)
	assert.NotEqual(t, workers.Refuse, FateOf(err), "no fault of the event: %v", err)
	require.NoError(t, f.Target.Close(), "closing twice")
}

// requireArrived checks that the events, and no others, arrived once each and unharmed.
func requireArrived(t *testing.T, f Fixture, sent ...mesh.Event) {
	t.Helper()
	arrived := f.Arrived(t)
	require.Len(t, arrived, len(sent))
	bySequence := make(map[uint64]Arrival, len(arrived))
	for _, a := range arrived {
		require.NotContains(t, bySequence, a.Sequence, "arrived twice")
		bySequence[a.Sequence] = a
	}
	for _, event := range sent {
		require.Contains(t, bySequence, event.Sequence)
		requireSame(t, event, bySequence[event.Sequence])
	}
}

func requireSame(t *testing.T, event mesh.Event, a Arrival) {
	t.Helper()
	requireText(t, event.Source, a.Source)
	requireText(t, event.Type, a.Type)
	requireText(t, event.Interaction, a.Interaction)
	require.Equal(t, event.IdempotencyKey(), a.Key)
	if a.Body == nil {
		require.Equal(t, len(event.Body), a.BodyBytes)
		return
	}
	require.True(t, string(event.Body) == string(a.Body), "the body of event %d (%s)", event.Sequence, event.Interaction)
}

// requireText allows U+FFFD for each byte that is not UTF-8: JSON can't say it otherwise.
func requireText(t *testing.T, want, got string) {
	t.Helper()
	if got != want {
		require.Equal(t, string([]rune(want)), got)
	}
}
