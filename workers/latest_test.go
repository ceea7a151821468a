package workers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/mesh"
)

// applied is a table with the latest state of each interaction, and how it came to be.
type applied struct {
	mu      sync.Mutex
	of      map[string][]uint64 // sequences by interaction
	running map[string]bool
	overlap bool
}

func (a *applied) handle(_ context.Context, e mesh.Event) error {
	a.mu.Lock()
	if a.of == nil {
		a.of, a.running = map[string][]uint64{}, map[string]bool{}
	}
	a.overlap = a.overlap || a.running[e.Interaction]
	a.running[e.Interaction] = true
	a.mu.Unlock()

	time.Sleep(time.Millisecond) // the work

	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[e.Interaction] = false
	a.of[e.Interaction] = append(a.of[e.Interaction], e.Sequence)
	return nil
}

func (a *applied) sequences(interaction string) []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[interaction]
}

func replayOf(e mesh.Event, sequence uint64) mesh.Event {
	e.Origin = e.FirstPlace()
	e.Stream, e.Sequence, e.Stored = "DEAD_LETTERS", sequence, longAgo.Add(24*time.Hour+time.Duration(sequence)*time.Minute)
	return e
}

func TestOnlyNewerEventsAreApplied(t *testing.T) {
	kv, server := claimBucket(t)
	table := new(applied)
	latest := Latest{KV: kv, Name: "crm", Handler: HandlerFunc(table.handle)}
	for _, n := range []int{1, 3, 2, 3, 1, 4} {
		require.NoError(t, latest.Handle(t.Context(), storedEvent("a", n)))
	}
	require.NoError(t, latest.Handle(t.Context(), storedEvent("b", 2)))
	assert.Equal(t, []uint64{1, 3, 4}, table.sequences("a"))
	assert.Equal(t, []uint64{2}, table.sequences("b"), "interactions are apart")

	latest.KV = reopened(t, server)
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 3)))
	assert.Equal(t, []uint64{1, 3, 4}, table.sequences("a"), "another process knows")
}

// A dead letter is replayed after its interaction went on: its old state must not come back.
func TestReplayIsJudgedByWhenItCameIn(t *testing.T) {
	kv, _ := claimBucket(t)
	table := new(applied)
	latest := Latest{KV: kv, Name: "crm", Handler: HandlerFunc(table.handle)}
	for _, e := range []mesh.Event{
		storedEvent("a", 2),
		replayOf(storedEvent("a", 1), 100), // older
		replayOf(storedEvent("a", 2), 101), // the same
		replayOf(storedEvent("a", 4), 102), // newer
		replayOf(storedEvent("a", 3), 103), // replayed later, but older
		storedEvent("a", 4),                // the same as the one that was replayed
		storedEvent("a", 5),
	} {
		require.NoError(t, latest.Handle(t.Context(), e))
	}
	assert.Equal(t, []uint64{2, 102, 5}, table.sequences("a"))
}

