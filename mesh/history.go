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
	envelope := Event{Type: span.Type, Interaction: span.Interaction}
	envelope.bound() // as it is stored
	span.Type, span.Interaction = envelope.Type, envelope.Interaction
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
	filters, ok := t.historyFilters(s, span)
	if !ok {
		return h, ErrNothingToReplay
	}
	if h.Events, err = countBetween(ctx, stream, filters, h.From, h.Until); err != nil {
		return h, err
	}
	if h.Events == 0 {
		return h, ErrNothingToReplay
	}
	return h, nil
}

// countTries is how often the events of a span are counted if new ones come in meanwhile.
const countTries = 3

// countBetween counts the messages of a span that the filters take. While new ones keep coming in it may
// count some of those, too, but never too few.
func countBetween(ctx context.Context, stream jetstream.Stream, filters []string, from, until uint64) (uint64, error) {
	behind, err := countFrom(ctx, stream, filters, until+1)
	if err != nil {
		return 0, err
	}
	var events uint64
	for range countTries {
		all, err := countFrom(ctx, stream, filters, from)
		if err != nil {
			return 0, err
		}
		events = all - min(all, behind)
		after, err := countFrom(ctx, stream, filters, until+1)
		if err != nil {
			return 0, err
		}
		if after == behind {
			break
		}
		behind = after
	}
	return events, nil
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

// historyFilters are the subjects that a replay reads: the subscriber's own and, where an interaction or a
// type is asked for, of these what the sources' subjects name. What they take too much is left out by the
// workers. They are none where the subscriber takes everything; it reports false if nothing can match.
func (t *Topology) historyFilters(s Subscriber, span HistorySpan) ([]string, bool) {
	if span.Type == "" && span.Interaction == "" {
		return s.filters(), true
	}
	var filters []string
	for i := range t.Sources {
		source := &t.Sources[i]
		if source.Stream != s.Stream {
			continue
		}
		filter := source.narrowed(span)
		if slices.ContainsFunc(filters, func(f string) bool { return SubjectsOverlap(f, filter) }) {
			return s.filters(), true // the server refuses filters that overlap
		}
		filters = append(filters, filter)
	}
	if len(filters) == 0 {
		return s.filters(), true
	}
	if own := s.filters(); len(own) > 0 {
		filters = subjectsInBoth(filters, own)
	}
	return filters, len(filters) > 0
}

// subjectsInBoth are patterns for the subjects that match one of each. They don't overlap if neither list
// does.
func subjectsInBoth(a, b []string) []string {
	var both []string
	for _, x := range a {
		for _, y := range b {
			if SubjectsOverlap(x, y) {
				both = append(both, subjectInBoth(x, y))
			}
		}
	}
	return both
}

// subjectInBoth is the pattern for the subjects that match two patterns that overlap.
func subjectInBoth(a, b string) string {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	var both []string
	for i := 0; i < len(x) && i < len(y); i++ {
		switch {
		case x[i] == ">":
			return strings.Join(append(both, y[i:]...), ".")
		case y[i] == ">":
			return strings.Join(append(both, x[i:]...), ".")
		case x[i] == "*":
			both = append(both, y[i])
		default:
			both = append(both, x[i])
		}
	}
	return strings.Join(both, ".")
}

// narrowed is the pattern of the source's subjects with what the span asks for in its place.
func (s *Source) narrowed(span HistorySpan) string {
	parts := strings.Split(s.pattern(), ".")
	for i, part := range s.subjectTemplate().parts() {
		switch {
		case part == "{interaction}" && span.Interaction != "":
			parts[i] = Token(span.Interaction)
		case part == "{partition}" && span.Interaction != "":
			parts[i] = Partition(span.Interaction)
		case part == "{type}" && span.Type != "":
			parts[i] = Token(span.Type)
		case part == "{"+typeParts+"}" && span.Type != "":
			parts[i] = typeTokens(span.Type)
		}
	}
	return strings.Join(parts, ".")
}

// timeFor is how long so many events take; 0 where there is no limit.
func (r Rate) timeFor(events float64) Duration {
	perSecond := r.PerSecond()
	if perSecond == 0 {
		return 0
	}
	return secondsOf(events / perSecond)
}

// secondsOf is a duration of so many seconds, a century at most.
func secondsOf(seconds float64) Duration {
	return Duration(time.Duration(min(seconds, century.Seconds()) * float64(time.Second)).Round(time.Millisecond))
}

// century stands for a time without an end where one is needed.
const century = 100 * 365 * 24 * time.Hour

// StartReplay begins a replay that PlanReplay planned; its id names it.
func (t *Topology) StartReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, h HistoryReplay) (HistoryReplay, error) {
	raw := make([]byte, 4)
	_, _ = rand.Read(raw) // never fails
	h.ID = hex.EncodeToString(raw)
	note, err := json.Marshal(h)
	if err != nil {
		return h, fmt.Errorf("replay to %s: %w", s.Name, err)
	}
	filters, ok := t.historyFilters(s, HistorySpan{Type: h.Type, Interaction: h.Interaction})
	if !ok {
		return h, ErrNothingToReplay
	}
	one := s
	one.Order, one.Partitions = OrderInteraction, 1
	one.FilterSubject, one.FilterSubjects = "", filters
	// The pace is the replay's own. Besides, an event that waits for the server's rate counts as neither pending nor delivered, so
	// that the end could not be told from that (nats-server 2.15.2, server/consumer.go, loopAndGatherMsgs).
	one.ReplayPolicy, one.RateLimitBPS = jetstream.ReplayInstantPolicy, 0
	one.DeliverPolicy, one.OptStartSeq, one.OptStartTime = jetstream.DeliverByStartSequencePolicy, h.From, nil
	one.MaxAckPending, one.PauseUntil = min(s.MaxAckPending, replayMaxAckPending), nil
	config := Reader{Subscriber: one, Durable: s.Name + replayInfix + h.ID, Partition: 1, replays: true}.ConsumerConfig()
	config.Metadata[MetadataReplay] = string(note)
	if _, err := js.CreatePushConsumer(ctx, s.Stream, config); err != nil {
		return h, fmt.Errorf("replay to %s: %w", s.Name, err)
	}
	return h, nil
}

