package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const shortLease = 400 * time.Millisecond

// claimBucket is a bucket of claims on a server of its own.
func claimBucket(t testing.TB) (jetstream.KeyValue, *meshtest.Server) {
	t.Helper()
	server := meshtest.Start(t)
	kv, err := ClaimBucket(t.Context(), server.JetStream(), "claims", time.Hour, 1)
	require.NoError(t, err)
	return kv, server
}

// reopened opens the bucket as another process does.
func reopened(t testing.TB, server *meshtest.Server) jetstream.KeyValue {
	t.Helper()
	kv, err := server.JetStream().KeyValue(t.Context(), "claims")
	require.NoError(t, err)
	return kv
}

var longAgo = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// storedEvent is the n-th event of its stream, of the given interaction.
func storedEvent(interaction string, n int) mesh.Event {
	at := longAgo.Add(time.Duration(n) * 50 * time.Millisecond)
	return mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Fingerprint: fmt.Sprintf("%032x", n),
		Occurred: at, Received: at, Stream: "INTERACTIONS", Sequence: uint64(n), Stored: at, Attempt: 1,
	}
}

func onceKey(name string, e mesh.Event) string { return "once." + name + "." + e.IdempotencyKey() }

func readEntry(t testing.TB, kv jetstream.KeyValue, key string) entry {
	t.Helper()
	raw, err := kv.Get(t.Context(), key)
	require.NoError(t, err)
	e, err := parseEntry(raw.Value())
	require.NoError(t, err)
	e.revision = raw.Revision()
	return e
}

// seize writes a claim of somebody else, who does not renew it.
func seize(t testing.TB, kv jetstream.KeyValue, key string, lease time.Duration) uint64 {
	t.Helper()
	raw, err := json.Marshal(entry{
		State: stateClaimed, Claim: "theirs", Owner: "another machine", At: time.Now().Add(48 * time.Hour), Lease: mesh.Duration(lease),
	})
	require.NoError(t, err)
	revision, err := kv.Put(t.Context(), key, raw)
	require.NoError(t, err)
	return revision
}

// effects counts what handlers have done, and whether two did the same at a time.
type effects struct {
	mu       sync.Mutex
	count    map[string]int
	running  map[string]bool
	together int
}

func (f *effects) handle(_ context.Context, e mesh.Event) error {
	key := e.IdempotencyKey()
	f.begin(key)
	time.Sleep(time.Millisecond) // the work
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[key] = false
	f.count[key]++
	return nil
}

func (f *effects) begin(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count, f.running = map[string]int{}, map[string]bool{}
	}
	if f.running[key] {
		f.together++
	}
	f.running[key] = true
}

func (f *effects) of(e mesh.Event) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[e.IdempotencyKey()]
}

// Four processes, each with eight goroutines, are all handed the same events.
func TestEffectHappensOnceOverAllProcesses(t *testing.T) {
	kv, server := claimBucket(t)
	const events, processes, goroutines = 20, 4, 8
	done := new(effects)
	var all sync.WaitGroup
	for i := range processes {
		if i > 0 {
			kv = reopened(t, server)
		}
		once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(done.handle), Lease: 2 * time.Second}
		for range goroutines {
			all.Go(func() {
				for _, n := range rand.Perm(events) {
					assert.NoError(t, once.Handle(t.Context(), storedEvent("a", n)))
				}
			})
		}
	}
	all.Wait()
	for n := range events {
		assert.Equal(t, 1, done.of(storedEvent("a", n)), n)
	}
	assert.Zero(t, done.together)
}

func TestDoneStaysDone(t *testing.T) {
	kv, server := claimBucket(t)
	done := new(effects)
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(done.handle)}
	event := storedEvent("a", 1)
	require.NoError(t, once.Handle(t.Context(), event))

	replayed := event
	replayed.Stream, replayed.Sequence, replayed.Stored = "DEAD_LETTERS", 77, time.Now()
	redelivered := event
	redelivered.Attempt = 3
	server.Restart()
	require.Eventually(t, func() bool { return once.Handle(t.Context(), replayed) == nil }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, once.Handle(t.Context(), redelivered))
	assert.Equal(t, 1, done.of(event))

	once.Name = "billing"
	require.NoError(t, once.Handle(t.Context(), event))
	assert.Equal(t, 2, done.of(event), "another name is another effect")
}

