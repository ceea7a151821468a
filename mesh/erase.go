package mesh

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Erasure is the erasing of one interaction: where its copies are and what became of them. It marshals
// to JSON. It is not safe for concurrent use.
type Erasure struct {
	// Interaction is the id as events carry it: one above MaxValueBytes is replaced by its hash.
	Interaction string `json:"interaction"`
	// Source is the only source that is erased from, or "" for all.
	Source string `json:"source,omitempty"`
	// Streams are all streams that were looked into, in the order in which they are erased from.
	Streams []StreamErasure `json:"streams"`
	// Notices are the erasure events that were stored.
	Notices []ErasureNotice `json:"notices,omitempty"`
	// InHand are subscribers whose workers may still hold some of the events: what they can't hand on
	// becomes a dead letter after all, and has to be erased again.
	InHand []ErasureInHand `json:"in_hand,omitempty"`
	// Elsewhere are streams of the server that copy one of Streams and are not in streams.json: they
	// are not looked into.
	Elsewhere []string `json:"elsewhere,omitempty"`

	js        jetstream.JetStream
	t         *Topology
	trace     trace
	places    []place
	sources   map[string]string // those that had the interaction, with its organization
	toldAlong []string          // the sources of earlier erasure events
}

// StreamErasure is what was found and erased in one stream.
type StreamErasure struct {
	Stream string `json:"stream"`
	Found  int    `json:"found"`
	Erased int    `json:"erased"`
	Left   int    `json:"left"`
	// Problem is why something is left.
	Problem string `json:"problem,omitempty"`
	// Replicas is above 1 where the servers' logs keep what was erased until they compact them.
	Replicas int `json:"replicas,omitempty"`
}

// ErasureNotice is an erasure event and where it lies.
type ErasureNotice struct {
	Source   string `json:"source"`
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	// Unheard are the subscribers of the stream whose filters do not take it.
	Unheard []string `json:"unheard,omitempty"`
}

// ErasureInHand is a subscriber whose workers may hold so many of the erased events.
type ErasureInHand struct {
	Subscriber string `json:"subscriber"`
	Stream     string `json:"stream"`
	Events     int    `json:"events"`
}

// The bounds of an erasure.
const (
	// MaxReasonBytes bounds the reason of an erasure.
	MaxReasonBytes = 1024
	// maxErasedAtOnce bounds what one round takes of one stream.
	maxErasedAtOnce = 100_000
	// eraseRounds is how often it looks again for what came in meanwhile.
	eraseRounds = 5
	// maxEraseFailures is after how many refusals in a row a stream is left alone.
	maxEraseFailures = 3
	// copiesTimeout bounds how long it waits for streams that copy others to catch up.
	copiesTimeout = 15 * time.Second
	lagInterval   = 100 * time.Millisecond
	// contactLost is after how long a stream has no contact with what it copies: the server sends a sign
	// of life every second.
	contactLost = 10 * time.Second
)

// PlanErasure finds the copies of an interaction in the streams of t: events, whatever source they came
// through, dead letters, replays, quarantine, streams that copy those, and any other stream that is not
// genmesh's own. It changes nothing. source narrows it to one source; "" is all.
//
// A copy is told by its envelope, or by its subject where it has none. What names the interaction only
// within its body, such as a delivery in quarantine that can't be read, is not found.
func PlanErasure(ctx context.Context, js jetstream.JetStream, t *Topology, interaction, source string) (*Erasure, error) {
	tr, err := t.trace(interaction, source)
	if err != nil {
		return nil, err
	}
	e := &Erasure{
		Interaction: tr.interaction, Source: source, Streams: []StreamErasure{},
		js: js, t: t, trace: tr, sources: map[string]string{},
	}
	if err := e.findPlaces(ctx); err != nil {
		return nil, err
	}
	if _, err := e.search(ctx); err != nil {
		return nil, err
	}
	e.count()
	return e, nil
}

// Found is how many copies were found.
func (e *Erasure) Found() int {
	n := 0
	for _, s := range e.Streams {
		n += s.Found
	}
	return n
}

// Complete reports whether nothing is left that was found.
func (e *Erasure) Complete() bool {
	return !slices.ContainsFunc(e.Streams, func(s StreamErasure) bool { return s.Left > 0 || s.Problem != "" })
}

// Run erases every copy, one message at a time, and looks again until nothing is left; what came in
// meanwhile is erased, too. erased, if not nil, is called after each. It blocks for as long as the
// server takes to rewrite a block of the stream for each message.
//
// The server writes the block of the stream anew, with random bytes in the message's place; the old file is
// freed to the file system. On an encrypted store it only marks the message as deleted, and the servers'
// logs of a replicated stream keep it until they are compacted: every two to three minutes (seen with nats-server
// 2.15: gone from the disks of three nodes within 165 s, without further traffic).
//
// What a stream refuses is in Streams; an error is returned only if Run had to stop.
func (e *Erasure) Run(ctx context.Context, erased func()) error {
	if err := e.noteInHand(ctx); err != nil {
		return err
	}
	defer e.count()
	for range eraseRounds {
		for i := range e.places {
			if err := e.eraseFrom(ctx, &e.places[i], erased); err != nil {
				return err
			}
		}
		if err := e.awaitCopies(ctx); err != nil {
			return err
		}
		again, err := e.search(ctx)
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// noteInHand notes who may be working on what was found: what a consumer has handed out and not seen
// settled, or not everything before it.
func (e *Erasure) noteInHand(ctx context.Context) error {
	for _, p := range e.places {
		if len(p.left) == 0 {
			continue
		}
		consumers, err := subscriberConsumers(ctx, e.js, p.stream)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(consumers)) {
			held := 0
			for sequence := range p.left {
				inHand := func(info *jetstream.ConsumerInfo) bool { return mayHold(info, sequence, p.found[sequence].subject) }
				if slices.ContainsFunc(consumers[name], inHand) {
					held++
				}
			}
			if held > 0 {
				e.InHand = append(e.InHand, ErasureInHand{Subscriber: name, Stream: p.stream, Events: held})
			}
		}
	}
	return nil
}

func mayHold(info *jetstream.ConsumerInfo, sequence uint64, subject string) bool {
	return info.NumAckPending > 0 && sequence > info.AckFloor.Stream && sequence <= info.Delivered.Stream &&
		takes(consumerFilters(info), subject)
}

// count brings Streams up to date.
func (e *Erasure) count() {
	e.Streams = e.Streams[:0]
	for _, p := range e.places {
		s := StreamErasure{Stream: p.stream, Found: len(p.found), Erased: len(p.found) - len(p.left), Left: len(p.left), Problem: p.lagging}
		if p.config.Replicas > 1 {
			s.Replicas = p.config.Replicas
		}
		if s.Left > 0 {
			s.Problem = cmp.Or(p.refuses(), p.refused, p.lagging)
		}
		e.Streams = append(e.Streams, s)
	}
}
