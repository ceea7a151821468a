package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

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
