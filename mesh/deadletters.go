package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetters is the stream of what could not be delivered.
type DeadLetters struct {
	js       jetstream.JetStream
	stream   string
	topology *Topology
}

// Stream is the name of the dead-letter stream.
func (d *DeadLetters) Stream() string { return d.stream }

// NewDeadLetters finds the dead-letter stream of t.
func NewDeadLetters(js jetstream.JetStream, t *Topology) (*DeadLetters, error) {
	stream, ok := t.StreamFor(deadSubjects)
	if !ok {
		return nil, fmt.Errorf("no stream takes %s", deadSubjects)
	}
	return &DeadLetters{js: js, stream: stream.Name, topology: t}, nil
}

// DeadFilter chooses dead letters; its zero value chooses all.
type DeadFilter struct {
	Subscriber string
	Reason     DeadReason
	// Since and Until bound the time of burial; zero is open.
	Since time.Time
	Until time.Time
}

// ErrNoDeadLetter means that there is no dead letter of that number.
var ErrNoDeadLetter = errors.New("no such dead letter")

// Find yields the dead letters that match, in the order of burial, as they are when it starts.
// It stops at the first error. A message that is no proper dead letter is one with the reason
// DeadUnreadable.
func (d *DeadLetters) Find(ctx context.Context, filter DeadFilter) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for msg, err := range d.messages(ctx, filter) {
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			meta, err := msg.Metadata()
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			if !filter.Until.IsZero() && meta.Timestamp.After(filter.Until) {
				return
			}
			if !yield(parseDeadLetter(msg.Subject(), msg.Headers(), msg.Data(), meta), nil) {
				return
			}
		}
	}
}

func (d *DeadLetters) messages(ctx context.Context, filter DeadFilter) iter.Seq2[jetstream.Msg, error] {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter.subject()}}
	if !filter.Since.IsZero() {
		config.DeliverPolicy = jetstream.DeliverByStartTimePolicy
		config.OptStartTime = &filter.Since
	}
	return readStream(ctx, d.js, d.stream, config)
}

func (f DeadFilter) subject() string {
	subscriber, reason := "*", "*"
	if f.Subscriber != "" {
		subscriber = Token(f.Subscriber)
	}
	if f.Reason != "" {
		reason = Token(string(f.Reason))
	}
	return deadPrefix + subscriber + "." + reason + ".>"
}

// Get reads one dead letter. It fails with ErrNoDeadLetter if there is none of that number.
func (d *DeadLetters) Get(ctx context.Context, number uint64) (DeadLetter, error) {
	stream, err := d.js.Stream(ctx, d.stream)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("stream %s: %w", d.stream, err)
	}
	raw, err := stream.GetMsg(ctx, number)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return DeadLetter{}, fmt.Errorf("%w: %d", ErrNoDeadLetter, number)
	case err != nil:
		return DeadLetter{}, fmt.Errorf("dead letter %d: %w", number, err)
	case !strings.HasPrefix(raw.Subject, deadPrefix):
		return DeadLetter{}, fmt.Errorf("%w: %d is on its way to its subscriber again", ErrNoDeadLetter, number)
	}
	return parseDeadLetter(raw.Subject, raw.Header, raw.Data, &jetstream.MsgMetadata{
		Sequence: jetstream.SequencePair{Stream: number}, Timestamp: raw.Time,
	}), nil
}

// Replay hands the event of a dead letter to its subscriber again, and to no other: it is
// published to the subscriber's replay subject in the dead-letter stream, and then the dead
// letter is discarded. The event keeps its identity and its attempts begin anew. Replaying the
// same dead letter twice within the stream's duplicate window delivers once.
func (d *DeadLetters) Replay(ctx context.Context, letter DeadLetter) error {
	serves := func(s Subscriber) bool { return s.Name == letter.Subscriber }
	if !slices.ContainsFunc(d.topology.Subscribers, serves) {
		return fmt.Errorf("replay dead letter %d: %s is no subscriber in streams.json; nobody would get it", letter.Number, letter.Subscriber)
	}
	if _, err := d.js.PushConsumer(ctx, d.stream, letter.Subscriber); err != nil {
		return fmt.Errorf("replay dead letter %d: nobody reads what is replayed to %s; is it in streams.json, and applied? %w",
			letter.Number, letter.Subscriber, err)
	}
	// The time tells a number of this stream from one of an earlier stream of the same name.
	msg := letter.Event.Msg(fmt.Sprintf("#replay.%s.%d.%d", letter.Subscriber, letter.Number, letter.Buried.UnixNano()))
	msg.Subject = replaySubject(letter.Subscriber, letter.Subject)
	setOrigin(msg.Header, letter.FirstPlace())
	if _, err := d.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(d.stream)); err != nil {
		return fmt.Errorf("replay dead letter %d to %s: %w", letter.Number, letter.Subscriber, err)
	}
	return d.Discard(ctx, letter.Number)
}

// Discard deletes a dead letter for good. It is no error if it is gone already.
func (d *DeadLetters) Discard(ctx context.Context, number uint64) error {
	if err := deleteStored(ctx, d.js, d.stream, number); err != nil {
		return fmt.Errorf("discard dead letter %d: %w", number, err)
	}
	return nil
}
