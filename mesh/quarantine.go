package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Quarantine is the stream of what came in signed and could not go on its way.
type Quarantine struct {
	js     jetstream.JetStream
	stream string
}

// Quarantined is an event in quarantine, with why: Event.Reason and Event.Detail.
type Quarantined struct {
	Event
	// Number is its sequence in the quarantine stream.
	Number uint64
	// Since is when it was put there.
	Since time.Time
}

// Came is its place in the order in which deliveries came: its number, or that of the delivery that it
// was cut out of.
func (q Quarantined) Came() uint64 { return cmp.Or(q.CutFrom, q.Number) }

// QuarantineUnreadable is the reason of a message in the quarantine stream that is no event.
const QuarantineUnreadable = "unreadable"

// ErrNotQuarantined means that there is no event of that number in quarantine.
var ErrNotQuarantined = errors.New("not in quarantine")

// NewQuarantine finds the quarantine stream of t.
func NewQuarantine(js jetstream.JetStream, t *Topology) (*Quarantine, error) {
	stream, ok := t.StreamFor(quarantineSubjects)
	if !ok {
		return nil, fmt.Errorf("no stream takes %s", quarantineSubjects)
	}
	return &Quarantine{js: js, stream: stream.Name}, nil
}

// QuarantineFilter chooses events in quarantine; its zero value chooses all.
type QuarantineFilter struct {
	Source, Reason string
	// Since and Until bound the time when they were put there; zero is open.
	Since, Until time.Time
	// WithoutBodies leaves the bodies out, for who looks at many.
	WithoutBodies bool
}

func (f QuarantineFilter) subject() string {
	source, reason := "*", "*"
	if f.Source != "" {
		source = Token(f.Source)
	}
	if f.Reason != "" {
		reason = Token(f.Reason)
	}
	return quarantinePrefix + source + "." + reason
}

// Find yields the events that match, in the order in which they came, as they are when it starts. It
// stops at the first error.
func (q *Quarantine) Find(ctx context.Context, filter QuarantineFilter) iter.Seq2[Quarantined, error] {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter.subject()}, HeadersOnly: filter.WithoutBodies}
	if !filter.Since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &filter.Since
	}
	return func(yield func(Quarantined, error) bool) {
		for msg, err := range readStream(ctx, q.js, q.stream, config) {
			if err != nil {
				yield(Quarantined{}, err)
				return
			}
			e, err := ParseStored(msg)
			if err != nil && !errors.Is(err, ErrNotEvent) {
				yield(Quarantined{}, err)
				return
			}
			if !filter.Until.IsZero() && e.Stored.After(filter.Until) {
				return
			}
			if !yield(quarantined(e, err), nil) {
				return
			}
		}
	}
}

// Get reads one event. It fails with ErrNotQuarantined if there is none of that number.
func (q *Quarantine) Get(ctx context.Context, number uint64) (Quarantined, error) {
	e, err := GetEvent(ctx, q.js, q.stream, number)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return Quarantined{}, fmt.Errorf("%d is %w", number, ErrNotQuarantined)
	case err != nil && !errors.Is(err, ErrNotEvent):
		return Quarantined{}, err
	}
	return quarantined(e, err), nil
}

// Discard deletes an event from quarantine. It is no error if it is gone already.
func (q *Quarantine) Discard(ctx context.Context, number uint64) error {
	if err := deleteStored(ctx, q.js, q.stream, number); err != nil {
		return fmt.Errorf("take %d out of quarantine: %w", number, err)
	}
	return nil
}

// quarantined is an event with its place; a message that is none says so in its reason.
func quarantined(e Event, unreadable error) Quarantined {
	if unreadable != nil {
		e.Reason = QuarantineUnreadable
		source, _, _ := strings.Cut(strings.TrimPrefix(e.Subject, quarantinePrefix), ".")
		e.Source, _ = Untoken(source)
	}
	return Quarantined{Event: e, Number: e.Sequence, Since: e.Stored}
}
