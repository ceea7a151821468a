package live

import (
	"math"
	"time"
)

// sourceMeter follows one source.
type sourceMeter struct {
	flow     SourceFlow
	latency  window[histogram]
	accepted series
	minute   window[outcomes]
}

func newSourceMeter() *sourceMeter { return &sourceMeter{} }

func (m *sourceMeter) snapshot() SourceFlow {
	flow := m.flow
	flow.AcceptedSeries = m.accepted.snapshot()
	return flow
}

// count takes in what the processes say.
func (w *Watcher) count(reports []Report, now time.Time) {
	w.tally.count(reports, w.isKnown, now)
	for name, m := range w.sources {
		m.flow.Accepted, m.flow.Duplicate, m.flow.Quarantined, m.flow.Rejected = 0, 0, 0, 0
		m.flow.Totals, m.flow.SignatureFailures = nil, nil
		m.latency.turn(now.Sub(w.began))
		m.latency.add(w.tally.grown[counted{answersMetric, name, ""}])
		m.flow.Latency = m.latency.sum().latency()
		m.minute.turn(now.Sub(w.began))
	}
	for name, m := range w.subscribers {
		m.flow.Out, m.flow.Retried, m.flow.Dead = 0, 0, 0
		m.flow.Attempts, m.flow.Errors = nil, w.tally.errors[name]
		m.latency.turn(now.Sub(w.began))
		m.latency.add(w.tally.grown[counted{callsMetric, name, ""}])
		h := m.latency.sum()
		m.flow.Latency, m.flow.Buckets = h.latency(), h.buckets()
		m.minute.turn(now.Sub(w.began))
	}
	w.spread()
	slot := w.slot(now)
	for _, m := range w.sources {
		m.accepted.put(slot, m.flow.Accepted)
		m.flow.LastMinute = m.minute.sum().whole()
	}
	for _, m := range w.subscribers {
		m.flow.Retried = max(m.flow.Retried, 0)
		m.out.put(slot, m.flow.Out)
		m.p50.hold(slot, m.flow.Latency.P50)
		m.p99.hold(slot, m.flow.Latency.P99)
		m.flow.LastMinute = m.minute.sum().whole()
	}
}

func (w *Watcher) isKnown(of, name string) bool {
	if of == "source" {
		return w.sources[name] != nil
	}
	return w.subscribers[name] != nil
}

// spread hands the sums over the processes to those that they are of.
func (w *Watcher) spread() {
	for what, total := range w.tally.totals {
		rate, n := w.tally.rates[what], uint64(math.Round(total))
		gained := w.tally.gained[what]
		switch what.metric {
		case requestsMetric:
			f := &w.sources[what.of].flow
			add(&f.Totals, what.what, n)
			*f.rate(what.what) += rate
			gain(&w.sources[what.of].minute, what.what, gained)
		case signaturesMetric:
			add(&w.sources[what.of].flow.SignatureFailures, what.what, n)
		case attemptsMetric:
			f := &w.subscribers[what.of].flow
			add(&f.Attempts, what.what, n)
			gain(&w.subscribers[what.of].minute, what.what, gained)
			switch what.what {
			case "delivered":
				f.Out += rate
			case "failed", "waits":
				f.Retried += rate
			}
		case deathsMetric:
			f := &w.subscribers[what.of].flow
			f.Dead += rate
			if what.what == "exhausted" {
				f.Retried -= rate // the last attempt is not followed by another
			}
		}
	}
}

func gain(minute *window[outcomes], outcome string, n float64) {
	if n > 0 {
		minute.add(outcomes{outcome: n})
	}
}

func add(to *map[string]uint64, what string, n uint64) {
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[what] += n
}

// rate is where the rate of an outcome of requests belongs: all that is not taken is rejected.
func (f *SourceFlow) rate(outcome string) *float64 {
	switch outcome {
	case "accepted":
		return &f.Accepted
	case "duplicate":
		return &f.Duplicate
	case "quarantined":
		return &f.Quarantined
	}
	return &f.Rejected
}
