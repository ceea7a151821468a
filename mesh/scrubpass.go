package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// readOn reads what is new in a stream, and then, once a day and after each restart of the server, all of it anew.
func (s *Scrubber) readOn(ctx context.Context, mark *scrubMark, l streamLook, batches int) ([]ScrubFinding, error) {
	s.schedulePass(mark, l)
	tail := &reading{next: max(mark.Read+1, l.first)}
	used, err := s.readSome(ctx, tail, l, batches)
	if err != nil {
		return nil, err
	}
	mark.Read = max(mark.Read, tail.next-1)
	if mark.Read >= l.last && mark.Passed.IsZero() {
		mark.Passed = l.at // there was nothing else to read
	}
	found, err := s.confirmed(ctx, mark, l, tail)
	if err != nil || mark.Pass == 0 || used >= batches {
		return found, err
	}
	pass := &reading{next: max(mark.Pass, l.first)}
	if _, err := s.readSome(ctx, pass, l, batches-used); err != nil {
		return found, err
	}
	if mark.Pass = pass.next; pass.next > l.last {
		mark.Pass, mark.Passed = 0, l.at
	}
	more, err := s.confirmed(ctx, mark, l, pass)
	return append(found, more...), err
}

// schedulePass begins to read all of a stream anew when that is due. What a server of one replica has lost it shows after a restart.
func (s *Scrubber) schedulePass(mark *scrubMark, l streamLook) {
	server := s.JetStream.Conn().ConnectedServerId()
	isRestarted := l.config.Replicas <= 1 && mark.Server != "" && mark.Server != server
	isDue := mark.Pass == 0 && !mark.Passed.IsZero() && l.at.Sub(mark.Passed) >= passEvery
	if isRestarted || isDue {
		mark.Pass = l.first
	}
	mark.Server = server
}

// readSome reads up to the last message of a look, at most so many batches, and tells how many it took.
func (s *Scrubber) readSome(ctx context.Context, r *reading, l streamLook, batches int) (used int, err error) {
	defer func() { s.metrics.read.WithLabelValues(l.config.Name).Add(float64(r.read)) }()
	for r.next <= l.last && used < batches {
		if used > 0 {
			if err := wait(ctx, batchPause); err != nil {
				return used, err
			}
		}
		if err := r.readBatch(ctx, s.JetStream, l); err != nil {
			return used, err
		}
		used++
	}
	return used, nil
}

// confirmed are the findings of a stretch that was read, but those that were told before.
func (s *Scrubber) confirmed(ctx context.Context, mark *scrubMark, l streamLook, r *reading) ([]ScrubFinding, error) {
	r.unread, r.altered = r.unread.without(l.holes).without(mark.Bad), r.altered.without(mark.Bad)
	if l.uncounted {
		r.unread = nil
	}
	for range confirmations {
		if len(r.unread)+len(r.altered) == 0 {
			return nil, nil
		}
		if err := wait(ctx, s.confirmAfter(l)); err != nil {
			return nil, err
		}
		if err := r.confirm(ctx, s.JetStream, *mark, l.config.Name); err != nil {
			return nil, err
		}
	}
	mark.Bad = mark.Bad.with(r.unread).with(r.altered)
	found := ofKind(ScrubUnreadable, lostFindings(l.config.Name, r.unread))
	found = append(found, ofKind(ScrubAltered, lostFindings(l.config.Name, r.altered))...)
	return s.describe(ctx, *mark, l, found), nil
}

func ofKind(kind ScrubKind, found []ScrubFinding) []ScrubFinding {
	for i := range found {
		found[i].Kind = kind
	}
	return found
}

// ReadAll reads all messages of all streams at once, as fast as the server delivers them. progress, which may be nil, is told how many
// sequences of how many are done.
func (s *Scrubber) ReadAll(ctx context.Context, progress func(done, of uint64)) error {
	state, err := OpenState(ctx, s.JetStream)
	if err != nil {
		return err
	}
	done, of := uint64(0), uint64(0)
	looks := map[string]streamLook{}
	for _, stream := range s.Topology().Streams {
		l, err := lookAt(ctx, s.JetStream, stream.Name, scrubMark{})
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		looks[stream.Name] = l
		of += l.last + 1 - l.first
	}
	for _, name := range slices.Sorted(maps.Keys(looks)) {
		l := looks[name]
		tell := func(next uint64) {
			if progress != nil {
				progress(done+next-l.first, of)
			}
		}
		if err := s.readStream(ctx, state.kv, l, tell); err != nil {
			return fmt.Errorf("scrub stream %s: %w", name, err)
		}
		done += l.last + 1 - l.first
	}
	return nil
}

// readStream reads all of one stream.
func (s *Scrubber) readStream(ctx context.Context, kv jetstream.KeyValue, l streamLook, tell func(next uint64)) error {
	r := &reading{next: l.first}
	for r.next <= l.last {
		if _, err := s.readSome(ctx, r, l, 1); err != nil {
			return err
		}
		r.read = 0
		tell(r.next)
	}
	mark, revision, err := readScrubMark(ctx, kv, l.config.Name)
	if err != nil {
		return err
	}
	before := mark
	found, err := s.confirmed(ctx, &mark, l, r)
	if err != nil {
		return err
	}
	if err := s.tell(ctx, kv, found); err != nil {
		return err
	}
	mark.Pass, mark.Passed = 0, l.at
	return s.keep(ctx, kv, l.config.Name, before, mark, revision)
}
