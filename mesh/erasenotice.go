package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// OwnTypes is how the types of genmesh's own events begin. What comes in with such a type is quarantined.
const OwnTypes = "genmesh."

// ErasureType is the type of the event that tells subscribers that an interaction was erased. Events of
// this type are not erased themselves, so that an archive that is away hears of it later.
const ErasureType = "genmesh.erasure"

// NoticeErasure marks such an event; no sender can.
const NoticeErasure = "erasure"

// Notify stores an erasure event in the stream of each source that had the interaction, so that each
// subscriber whose filters take it hears of it, archives included. again includes the sources that
// earlier erasure events name, and the one that the erasure is narrowed to.
func (e *Erasure) Notify(ctx context.Context, reason string, again bool) error {
	names := slices.Collect(maps.Keys(e.sources))
	if again {
		names = append(names, e.toldAlong...)
		if e.Source != "" {
			names = append(names, e.Source)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		source, ok := e.t.source(name)
		if !ok {
			continue // it is in streams.json no more, so nobody reads what it would be told
		}
		if err := e.notify(ctx, source, reason); err != nil {
			return err
		}
	}
	return nil
}

// erasureBody is the body of an erasure event.
type erasureBody struct {
	Type        string    `json:"type"`
	Source      string    `json:"source"`
	Interaction string    `json:"interaction"`
	ErasedAt    time.Time `json:"erased_at"`
	// Events is how many were erased from the source's stream.
	Events int    `json:"events"`
	Reason string `json:"reason"`
}

func (e *Erasure) notify(ctx context.Context, source *Source, reason string) error {
	now := time.Now().UTC()
	body, err := json.Marshal(erasureBody{
		Type: ErasureType, Source: source.Name, Interaction: e.Interaction, ErasedAt: now, Events: e.erasedOf(source), Reason: reason,
	})
	if err != nil {
		return fmt.Errorf("erasure event of source %s: %w", source.Name, err)
	}
	sum := sha256.Sum256(body)
	event := Event{
		Source: source.Name, Organization: e.sources[source.Name], Interaction: e.Interaction, Type: ErasureType,
		Notice: NoticeErasure, Occurred: now, Received: now, Fingerprint: hex.EncodeToString(sum[:16]), Body: body,
	}
	source.address(&event)
	// "#" stands in no key, so no event of the source is named so; the interaction has no place in an id.
	id := fmt.Sprintf("#erasure.%s.%s", source.Name, event.IdempotencyKey())
	ack, err := e.js.PublishMsg(ctx, event.Msg(id), jetstream.WithExpectStream(source.Stream))
	if err != nil {
		return fmt.Errorf("store the erasure event of source %s in stream %s: %w", source.Name, source.Stream, err)
	}
	e.Notices = append(e.Notices, ErasureNotice{
		Source: source.Name, Stream: source.Stream, Sequence: ack.Sequence, Unheard: e.unheard(source.Stream, event.Subject),
	})
	return nil
}

// unheard are the subscribers of a stream whose filters do not take a subject.
func (e *Erasure) unheard(stream, subject string) (names []string) {
	for _, s := range e.t.Subscribers {
		if s.Stream == stream && !s.Matches(subject) {
			names = append(names, s.Name)
		}
	}
	return names
}

// erasedOf is how many events of a source were erased from its own stream.
func (e *Erasure) erasedOf(source *Source) int {
	n := 0
	for _, p := range e.places {
		for sequence, copied := range p.found {
			if p.stream == source.Stream && copied.source == source.Name && !p.left[sequence] {
				n++
			}
		}
	}
	return n
}
