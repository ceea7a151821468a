package workers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// Once is a Handler that makes the effect of another happen once for each event, over all
// attempts, redeliveries, replays and processes that share its bucket and name. Events are told
// apart by Event.IdempotencyKey.
//
// What is guaranteed:
//
//   - Once "done" is stored for an event, Handler is never run for it again, for as long as the
//     bucket keeps the entry.
//   - A process that dies between the effect and "done" leaves a window: the event is run again
//     once the lease of the dead process has ended. There, and only there, it is at least once.
//     The window is the time of one write to the bucket, plus the time for which NATS is away.
//   - Handler is never run for one event by two processes at a time, unless one of them stood
//     still for longer than its lease (a suspended machine, say). Its ctx ends, with the cause ErrClaimLost,
//     at the latest when it goes on; in an outage of NATS it ends a quarter of the lease
//     before anybody else may begin.
//   - A Handler that returned an error has no effect in this sense, a permanent error included:
//     the claim is let go and the next attempt or a replay runs at once. So does one that panicked.
//
// A store with transactions closes the window: it writes the key of OnceToken with a unique index
// in the same transaction as the effect. A key that is there already means that the effect
// has happened, and Handler returns nil. All of this is as durable as the bucket: it takes
// nats-server's sync_interval always, or three replicas.
//
// A replay of the history is passed by like any other. To have the effects anew, take another Name.
//
// How: an entry of the bucket is claimed before Handler is run and marked done after it, each by
// compare-and-set. A live holder renews its claim. Others wait until it is done, is let go, or
// has not been renewed for a lease by their own monotonic clock, so the clocks of machines need
// not agree. They wait within Handle, for ten leases at most: waiting keeps back only this
// interaction, where an error would spend an attempt of an event that is being handled, and
// RetryAfter would stop the whole subscriber. After that it is an error that is tried again.
// While the bucket can't be reached the whole subscriber waits, and no attempt is spent.
//
// An event costs two writes to the bucket, and one more for each quarter of the lease that
// Handler takes. A server that fsyncs takes the writes of a bucket one after another, which bounds the events
// per second of all that share it. A Once is not changed after its first use.
type Once struct {
	// KV is the bucket; see ClaimBucket.
	KV jetstream.KeyValue
	// Name tells handlers that share a bucket apart: by default those of a subscriber, so give its
	// name. Two effects of one event need two names.
	Name    string
	Handler Handler
	// Lease is how long after the death of its holder a claim is taken over. Default 30 s, at most
	// an hour. The bucket must keep entries for longer.
	Lease time.Duration
}

// Handle hands the event to the Handler, unless that is done already.
func (o Once) Handle(ctx context.Context, event mesh.Event) error {
	l := ledger{kv: o.KV, lease: leaseOrDefault(o.Lease)}
	return l.run(ctx, o.Handler, event, effect{
		key:     "once." + mesh.Token(o.Name) + "." + event.IdempotencyKey(),
		isNew:   event.Attempt <= 1,
		applied: func(e entry) bool { return e.State == stateDone },
		after:   entry{State: stateDone},
	})
}

// OnceToken is the claim under which a Handler is run by Once or Latest, for stores that can
// compare: the claim's key in the bucket, and a fence. The fence is greater than that of every
// earlier claim of the key, so a store that refuses a lower fence than it has seen for a key refuses
// who was paused and has lost the claim meanwhile. Outside of such a Handler it is "" and 0.
//
// Fences come from the bucket's revisions: a bucket that is deleted and made again begins anew.
func OnceToken(ctx context.Context) (key string, fence uint64) {
	h, ok := ctx.Value(holdKey{}).(*hold)
	if !ok {
		return "", 0
	}
	return h.key, h.fence
}

// ErrClaimLost is the cause with which a Handler's ctx ends when its claim could not be renewed in
// time: another process may be about to run the event. It is tried again.
var ErrClaimLost = errors.New("the claim of the event was lost: it was not renewed within its lease")

var errClaimHeld = errors.New("another process is still handling the event")

