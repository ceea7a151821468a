package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lookAtConsumers notes up to where the subscribers of a stream have acknowledged everything, and finds those that were set back. The
// server writes that down lazily, so a kill -9 of it may cost some seconds; only what was so two looks ago counts.
func (s *Scrubber) lookAtConsumers(ctx context.Context, mark *scrubMark, stream string) ([]ScrubFinding, error) {
	if !s.isRead(stream) || time.Since(s.floored[stream]) < floorsAfter*s.Every {
		return nil, nil
	}
	consumers, err := subscriberConsumers(ctx, s.JetStream, stream)
	if err != nil {
		return nil, err
	}
	s.floored[stream] = time.Now()
	floors := make(map[string]floor, len(consumers))
	var found []ScrubFinding
	for subscriber, list := range consumers {
		for _, info := range list {
			known, isKnown := mark.Floors[info.Name]
			f, setBack := known.next(info, isKnown)
			f.Subscriber = subscriber
			floors[info.Name] = f
			if setBack > 0 {
				found = append(found, ScrubFinding{
					Kind: ScrubRewound, Stream: stream, Subscriber: subscriber, Consumer: info.Name,
					First: f.Last + 1, Last: f.Last + setBack, Count: setBack, Found: time.Now().UTC(), Since: mark.At,
				}.explain())
			}
		}
	}
	mark.Floors = floors
	return found, nil
}

// next is the floor of a consumer as it is now, and by how many sequences it was set back; 0 if it was not.
func (f floor) next(info *jetstream.ConsumerInfo, isKnown bool) (next floor, setBack uint64) {
	now := info.AckFloor.Stream
	if !isKnown || !f.Created.Equal(info.Created) {
		return floor{Created: info.Created, Last: now, Earlier: now}, 0
	}
	if now < f.Earlier {
		setBack = f.Earlier - now
	}
	return floor{Created: f.Created, Last: now, Earlier: min(f.Last, now)}, setBack
}

func (s *Scrubber) isRead(stream string) bool {
	return slices.ContainsFunc(s.Topology().Subscribers, func(sub Subscriber) bool { return sub.Stream == stream })
}

// missedBy are the subscribers that had not acknowledged everything up to a sequence.
func missedBy(floors map[string]floor, last uint64) []string {
	var names []string
	for _, f := range floors {
		if f.Last < last {
			names = append(names, f.Subscriber)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
