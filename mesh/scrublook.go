package mesh

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// look compares a stream with its mark, and makes the mark new. What is lost is looked at again before it is told.
func (s *Scrubber) look(ctx context.Context, kv jetstream.KeyValue, mark *scrubMark, stream string) (streamLook, []ScrubFinding, error) {
	for try := 0; ; try++ {
		next := *mark
		next.Grants = slices.Clone(mark.Grants)
		l, found, err := s.compare(ctx, &next, stream)
		if err != nil {
			return l, nil, err
		}
		if len(found) > 0 && try < confirmations {
			if err := wait(ctx, s.confirmAfter(l)); err != nil {
				return l, nil, err
			}
			continue
		}
		found = s.describe(ctx, *mark, l, found)
		if next.Gone {
			*mark = next
			return l, found, nil
		}
		if !mark.Created.Equal(l.created) {
			lost, err := s.forgotten(ctx, kv, stream, l)
			if err != nil {
				return l, nil, err
			}
			found = append(found, lost...)
			if next, l, err = s.markAnew(ctx, stream, l); err != nil {
				return l, nil, err
			}
		}
		s.goBehind(&next, found)
		if next.Expiries, err = expiriesOf(ctx, s.JetStream, l, next.Expiries); err != nil {
			return l, nil, err
		}
		next.note(l)
		*mark = next
		return l, found, nil
	}
}

// markAnew is the mark of a stream that has none yet: what is missing by now is nobody's loss. Of what the audit tells, only what is still
// under way goes on deleting; that is read first, so that what ends in between is not missed.
func (s *Scrubber) markAnew(ctx context.Context, stream string, l streamLook) (scrubMark, streamLook, error) {
	next := scrubMark{Audited: l.at}
	if _, err := next.readGrants(ctx, s.JetStream, s.Topology(), l); err != nil {
		return next, l, err
	}
	next.Grants = slices.DeleteFunc(next.Grants, func(g grant) bool { return g.Act == "" })
	if role, ok := s.Topology().roleStream(deadSubjects); ok && role.Name == stream {
		if err := next.grantReplays(ctx, s.JetStream, l); err != nil {
			return next, l, err
		}
	}
	l, err := lookAt(ctx, s.JetStream, stream, next)
	return next, l, err
}

// goBehind sees to it that what lies where the end of a stream was lost is read again, and that the loss is told once.
func (s *Scrubber) goBehind(next *scrubMark, found []ScrubFinding) {
	for _, f := range found {
		if f.Kind == ScrubTruncated {
			next.Read = min(next.Read, f.First-1)
			s.told[f.Stream] = max(s.told[f.Stream], f.Last)
		}
	}
}

func (s *Scrubber) confirmAfter(l streamLook) time.Duration {
	if l.config.Replicas == 1 {
		return confirmSoon
	}
	return s.Every / confirmPart
}

func wait(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// compare looks at a stream once. It takes what the audit says into the mark, and uses up what that explains.
func (s *Scrubber) compare(ctx context.Context, mark *scrubMark, stream string) (streamLook, []ScrubFinding, error) {
	acked := s.acked[stream]
	if acked <= s.told[stream] {
		acked = 0 // what it says more is known to be lost
	}
	l, err := lookAt(ctx, s.JetStream, stream, *mark)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.at = time.Now().UTC()
		if mark.Created.IsZero() || mark.Gone {
			mark.Gone = true
			return l, nil, nil
		}
		mark.Gone = true
		return l, []ScrubFinding{{Kind: ScrubGone, Stream: stream, First: mark.First, Last: mark.Last, Count: mark.Messages, Since: mark.At}}, nil
	}
	if err != nil {
		return l, nil, err
	}
	refilled, err := s.refilled(ctx, *mark, l)
	if err != nil {
		return l, nil, err
	}
	found := mark.judge(l, acked, refilled, false, func(lost spans) spans { return lost })
	if len(found) == 0 {
		return l, nil, nil
	}
	replaced, err := mark.readGrants(ctx, s.JetStream, s.Topology(), l)
	if err != nil {
		return l, nil, err
	}
	return l, mark.judge(l, acked, refilled, replaced, mark.explain), nil
}

// refilled is the first sequence behind which other messages are than when the stream was looked at before: its end was lost, and what
// came since has taken the sequences. It is 0 if that is not so.
func (s *Scrubber) refilled(ctx context.Context, mark scrubMark, l streamLook) (uint64, error) {
	if !mark.Created.Equal(l.created) || mark.Last < l.first || mark.Last > l.last || mark.LastTime.IsZero() {
		return 0, nil
	}
	msg, found, err := askLeader(ctx, s.JetStream, l.config.Name, msgAsk{Sequence: mark.Last})
	if err != nil || !found || msg.stored.Equal(mark.LastTime) {
		return 0, err
	}
	first, err := firstStoredSince(ctx, s.JetStream, l, mark.LastTime.Add(1))
	return min(first, mark.Last), err
}

// forgotten tells where a stream that has no mark had one, or has events that are older than the bucket: then what was known is lost.
func (s *Scrubber) forgotten(ctx context.Context, kv jetstream.KeyValue, stream string, l streamLook) ([]ScrubFinding, error) {
	all, _, err := readScrubbed(ctx, kv)
	if err != nil {
		return nil, err
	}
	created, known := all.Known[stream]
	lost := known && created.Equal(l.created)
	if !lost {
		lost, err = s.isOlder(ctx, kv, l)
	}
	if err != nil || !lost {
		return nil, err
	}
	return []ScrubFinding{ScrubFinding{Kind: ScrubGone, Stream: stateStream, Found: l.at}.explain()}, nil
}

// remember notes that a stream has a mark.
func (s *Scrubber) remember(ctx context.Context, kv jetstream.KeyValue, stream string, created time.Time) error {
	return changeScrubbed(ctx, kv, func(all *scrubbed) (bool, error) {
		if all.Known == nil {
			all.Known = map[string]time.Time{}
		}
		isNew := !all.Known[stream].Equal(created)
		all.Known[stream] = created
		return isNew, nil
	})
}

// bornMargin is how much later than the streams the same apply may make the bucket.
const bornMargin = time.Minute

// isOlder reports whether the stream has an event of before the state bucket was made: genmesh makes that before it stores anything.
func (s *Scrubber) isOlder(ctx context.Context, kv jetstream.KeyValue, l streamLook) (bool, error) {
	if l.messages == 0 {
		return false, nil
	}
	msg, found, err := askLeader(ctx, s.JetStream, l.config.Name, msgAsk{Sequence: l.first})
	if err != nil || !found || msg.header.Get(HeaderSource) == "" {
		return false, err
	}
	born, err := kv.Get(ctx, BornKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return true, nil
	}
	return err == nil && born.Created().Sub(msg.stored) > bornMargin, err
}
