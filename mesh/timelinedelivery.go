package mesh

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

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

func (d Delivery) onTimeline() TimelineDelivery {
	return TimelineDelivery{
		Subscriber: d.Subscriber, State: DeliveryState(d.Outcome), Reason: d.Reason, Attempts: d.Attempts,
		Began: d.Began, Ended: d.Ended, Waited: d.Waited, Replay: d.Replay, EachAttempt: d.EachAttempt,
	}
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
			of[place] = append(known, d.onTimeline())
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