func TestFailedAttemptLetsGoOfItsClaim(t *testing.T) {
	kv, _ := claimBucket(t)
	cause := errors.New("no")
	for i, c := range []struct {
		name string
		fail func() error
		fate Fate
	}{
		{"an error", func() error { return cause }, Retry},
		{"a permanent error", func() error { return Permanent(cause) }, Refuse},
		{"a target that asks for air", func() error { return RetryAfter(time.Second, cause) }, Wait},
		{"a panic", func() error { panic("poison") }, Retry},
	} {
		t.Run(c.name, func(t *testing.T) {
			event, runs := storedEvent("a", i), 0
			once := Once{KV: kv, Name: "crm", Lease: time.Hour, Handler: HandlerFunc(func(context.Context, mesh.Event) error {
				if runs++; runs == 1 {
					return c.fail()
				}
				return nil
			})}
			fate, _ := FateOf(once.Handle(t.Context(), event))
			assert.Equal(t, c.fate, fate, "the verdict is the handler's")
			assert.Equal(t, stateFree, readEntry(t, kv, onceKey("crm", event)).State)

			event.Attempt = 2
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			require.NoError(t, once.Handle(ctx, event), "no waiting for the lease")
			require.NoError(t, once.Handle(ctx, event))
			assert.Equal(t, 2, runs)
		})
	}
}

// A runner that ends cancels its handlers; the event must be free for the next process.
func TestEndingProcessLetsGoOfItsClaim(t *testing.T) {
	kv, _ := claimBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})}
	event := storedEvent("a", 1)
	require.ErrorIs(t, once.Handle(ctx, event), context.Canceled)
	assert.Equal(t, stateFree, readEntry(t, kv, onceKey("crm", event)).State)
}

// A handler that had its effect just when the process had to end is done all the same.
func TestEffectAtTheEndIsRecorded(t *testing.T) {
	kv, _ := claimBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(func(context.Context, mesh.Event) error { cancel(); return nil })}
	event := storedEvent("a", 1)
	require.NoError(t, once.Handle(ctx, event))
	assert.Equal(t, stateDone, readEntry(t, kv, onceKey("crm", event)).State)
}

func TestClaimOfADeadProcessIsTakenOverAfterItsLease(t *testing.T) {
	kv, _ := claimBucket(t)
	event := storedEvent("a", 1)
	key := onceKey("crm", event)
	dead := seize(t, kv, key, shortLease)
	var got uint64
	once := Once{KV: kv, Name: "crm", Lease: time.Hour, Handler: HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		var at string
		at, got = OnceToken(ctx)
		assert.Equal(t, key, at)
		return nil
	})}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, once.Handle(ctx, event), "it is the holder's lease that counts")
	assert.GreaterOrEqual(t, time.Since(began), shortLease)
	assert.Greater(t, got, dead, "fences grow")
	assert.Equal(t, stateDone, readEntry(t, kv, key).State)
}

func TestLiveHolderKeepsItsClaim(t *testing.T) {
	kv, server := claimBucket(t)
	var runs atomic.Int32
	lease := 1500 * time.Millisecond
	began := make(chan struct{})
	handler := HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		if runs.Add(1) == 1 {
			close(began)
		}
		sleep(ctx, lease*4/3)
		return ctx.Err()
	})
	first := make(chan error, 1)
	event := storedEvent("a", 1)
	go func() {
		first <- Once{KV: kv, Name: "crm", Handler: handler, Lease: lease}.Handle(t.Context(), event)
	}()
	<-began
	event.Attempt = 2
	require.NoError(t, Once{KV: reopened(t, server), Name: "crm", Handler: handler, Lease: lease}.Handle(t.Context(), event))
	require.NoError(t, <-first)
	assert.EqualValues(t, 1, runs.Load(), "the second waited until the first was done")
}

