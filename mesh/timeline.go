package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
	// Attempts, Began, Ended and Waited are those of the Delivery that was recorded.
	Attempts int       `json:"attempts,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Waited   Duration  `json:"waited,omitempty"`
	Replay   bool      `json:"replay,omitempty"`
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

// trace tells the messages of one interaction from others.
type trace struct {
	interaction string // as the envelope has it
	source      string // "" is any
	// at is where the interaction stands in the subjects of each source, by the subjects' first token.
	at map[string]int
}

func (t *Topology) trace(interaction, source string) (trace, error) {
	if interaction == "" {
		return trace{}, errors.New("name an interaction: an empty id names none")
	}
	if _, ok := t.source(source); source != "" && !ok {
		return trace{}, fmt.Errorf("there is no source %q in streams.json; %s", source, didYouMean(source, t.sourceNames()))
	}
	e := Event{Interaction: interaction}
	e.bound()
	tr := trace{interaction: e.Interaction, source: source, at: map[string]int{}}
	for i := range t.Sources {
		s := &t.Sources[i]
		tr.at[Token(s.Name)] = slices.Index(s.subjectTemplate().parts(), "{interaction}")
	}
	return tr, nil
}

func (t *Topology) source(name string) (*Source, bool) {
	i := slices.IndexFunc(t.Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Sources[i], true
}

func (t *Topology) sourceNames() []string {
	var names []string
	for _, s := range t.Sources {
		names = append(names, s.Name)
	}
	return names
}

// envelope is as much of a message as tells whose it is.
type envelope struct{ source, organization string }

// match reports whether a message is of the interaction. The envelope decides; of what has none, the
// subject that it was first stored under.
func (tr trace) match(subject string, header nats.Header) (envelope, bool) {
	subject = cmp.Or(header.Get(headerDeadSubject), originalSubject(subject))
	var e envelope
	var interaction string
	for name, value := range map[string]*string{
		HeaderSource: &e.source, HeaderOrganization: &e.organization, HeaderInteraction: &interaction,
	} {
		*value, _ = unescapeHeader(header.Get(name)) // what can't be read names nothing
	}
	tokens := strings.Split(subject, ".")
	if e.source == "" {
		e.source, _ = Untoken(tokens[0])
	}
	if tr.source != "" && e.source != tr.source {
		return e, false
	}
	if interaction != "" {
		return e, interaction == tr.interaction
	}
	at, known := tr.at[tokens[0]]
	return e, known && at > 0 && at < len(tokens) && tokens[at] == Token(tr.interaction)
}

// interactionPattern is the narrowest subject, with wildcards, that the source's events of an
// interaction are stored under.
func (s *Source) interactionPattern(interaction string) string {
	parts := strings.Split(s.pattern(), ".")
	for i, part := range s.subjectTemplate().parts() {
		switch part {
		case "{partition}":
			parts[i] = Partition(interaction)
		case "{interaction}":
			parts[i] = Token(interaction)
		}
	}
	return strings.Join(parts, ".")
}

// timelineReader fills a timeline.
type timelineReader struct {
	js         jetstream.JetStream
	t          *Topology
	trace      trace
	search     InteractionSearch
	line       *Timeline
	bodiesLeft int
}

// messages calls take for the messages of the interaction on a subject, up to one above the limit.
func (f *timelineReader) messages(ctx context.Context, stream, filter string, take func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, HeadersOnly: !f.search.Bodies}
	if since := f.search.Since; !since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	taken := 0
	for msg, err := range readStream(ctx, f.js, stream, config) {
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		if _, ours := f.trace.match(msg.Subject(), msg.Headers()); !ours {
			continue
		}
		take(msg, meta)
		if taken++; taken > f.search.Limit {
			return nil
		}
	}
	return nil
}

func (f *timelineReader) look(ctx context.Context, stream string) error {
	if slices.ContainsFunc(f.line.Looked, func(l LookedInto) bool { return l.Stream == stream }) {
		return nil
	}
	s, err := f.js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w; is streams.json applied (genmesh plan)?", stream, err)
	}
	looked := LookedInto{Stream: stream, Messages: s.CachedInfo().State.Msgs}
	if looked.Messages > 0 {
		looked.Oldest = s.CachedInfo().State.FirstTime
	}
	f.line.Looked = append(f.line.Looked, looked)
	return nil
}

func (f *timelineReader) events(ctx context.Context) error {
	for i := range f.t.Sources {
		s := &f.t.Sources[i]
		if f.search.Source != "" && s.Name != f.search.Source {
			continue
		}
		if err := f.look(ctx, s.Stream); err != nil {
			return err
		}
		err := f.messages(ctx, s.Stream, s.interactionPattern(f.trace.interaction), f.event)
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(f.line.Events, func(a, b TimelineEvent) int {
		return cmp.Or(a.Stored.Compare(b.Stored), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
	})
	f.line.Events = atMost(f, f.line.Events)
	return nil
}

func (f *timelineReader) event(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
	e, _ := parseStored(msg.Subject(), msg.Headers(), msg.Data()) // of what is no event, the place is shown
	f.line.Events = append(f.line.Events, TimelineEvent{
		Stored: meta.Timestamp, Source: e.Source, Organization: e.Organization, Type: e.Type, Media: e.Media,
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, Subject: e.Subject, EventID: e.ID, Fingerprint: e.Fingerprint,
		Occurred: e.Occurred, Received: e.Received, Bytes: bodyBytes(msg), Body: f.body(msg),
		Deliveries: []TimelineDelivery{},
	})
}

// atMost cuts what was found to the limit.
func atMost[T any](f *timelineReader, found []T) []T {
	if len(found) <= f.search.Limit {
		return found
	}
	f.line.Truncated = true
	return found[:f.search.Limit]
}

// bodyBytes is the size of a body, also of one that the server left out.
func bodyBytes(msg jetstream.Msg) int {
	if n, err := strconv.Atoi(msg.Headers().Get(nats.MsgSize)); err == nil && len(msg.Data()) == 0 {
		return n
	}
	return len(msg.Data())
}

// body is the body for whoever asked for bodies, and nil once there are too many.
func (f *timelineReader) body(msg jetstream.Msg) any {
	body := msg.Data()
	if !f.search.Bodies || len(body) > f.bodiesLeft {
		return nil
	}
	f.bodiesLeft -= len(body)
	if json.Valid(body) {
		return json.RawMessage(body)
	}
	return string(body)
}

// deadFilters are the subjects under which the dead letters of an interaction lie: its own, and the one
// of all that were no events.
func deadFilters(interaction string) []string {
	return []string{
		deadPrefix + "*.*." + Token(interaction),
		deadPrefix + "*." + Token(string(DeadUnreadable)) + "." + absent,
	}
}

func (f *timelineReader) deadLetters(ctx context.Context) error {
	stream, ok := f.t.StreamFor(deadSubjects)
	if !ok {
		return nil
	}
	if err := f.look(ctx, stream.Name); err != nil {
		return err
	}
	for _, filter := range deadFilters(f.trace.interaction) {
		err := f.messages(ctx, stream.Name, filter, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
			d := parseDeadLetter(msg.Subject(), msg.Headers(), msg.Data(), meta)
			f.line.DeadLetters = append(f.line.DeadLetters, TimelineDeadLetter{
				Number: d.Number, Buried: d.Buried, Subscriber: d.Subscriber, Reason: d.Reason, Attempts: d.Attempts, Status: d.Status,
				Error: d.Error, Source: d.Source, Type: d.Type, Stream: d.Stream, Sequence: d.Sequence, Fingerprint: d.Fingerprint,
				Bytes: bodyBytes(msg), Body: f.body(msg),
			})
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(f.line.DeadLetters, func(a, b TimelineDeadLetter) int { return cmp.Compare(a.Number, b.Number) })
	f.line.DeadLetters = atMost(f, f.line.DeadLetters)
	return nil
}

func (f *timelineReader) quarantined(ctx context.Context) error {
	stream, ok := f.t.StreamFor(quarantineSubjects)
	if !ok {
		return nil
	}
	if err := f.look(ctx, stream.Name); err != nil {
		return err
	}
	filter := QuarantineFilter{Source: f.search.Source}.subject()
	err := f.messages(ctx, stream.Name, filter, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
		e, _ := parseStored(msg.Subject(), msg.Headers(), msg.Data())
		f.line.Quarantined = append(f.line.Quarantined, TimelineQuarantined{
			Number: meta.Sequence.Stream, Since: meta.Timestamp, Source: e.Source, Type: e.Type, Reason: e.Reason, Detail: e.Detail,
			Bytes: bodyBytes(msg), Body: f.body(msg),
		})
	})
	f.line.Quarantined = atMost(f, f.line.Quarantined)
	return err
}

// eventPlace is where a recorded delivery says that its event lies. The time tells it from one of an
// earlier stream of the same name.
type eventPlace struct {
	stream   string
	sequence uint64
	stored   int64
}

// deliveries tells of each event what became of it at each subscriber.
func (f *timelineReader) deliveries(ctx context.Context) error {
	if len(f.line.Events) == 0 {
		return nil
	}
	records, err := f.records(ctx)
	if err != nil {
		return err
	}
	replays, err := f.replays(ctx)
	if err != nil {
		return err
	}
	consumers := map[string]map[string][]*jetstream.ConsumerInfo{}
	for i := range f.line.Events {
		e := &f.line.Events[i]
		if _, known := consumers[e.Stream]; !known {
			if consumers[e.Stream], err = subscriberConsumers(ctx, f.js, e.Stream); err != nil {
				return err
			}
		}
		recorded := records[eventPlace{e.Stream, e.Sequence, e.Stored.UnixNano()}]
		for _, s := range f.t.Subscribers {
			if s.Stream == e.Stream {
				e.Deliveries = append(e.Deliveries, f.ofSubscriber(e, s, recorded, consumers[e.Stream][s.Name])...)
				recorded = slices.DeleteFunc(recorded, func(d TimelineDelivery) bool { return d.Subscriber == s.Name })
			}
		}
		e.Deliveries = append(e.Deliveries, recorded...) // of subscribers that are no more
		e.Deliveries = append(e.Deliveries, replays[e.Source+"\x00"+e.Fingerprint]...)
	}
	return nil
}

// records are the deliveries that were recorded, by their events.
func (f *timelineReader) records(ctx context.Context) (map[eventPlace][]TimelineDelivery, error) {
	of := make(map[eventPlace][]TimelineDelivery, len(f.line.Events))
	for _, e := range f.line.Events {
		of[eventPlace{e.Stream, e.Sequence, e.Stored.UnixNano()}] = nil
	}
	err := f.t.FindDeliveries(ctx, f.js, f.trace.interaction, f.line.Events[0].Stored, func(d Delivery) {
		place := eventPlace{d.Stream, d.Sequence, d.Stored.UnixNano()}
		if known, ours := of[place]; ours && len(known) < maxRecordsOfEvent {
			of[place] = append(known, TimelineDelivery{
				Subscriber: d.Subscriber, State: DeliveryState(d.Outcome), Reason: d.Reason, Attempts: d.Attempts,
				Began: d.Began, Ended: d.Ended, Waited: d.Waited, Replay: d.Replay,
			})
		}
	})
	f.line.Recorded = err == nil
	if errors.Is(err, ErrNoRecords) || errors.Is(err, jetstream.ErrStreamNotFound) {
		err = nil
	}
	return of, err
}

// replays are the replays of dead letters that are still on their way, by their events' source and
// fingerprint: where the events lay they no longer tell.
func (f *timelineReader) replays(ctx context.Context) (map[string][]TimelineDelivery, error) {
	of := map[string][]TimelineDelivery{}
	stream, ok := f.t.StreamFor(deadSubjects)
	if !ok {
		return of, nil
	}
	for i := range f.t.Sources {
		filter := replayPrefix + "*." + f.t.Sources[i].interactionPattern(f.trace.interaction)
		err := f.messages(ctx, stream.Name, filter, func(msg jetstream.Msg, _ *jetstream.MsgMetadata) {
			e, _ := parseStored(msg.Subject(), msg.Headers(), nil)
			subscriber := strings.SplitN(msg.Subject(), ".", 3)[1]
			key := e.Source + "\x00" + e.Fingerprint
			of[key] = append(of[key], TimelineDelivery{Subscriber: subscriber, State: StateWaiting, Replay: true})
		})
		if err != nil {
			return nil, err
		}
	}
	return of, nil
}

// ofSubscriber is what became of an event at one subscriber: what was recorded or, without a record,
// what the streams and consumers tell.
func (f *timelineReader) ofSubscriber(
	e *TimelineEvent, s Subscriber, recorded []TimelineDelivery, consumers []*jetstream.ConsumerInfo,
) []TimelineDelivery {
	var own []TimelineDelivery
	for _, d := range recorded {
		if d.Subscriber == s.Name {
			own = append(own, d)
		}
	}
	letter, dead := f.deadLetterOf(e, s.Name)
	switch {
	case dead && len(own) == 0:
		return []TimelineDelivery{{
			Subscriber: s.Name, State: DeliveryState(OutcomeDead), Reason: string(letter.Reason), Attempts: letter.Attempts,
			DeadLetter: letter.Number, Ended: letter.Buried,
		}}
	case dead:
		for i := len(own) - 1; i >= 0; i-- { // the latest that died
			if own[i].State == DeliveryState(OutcomeDead) {
				own[i].DeadLetter = letter.Number
				break
			}
		}
		return own
	case len(own) > 0:
		return own
	}
	return []TimelineDelivery{{Subscriber: s.Name, State: stateOfUnrecorded(e, s, consumers)}}
}

// deadLetterOf is the latest dead letter of an event for a subscriber. That of a replay has no place of
// its event, so the fingerprint tells.
func (f *timelineReader) deadLetterOf(e *TimelineEvent, subscriber string) (TimelineDeadLetter, bool) {
	for _, d := range slices.Backward(f.line.DeadLetters) {
		samePlace := d.Stream == e.Stream && d.Sequence == e.Sequence && !d.Buried.Before(e.Stored)
		sameEvent := d.Fingerprint != "" && d.Source == e.Source && d.Fingerprint == e.Fingerprint && d.Stream != e.Stream
		if d.Subscriber == subscriber && (samePlace || sameEvent) {
			return d, true
		}
	}
	return TimelineDeadLetter{}, false
}

func stateOfUnrecorded(e *TimelineEvent, s Subscriber, consumers []*jetstream.ConsumerInfo) DeliveryState {
	if !s.Matches(e.Subject) {
		return StateNotMatched
	}
	state := StateWaiting
	for _, info := range consumers {
		served, ours := ServedBy(info.Config)
		// A replay of the history begins again with what the subscriber has long had.
		if !ours || served.Replay != nil || !takes(consumerFilters(info), e.Subject) {
			continue
		}
		switch {
		case served.Skip.Has(e.Subject, e.Sequence):
			return StateSettled
		case beginsAfter(s, info, e):
			return StateBeforeStart
		case e.Sequence <= info.AckFloor.Stream:
			return StateSettled
		case e.Sequence <= info.Delivered.Stream:
			state = StateInHand
		}
	}
	return state
}

func consumerFilters(info *jetstream.ConsumerInfo) []string {
	if info.Config.FilterSubject != "" {
		return []string{info.Config.FilterSubject}
	}
	return info.Config.FilterSubjects
}

// takes reports whether filters take a subject; none take all.
func takes(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return SubjectCovers(f, subject) })
}

// beginsAfter reports whether the subscriber was made to begin behind an event. A consumer that was
// made anew begins where the one before it was, which is none of its subscriber's starts.
func beginsAfter(s Subscriber, info *jetstream.ConsumerInfo, e *TimelineEvent) bool {
	if info.Config.DeliverPolicy != s.DeliverPolicy {
		return false
	}
	switch s.DeliverPolicy {
	case jetstream.DeliverNewPolicy:
		return info.Created.After(e.Stored)
	case jetstream.DeliverByStartTimePolicy:
		return s.OptStartTime != nil && s.OptStartTime.After(e.Stored)
	case jetstream.DeliverByStartSequencePolicy:
		return info.Config.OptStartSeq == s.OptStartSeq && s.OptStartSeq > e.Sequence
	}
	return false
}

// subscriberConsumers are the consumers of a stream that serve subscribers, by the subscriber's name.
func subscriberConsumers(ctx context.Context, js jetstream.JetStream, stream string) (map[string][]*jetstream.ConsumerInfo, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	of := map[string][]*jetstream.ConsumerInfo{}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if name := info.Config.Metadata[MetadataSubscriber]; name != "" {
			of[name] = append(of[name], info)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", stream, err)
	}
	return of, nil
}
