package mesh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErasureType is the type of the event that tells subscribers that an interaction was erased. Events of
// this type are not erased themselves, so that an archive that is away hears of it later.
const ErasureType = "genmesh.erasure"

// NoticeErasure marks such an event; no sender can.
const NoticeErasure = "erasure"

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
}

// ErasureInHand is a subscriber whose workers may hold so many of the erased events.
type ErasureInHand struct {
	Subscriber string `json:"subscriber"`
	Stream     string `json:"stream"`
	Events     int    `json:"events"`
}

// place is a stream that may have copies, and what was found there.
type place struct {
	stream  string
	filters []string               // of the subjects that copies lie under
	config  jetstream.StreamConfig // as the server has it
	found   map[uint64]stored      // all that were ever there, by sequence
	left    map[uint64]bool        // those of them that are there still
	// refused is why the server did not delete something, lagging that the stream had not caught up.
	refused, lagging string
}

// stored is a copy.
type stored struct{ source, subject string }

// copies reports whether the stream fills itself from others.
func (p *place) copies() bool { return p.config.Mirror != nil || len(p.config.Sources) > 0 }

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
// logs of a replicated stream keep it until they are compacted.
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
	e.Notices = append(e.Notices, ErasureNotice{Source: source.Name, Stream: source.Stream, Sequence: ack.Sequence})
	return nil
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

// findPlaces lists where copies may lie. Streams that fill themselves from others come last: what they
// have not copied by then, they never will.
func (e *Erasure) findPlaces(ctx context.Context) error {
	var copying []place
	for _, s := range e.t.Streams {
		filters := e.t.copiesIn(s, e.trace, len(e.t.Streams))
		if len(filters) == 0 {
			continue
		}
		handle, err := e.js.Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // not applied yet, so it has nothing
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		p := place{
			stream: s.Name, filters: filters, config: handle.CachedInfo().Config,
			found: map[uint64]stored{}, left: map[uint64]bool{},
		}
		if p.copies() {
			copying = append(copying, p)
		} else {
			e.places = append(e.places, p)
		}
	}
	e.places = append(e.places, copying...)
	return e.findElsewhere(ctx)
}

// findElsewhere names the streams that copy ours without being in streams.json.
func (e *Erasure) findElsewhere(ctx context.Context) error {
	list := e.js.ListStreams(ctx)
	for info := range list.Info() {
		if _, ours := e.t.stream(info.Config.Name); ours {
			continue
		}
		origins := slices.Clone(info.Config.Sources)
		if info.Config.Mirror != nil {
			origins = append(origins, info.Config.Mirror)
		}
		copiesOurs := func(o *jetstream.StreamSource) bool {
			return slices.ContainsFunc(e.places, func(p place) bool { return p.stream == o.Name })
		}
		if slices.ContainsFunc(origins, copiesOurs) {
			e.Elsewhere = append(e.Elsewhere, info.Config.Name)
		}
	}
	slices.Sort(e.Elsewhere)
	if err := list.Err(); err != nil {
		return fmt.Errorf("list the server's streams: %w", err)
	}
	return nil
}

// copiesIn are the subjects of a stream under which copies may lie, each to be read by itself: the
// server takes no filters that overlap. depth bounds how far it follows streams that copy others.
func (t *Topology) copiesIn(s Stream, tr trace, depth int) []string {
	var filters []string
	for _, subject := range s.Subjects {
		filters = append(filters, t.copiesUnder(s, subject, tr)...)
	}
	origins := slices.Clone(s.Sources)
	if s.Mirror != nil {
		origins = append(origins, s.Mirror)
	}
	for _, o := range origins {
		origin, known := t.stream(o.Name)
		if !known || depth == 0 || len(o.SubjectTransforms) > 0 {
			filters = []string{">"}
			break
		}
		filters = append(filters, t.copiesIn(origin, tr, depth-1)...)
	}
	if s.SubjectTransform != nil && len(filters) > 0 {
		filters = []string{">"}
	}
	slices.Sort(filters)
	return slices.Compact(filters)
}