func TestNewerIsWhatWasStoredLater(t *testing.T) {
	at := func(stream string, sequence uint64, stored time.Duration) mark {
		return mark{Stream: stream, Sequence: sequence, Stored: longAgo.Add(stored), Received: longAgo.Add(time.Duration(sequence) * time.Hour)}
	}
	received := func(stream string, received, occurred time.Duration) mark {
		return mark{Stream: stream, Received: longAgo.Add(received), Occurred: longAgo.Add(occurred)}
	}
	for _, c := range []struct {
		name  string
		m     mark
		than  mark
		newer bool
	}{
		{"later in the stream", at("S", 8, time.Minute), at("S", 7, 0), true},
		{"earlier in the stream", at("S", 6, -time.Minute), at("S", 7, 0), false},
		{"itself", at("S", 7, 0), at("S", 7, 0), false},
		{"later, in the same instant", at("S", 8, 0), at("S", 7, 0), true},
		{"later, and the leader's clock went back a little", at("S", 8, -time.Second), at("S", 7, 0), true},
		{"earlier, and the leader's clock went back a little", at("S", 6, time.Second), at("S", 7, 0), false},
		{"the stream was made again", at("S", 1, time.Minute), at("S", 7000, 0), true},
		{"it is of the stream that was there before", at("S", 7000, 0), at("S", 1, time.Minute), false},
		{"the first of all", at("S", 1, 0), mark{}, true},
		{"of another stream, came in later", received("D", 2, 0), received("S", 1, 0), true},
		{"of another stream, came in earlier", received("D", 1, 0), received("S", 2, 0), false},
		{"of another stream, came in with the other and occurred later", received("D", 1, 2), received("S", 1, 1), true},
		{"of another stream, came in with the other and occurred earlier", received("D", 1, 1), received("S", 1, 2), false},
		{"the same in another stream", received("D", 1, 1), received("S", 1, 1), false},
	} {
		assert.Equal(t, c.newer, c.m.isNewer(c.than), c.name)
		if c.newer {
			assert.False(t, c.than.isNewer(c.m), "the other way round: %s", c.name)
		}
	}
}

// An older event that is handed out while a newer one is being applied must not come after it.
func TestOlderEventWaitsForTheNewerOneAndIsPassedBy(t *testing.T) {
	kv, server := claimBucket(t)
	table := new(applied)
	entered, leave := make(chan struct{}), make(chan struct{})
	newer, older := make(chan error, 1), make(chan error, 1)
	go func() {
		newer <- Latest{KV: kv, Name: "crm", Handler: HandlerFunc(func(ctx context.Context, e mesh.Event) error {
			close(entered)
			<-leave
			return table.handle(ctx, e)
		})}.Handle(t.Context(), storedEvent("a", 2))
	}()
	<-entered
	go func() {
		older <- Latest{KV: reopened(t, server), Name: "crm", Handler: HandlerFunc(table.handle)}.Handle(t.Context(), storedEvent("a", 1))
	}()
	select {
	case err := <-older:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(leave)
	require.NoError(t, <-newer)
	require.NoError(t, <-older)
	assert.Equal(t, []uint64{2}, table.sequences("a"))
}

func TestNewerEventThatFailedDoesNotHideAnOlderOne(t *testing.T) {
	kv, _ := claimBucket(t)
	table := new(applied)
	latest := Latest{KV: kv, Name: "crm", Handler: HandlerFunc(func(ctx context.Context, e mesh.Event) error {
		if e.Sequence == 3 {
			return Permanent(errors.New("no"))
		}
		return table.handle(ctx, e)
	})}
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 1)))
	fate, _ := FateOf(latest.Handle(t.Context(), storedEvent("a", 3)))
	assert.Equal(t, Refuse, fate)
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 1)))
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 2)))
	assert.Equal(t, []uint64{1, 2}, table.sequences("a"))
}

func TestMarkSurvivesTheDeathOfAHolder(t *testing.T) {
	kv, _ := claimBucket(t)
	table := new(applied)
	latest := Latest{KV: kv, Name: "crm", Handler: HandlerFunc(table.handle), Lease: shortLease}
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 5)))
	key := "latest.crm.genesys.a"
	dead := readEntry(t, kv, key)
	dead.State, dead.Claim, dead.Lease = stateClaimed, "theirs", mesh.Duration(shortLease)
	writeEntry(t, kv, key, dead)

	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 4)), "passed by without waiting")
	began := time.Now()
	require.NoError(t, latest.Handle(t.Context(), storedEvent("a", 6)))
	assert.GreaterOrEqual(t, time.Since(began), shortLease)
	assert.Equal(t, []uint64{5, 6}, table.sequences("a"))
}

