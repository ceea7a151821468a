package workers_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// flow stores events one after another, of so many interactions in turn, as a sender would: what is not
// answered is sent again. So a lower number is always an earlier place in the stream.
type flow struct {
	t            *testing.T
	js           jetstream.JetStream
	interactions int
	stored       atomic.Int64
	end          func()
}

// flow starts one, which flows until stop is called or the test ends.
func (m *mill) flow(interactions int, pause time.Duration) *flow {
	m.t.Helper()
	f := &flow{t: m.t, js: m.server.JetStream(), interactions: interactions}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			f.store(n)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}()
	f.end = sync.OnceFunc(func() { cancel(); <-done })
	m.t.Cleanup(f.end)
	return f
}

func (f *flow) store(n int) {
	for f.t.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		_, err := f.js.PublishMsg(ctx, numbered(fmt.Sprintf("i%d", n%f.interactions), n))
		cancel()
		if err == nil {
			f.stored.Store(int64(n) + 1)
			return
		}
		select { // NATS is away
		case <-time.After(20 * time.Millisecond):
		case <-f.t.Context().Done():
		}
	}
}

// stop returns how many events were stored in all.
func (f *flow) stop() int {
	f.end()
	return int(f.stored.Load())
}

// witness is the target of several processes. It writes down what reached it, and whether two processes were
// ever at events of one interaction at a time.
type witness struct {
	*diary
	mu       sync.Mutex
	at       map[string]string // who is at it, by interaction
	overlaps []string
	first    map[string]uint64 // the newest event that came for the first time, by interaction
	skipped  []string
}

func newWitness() *witness {
	return &witness{diary: newDiary(), at: map[string]string{}, first: map[string]uint64{}}
}

// handler is what a process of that name calls. It behaves like a target that calls somebody: work is the
// call, and the event has reached it when that returned nil, and the lease was held until then.
func (w *witness) handler(process string, work workers.HandlerFunc) workers.HandlerFunc {
	return func(ctx context.Context, e mesh.Event) error {
		if err := workers.LeaseHeld(ctx); err != nil {
			return err
		}
		w.enter(process, e)
		defer w.leave(e)
		if err := work(ctx, e); err != nil {
			return err
		}
		if err := workers.LeaseHeld(ctx); err != nil {
			return err
		}
		w.note(process, e)
		return nil
	}
}

func (w *witness) enter(process string, e mesh.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.at[e.Interaction]; other != "" {
		w.overlaps = append(w.overlaps, fmt.Sprintf("%s: %s is at event %d while %s is at another", e.Interaction, process, e.Sequence, other))
	}
	w.at[e.Interaction] = process
}

func (w *witness) leave(e mesh.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.at, e.Interaction)
}

func (w *witness) note(process string, e mesh.Event) {
	w.mu.Lock()
	if e.Sequence > w.first[e.Interaction] {
		w.first[e.Interaction] = e.Sequence
	} else if !w.has(e.Sequence) {
		w.skipped = append(w.skipped, fmt.Sprintf("%s: event %d came to %s for the first time after %d", e.Interaction, e.Sequence, process, w.first[e.Interaction]))
	}
	w.mu.Unlock()
	w.write(e)
}

func (d *diary) has(sequence uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[sequence]
}

// awaitMore waits until so many more deliveries have ended than now.
func (w *witness) awaitMore(t *testing.T, n int, within time.Duration, after string) {
	t.Helper()
	before := w.count()
	require.Eventually(t, func() bool { return w.count() >= before+n }, within, 5*time.Millisecond, "deliveries go on %s", after)
}

// awaitAll waits until each of so many events has come.
func (w *witness) awaitAll(t *testing.T, events int) {
	t.Helper()
	require.Eventually(t, func() bool { return w.distinct() >= events }, 20*time.Second, 10*time.Millisecond, "none is missing")
	require.Equal(t, events, w.distinct())
}

// requireOneByOne checks that no two processes were at an interaction at a time, and that no event came for the
// first time after a newer one. An event that came again is no mistake here: see requireOrder.
func (w *witness) requireOneByOne(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.overlaps)
	require.Empty(t, w.skipped)
}

// doubles is how often an event came that had come before.
func (w *witness) doubles() int { return w.count() - w.distinct() }

// requirePasses checks that no interaction was gone through more often than so.
func (w *witness) requirePasses(t *testing.T, most int) {
	t.Helper()
	w.diary.mu.Lock()
	defer w.diary.mu.Unlock()
	for interaction, sequences := range w.seen {
		passes := 1
		for i := 1; i < len(sequences); i++ {
			if sequences[i] < sequences[i-1] {
				passes++
			}
		}
		require.LessOrEqual(t, passes, most, "%s: %v", interaction, sequences)
	}
}

// takes is the work of a target that takes everything, after a moment.
func takes(ctx context.Context, _ mesh.Event) error {
	select {
	case <-time.After(2 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The checks of these tests are of no use if they see nothing.
func TestWitnessSeesWhatGoesWrong(t *testing.T) {
	at := func(sequence uint64) mesh.Event { return mesh.Event{Interaction: "a", Sequence: sequence} }
	w := newWitness()
	for _, sequence := range []uint64{1, 2, 2, 4, 3, 4} {
		require.NoError(t, w.handler("one", takes)(t.Context(), at(sequence)))
	}
	assert.Equal(t, []string{"a: event 3 came to one for the first time after 4"}, w.skipped)
	assert.Equal(t, 2, w.doubles())
	assert.Empty(t, w.overlaps)

	both := w.handler("one", func(ctx context.Context, e mesh.Event) error {
		return w.handler("two", takes)(ctx, at(6))
	})
	require.NoError(t, both(t.Context(), at(5)))
	assert.Equal(t, []string{"a: two is at event 6 while one is at another"}, w.overlaps)

	lost := workers.WithLease(t.Context(), func() bool { return false })
	require.Error(t, w.handler("one", takes)(lost, at(7)))
	assert.False(t, slices.Contains(w.seen["a"], 7), "what the lease kept from it did not reach it")
}