// A process stood still for so long that another took its event over.
func TestProcessThatStoodStillIsStopped(t *testing.T) {
	kv, _ := claimBucket(t)
	for i, c := range []struct {
		name    string
		obeys   bool             // returns when its ctx ends
		theirs  func(key string) // what the other process does then
		want    func(err error)  // of the first
		becomes entryState       // in the end
	}{
		{name: "it gives up", obeys: true, becomes: stateClaimed,
			want: func(err error) { require.ErrorIs(t, err, ErrClaimLost) }},
		{name: "it goes on, while the other is at it", becomes: stateClaimed,
			want: func(err error) {
				require.ErrorIs(t, err, ErrClaimLost)
				fate, _ := FateOf(err)
				assert.Equal(t, Retry, fate)
			}},
		{name: "it goes on, and the other has done it", becomes: stateDone,
			theirs: func(key string) { writeEntry(t, kv, key, entry{State: stateDone}) },
			want:   func(err error) { require.NoError(t, err) }},
		{name: "it goes on, and the other has failed", becomes: stateDone,
			theirs: func(key string) { writeEntry(t, kv, key, entry{State: stateFree}) },
			want:   func(err error) { require.NoError(t, err, "the effect has happened") }},
		{name: "it goes on, and the entry was deleted", becomes: stateDone,
			theirs: func(key string) { require.NoError(t, kv.Delete(t.Context(), key)) },
			want:   func(err error) { require.NoError(t, err, "the effect has happened") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			event := storedEvent("a", i)
			key := onceKey("crm", event)
			err := Once{KV: kv, Name: "crm", Lease: shortLease, Handler: HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
				seize(t, kv, key, shortLease)
				<-ctx.Done()
				assert.ErrorIs(t, context.Cause(ctx), ErrClaimLost)
				if c.theirs != nil {
					c.theirs(key)
				}
				if c.obeys {
					return ctx.Err()
				}
				return nil
			})}.Handle(t.Context(), event)
			c.want(err)
			assert.Equal(t, c.becomes, readEntry(t, kv, key).State, "nobody writes over another's claim")
		})
	}
}

func writeEntry(t testing.TB, kv jetstream.KeyValue, key string, e entry) {
	t.Helper()
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	_, err = kv.Put(t.Context(), key, raw)
	require.NoError(t, err)
}

// forgetful stores what it is told to and then, for some writes, gives no answer in time.
type forgetful struct {
	jetstream.KeyValue
	writes  atomic.Int32
	forgets func(write int) bool // counted from 1
}

func (f *forgetful) Create(ctx context.Context, key string, value []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	return f.answer(f.KeyValue.Create(ctx, key, value, o...))
}

func (f *forgetful) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return f.answer(f.KeyValue.Update(ctx, key, value, revision))
}

func (f *forgetful) answer(revision uint64, err error) (uint64, error) {
	if f.forgets(int(f.writes.Add(1))) {
		return 0, context.DeadlineExceeded
	}
	return revision, err
}

func TestWriteWhoseAnswerIsLostIsStillOurs(t *testing.T) {
	kv, _ := claimBucket(t)
	for i, c := range []struct {
		name    string
		work    time.Duration
		forgets func(write int) bool
		fate    Fate
		runs    int
		state   entryState
	}{
		{"of the claim", 0, func(n int) bool { return n == 1 }, Wait, 0, stateClaimed},
		{"of done", 0, func(n int) bool { return n == 2 }, Done, 1, stateDone},
		{"of a renewal", shortLease / 2, func(n int) bool { return n == 2 }, Done, 1, stateDone},
		{"of the renewal before done", shortLease * 3 / 8, func(n int) bool { return n == 2 || n == 3 }, Done, 1, stateDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			event, runs := storedEvent("a", i), 0
			once := Once{KV: &forgetful{KeyValue: kv, forgets: c.forgets}, Name: "crm", Lease: shortLease,
				Handler: HandlerFunc(func(context.Context, mesh.Event) error {
					runs++
					time.Sleep(c.work)
					return nil
				})}
			fate, _ := FateOf(once.Handle(t.Context(), event))
			assert.Equal(t, c.fate, fate)
			assert.Equal(t, c.runs, runs)
			assert.Equal(t, c.state, readEntry(t, kv, onceKey("crm", event)).State)

			event.Attempt = 2
			require.NoError(t, once.Handle(t.Context(), event))
			assert.Equal(t, 1, runs, "once, in the end")
		})
	}
}

