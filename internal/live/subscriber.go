package live

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// subscriberMeter follows one subscriber: flow up to In by its consumers, the rest by what processes count.
type subscriberMeter struct {
	flow      SubscriberFlow
	consumers map[string]*consumerMark
	latency   window[histogram]
	out       series
	lag       series
	p50       series
	p99       series
	minute    window[outcomes]
}

// consumerMark is how far a consumer was at the sample before.
type consumerMark struct {
	created   time.Time
	pending   uint64
	delivered uint64
	at        time.Time
	first     mesh.OldestWaiting // that it has not settled; zero if there is none, or it is not known yet
	known     lookedUp
}

func newSubscriberMeter() *subscriberMeter { return &subscriberMeter{} }

func (m *subscriberMeter) snapshot() SubscriberFlow {
	flow := m.flow
	flow.OutSeries, flow.LagSeries = m.out.snapshot(), m.lag.snapshot()
	flow.P50Series, flow.P99Series = m.p50.snapshot(), m.p99.snapshot()
	return flow
}

// passage is a stream while its consumers are read, and how much was stored in it since the sample before.
type passage struct {
	stream jetstream.Stream
	meter  *streamMeter
	stored uint64
}

// readConsumers takes in how far the subscribers of a stream are. through is nil where there is no such stream.
func (w *Watcher) readConsumers(t *mesh.Topology, stream string, all []*jetstream.ConsumerInfo, through *passage) {
	now := time.Now()
	of := map[string][]*jetstream.ConsumerInfo{}
	for _, info := range all {
		if served, ok := mesh.ServedBy(info.Config); ok && served.Replay == nil {
			of[served.Subscriber] = append(of[served.Subscriber], info)
		}
	}
	for _, s := range t.Subscribers {
		if s.Stream != stream {
			continue
		}
		m := w.subscribers[s.Name]
		m.readState(of[s.Name], now)
		m.flow.In = m.arrivals(of[s.Name], s, through, now)
		for _, info := range of[s.Name] {
			w.seekOldest(m.consumers[info.Name], info, through)
		}
		m.lag.hold(w.slot(now), float64(m.flow.Waiting+m.flow.InHand))
	}
}

// leastPause is how long a consumer still has to be held back to count as paused: who serves a consumer wakes it by a pause that
// runs out in a moment.
const leastPause = time.Second

func (m *subscriberMeter) readState(consumers []*jetstream.ConsumerInfo, now time.Time) {
	f := &m.flow
	f.Applied, f.Waiting, f.InHand, f.read = len(consumers) > 0, 0, 0, now
	f.Served, f.Paused = f.Applied, f.Applied
	for _, info := range consumers {
		f.Waiting += info.NumPending
		f.InHand += uint64(info.NumAckPending)
		f.Served = f.Served && info.PushBound
		f.Paused = f.Paused && info.Paused && info.PauseRemaining >= leastPause
	}
}

// arrivals is how many events per second became due. Where the subscriber takes all of its stream, that is what was stored. With filters it
// is what its consumers have more to deliver and have delivered; as deliveries that were repeated count there, too, it is never
// more than what was stored.
func (m *subscriberMeter) arrivals(consumers []*jetstream.ConsumerInfo, s mesh.Subscriber, through *passage, now time.Time) float64 {
	marks := make(map[string]*consumerMark, len(consumers))
	came, since := 0.0, time.Time{}
	for _, info := range consumers {
		mark := m.consumers[info.Name]
		if mark == nil || !mark.created.Equal(info.Created) {
			mark = &consumerMark{created: info.Created}
		} else {
			since = mark.at
			more := float64(info.NumPending) + float64(info.Delivered.Consumer) - float64(mark.pending) - float64(mark.delivered)
			came += max(more, 0)
		}
		mark.pending, mark.delivered, mark.at = info.NumPending, info.Delivered.Consumer, now
		marks[info.Name] = mark
	}
	m.consumers = marks
	switch {
	case len(consumers) == 0 || through == nil:
		return 0
	case s.FilterSubject == "" && len(s.FilterSubjects) == 0:
		return through.meter.flow.Stored
	case since.IsZero():
		return 0
	}
	return perSecond(min(came, float64(through.stored)), now.Sub(since))
}