// ClaimBucket opens the bucket in which Once and Latest keep their entries, and makes it if there is
// none: on disk, with one revision per key. An entry is kept for ttl after it was last written, 0
// is for ever; at least a minute. A ttl longer than the max_age of the event's stream and
// of the dead-letter stream covers every redelivery and replay. It takes about 250 bytes of disk for
// each event within ttl. The name genmesh is taken: that is the mesh's own bucket.
//
// A bucket that exists is taken as it is; it is an error if it is in memory or keeps entries for
// less than ttl.
func ClaimBucket(ctx context.Context, js jetstream.JetStream, name string, ttl time.Duration, replicas int) (jetstream.KeyValue, error) {
	if ttl != 0 && ttl < minBucketTTL {
		return nil, fmt.Errorf("bucket %s: a ttl of %s is too short for claims to last: give at least %s, or 0 for ever", name, ttl, minBucketTTL)
	}
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: name, Description: "what genmesh handlers have done", History: 1, TTL: ttl,
		Storage: jetstream.FileStorage, Replicas: replicas,
	})
	if !errors.Is(err, jetstream.ErrBucketExists) {
		return kv, wrapped(err, "bucket %s", name)
	}
	stream, err := js.Stream(ctx, "KV_"+name)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	config := stream.CachedInfo().Config
	if config.Storage != jetstream.FileStorage {
		return nil, fmt.Errorf("bucket %s exists in memory: a restart would forget what is done; take another name", name)
	}
	if config.MaxAge != 0 && (ttl == 0 || config.MaxAge < ttl) {
		return nil, fmt.Errorf("bucket %s exists and keeps entries for %s only: change it with nats stream edit KV_%s --max-age",
			name, config.MaxAge, name)
	}
	kv, err = js.KeyValue(ctx, name)
	return kv, wrapped(err, "bucket %s", name)
}

const minBucketTTL = time.Minute

func wrapped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

const (
	defaultLease = 30 * time.Second
	maxLease     = time.Hour
	// A claim is renewed each quarter of its lease, and its holder gives up after three of them: so
	// two renewals may fail, and the Handler has a quarter to end before somebody else begins.
	leaseQuarters = 4
	// patience is for how many leases a Handle waits for a claim that others hold.
	patience = 10
	// Who waits for a claim looks at it after minLook, then half as often each time, up to maxLook
	// or a tenth of the lease.
	minLook = 5 * time.Millisecond
	maxLook = time.Second
	// recordTimeout bounds how long "done" is tried to be stored, recordGrace after ctx has ended.
	recordTimeout = time.Minute
	recordGrace   = apiTimeout
	recordPause   = 20 * time.Millisecond
)

func leaseOrDefault(lease time.Duration) time.Duration {
	if lease <= 0 {
		return defaultLease
	}
	return min(lease, maxLease)
}

// effect is what is to be had once: Once and Latest differ in nothing else.
type effect struct {
	key string
	// isNew expects that there is no entry yet, which saves looking for one.
	isNew bool
	// applied tells from the entry that the effect has happened or must not happen any more.
	applied func(entry) bool
	// after is the state and the mark of the entry once the effect has happened.
	after entry
}