// NATS is away for a while after the effect: the effect must not happen again.
func TestOutageAfterTheEffectIsOutlasted(t *testing.T) {
	kv, server := claimBucket(t)
	runs := 0
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(func(context.Context, mesh.Event) error {
		runs++
		server.Restart()
		return nil
	})}
	event := storedEvent("a", 1)
	require.NoError(t, once.Handle(t.Context(), event))
	event.Attempt = 2
	require.NoError(t, once.Handle(t.Context(), event))
	assert.Equal(t, 1, runs)
}

// NATS is away while the handler runs: it must end before another process may begin.
func TestOutageEndsTheHandlerBeforeItsLease(t *testing.T) {
	kv, server := claimBucket(t)
	lease := 2 * time.Second
	once := Once{KV: kv, Name: "crm", Lease: lease, Handler: HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		server.Stop()
		began := time.Now()
		<-ctx.Done()
		assert.Less(t, time.Since(began), lease)
		server.Restart()
		return ctx.Err()
	})}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.ErrorIs(t, once.Handle(ctx, storedEvent("a", 1)), ErrClaimLost)
}

func TestBucketThatIsAwayMakesTheSubscriberWait(t *testing.T) {
	kv, server := claimBucket(t)
	require.NoError(t, server.JetStream().DeleteKeyValue(t.Context(), "claims"))
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(func(context.Context, mesh.Event) error {
		t.Error("it was run")
		return nil
	})}
	for attempt := 1; attempt <= 2; attempt++ {
		event := storedEvent("a", 1)
		event.Attempt = attempt
		err := once.Handle(t.Context(), event)
		fate, wait := FateOf(err)
		assert.Equal(t, Wait, fate, err)
		assert.Zero(t, wait, "the subscriber's own backoff")
		assert.ErrorContains(t, err, "claims")
	}
}

// renewing is a bucket in which every claim has just been renewed.
type renewing struct {
	jetstream.KeyValue
	renewals atomic.Uint64
}

type renewedEntry struct {
	jetstream.KeyValueEntry
	revision uint64
}

func (e renewedEntry) Revision() uint64 { return e.revision }

func (r *renewing) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	e, err := r.KeyValue.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return renewedEntry{e, e.Revision() + r.renewals.Add(1)}, nil
}

func TestWaitForAClaimIsBounded(t *testing.T) {
	kv, _ := claimBucket(t)
	event := storedEvent("a", 1)
	lease := 50 * time.Millisecond
	seize(t, kv, onceKey("crm", event), lease)
	once := Once{KV: &renewing{KeyValue: kv}, Name: "crm", Lease: lease, Handler: HandlerFunc(func(context.Context, mesh.Event) error {
		t.Error("it was run")
		return nil
	})}
	err := once.Handle(t.Context(), event)
	fate, _ := FateOf(err)
	assert.Equal(t, Retry, fate)
	assert.ErrorContains(t, err, "another machine", "it says who")

	ending, end := context.WithCancel(t.Context())
	time.AfterFunc(lease, end)
	require.ErrorIs(t, once.Handle(ending, event), context.Canceled, "it does not outstay its ctx")
}

func TestEntryThatAnOperatorDeletedIsNew(t *testing.T) {
	kv, _ := claimBucket(t)
	done := new(effects)
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(done.handle)}
	event := storedEvent("a", 1)
	require.NoError(t, once.Handle(t.Context(), event))
	require.NoError(t, kv.Delete(t.Context(), onceKey("crm", event)))
	require.NoError(t, once.Handle(t.Context(), event))
	require.NoError(t, once.Handle(t.Context(), event))
	assert.Equal(t, 2, done.of(event))
}

func TestDoneIsForgottenAfterTheTTL(t *testing.T) {
	kv, err := meshtest.Start(t).JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "claims", TTL: time.Second})
	require.NoError(t, err)
	done := new(effects)
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(done.handle)}
	event := storedEvent("a", 1)
	require.Eventually(t, func() bool {
		return once.Handle(t.Context(), event) == nil && done.of(event) == 2
	}, 10*time.Second, 50*time.Millisecond)
}

func TestForeignEntryIsAnErrorThatNamesIt(t *testing.T) {
	kv, _ := claimBucket(t)
	event := storedEvent("a", 1)
	_, err := kv.PutString(t.Context(), onceKey("crm", event), "hello")
	require.NoError(t, err)
	err = Once{KV: kv, Name: "crm"}.Handle(t.Context(), event)
	require.ErrorContains(t, err, onceKey("crm", event))
	fate, _ := FateOf(err)
	assert.Equal(t, Retry, fate)
}

