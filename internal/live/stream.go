package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// streamMeter follows one stream.
type streamMeter struct {
	flow    StreamFlow
	stored  series
	created time.Time
	// marks are how far it was at the two latest samples; the newest last.
	marks [2]streamMark
}

// streamMark is how far a stream was at a moment.
type streamMark struct {
	at   time.Time // ours
	last uint64    // sequence
	time time.Time // when that was stored, by the server
}

func newStreamMeter() *streamMeter { return &streamMeter{flow: StreamFlow{MaxBytes: -1}} }

func (m *streamMeter) snapshot() StreamFlow {
	flow := m.flow
	flow.StoredSeries = m.stored.snapshot()
	return flow
}

// readStreams reads the streams of t and who reads them. A stream that can't be read stays as it was, and the rest goes on; it
// reports whether any was read.
func (w *Watcher) readStreams(ctx context.Context, t *mesh.Topology) (anyRead bool, err error) {
	var failed []error
	for _, s := range t.Streams {
		if err := w.readStream(ctx, t, s.Name); err != nil {
			failed = append(failed, fmt.Errorf("stream %s: %w", s.Name, err))
			continue
		}
		anyRead = true
	}
	w.lookUp(ctx)
	for _, m := range w.subscribers {
		m.flow.Oldest = m.oldest()
	}
	return anyRead || len(t.Streams) == 0, errors.Join(failed...)
}

func (w *Watcher) readStream(ctx context.Context, t *mesh.Topology, name string) error {
	m := w.streams[name]
	stream, err := w.JetStream.Stream(ctx, name)
	now := time.Now()
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		*m = streamMeter{flow: StreamFlow{MaxBytes: -1, read: now}}
		w.readConsumers(t, name, nil, nil)
		return nil
	}
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	stored := m.read(info, now)
	m.stored.put(w.slot(now), m.flow.Stored)
	if err := w.countSetAside(ctx, t, stream); err != nil {
		return err
	}
	if !isRead(t, name) {
		return nil
	}
	consumers, err := mesh.ListConsumers(ctx, stream)
	if err != nil {
		return err
	}
	w.readConsumers(t, name, consumers, &passage{stream: stream, meter: m, stored: stored})
	return nil
}

// isRead reports whether a subscriber reads a stream.
func isRead(t *mesh.Topology, stream string) bool {
	for _, s := range t.Subscribers {
		if s.Stream == stream {
			return true
		}
	}
	return false
}

// read takes in what the server says, and tells how many messages were stored since the sample before.
func (m *streamMeter) read(info *jetstream.StreamInfo, now time.Time) (stored uint64) {
	state, before := info.State, m.marks[1]
	if !info.Created.Equal(m.created) || state.LastSeq < before.last { // another one of that name
		m.created, m.marks, before = info.Created, [2]streamMark{}, streamMark{}
	}
	rate := 0.0
	if !before.at.IsZero() {
		stored = state.LastSeq - before.last
		rate = perSecond(float64(stored), now.Sub(before.at))
	}
	m.marks = [2]streamMark{before, {now, state.LastSeq, state.LastTime}}
	m.flow = StreamFlow{
		Stored: rate, Applied: true, Messages: state.Msgs, Bytes: state.Bytes, MaxBytes: bound(info.Config.MaxBytes),
		Fill: fill(info), LastStored: state.LastTime, read: now, rolls: info.Config.Discard == jetstream.DiscardOld,
	}
	return stored
}

func perSecond(events float64, over time.Duration) float64 {
	if over <= 0 {
		return 0
	}
	return events / over.Seconds()
}

// bound is a bound of a stream: -1 is none, for which some servers say 0.
func bound(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

func fill(info *jetstream.StreamInfo) float64 {
	used := 0.0
	if most := info.Config.MaxBytes; most > 0 {
		used = float64(info.State.Bytes) / float64(most)
	}
	if most := info.Config.MaxMsgs; most > 0 {
		used = max(used, float64(info.State.Msgs)/float64(most))
	}
	return min(used, 1)
}

// storedAt is when a sequence was stored, as far as the samples tell: what came since the sample before lies on a straight line between the
// two. It reports false for what is older.
func (m *streamMeter) storedAt(sequence uint64) (time.Time, bool) {
	before, now := m.marks[0], m.marks[1]
	if before.at.IsZero() || sequence <= before.last {
		return time.Time{}, false
	}
	if sequence >= now.last || now.last <= before.last {
		return now.time, true
	}
	part := float64(sequence-before.last) / float64(now.last-before.last)
	from := before.time
	if since := now.time.Add(-now.at.Sub(before.at)); since.After(from) {
		from = since // nothing came for a while before
	}
	return from.Add(time.Duration(part * float64(now.time.Sub(from)))), true
}