// A process stood still after the effect; meanwhile another one applied a newer event.
func TestMarkOfTheNewerEventIsNotWrittenOver(t *testing.T) {
	kv, _ := claimBucket(t)
	newer := markOf(storedEvent("a", 9))
	key := "latest.crm.genesys.a"
	err := Latest{KV: kv, Name: "crm", Lease: shortLease, Handler: HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		key, _ = OnceToken(ctx)
		writeEntry(t, kv, key, entry{State: stateFree, Mark: &newer})
		return nil
	})}.Handle(t.Context(), storedEvent("a", 2))
	require.NoError(t, err, "there is nothing left to do for it")
	assert.Equal(t, newer, *readEntry(t, kv, key).Mark)
}

func TestEventWithoutAnInteractionIsHandedOn(t *testing.T) {
	table := new(applied)
	latest := Latest{Name: "crm", Handler: HandlerFunc(table.handle)}
	for _, n := range []int{2, 1} {
		require.NoError(t, latest.Handle(t.Context(), storedEvent("", n)))
	}
	assert.Equal(t, []uint64{2, 1}, table.sequences(""))
}

// Whatever the order in which several processes are handed the events, and however often: what is
// applied of an interaction only ever grows, one at a time, and ends with the newest.
func TestAppliedOnlyGrowsAndEndsWithTheNewest(t *testing.T) {
	// Each write of a check is an fsync, so a few checks are enough for every run.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		require.NoError(t, flag.Set("rapid.checks", "40"))
		t.Cleanup(func() { _ = flag.Set("rapid.checks", f.DefValue) })
	}
	kv, server := claimBucket(t)
	other := reopened(t, server)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		const interactions = 3
		newest := rapid.SliceOfN(rapid.IntRange(1, 6), interactions, interactions).Draw(r, "events")
		var all []mesh.Event
		for i, n := range newest {
			for sequence := 1; sequence <= n; sequence++ {
				for range rapid.IntRange(1, 2).Draw(r, "deliveries") {
					all = append(all, storedEvent(fmt.Sprint(i), sequence))
				}
			}
		}
		all = rapid.Permutation(all).Draw(r, "order")
		failing := rapid.SliceOfN(rapid.Bool(), len(all), len(all)).Draw(r, "failing")
		table := new(applied)
		queue := make(chan int, len(all))
		for i := range all {
			queue <- i
		}
		close(queue)
		var workers sync.WaitGroup
		for w := range 4 {
			latest := Latest{KV: kv, Name: fmt.Sprint(run), Lease: 2 * time.Second}
			if w%2 == 1 {
				latest.KV = other
			}
			workers.Go(func() {
				for i := range queue {
					left := 0
					if failing[i] {
						left = 1
					}
					latest.Handler = HandlerFunc(func(ctx context.Context, e mesh.Event) error {
						if left--; left >= 0 {
							return errors.New("not yet")
						}
						return table.handle(ctx, e)
					})
					if latest.Handle(t.Context(), all[i]) != nil {
						assert.NoError(r, latest.Handle(t.Context(), all[i]))
					}
				}
			})
		}
		workers.Wait()
		for i, n := range newest {
			got := table.sequences(fmt.Sprint(i))
			for j := 1; j < len(got); j++ {
				assert.Greater(r, got[j], got[j-1], got)
			}
			assert.EqualValues(r, n, got[len(got)-1])
		}
		assert.False(r, table.overlap, "two events of an interaction at a time")
	})
}

func BenchmarkLatest(b *testing.B) {
	kv, _ := claimBucket(b)
	latest := Latest{KV: kv, Name: "crm", Handler: HandlerFunc(func(context.Context, mesh.Event) error { return nil })}
	n := 0
	handle := func(b *testing.B, n int) {
		if err := latest.Handle(b.Context(), storedEvent("a", n)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("newer", func(b *testing.B) {
		for b.Loop() {
			n++
			handle(b, n)
		}
	})
	b.Run("older", func(b *testing.B) {
		for b.Loop() {
			handle(b, 0)
		}
	})
}
