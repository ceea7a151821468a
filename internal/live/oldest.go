package live

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// How long the oldest event waits is asked the server only where that is worth it. What came since the sample before is as old as the
// samples say, so a subscriber that keeps up costs nothing. For others the stream is asked for the first event behind the
// consumer's acknowledgements, and what it said holds until they pass that event.

// lookedUp is the oldest event that a consumer has not settled, as the stream said; zero if it was never asked.
type lookedUp struct {
	mesh.OldestWaiting
	asked time.Time
}

// lookup is a question to a stream that this sample has, about a consumer.
type lookup struct {
	stream jetstream.Stream
	info   *jetstream.ConsumerInfo
	mark   *consumerMark
}

// seekOldest finds the oldest event of a consumer, or notes that the stream has to be asked for it.
func (w *Watcher) seekOldest(mark *consumerMark, info *jetstream.ConsumerInfo, through *passage) {
	mark.first = mesh.OldestWaiting{}
	if info.NumPending+uint64(info.NumAckPending) == 0 {
		return
	}
	floor := info.AckFloor.Stream
	if at, ok := through.meter.storedAt(floor + 1); ok {
		mark.first = mesh.OldestWaiting{Sequence: floor + 1, Stored: at}
		return
	}
	mark.first = mark.known.OldestWaiting
	if mark.known.Sequence <= floor || mark.known.Sequence < through.stream.CachedInfo().State.FirstSeq {
		w.lookups = append(w.lookups, lookup{through.stream, info, mark})
	}
}

// lookupTime bounds how long one sample looks into streams. What has to wait for the next one is as old as it was.
const lookupTime = 100 * time.Millisecond

// lookUp asks the streams, first about the consumers for which they were not asked for the longest time.
func (w *Watcher) lookUp(ctx context.Context) {
	slices.SortFunc(w.lookups, func(a, b lookup) int { return a.mark.known.asked.Compare(b.mark.known.asked) })
	for began, i := time.Now(), 0; i < len(w.lookups) && time.Since(began) < lookupTime; i++ {
		l := w.lookups[i]
		first, err := firstStored(ctx, l.stream, l.info.Config, l.info.AckFloor.Stream+1)
		l.mark.known.asked = time.Now()
		if err != nil {
			continue // the next sample asks again
		}
		l.mark.known.OldestWaiting, l.mark.first = first, first
	}
	w.lookups = nil
}

// oldest is the oldest event of any of the subscriber's consumers; nil if there is none, or it is not known yet.
func (m *subscriberMeter) oldest() *mesh.OldestWaiting {
	var oldest *mesh.OldestWaiting
	for _, mark := range m.consumers {
		if mark.first.Sequence > 0 && (oldest == nil || mark.first.Sequence < oldest.Sequence) {
			first := mark.first
			oldest = &first
		}
	}
	return oldest
}

// maxFilters is up to how many filters are looked up one by one.
const maxFilters = 8

// firstStored is the first message from a sequence on that a consumer's filters take; zero if there is none.
func firstStored(ctx context.Context, stream jetstream.Stream, config jetstream.ConsumerConfig, from uint64) (mesh.OldestWaiting, error) {
	filters := config.FilterSubjects
	switch {
	case config.FilterSubject != "":
		filters = []string{config.FilterSubject}
	case len(filters) == 0:
		filters = []string{">"}
	case len(filters) > maxFilters:
		return firstRead(ctx, stream, filters, from)
	}
	var first mesh.OldestWaiting
	for _, filter := range filters {
		msg, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return first, err
		}
		if first.Sequence == 0 || msg.Sequence < first.Sequence {
			first = mesh.OldestWaiting{Sequence: msg.Sequence, Stored: msg.Time}
		}
	}
	return first, nil
}

// readWait bounds the wait for a message that the server has.
const readWait = time.Second

// firstRead finds it for many filters, by a consumer that is there for that alone.
func firstRead(ctx context.Context, stream jetstream.Stream, filters []string, from uint64) (mesh.OldestWaiting, error) {
	var first mesh.OldestWaiting
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, FilterSubjects: filters, HeadersOnly: true,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return first, err
	}
	defer stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) //nolint:errcheck // it ends by itself
	if consumer.CachedInfo().NumPending == 0 {
		return first, nil
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(readWait))
	if err != nil {
		return first, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return first, err
	}
	return mesh.OldestWaiting{Sequence: meta.Sequence.Stream, Stored: meta.Timestamp}, nil
}