func TestOutsideOfOnceThereIsNoToken(t *testing.T) {
	key, fence := OnceToken(t.Context())
	assert.Empty(t, key)
	assert.Zero(t, fence)
}

func TestNamesFromOutsideMakeKeysThatABucketTakes(t *testing.T) {
	kv, _ := claimBucket(t)
	for i, name := range []string{"", ".", "a.b", "*", ">", "ä ö", "x\x00y", fmt.Sprintf("%0300d", 1)} {
		done := new(effects)
		event := storedEvent(name, i)
		event.Source = name
		require.NoError(t, Once{KV: kv, Name: name, Handler: HandlerFunc(done.handle)}.Handle(t.Context(), event))
		require.NoError(t, Latest{KV: kv, Name: name, Handler: HandlerFunc(done.handle)}.Handle(t.Context(), event))
		assert.Equal(t, 2, done.of(event), name)
	}
}

func TestClaimBucketKeepsWhatItPromises(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	ctx := t.Context()
	kv, err := ClaimBucket(ctx, js, "claims", time.Hour, 1)
	require.NoError(t, err)
	status, err := kv.Status(ctx)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, status.TTL())
	assert.EqualValues(t, 1, status.History())

	for _, ttl := range []time.Duration{time.Hour, 30 * time.Minute} {
		_, err = ClaimBucket(ctx, js, "claims", ttl, 1)
		require.NoError(t, err, "a bucket that keeps entries for longer will do")
	}
	for _, ttl := range []time.Duration{0, 2 * time.Hour} {
		_, err = ClaimBucket(ctx, js, "claims", ttl, 1)
		require.ErrorContains(t, err, "keeps entries for 1h0m0s only")
	}
	_, err = ClaimBucket(ctx, js, "claims2", time.Second, 1)
	require.ErrorContains(t, err, "too short")
	_, err = ClaimBucket(ctx, js, "a.b", time.Hour, 1)
	require.ErrorIs(t, err, jetstream.ErrInvalidBucketName)

	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "memory", Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	_, err = ClaimBucket(ctx, js, "memory", time.Hour, 1)
	require.ErrorContains(t, err, "in memory")
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"state":"done","claim":"X","owner":"host, process 1","at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"state":"claimed","lease":"30s","mark":{"stream":"S","sequence":7}}`))
	f.Add([]byte(`{"state":"claimed","lease":"-1h"}`))
	f.Add([]byte(`{"state":"claimed","lease":9223372036854775807}`))
	f.Add([]byte(`{"state":"?"}`))
	f.Add([]byte(`hello`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parseEntry(raw)
		if err != nil {
			return
		}
		assert.GreaterOrEqual(t, e.Lease, mesh.Duration(0))
		assert.LessOrEqual(t, e.Lease, mesh.Duration(maxLease))
		written, err := json.Marshal(e)
		if err != nil {
			return // a time that RFC 3339 can't write
		}
		read, err := parseEntry(written)
		require.NoError(t, err)
		assert.Equal(t, e.State, read.State)
		assert.Equal(t, e.Claim, read.Claim)
		assert.Equal(t, e.Lease, read.Lease)
	})
}

// What Once costs an event, beside what one write to the bucket costs.
func BenchmarkOnce(b *testing.B) {
	kv, _ := claimBucket(b)
	once := Once{KV: kv, Name: "crm", Handler: HandlerFunc(func(context.Context, mesh.Event) error { return nil })}
	var n atomic.Int64
	next := func() mesh.Event { return storedEvent("a", int(n.Add(1))) }
	handle := func(b *testing.B, e mesh.Event) {
		if err := once.Handle(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one write", func(b *testing.B) {
		for b.Loop() {
			if _, err := kv.Put(b.Context(), onceKey("crm", next()), []byte("{}")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			handle(b, next())
		}
	})
	b.Run("new, 32 at once", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := once.Handle(b.Context(), next()); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("done", func(b *testing.B) {
		e := next()
		handle(b, e)
		for b.Loop() {
			handle(b, e)
		}
	})
	b.Run("done, known to come again", func(b *testing.B) {
		e := next()
		handle(b, e)
		e.Attempt = 2
		for b.Loop() {
			handle(b, e)
		}
	})
}