// copiesUnder narrows one subject of a stream to what may be of the interaction. Of a source's events
// only the partition counts: where in the subject the interaction stands may have changed since.
func (t *Topology) copiesUnder(s Stream, subject string, tr trace) []string {
	source := "*"
	if tr.source != "" {
		source = Token(tr.source)
	}
	partition := Partition(tr.interaction)
	for _, own := range []string{deliveriesSubjects, auditSubjects, "$JS.>"} {
		if SubjectCovers(own, subject) {
			return nil // these name no interaction
		}
	}
	first, _, _ := strings.Cut(subject, ".")
	feeds := func(src Source) bool { return src.Stream == s.Name && Token(src.Name) == first }
	switch {
	case SubjectCovers(deadSubjects, subject):
		return append(deadFilters(tr.interaction), replayPrefix+"*."+source+"."+partition+".>")
	case SubjectCovers(quarantineSubjects, subject):
		return []string{QuarantineFilter{Source: tr.source}.subject()}
	case slices.ContainsFunc(t.Sources, feeds) && tr.source != "" && source != first:
		return nil
	case slices.ContainsFunc(t.Sources, feeds):
		return []string{first + "." + partition + ".>"}
	}
	return []string{subject}
}

// search looks for copies in every place, and reports whether there are any that could be erased.
func (e *Erasure) search(ctx context.Context) (again bool, err error) {
	for i := range e.places {
		p := &e.places[i]
		clear(p.left)
		for _, filter := range p.filters {
			if err := e.searchUnder(ctx, p, filter); err != nil {
				return false, err
			}
		}
		again = again || len(p.left) > 0 && p.refuses() == ""
	}
	return again, nil
}

func (e *Erasure) searchUnder(ctx context.Context, p *place, filter string) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, HeadersOnly: true}
	for msg, err := range readStream(ctx, e.js, p.stream, config) {
		if err != nil {
			return err
		}
		of, ours := e.trace.match(msg.Subject(), msg.Headers())
		if !ours {
			continue
		}
		if msg.Headers().Get(HeaderNotice) == NoticeErasure {
			e.toldAlong = append(e.toldAlong, of.source)
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		p.found[meta.Sequence.Stream], p.left[meta.Sequence.Stream] = stored{of.source, msg.Subject()}, true
		e.sources[of.source] = cmp.Or(e.sources[of.source], of.organization)
		if len(p.left) == maxErasedAtOnce {
			return nil // the next round finds the others
		}
	}
	return nil
}

// refuses says why the server would delete nothing from the stream, or is "".
func (p *place) refuses() string {
	switch {
	case p.config.Sealed:
		return "the stream is sealed: nothing can be deleted from it"
	case p.config.DenyDelete:
		return "the stream has deny_delete: nothing can be deleted from it"
	}
	return ""
}

// eraseFrom erases what was found in one place, the oldest first.
func (e *Erasure) eraseFrom(ctx context.Context, p *place, erased func()) error {
	if len(p.left) == 0 || p.refuses() != "" {
		return nil
	}
	handle, err := e.js.Stream(ctx, p.stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", p.stream, err)
	}
	failures := 0
	for _, sequence := range slices.Sorted(maps.Keys(p.left)) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("erase from stream %s: %w", p.stream, err)
		}
		if err := handle.SecureDeleteMsg(ctx, sequence); err != nil {
			// If it is gone already, the next search tells: a look at it alone may be answered by a mirror.
			p.refused = fmt.Sprintf("message %d: %v", sequence, err)
			if failures++; failures == maxEraseFailures {
				return nil
			}
			continue
		}
		failures = 0
		delete(p.left, sequence)
		if erased != nil {
			erased()
		}
	}
	return nil
}

// awaitCopies waits until the streams that copy others have what their origins had: a copy may be on
// its way while its original is erased.
func (e *Erasure) awaitCopies(ctx context.Context) error {
	deadline := time.Now().Add(copiesTimeout)
	for i := range e.places {
		p := &e.places[i]
		for p.copies() {
			var err error
			if p.lagging, err = lag(ctx, e.js, p.stream); err != nil {
				return err
			}
			if p.lagging == "" || time.Now().After(deadline) {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(lagInterval):
			}
		}
	}
	return nil
}

// lag says why a stream may not have copied everything yet, or is "".
func lag(ctx context.Context, js jetstream.JetStream, stream string) (string, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return "", fmt.Errorf("stream %s: %w", stream, err)
	}
	origins := slices.Clone(s.CachedInfo().Sources)
	if mirrored := s.CachedInfo().Mirror; mirrored != nil {
		origins = append(origins, mirrored)
	}
	for _, o := range origins {
		switch {
		case o.Lag > 0:
			return fmt.Sprintf("the stream is %d messages behind %s, which it copies; erase again once it has caught up", o.Lag, o.Name), nil
		case o.Active < 0 || o.Active > contactLost: // below zero: not heard from since the server started
			return fmt.Sprintf("the stream has no contact with %s, which it copies; erase again once it has", o.Name), nil
		}
	}
	return "", nil
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
