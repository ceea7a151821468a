package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// backwards reads what a stream holds of some subjects from the newest to the oldest, by default without the bodies. JetStream only reads forward,
// so it reads windows of sequences, going back, each so wide that about as many messages are in it as are wanted. How many are the
// server counts by its index of subjects: what a consumer has pending where it begins. So nothing is read that is not asked for, however
// much lies between.
type backwards struct {
	js          jetstream.JetStream
	stream      jetstream.Stream
	filters     []string // none is all
	first, last uint64   // what is still to be read; nothing if last is below first
	above       uint64   // about how many that the filters take lie behind last
	widest      uint64   // bounds a window, and so what the server scans for one
	width       uint64   // of the next window, for a start
	until       time.Time
	bodies      bool // are read, too
}

const (
	widestWindow = 1 << 18
	// widening is by how much a window becomes wider that has too few.
	widening = 8
	// sparse is by how much wider than what is wanted the first window is where there are filters.
	sparse = 4
	// windowSlack is how many more than twice what is wanted may be read, so that little is not measured for long.
	windowSlack = 64
)

// readBackwards begins at the newest message, or at the one before a sequence if before is above zero. Zero times are open.
func readBackwards(
	ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, filters []string, since, until time.Time, before uint64,
) (*backwards, error) {
	state := stream.CachedInfo().State
	b := &backwards{
		js: js, stream: stream, filters: filters, first: max(state.FirstSeq, 1), last: state.LastSeq, widest: widestWindow,
	}
	if state.Msgs == 0 {
		b.last = 0
		return b, nil
	}
	var t *Topology
	var err error
	if !since.IsZero() {
		if b.first, err = t.firstSince(ctx, stream, since, state.LastSeq); err != nil {
			return nil, err
		}
	}
	if !until.IsZero() && until.Before(state.LastTime) {
		behind, err := t.firstSince(ctx, stream, until.Add(1), state.LastSeq)
		if err != nil {
			return nil, err
		}
		b.last = behind - 1
	}
	if before > 0 {
		b.last = min(b.last, before-1)
	}
	if b.last < state.LastSeq && !b.isRead() {
		b.above, err = countFrom(ctx, stream, filters, b.last+1)
	}
	return b, err
}

// isRead reports whether nothing is left.
func (b *backwards) isRead() bool { return b.last < b.first }

// isLate reports whether the time is over that the search may take.
func (b *backwards) isLate() bool { return !b.until.IsZero() && time.Now().After(b.until) }

// next reads the next window: about as many messages as are wanted, or more, or, where there are few in a long stretch, fewer or none. The
// newest is first.
func (b *backwards) next(ctx context.Context, want uint64) ([]jetstream.Msg, error) {
	from, in, err := b.window(ctx, max(want, 1))
	if err != nil {
		return nil, err
	}
	var found []jetstream.Msg
	if in > 0 {
		if found, err = b.read(ctx, from); err != nil {
			return nil, err
		}
	}
	b.last = from - 1
	b.above += in
	slices.Reverse(found)
	return found, nil
}

// window chooses the sequence that the next window begins with, and tells about how many messages are in it.
func (b *backwards) window(ctx context.Context, want uint64) (from, in uint64, err error) {
	width, few := max(want, b.width), b.last+1
	if len(b.filters) > 0 {
		width = max(want*sparse, b.width)
	}
	for {
		width = min(width, b.widest)
		from = b.first
		if width < b.last-b.first {
			from = b.last - width + 1
		}
		if in, err = b.count(ctx, from); err != nil {
			return 0, 0, err
		}
		switch {
		case in >= want:
			b.width = 0
			return b.narrow(ctx, from, few, in, want)
		case from == b.first || width == b.widest || b.isLate():
			b.width = width
			return b.orAll(ctx, from, in)
		}
		few, width = from, width*widening
	}
}

// narrow makes a window that has more than enough begin later. From few on there are too few.
func (b *backwards) narrow(ctx context.Context, from, few, in, want uint64) (uint64, uint64, error) {
	for in > 2*want+windowSlack && few-from > 1 {
		middle := from + (few-from)/2
		n, err := b.count(ctx, middle)
		if err != nil {
			return 0, 0, err
		}
		if n >= want {
			from, in = middle, n
		} else {
			few = middle
		}
	}
	return from, in, nil
}

// orAll looks again whether a window has nothing in it, which is then not read, and makes it reach back to the beginning if there is
// nothing either. What was deleted behind it meanwhile would hide as much in it.
func (b *backwards) orAll(ctx context.Context, from, in uint64) (uint64, uint64, error) {
	if in > 0 {
		return from, in, nil
	}
	behind, err := countFrom(ctx, b.stream, b.filters, b.last+1)
	if err != nil {
		return 0, 0, err
	}
	b.above = min(b.above, behind)
	all, err := b.count(ctx, b.first)
	if err == nil && all == 0 {
		return b.first, 0, nil
	}
	if in, err = b.count(ctx, from); err != nil {
		return 0, 0, err
	}
	return from, in, nil
}

// count is about how many messages from a sequence to the last the filters take: those that are stored meanwhile are counted, too.
func (b *backwards) count(ctx context.Context, from uint64) (uint64, error) {
	n, err := countFrom(ctx, b.stream, b.filters, from)
	return n - min(n, b.above), err
}

// read reads the messages from a sequence to the last, the oldest first.
func (b *backwards) read(ctx context.Context, from uint64) ([]jetstream.Msg, error) {
	config := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, FilterSubjects: b.filters, HeadersOnly: !b.bodies,
	}
	var found []jetstream.Msg
	for msg, err := range readStream(ctx, b.js, b.stream.CachedInfo().Config.Name, config) {
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		if meta.Sequence.Stream > b.last {
			break
		}
		found = append(found, msg)
		if meta.Sequence.Stream == b.last {
			break
		}
	}
	return found, nil
}

// reached is when the oldest message was stored that was looked at; zero if there is none.
func (b *backwards) reached(ctx context.Context) (time.Time, error) {
	msg, err := b.stream.GetMsg(ctx, b.last+1, jetstream.WithGetMsgSubject(">"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("look into stream %s: %w", b.stream.CachedInfo().Config.Name, err)
	}
	return msg.Time, nil
}