// entry is what the bucket keeps under a key.
type entry struct {
	State entryState `json:"state"`
	// Claim names the one claim that wrote the entry.
	Claim string `json:"claim,omitempty"`
	// Owner and At are for people who look into the bucket. No decision is made by them.
	Owner string    `json:"owner,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Lease is the holder's; others wait for that long whatever theirs is.
	Lease mesh.Duration `json:"lease,omitempty"`
	// Mark is the newest event that was applied; of Latest only.
	Mark *mark `json:"mark,omitempty"`

	revision uint64 // 0 where there is no entry
}

type entryState string

const (
	stateFree    entryState = "free"
	stateClaimed entryState = "claimed"
	stateDone    entryState = "done"
)

func parseEntry(raw []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return entry{}, err
	}
	switch e.State {
	case stateFree, stateClaimed, stateDone:
	default:
		return entry{}, fmt.Errorf("%.32q is no state", e.State)
	}
	// Whatever is in the bucket, nobody waits for ever.
	e.Lease = min(max(e.Lease, 0), mesh.Duration(maxLease))
	return e, nil
}

// ledger is the entries of one bucket, to be claimed for one lease.
type ledger struct {
	kv    jetstream.KeyValue
	lease time.Duration
}

// run has the effect once, unless it is there already.
func (l ledger) run(ctx context.Context, h Handler, event mesh.Event, f effect) error {
	held, err := l.take(ctx, f)
	if held == nil || err != nil {
		return err
	}
	if err := held.call(ctx, h, event); err != nil {
		held.release(ctx)
		return err
	}
	return held.record(ctx)
}

// take claims the entry, and waits for that while somebody else holds it. It returns nil if the
// effect is there already.
func (l ledger) take(ctx context.Context, f effect) (*hold, error) {
	began, look := time.Now(), minLook
	var last sighting
	for isFirst := true; ; isFirst = false {
		var e entry
		if !isFirst || !f.isNew {
			var err error
			if e, err = l.get(ctx, f.key); err != nil {
				return nil, err
			}
		}
		if f.applied(e) {
			return nil, nil
		}
		if e.State != stateClaimed || last.hasLapsed(e) {
			held, err := l.claim(ctx, f, e)
			if err == nil || !mesh.IsConflict(err) {
				return held, l.unreachable(ctx, f.key, err)
			}
			if isFirst {
				continue // there is an entry: look at it
			}
		}
		if time.Since(began) > patience*max(l.lease, time.Duration(e.Lease)) {
			return nil, fmt.Errorf("%w: %s holds %s", errClaimHeld, e.Owner, f.key)
		}
		if !sleep(ctx, look) {
			return nil, fmt.Errorf("waiting for the claim %s: %w", f.key, context.Cause(ctx))
		}
		look = max(min(2*look, maxLook, l.lease/10), minLook)
	}
}

// sighting is when a claim was first seen as it is, by our own monotonic clock.
type sighting struct {
	revision uint64
	at       time.Time
}

// hasLapsed reports whether a claim has not been renewed for its lease since it was first seen. An
// older revision than seen before comes from a replica that is behind, and says nothing.
func (s *sighting) hasLapsed(e entry) bool {
	if e.revision > s.revision {
		*s = sighting{e.revision, time.Now()}
	}
	return e.revision == s.revision && time.Since(s.at) >= time.Duration(e.Lease)
}

// claim takes over the entry as it was seen.
func (l ledger) claim(ctx context.Context, f effect, seen entry) (*hold, error) {
	held := &hold{ledger: l, effect: f, id: rand.Text(), mark: seen.Mark}
	began := time.Now()
	revision, err := l.put(ctx, f.key, held.content(stateClaimed, seen.Mark), seen.revision)
	if err != nil {
		return nil, err
	}
	held.fence, held.revision, held.renewed = revision, revision, began
	return held, nil
}

// get reads an entry; where there is none it is the zero entry. With replicas the answer may be
// a moment old, so nothing but a put decides.
func (l ledger) get(ctx context.Context, key string) (entry, error) {
	within, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stored, err := l.kv.Get(within, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, l.unreachable(ctx, key, err)
	}
	e, err := parseEntry(stored.Value())
	if err != nil {
		return entry{}, fmt.Errorf("%s in bucket %s is no entry of genmesh; look at it and delete it with nats kv del: %w",
			key, l.kv.Bucket(), err)
	}
	e.revision = stored.Revision()
	return e, nil
}

// put writes an entry if the bucket still has it in the given revision; isConflict tells if not.
func (l ledger) put(ctx context.Context, key string, e entry, revision uint64) (uint64, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return overwrite(ctx, l.kv, key, raw, revision)
}

// unreachable makes the whole subscriber wait: no event of it can be claimed, and none shall spend
// its attempts on that.
func (l ledger) unreachable(ctx context.Context, key string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the claim %s in bucket %s: %w", key, l.kv.Bucket(), err)
	if ctx.Err() != nil {
		return err
	}
	return RetryAfter(0, err)
}

// hold is an entry in our hands. It belongs to the goroutine of run, and while call runs to that
// of renew.
type hold struct {
	ledger
	effect
	id    string
	fence uint64
	mark  *mark // what the entry had, to be kept while the effect has not happened

	revision uint64
	renewed  time.Time // when the latest write that is known to be stored was begun
}

type holdKey struct{}

// call runs the handler and renews the claim meanwhile.
func (h *hold) call(ctx context.Context, handler Handler, event mesh.Event) error {
	working, lose := context.WithCancelCause(context.WithValue(ctx, holdKey{}, h))
	defer lose(nil)
	// The claim is kept for as long as the handler runs, even if it is slow to end with ctx.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.renew(renewing, lose)
	}()
	defer func() {
		stop()
		<-ended
	}()
	err := call(working, handler, event)
	if err != nil && errors.Is(context.Cause(working), ErrClaimLost) {
		return fmt.Errorf("%w: %v", ErrClaimLost, err) // its verdict is the other process' now
	}
	return err
}

// renew writes the claim anew each quarter of its lease until ctx ends, and calls lose when it is lost or may be.
func (h *hold) renew(ctx context.Context, lose context.CancelCauseFunc) {
	safe := h.lease * (leaseQuarters - 1) / leaseQuarters
	expiry := time.AfterFunc(time.Until(h.renewed.Add(safe)), func() { lose(ErrClaimLost) })
	defer expiry.Stop()
	ticker := time.NewTicker(max(h.lease/leaseQuarters, minLook))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := h.renewOnce(ctx)
		if err == nil {
			expiry.Reset(time.Until(h.renewed.Add(safe)))
		}
		if errors.Is(err, ErrClaimLost) && now.revision > 0 {
			lose(ErrClaimLost)
			return
		}
	}
}

// renewOnce leaves time for the next try.
func (h *hold) renewOnce(ctx context.Context) (now entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.lease/leaseQuarters)
	defer cancel()
	return h.write(ctx, h.content(stateClaimed, h.mark))
}

// write stores e over this claim. It fails with ErrClaimLost, and what is there now, if the entry is no longer
// this claim's; any other failure may be tried again.
func (h *hold) write(ctx context.Context, e entry) (now entry, err error) {
	began := time.Now()
	revision, err := h.put(ctx, h.key, e, h.revision)
	if err == nil {
		h.revision, h.renewed = revision, began
		return e, nil
	}
	if !mesh.IsConflict(err) {
		return entry{}, err
	}
	now, readErr := h.get(ctx, h.key)
	switch {
	case readErr != nil:
		return entry{}, readErr
	case now.revision == 0:
		// Expired, deleted, or a replica that is far behind.
		return now, ErrClaimLost
	case now.revision <= h.revision:
		return entry{}, fmt.Errorf("a replica of bucket %s is behind: %w", h.kv.Bucket(), err)
	case now.Claim == h.id && now.State == stateClaimed:
		// A write went through whose answer was lost.
		h.revision = now.revision
		return entry{}, err
	}
	return now, ErrClaimLost
}

// release lets others claim the entry. Where that fails they wait for the lease.
func (h *hold) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout)
	defer cancel()
	for range 2 { // the first may only find out about a write whose answer was lost
		_, err := h.write(ctx, h.content(stateFree, h.mark))
		if err == nil || errors.Is(err, ErrClaimLost) {
			return
		}
	}
}

// record stores that the effect has happened. It tries hard: if it fails the effect happens again.
func (h *hold) record(ctx context.Context) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	for {
		now, err := h.write(ctx, h.content(h.after.State, h.after.Mark))
		switch {
		case err == nil, h.applied(now):
			return nil
		case !errors.Is(err, ErrClaimLost):
		case now.State == stateClaimed:
			return fmt.Errorf("%w, and %s has taken it over", ErrClaimLost, now.Owner)
		default:
			// Whoever had it since has let it go, but we know that the effect has happened.
			h.revision = now.revision
		}
		if !sleep(ctx, recordPause) {
			return RetryAfter(0, fmt.Errorf("the event was handled, but %s in bucket %s could not be told; it will be handled again: %w",
				h.key, h.kv.Bucket(), err))
		}
	}
}

// lasting is a context that outlives ctx by recordGrace, and ends after recordTimeout in any case.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	stop := context.AfterFunc(ctx, func() {
		if sleep(longer, recordGrace) {
			cancel()
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}

func (h *hold) content(state entryState, m *mark) entry {
	e := entry{State: state, Claim: h.id, Owner: thisProcess(), At: time.Now().UTC(), Mark: m}
	if state == stateClaimed {
		e.Lease = mesh.Duration(h.lease)
	}
	return e
}

// thisProcess is the owner of our claims, for people.
var thisProcess = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%.64s, process %d", host, os.Getpid())
})
