package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Addressed is e as it would be stored: with its Stream, Subject and Key, and its values within their bounds.
func (s *Source) Addressed(e Event) Event {
	s.address(&e)
	return e
}

// MessageIDs are the Nats-Msg-Id of the event if it is the first of its Key within the duplicate window, and if it
// comes after another.
func (e Event) MessageIDs() (first, later string) {
	first = msgID(e.Key)
	return first, repeatID(first, e.Fingerprint)
}

// StreamEvents yields the events of all sources that a stream holds when it starts, the oldest first. What is no event
// is left out. Nothing is acknowledged, and nobody else gets less for it. It stops at the first error.
func StreamEvents(ctx context.Context, js jetstream.JetStream, stream string, since, until time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var config jetstream.OrderedConsumerConfig
		if !since.IsZero() {
			config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
		}
		for msg, err := range readStream(ctx, js, stream, config) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			e, err := ParseStored(msg)
			switch {
			case errors.Is(err, ErrNotEvent):
				continue
			case err == nil && !until.IsZero() && e.Stored.After(until):
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Standing is where one stored event stands with one subscriber, as far as the server and the state bucket know. What only a
// worker knows, as which events of an interaction it tries first, is not in it.
type Standing struct {
	Event Event
	// NotEvent is true for a message that genmesh did not publish; then Event has its place and body alone.
	NotEvent bool
	// MessageID is its Nats-Msg-Id, under which another of the same id is dropped until WindowEnds.
	MessageID  string
	WindowEnds time.Time
	// State is what became of it.
	State DeliveryState
	// Matches tells whether the subscriber's filters take its subject.
	Matches bool
	// Consumer is the one that has the event, or shall have it; nil if the server has none.
	Consumer *jetstream.ConsumerInfo
	// BeforeStart is true if the subscriber was made to begin behind the event, Skipped if the consumers before this one
	// had delivered it.
	BeforeStart, Skipped bool
	// Recorded tells whether records are kept; Deliveries are those of the event, oldest first.
	Recorded   bool
	Deliveries []Delivery
	// DeadLetters are those of the event that are still there, without their bodies.
	DeadLetters []DeadLetter
	// Replays are parts of the history that are being replayed, to which the event belongs and that have not come to it yet.
	Replays []HistoryReplay
	Pause   Pause
	Breaker BreakerState
	Wait    Wait
}

// The state of an event that nobody serves.
const StateNoConsumer DeliveryState = "no consumer"

const maxDeadLettersOfEvent = 20

// Standing finds out where the event of a sequence of the stream stands with a subscriber. It reads only. It fails with
// jetstream.ErrMsgNotFound if the stream has no such message, and says what may have taken it: its limits, or the erasures that are
// audited.
func (t *Topology) Standing(ctx context.Context, js jetstream.JetStream, s Subscriber, stream string, sequence uint64) (*Standing, error) {
	x := &standingReader{Standing: &Standing{}, js: js, t: t, subscriber: s}
	if err := x.message(ctx, stream, sequence); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context) error{x.consumers, x.records, x.deadLetters, x.state} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	x.State = x.settled()
	return x.Standing, nil
}

// errNotThere is jetstream.ErrMsgNotFound in plain words.
var errNotThere error = notThere{}

type notThere struct{}

func (notThere) Error() string { return "it is not there" }

func (notThere) Unwrap() error { return jetstream.ErrMsgNotFound }

// standingReader fills a Standing.
type standingReader struct {
	*Standing
	js         jetstream.JetStream
	t          *Topology
	subscriber Subscriber
}

func (x *standingReader) message(ctx context.Context, name string, sequence uint64) error {
	stream, err := x.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("stream %s: %w; is streams.json applied (genmesh plan)?", name, err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		why, unread := x.t.whyMissing(ctx, x.js, stream, sequence)
		if unread != nil {
			return fmt.Errorf("event %d of stream %s: %w; why can't be told: %w", sequence, name, errNotThere, unread)
		}
		return fmt.Errorf("event %d of stream %s: %w; %s", sequence, name, errNotThere, why)
	}
	if err != nil {
		return fmt.Errorf("event %d of stream %s: %w", sequence, name, err)
	}
	x.Event, err = parseStored(msg.Subject, msg.Header, msg.Data)
	x.NotEvent = err != nil
	x.Event.Stream, x.Event.Sequence, x.Event.Stored = name, sequence, msg.Time
	x.MessageID = msg.Header.Get(nats.MsgIdHdr)
	x.WindowEnds = msg.Time.Add(stream.CachedInfo().Config.Duplicates)
	x.Matches = x.subscriber.Stream == name && x.subscriber.Matches(x.Event.Subject)
	return nil
}

// consumers finds the subscriber's consumer that the event is for.
func (x *standingReader) consumers(ctx context.Context) error {
	all, err := subscriberConsumers(ctx, x.js, x.Event.Stream)
	if err != nil {
		return err
	}
	for _, info := range all[x.subscriber.Name] {
		served, ok := ServedBy(info.Config)
		if !ok || !takes(consumerFilters(info), x.Event.Subject) {
			continue
		}
		if served.Replay != nil {
			if served.Replay.Has(x.Event) && x.Event.Sequence > info.AckFloor.Stream {
				x.Replays = append(x.Replays, *served.Replay)
			}
			continue
		}
		x.Consumer = info
		x.Skipped = served.Skip.Has(x.Event.Subject, x.Event.Sequence)
		x.BeforeStart = beginsAfter(x.subscriber, info, &TimelineEvent{Stored: x.Event.Stored, Sequence: x.Event.Sequence})
	}
	return nil
}

func (x *standingReader) records(ctx context.Context) error {
	err := x.t.FindDeliveries(ctx, x.js, x.Event.Interaction, x.Event.Stored, func(d Delivery) {
		ours := d.Subscriber == x.subscriber.Name && d.Stream == x.Event.Stream && d.Sequence == x.Event.Sequence && d.Stored.Equal(x.Event.Stored)
		if ours && len(x.Deliveries) < maxRecordsOfEvent {
			x.Deliveries = append(x.Deliveries, d)
		}
	})
	x.Recorded = err == nil
	if errors.Is(err, ErrNoRecords) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

func (x *standingReader) deadLetters(ctx context.Context) error {
	stream, ok := x.t.StreamFor(deadSubjects)
	if !ok {
		return nil
	}
	filter := deadPrefix + Token(x.subscriber.Name) + ".*." + Token(x.Event.Interaction)
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &x.Event.Stored}
	for msg, err := range readStream(ctx, x.js, stream.Name, config) {
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		d := parseDeadLetter(msg.Subject(), msg.Headers(), msg.Data(), meta)
		if d.Stream == x.Event.Stream && d.Sequence == x.Event.Sequence && len(x.DeadLetters) < maxDeadLettersOfEvent {
			x.DeadLetters = append(x.DeadLetters, d)
		}
	}
	return nil
}

// state reads what the processes tell each other; before the first apply they have told nothing.
func (x *standingReader) state(ctx context.Context) error {
	state, err := OpenState(ctx, x.js)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if x.Pause, err = state.Pause(ctx, x.subscriber.Name); err != nil {
		return err
	}
	if x.Wait, err = state.Wait(ctx, x.subscriber.Name); err != nil {
		return err
	}
	x.Breaker, err = state.Breaker(ctx, x.subscriber.Name)
	return err
}

// settled puts together what became of the event: what was recorded, or else what the consumer tells.
func (x *standingReader) settled() DeliveryState {
	if n := len(x.Deliveries); n > 0 {
		return DeliveryState(x.Deliveries[n-1].Outcome)
	}
	switch {
	case len(x.DeadLetters) > 0:
		return DeliveryState(OutcomeDead)
	case !x.Matches:
		return StateNotMatched
	case x.Consumer == nil:
		return StateNoConsumer
	case x.BeforeStart:
		return StateBeforeStart
	case x.Skipped, x.Event.Sequence <= x.Consumer.AckFloor.Stream:
		return StateSettled
	case x.Event.Sequence <= x.Consumer.Delivered.Stream:
		return StateInHand
	}
	return StateWaiting
}
