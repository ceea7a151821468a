package mesh

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// describe says of findings what else is known: when what they concern was stored, and who may have missed it.
func (s *Scrubber) describe(ctx context.Context, mark scrubMark, l streamLook, found []ScrubFinding) []ScrubFinding {
	for i := range found {
		f := &found[i]
		f.Found = l.at
		if f.Since.IsZero() && f.Kind != ScrubUnreadable && f.Kind != ScrubAltered {
			f.Since = mark.At
		}
		f.From, f.To = s.neighbours(ctx, mark, l, *f)
		f.Missed = missedBy(mark.Floors, f.Last)
		*f = f.explain()
	}
	return found
}

// neighbours are when the messages before and behind a loss were stored. What can't be told is zero.
func (s *Scrubber) neighbours(ctx context.Context, mark scrubMark, l streamLook, f ScrubFinding) (from, to time.Time) {
	if f.Kind == ScrubTruncated || f.Kind == ScrubReplaced || f.Kind == ScrubGone {
		to = mark.LastTime
	}
	if f.Kind == ScrubReplaced || f.Kind == ScrubGone || f.First == 0 {
		return from, to
	}
	if msg, found, err := askLeader(ctx, s.JetStream, f.Stream, msgAsk{Sequence: f.First - 1}); f.First > 1 && err == nil && found {
		from = msg.stored
	}
	if msg, found, err := askLeader(ctx, s.JetStream, f.Stream, msgAsk{Sequence: f.Last + 1, Subject: ">"}); to.IsZero() && f.Last < l.last && err == nil && found {
		to = msg.stored
	}
	return from, to
}

// tell notes findings for all to see, keeps a record of each, and logs it.
func (s *Scrubber) tell(ctx context.Context, kv jetstream.KeyValue, found []ScrubFinding) error {
	if len(found) == 0 {
		return nil
	}
	var news []ScrubFinding
	err := changeScrubbed(ctx, kv, func(all *scrubbed) (bool, error) {
		news = all.add(found)
		return len(news) > 0, nil
	})
	if err != nil {
		return err
	}
	for _, f := range news {
		s.Logger.WithField("stream", f.Stream).WithField("missing", f.Lost()).WithField("detail", f.Causes).Error(f.String() + ": genmesh scrub tells more")
		record := Audit{
			At: f.Found, Who: Actor{User: "genmesh", Via: "scrub"}, Action: auditScrub, About: f.String(), Count: int(f.Lost()), Result: AuditDone,
		}
		if err := RecordAudit(ctx, s.JetStream, s.Topology(), record); err != nil && !errors.Is(err, ErrNoAudit) {
			s.Logger.WithField("stream", f.Stream).WithError(err).Warn("what a scrub found is not in the audit")
		}
	}
	return nil
}

// auditScrub is the action of a finding.
const auditScrub = "scrub"
