package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// recordsPatience bounds how long EventDeliveries reads records: those of one event lie among those of its partition.
const recordsPatience = 2 * time.Second

// EventDeliveries tells what became of one stored event at each subscriber of its stream, as FindInteraction does for those of an
// interaction. Of records it sees what can be read in two seconds, beginning with the storing of the event.
func (t *Topology) EventDeliveries(ctx context.Context, js jetstream.JetStream, e Event) ([]TimelineDelivery, error) {
	f := &timelineReader{js: js, t: t, search: InteractionSearch{Limit: MaxTimeline}, line: &Timeline{}}
	if err := f.deadLettersOf(ctx, e); err != nil {
		return nil, err
	}
	recorded, err := t.recordsOf(ctx, js, e)
	if err != nil {
		return nil, err
	}
	consumers, err := subscriberConsumers(ctx, js, e.Stream)
	if err != nil {
		return nil, err
	}
	line := &TimelineEvent{
		Stored: e.Stored, Source: e.Source, Stream: e.Stream, Sequence: e.Sequence, Subject: e.Subject, Fingerprint: e.Fingerprint,
	}
	deliveries := []TimelineDelivery{}
	for _, s := range t.Subscribers {
		if s.Stream == e.Stream {
			deliveries = append(deliveries, f.ofSubscriber(line, s, recorded, consumers[s.Name])...)
			recorded = slices.DeleteFunc(recorded, func(d TimelineDelivery) bool { return d.Subscriber == s.Name })
		}
	}
	deliveries = append(deliveries, recorded...) // of subscribers that are no more
	replays, err := f.replaysOf(ctx, e)
	return append(deliveries, replays...), err
}

// deadLettersOf reads the dead letters of the event's interaction; which of them are its own ofSubscriber tells.
func (f *timelineReader) deadLettersOf(ctx context.Context, e Event) error {
	stream, ok := f.t.StreamFor(deadSubjects)
	if !ok {
		return nil
	}
	for _, filter := range deadFilters(e.Interaction) {
		config := jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{filter}, HeadersOnly: true,
			DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &e.Stored,
		}
		for msg, err := range readStream(ctx, f.js, stream.Name, config) {
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil // not applied yet
			}
			if err != nil {
				return err
			}
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			d := parseDeadLetter(msg.Subject(), msg.Headers(), nil, meta)
			f.line.DeadLetters = append(f.line.DeadLetters, TimelineDeadLetter{
				Number: d.Number, Buried: d.Buried, Subscriber: d.Subscriber, Reason: d.Reason, Attempts: d.Attempts,
				Source: d.Source, Stream: d.Stream, Sequence: d.Sequence, Fingerprint: d.Fingerprint,
			})
			if len(f.line.DeadLetters) == f.search.Limit {
				return nil
			}
		}
	}
	return nil
}

// recordsOf are the deliveries of an event that were recorded.
func (t *Topology) recordsOf(ctx context.Context, js jetstream.JetStream, e Event) ([]TimelineDelivery, error) {
	stream, ok := t.DeliveryRecords()
	if !ok {
		return nil, nil
	}
	patient, cancel := context.WithTimeout(ctx, recordsPatience)
	defer cancel()
	config := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{deliveriesSubject(Partition(e.Interaction))},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &e.Stored,
	}
	var recorded []TimelineDelivery
	for msg, err := range readStream(patient, js, stream.Name, config) {
		if patient.Err() != nil && ctx.Err() == nil || errors.Is(err, jetstream.ErrStreamNotFound) {
			return recorded, nil
		}
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(msg.Data()) {
			if d, ok := recordOf(line, e); ok && len(recorded) < maxRecordsOfEvent {
				recorded = append(recorded, d)
			}
		}
	}
	return recorded, nil
}

// recordOf reads a record; false if it is of another event.
func recordOf(line []byte, e Event) (TimelineDelivery, bool) {
	var d Delivery
	if json.Unmarshal(line, &d) != nil || d.Sequence != e.Sequence || d.Stream != e.Stream || !d.Stored.Equal(e.Stored) {
		return TimelineDelivery{}, false
	}
	return d.onTimeline(), true
}

// replaysOf are the replays of the event's dead letters that are still on their way.
func (f *timelineReader) replaysOf(ctx context.Context, e Event) ([]TimelineDelivery, error) {
	stream, ok := f.t.StreamFor(deadSubjects)
	if !ok {
		return nil, nil
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{replayPrefix + "*." + e.Subject}, HeadersOnly: true}
	var replays []TimelineDelivery
	for msg, err := range readStream(ctx, f.js, stream.Name, config) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, nil // not applied yet
		}
		if err != nil {
			return nil, err
		}
		same, _ := parseStored(msg.Subject(), msg.Headers(), nil) // what is no event has no fingerprint
		if same.Source != e.Source || same.Fingerprint != e.Fingerprint {
			continue
		}
		replays = append(replays, TimelineDelivery{Subscriber: strings.SplitN(msg.Subject(), ".", 3)[1], State: StateWaiting, Replay: true})
		if len(replays) == maxRecordsOfEvent {
			break
		}
	}
	return replays, nil
}