// RunningReplay is a replay that has not come to its end. Its JSON names are stable.
type RunningReplay struct {
	HistoryReplay
	Subscriber string `json:"subscriber"`
	// Left is how many events are still to be looked at, InHand how many of them are under way. Where
	// new ones come in meanwhile, Left may be a few too many.
	Left   uint64 `json:"left"`
	InHand uint64 `json:"in_hand"`
	// Served is true while a worker process is bound to it.
	Served bool `json:"served"`
	// Paused is true while the server holds its consumer back.
	Paused bool `json:"paused"`
}

// Replays are the replays to a subscriber that have not come to their end, the oldest first.
func Replays(ctx context.Context, js jetstream.JetStream, s Subscriber) ([]RunningReplay, error) {
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	all, err := ListConsumers(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("replays to %s: %w", s.Name, err)
	}
	var consumers []*jetstream.ConsumerInfo
	for _, info := range all {
		if served, ok := ServedBy(info.Config); ok && served.Replay != nil && served.Subscriber == s.Name {
			consumers = append(consumers, info)
		}
	}
	return runningReplays(ctx, stream, consumers), nil
}

// runningReplays tells how far those of the consumers are that replay a part of the history.
func runningReplays(ctx context.Context, stream jetstream.Stream, consumers []*jetstream.ConsumerInfo) []RunningReplay {
	running := []RunningReplay{}
	for _, info := range consumers {
		served, ok := ServedBy(info.Config)
		if !ok || served.Replay == nil {
			continue
		}
		running = append(running, RunningReplay{
			HistoryReplay: *served.Replay, Subscriber: served.Subscriber, Left: served.Replay.left(ctx, stream, info),
			InHand: uint64(info.NumAckPending), Served: info.PushBound, Paused: info.Paused,
		})
	}
	slices.SortFunc(running, func(a, b RunningReplay) int { return a.Began.Compare(b.Began) })
	return running
}

// left is how many events of the replay are not settled yet. What its consumer has pending counts what was stored behind
// the replay's end, too, which is counted by itself.
func (h *HistoryReplay) left(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo) uint64 {
	rest := info.NumPending
	switch {
	case info.Delivered.Stream >= h.Until:
		rest = 0
	case rest > 0 && stream.CachedInfo().State.LastSeq > h.Until:
		behind, err := countFrom(ctx, stream, consumerFilters(info), h.Until+1)
		if err == nil { // else it stays what it is at most
			rest -= min(rest, behind)
		}
	}
	return min(rest+uint64(info.NumAckPending), h.Events)
}

// ReplayEstimate is what a planned replay comes to. Its JSON names are stable.
type ReplayEstimate struct {
	// First and Last are when the first and the last message between From and Until were stored, or, where an
	// interaction or a type was asked for, First is that of the first that fits. Last is zero where it can't be told.
	First time.Time `json:"first"`
	Last  time.Time `json:"last,omitzero"`
	// Bytes is how much that is, by the average of the stream, with headers.
	Bytes uint64 `json:"bytes"`
	// Takes is how long it takes at the replay's rate if nothing else holds it up.
	Takes Duration `json:"takes"`
	// MostCalls is how often the target is called if every attempt fails; else it is once for each event.
	MostCalls uint64 `json:"most_calls"`
}

// EstimateReplay tells what a replay that PlanReplay planned comes to. It changes nothing that stays.
func (t *Topology) EstimateReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, h HistoryReplay) (ReplayEstimate, error) {
	estimate := ReplayEstimate{MostCalls: h.Events * uint64(max(s.MaxAttempts, 1)), Takes: h.Rate.timeFor(float64(h.Events))}
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return estimate, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	if state := stream.CachedInfo().State; state.Msgs > 0 {
		estimate.Bytes = uint64(float64(state.Bytes) / float64(state.Msgs) * float64(h.Events))
	}
	filters, _ := t.historyFilters(s, HistorySpan{Type: h.Type, Interaction: h.Interaction})
	first, err := firstStored(ctx, js, stream, filters, h.From)
	if err != nil {
		return estimate, err
	}
	estimate.First = first.at
	if last, err := stream.GetMsg(ctx, h.Until); err == nil { // it may be deleted
		estimate.Last = last.Time
	}
	return estimate, nil
}

// EndReplay ends a replay, whether it came to its end or not. What is under way may still arrive.
func EndReplay(ctx context.Context, js jetstream.JetStream, s Subscriber, id string) error {
	err := js.DeleteConsumer(ctx, s.Stream, s.Name+replayInfix+id)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("end replay %s to %s: %w", id, s.Name, err)
	}
	return nil
}
