package mesh

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Timeline is what the streams hold of one interaction, and what became of it at each subscriber.
type Timeline struct {
	// Interaction is the id as events carry it: one above MaxValueBytes is replaced by its hash.
	Interaction string `json:"interaction"`
	// Events are those in the streams that sources feed, in the order in which they were stored.
	Events      []TimelineEvent       `json:"events"`
	DeadLetters []TimelineDeadLetter  `json:"dead_letters"`
	Quarantined []TimelineQuarantined `json:"quarantined"`
	// Looked are the streams that were looked into, and how far back each reaches.
	Looked []LookedInto `json:"looked_into"`
	// Recorded says that how deliveries ended is kept at all; see Topology.DeliveryRecords.
	Recorded bool `json:"deliveries_recorded"`
	// Truncated says that there is more than the limit; what is left out is the later part.
	Truncated bool `json:"truncated,omitempty"`
}

// Empty reports whether the interaction is nowhere.
func (t *Timeline) Empty() bool {
	return len(t.Events) == 0 && len(t.DeadLetters) == 0 && len(t.Quarantined) == 0
}

// TimelineEvent is one stored event of an interaction.
type TimelineEvent struct {
	Stored       time.Time `json:"stored"`
	Source       string    `json:"source"`
	Organization string    `json:"organization,omitempty"`
	Type         string    `json:"type"`
	Media        string    `json:"media,omitempty"`
	Stream       string    `json:"stream"`
	Sequence     uint64    `json:"sequence"`
	Subject      string    `json:"subject"`
	EventID      string    `json:"event_id,omitempty"`
	Fingerprint  string    `json:"fingerprint"`
	Occurred     time.Time `json:"occurred,omitzero"`
	Received     time.Time `json:"received,omitzero"`
	// Bytes is the size of the body.
	Bytes int `json:"bytes"`
	// Body is there if it was asked for: as JSON where it is JSON, else as text.
	Body any `json:"body,omitempty"`
	// Deliveries has one or more for each subscriber of the stream, in the order of streams.json.
	Deliveries []TimelineDelivery `json:"deliveries"`
}

// TimelineDelivery is what became of one event at one subscriber.
type TimelineDelivery struct {
	Subscriber string        `json:"subscriber"`
	State      DeliveryState `json:"state"`
	// Reason is why it is dead or was passed by.
	Reason string `json:"reason,omitempty"`
	// Attempts, Began, Ended, Waited and EachAttempt are those of the Delivery that was recorded, or of the one UnderWay.
	Attempts    int       `json:"attempts,omitempty"`
	Began       time.Time `json:"began,omitzero"`
	Ended       time.Time `json:"ended,omitzero"`
	Waited      Duration  `json:"waited,omitempty"`
	Replay      bool      `json:"replay,omitempty"`
	EachAttempt []Attempt `json:"each_attempt,omitempty"`
	// NextAttempt is that of the one UnderWay.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// DeadLetter is the number of the dead letter, as long as it is there.
	DeadLetter uint64 `json:"dead_letter,omitempty"`
}

// DeliveryState is what became of an event at a subscriber: an Outcome, or one of these.
type DeliveryState string

// The states of what has no record.
const (
	// StateWaiting: it was not handed to the subscriber yet.
	StateWaiting DeliveryState = "waiting"
	// StateInHand: it was handed to a worker that has not settled it, or not everything before it.
	StateInHand DeliveryState = "in hand"
	// StateNotMatched: the subscriber's filters don't take its subject.
	StateNotMatched DeliveryState = "not matched"
	// StateBeforeStart: the subscriber begins with later events.
	StateBeforeStart DeliveryState = "before its start"
	// StateSettled: the subscriber is through with it, and nobody kept how it ended.
	StateSettled DeliveryState = "settled, not recorded"
)

// TimelineDeadLetter is a dead letter of an interaction.
type TimelineDeadLetter struct {
	Number     uint64     `json:"number"`
	Buried     time.Time  `json:"buried"`
	Subscriber string     `json:"subscriber"`
	Reason     DeadReason `json:"reason"`
	Attempts   int        `json:"attempts"`
	Status     int        `json:"status,omitempty"`
	Error      string     `json:"error,omitempty"`
	Source     string     `json:"source"`
	Type       string     `json:"type"`
	// Stream and Sequence say where the event lies; a replayed one lay in the dead-letter stream.
	Stream      string `json:"stream"`
	Sequence    uint64 `json:"sequence"`
	Fingerprint string `json:"fingerprint"`
	Bytes       int    `json:"bytes"`
	Body        any    `json:"body,omitempty"`
}

// TimelineQuarantined is an event of an interaction in quarantine.
type TimelineQuarantined struct {
	Number uint64    `json:"number"`
	Since  time.Time `json:"since"`
	Source string    `json:"source"`
	Type   string    `json:"type,omitempty"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	Bytes  int       `json:"bytes"`
	Body   any       `json:"body,omitempty"`
}

// LookedInto is a stream that was looked into. Oldest is zero if it is empty.
type LookedInto struct {
	Stream   string    `json:"stream"`
	Messages uint64    `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"`
}

// InteractionSearch says what FindInteraction looks for.
type InteractionSearch struct {
	Interaction string
	// Source, if given, is the only source that is looked at: two may use the same ids.
	Source string
	// Since leaves out what was stored before; zero is as far back as the streams reach.
	Since time.Time
	// Limit bounds the events, the dead letters and the quarantined, each: 1 to MaxTimeline;
	// 0 is DefaultTimeline.
	Limit int
	// Bodies asks for the bodies, up to MaxTimelineBodies in all; those beyond are left out.
	Bodies bool
}

// The bounds of a timeline.
const (
	DefaultTimeline   = 1000
	MaxTimeline       = 100_000
	MaxTimelineBodies = 64 << 20
	// maxRecordsOfEvent bounds the records of one event that are kept.
	maxRecordsOfEvent = 100
)

// FindInteraction reads the timeline of an interaction out of the streams of t. Events and dead
// letters are found by their subjects; quarantine, and the events of a source whose subjects don't
// name the interaction, are searched.
//
// An interaction that is nowhere makes an empty timeline, and no error.
func FindInteraction(ctx context.Context, js jetstream.JetStream, t *Topology, search InteractionSearch) (*Timeline, error) {
	tr, err := t.trace(search.Interaction, search.Source)
	if err != nil {
		return nil, err
	}
	if search.Limit < 0 || search.Limit > MaxTimeline {
		return nil, fmt.Errorf("a timeline of %d: at most %d", search.Limit, MaxTimeline)
	}
	search.Limit = cmp.Or(search.Limit, DefaultTimeline)
	f := &timelineReader{js: js, t: t, trace: tr, search: search, bodiesLeft: MaxTimelineBodies, line: &Timeline{
		Interaction: tr.interaction, Events: []TimelineEvent{},
		DeadLetters: []TimelineDeadLetter{}, Quarantined: []TimelineQuarantined{},
	}}
	for _, read := range []func(context.Context) error{f.events, f.deadLetters, f.quarantined, f.deliveries} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return f.line, nil
}
