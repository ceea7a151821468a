package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// StateBucket is the JetStream KV bucket of what the processes of a mesh tell each other: who serves
// which consumer, who is paused, whose breaker is open, who waits for its target. Plan and apply make it.
const StateBucket = "genmesh"

const (
	stateStream   = "KV_" + StateBucket
	stateSubjects = "$KV." + StateBucket + ".>"
	maxStateBytes = 64 << 20
)

// AllStreams are the streams of streams.json and the one of the state bucket, which has as many
// replicas as the most of them.
func (t *Topology) AllStreams() []Stream {
	streams := append([]Stream(nil), t.Streams...)
	if _, own := t.stream(stateStream); own {
		return streams
	}
	replicas := 1
	for _, s := range t.Streams {
		replicas = max(replicas, s.Replicas)
	}
	// The form of a KV bucket is that of ADR-8, github.com/nats-io/nats-architecture-and-design.
	return append(streams, Stream{jetstream.StreamConfig{
		Name: stateStream, Description: "What the processes of the mesh tell each other",
		Subjects: []string{stateSubjects}, Storage: jetstream.FileStorage, Replicas: replicas,
		MaxMsgsPerSubject: 1, MaxBytes: maxStateBytes, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true,
	}})
}

// State reads and writes what the processes of a mesh tell each other about its subscribers.
type State struct {
	kv jetstream.KeyValue
}

// OpenState opens the state bucket. It fails with jetstream.ErrBucketNotFound before the first apply.
func OpenState(ctx context.Context, js jetstream.JetStream) (*State, error) {
	kv, err := js.KeyValue(ctx, StateBucket)
	if err != nil {
		return nil, fmt.Errorf("the state bucket %s: %w; make it with genmesh apply", StateBucket, err)
	}
	return &State{kv}, nil
}

// KeyValue is the bucket itself.
func (s *State) KeyValue() jetstream.KeyValue { return s.kv }

// BornKey is the key of the state bucket that an apply writes that misses it, and nobody changes: where it is, the bucket was not purged since.
const BornKey = "born"

// The keys of the state bucket that end with a subscriber's name.
const (
	PauseKeys   = "pause."
	BreakerKeys = "breaker."
	WaitKeys    = "wait."
)

// Pause says that a subscriber gets nothing for now.
type Pause struct {
	// Until is when it goes on by itself; zero is only when it is resumed.
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
}

// Holds reports whether the pause still goes on.
func (p Pause) Holds(now time.Time) bool {
	return !p.Since.IsZero() && (p.Until.IsZero() || now.Before(p.Until))
}

// BreakerState is a subscriber's breaker as its workers saw it last.
type BreakerState struct {
	Open bool `json:"open"`
	// Since is when it opened or closed, Until when the next event tries.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	// Probes is how many events in a row tried while it was open, without success.
	Probes int    `json:"probes,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Wait is a subscriber that waits, as the worker that noticed it saw it last: its target asks for air, or can't be used
// by any event, as when it refuses the credentials. What waits spends no attempt. It is told to people only; each
// process waits by what it heard itself, and the one that heard last is told.
type Wait struct {
	// Since is when the first of the waits in a row began, Until when an event tries again.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Reason is what the target said, or why it can't be used: one line of at most MaxWaitReason bytes.
	Reason string `json:"reason,omitempty"`
}

const (
	// LeastWait is how long a wait is at least that is worth telling.
	LeastWait = time.Second
	// MaxWaitReason bounds Wait.Reason; SetWait cuts it.
	MaxWaitReason = 200
	// waitGrace is how long after its end a wait still counts: as long as an attempt and its next wait take to
	// be told. What a process that died has told is over then.
	waitGrace = 15 * time.Second
)

// Holds reports whether the subscriber still waits.
func (w Wait) Holds(now time.Time) bool {
	return !w.Since.IsZero() && now.Before(w.Until.Add(waitGrace))
}

// Pause is the subscriber's pause; its zero value is none.
func (s *State) Pause(ctx context.Context, subscriber string) (Pause, error) {
	return stateOf[Pause](ctx, s.kv, PauseKeys+subscriber)
}

// SetPause pauses the subscriber, or resumes it if p is zero.
func (s *State) SetPause(ctx context.Context, subscriber string, p Pause) error {
	return setState(ctx, s.kv, PauseKeys+subscriber, p, p.Since.IsZero())
}

// Breaker is the state of the subscriber's breaker; its zero value is one that never opened.
func (s *State) Breaker(ctx context.Context, subscriber string) (BreakerState, error) {
	return stateOf[BreakerState](ctx, s.kv, BreakerKeys+subscriber)
}

// SetBreaker notes the state of the subscriber's breaker.
func (s *State) SetBreaker(ctx context.Context, subscriber string, b BreakerState) error {
	return setState(ctx, s.kv, BreakerKeys+subscriber, b, false)
}

// Wait is what the subscriber waits for; its zero value is nothing.
func (s *State) Wait(ctx context.Context, subscriber string) (Wait, error) {
	return stateOf[Wait](ctx, s.kv, WaitKeys+subscriber)
}

// SetWait notes that the subscriber waits, or, if w is zero, that its target took an event again.
func (s *State) SetWait(ctx context.Context, subscriber string, w Wait) error {
	w.Reason = oneLine(w.Reason, MaxWaitReason)
	return setState(ctx, s.kv, WaitKeys+subscriber, w, w.Since.IsZero())
}

// oneLine is text without line breaks and runs of blanks, and its beginning if it is longer than maxBytes.
func oneLine(text string, maxBytes int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxBytes {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:maxBytes-len(more)], "") + more
}

func stateOf[T any](ctx context.Context, kv jetstream.KeyValue, key string) (T, error) {
	var value T
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return value, nil
	}
	if err != nil {
		return value, fmt.Errorf("state %s: %w", key, err)
	}
	if err := json.Unmarshal(entry.Value(), &value); err != nil {
		return value, fmt.Errorf("state %s can't be read: %w", key, err)
	}
	return value, nil
}

func setState(ctx context.Context, kv jetstream.KeyValue, key string, value any, isZero bool) error {
	if isZero {
		if err := kv.Delete(ctx, key); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return fmt.Errorf("state %s: %w", key, err)
		}
		return nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("state %s: %w", key, err)
	}
	if _, err := kv.Put(ctx, key, raw); err != nil {
		return fmt.Errorf("state %s: %w", key, err)
	}
	return nil
}
