package mesh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// HistoryReplay hands a part of what a stream holds to one subscriber again, and to no other. It is a
// consumer of its own, which the subscriber's workers serve beside the live one: so it goes on
// over restarts and needs nobody to watch it. Live events come first. Each event keeps its identity
// and its idempotency key.
type HistoryReplay struct {
	ID string `json:"id"`
	// From and Until are the first and the last stream sequence.
	From  uint64 `json:"from"`
	Until uint64 `json:"until"`
	// Type and Interaction choose among the events; "" is all.
	Type        string `json:"type,omitempty"`
	Interaction string `json:"interaction,omitempty"`
	// Rate bounds the attempts per time.
	Rate Rate `json:"rate"`
	// Events is how many there were to look at when it began.
	Events uint64    `json:"events"`
	Began  time.Time `json:"began"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

func parseHistoryReplay(text string) (*HistoryReplay, error) {
	if text == "" {
		return nil, nil
	}
	h := new(HistoryReplay)
	if err := json.Unmarshal([]byte(text), h); err != nil {
		return nil, fmt.Errorf("a replay of the history can't be read: %w", err)
	}
	return h, nil
}

// Has reports whether an event is part of the replay.
func (h *HistoryReplay) Has(e Event) bool {
	return e.Sequence >= h.From && e.Sequence <= h.Until && (h.Type == "" || h.Type == e.Type) &&
		(h.Interaction == "" || h.Interaction == e.Interaction)
}

// HistorySpan is what of the history is asked for. Zero times are open; until is at most now, so that what is
// delivered live is not delivered again.
type HistorySpan struct {
	Since, Until      time.Time
	Type, Interaction string
}

const (
	replayInfix         = "=replay-"
	replayMaxAckPending = 64
)

// ErrNothingToReplay means that the stream holds nothing of what was asked for.
var ErrNothingToReplay = errors.New("the stream holds no such event")

// PlanReplay finds out what a replay would do: which sequences, and how many events there are to look
// at. It changes nothing that stays. It fails with ErrNothingToReplay.
func (t *Topology) PlanReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, span HistorySpan) (HistoryReplay, error) {
	h := HistoryReplay{Type: span.Type, Interaction: span.Interaction, Began: time.Now().UTC()}
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return h, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	state := stream.CachedInfo().State
	h.From, h.Until = max(state.FirstSeq, 1), state.LastSeq
	if !span.Since.IsZero() {
		if h.From, err = t.firstSince(ctx, stream, span.Since, state.LastSeq); err != nil {
			return h, err
		}
	}
	if !span.Until.IsZero() && span.Until.Before(time.Now()) {
		after, err := t.firstSince(ctx, stream, span.Until, state.LastSeq)
		if err != nil {
			return h, err
		}
		h.Until = after - 1
	}
	if h.From > h.Until || state.Msgs == 0 {
		return h, ErrNothingToReplay
	}
	first, err := countFrom(ctx, stream, t.historyFilters(s, span), h.From)
	if err != nil {
		return h, err
	}
	rest, err := countFrom(ctx, stream, t.historyFilters(s, span), h.Until+1)
	if err != nil {
		return h, err
	}
	h.Events = first - min(first, rest)
	if h.Events == 0 {
		return h, ErrNothingToReplay
	}
	return h, nil
}

// firstSince is the sequence of the first message that was stored at or after a time; behind the last if there is none.
func (t *Topology) firstSince(ctx context.Context, stream jetstream.Stream, at time.Time, last uint64) (uint64, error) {
	info, err := probe(ctx, stream, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at})
	if err != nil {
		return 0, err
	}
	if info.NumPending == 0 {
		return last + 1, nil
	}
	return info.Delivered.Stream + 1, nil
}

// countFrom counts the messages from a sequence on that the filters take.
func countFrom(ctx context.Context, stream jetstream.Stream, filters []string, from uint64) (uint64, error) {
	info, err := probe(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, FilterSubjects: filters,
	})
	if err != nil {
		return 0, err
	}
	return info.NumPending, nil
}

// probe makes a consumer only to see where it would begin and how much there is.
func probe(ctx context.Context, stream jetstream.Stream, config jetstream.ConsumerConfig) (*jetstream.ConsumerInfo, error) {
	config.AckPolicy, config.InactiveThreshold, config.MemoryStorage = jetstream.AckNonePolicy, time.Minute, true
	consumer, err := stream.CreateConsumer(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("look into stream %s: %w", stream.CachedInfo().Config.Name, err)
	}
	defer stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) //nolint:errcheck // it ends by itself
	return consumer.CachedInfo(), nil
}

// historyFilters are the subjects that a replay reads: the subscriber's own, or where an interaction or a
// type is asked for those of the sources, if their subjects name it. What they take too much is left
// out by the workers.
func (t *Topology) historyFilters(s Subscriber, span HistorySpan) []string {
	if span.Type == "" && span.Interaction == "" {
		return s.filters()
	}
	var filters []string
	for i := range t.Sources {
		source := &t.Sources[i]
		if source.Stream != s.Stream {
			continue
		}
		filter := source.narrowed(span)
		if filter == "" || slices.ContainsFunc(filters, func(f string) bool { return SubjectsOverlap(f, filter) }) {
			return s.filters()
		}
		filters = append(filters, filter)
	}
	if len(filters) == 0 {
		return s.filters()
	}
	return filters
}

// narrowed is the pattern of the source's subjects with what the span asks for in its place.
func (s *Source) narrowed(span HistorySpan) string {
	parts := s.subjectTemplate().parts()
	pattern := strings.Split(s.pattern(), ".")
	if len(parts) != len(pattern) || pattern[len(pattern)-1] == ">" {
		return ""
	}
	for i, part := range parts {
		switch {
		case part == "{interaction}" && span.Interaction != "":
			pattern[i] = Token(span.Interaction)
		case part == "{partition}" && span.Interaction != "":
			pattern[i] = Partition(span.Interaction)
		case part == "{type}" && span.Type != "":
			pattern[i] = Token(span.Type)
		}
	}
	return strings.Join(pattern, ".")
}

// StartReplay begins a replay that PlanReplay planned; its id names it.
func (t *Topology) StartReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, h HistoryReplay) (HistoryReplay, error) {
	raw := make([]byte, 4)
	_, _ = rand.Read(raw) // never fails
	h.ID = hex.EncodeToString(raw)
	note, err := json.Marshal(h)
	if err != nil {
		return h, fmt.Errorf("replay to %s: %w", s.Name, err)
	}
	one := s
	one.Order, one.Partitions = OrderInteraction, 1
	one.FilterSubject, one.FilterSubjects = "", t.historyFilters(s, HistorySpan{Type: h.Type, Interaction: h.Interaction})
	one.DeliverPolicy, one.OptStartSeq, one.OptStartTime = jetstream.DeliverByStartSequencePolicy, h.From, nil
	one.MaxAckPending, one.PauseUntil = min(s.MaxAckPending, replayMaxAckPending), nil
	config := Reader{Subscriber: one, Durable: s.Name + replayInfix + h.ID, Partition: 1}.ConsumerConfig()
	config.Metadata[MetadataReplay] = string(note)
	if _, err := js.CreatePushConsumer(ctx, s.Stream, config); err != nil {
		return h, fmt.Errorf("replay to %s: %w", s.Name, err)
	}
	return h, nil
}

// RunningReplay is a replay that has not come to its end.
type RunningReplay struct {
	HistoryReplay
	Subscriber string
	// Left is how many events are still to be looked at, InHand how many of them are under way.
	Left, InHand uint64
	Paused       bool
}

// Replays are the replays to a subscriber that have not come to their end, the oldest first.
func Replays(ctx context.Context, js jetstream.JetStream, s Subscriber) ([]RunningReplay, error) {
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	var running []RunningReplay
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		served, ok := ServedBy(info.Config)
		if !ok || served.Replay == nil || served.Subscriber != s.Name {
			continue
		}
		h := *served.Replay
		rest := info.NumPending
		if info.Delivered.Stream >= h.Until {
			rest = 0
		}
		running = append(running, RunningReplay{
			HistoryReplay: h, Subscriber: s.Name, InHand: uint64(info.NumAckPending), Paused: info.Paused,
			Left: min(rest+uint64(info.NumAckPending), h.Events),
		})
	}
	slices.SortFunc(running, func(a, b RunningReplay) int { return a.Began.Compare(b.Began) })
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("replays to %s: %w", s.Name, err)
	}
	return running, nil
}

// EndReplay ends a replay, whether it came to its end or not. What is under way may still arrive.
func EndReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, id string) error {
	err := js.DeleteConsumer(ctx, s.Stream, s.Name+replayInfix+id)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("end replay %s to %s: %w", id, s.Name, err)
	}
	return nil
}
