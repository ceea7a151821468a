package live

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// The metrics that processes count the flow by, and the label that says of which source or subscriber.
const (
	requestsMetric   = "genmesh_ingress_requests_total"
	signaturesMetric = "genmesh_ingress_signature_failures_total"
	answersMetric    = "genmesh_ingress_seconds"
	attemptsMetric   = "genmesh_worker_attempts_total"
	deathsMetric     = "genmesh_worker_dead_letters_total"
	callsMetric      = "genmesh_worker_attempt_seconds"
)

// watchedMetric says which labels of a metric count: of names a source or subscriber, what is "" for a histogram.
func watchedMetric(name string) (metric, of, what string) {
	switch name {
	case requestsMetric:
		return requestsMetric, "source", "outcome"
	case signaturesMetric:
		return signaturesMetric, "source", "reason"
	case answersMetric:
		return answersMetric, "source", ""
	case attemptsMetric:
		return attemptsMetric, "subscriber", "outcome"
	case deathsMetric:
		return deathsMetric, "subscriber", "reason"
	case callsMetric:
		return callsMetric, "subscriber", ""
	}
	return "", "", ""
}

// counted names what is counted: of is a source or subscriber, what a value of the label that tells its kinds apart.
type counted struct{ metric, of, what string }

// counts are what one process has counted so far.
type counts struct {
	values     map[counted]float64
	histograms map[counted]histogram
	seen       time.Time
}

// maxCounts bounds what is taken over from one process.
const maxCounts = 100_000

// tally sums over the processes what they count. What one counted before it was seen first is no rate, unless it began just now; what it
// counted while it was not heard is spread over that time. So processes may come, go and be silent.
type tally struct {
	processes map[string]counts
	answered  int
	errors    map[string][]Error

	totals map[counted]float64
	rates  map[counted]float64 // per second
	gained map[counted]float64 // since the processes were heard before
	grown  map[counted]histogram
	last   time.Time
}

// remembered is how long a process that does not answer is remembered.
const remembered = 5 * time.Minute

func newTally() tally { return tally{processes: map[string]counts{}} }

// count takes in what the processes say; known are the names of sources and subscribers.
func (t *tally) count(reports []Report, known func(of, name string) bool, now time.Time) {
	t.totals, t.rates, t.gained, t.grown = map[counted]float64{}, map[counted]float64{}, map[counted]float64{}, map[counted]histogram{}
	t.answered, t.errors = len(reports), mergedErrors(reports)
	for _, report := range reports {
		t.add(report, known, now)
	}
	maps.DeleteFunc(t.processes, func(_ string, c counts) bool { return now.Sub(c.seen) > remembered })
	t.last = now
}

func (t *tally) add(report Report, known func(of, name string) bool, now time.Time) {
	next := readCounts(report.Families, known)
	next.seen = now
	before, seen := t.processes[report.Process]
	over := now.Sub(before.seen)
	if !seen {
		over = max(report.Up, time.Second)
	}
	t.processes[report.Process] = next
	isNew := !seen && !t.last.IsZero() && report.Up < now.Sub(t.last)+time.Second
	for what, n := range next.values {
		t.totals[what] += n
		if seen || isNew {
			gained := max(n-before.values[what], 0)
			t.rates[what] += perSecond(gained, over)
			t.gained[what] += gained
		}
	}
	if !seen && !isNew {
		return
	}
	for what, h := range next.histograms {
		t.grown[what] = t.grown[what].plus(h.since(before.histograms[what]))
	}
}

// readCounts reads what is watched out of metrics. The names are those of streams.json, or they are left out.
func readCounts(families []*dto.MetricFamily, known func(of, name string) bool) counts {
	c := counts{values: map[counted]float64{}, histograms: map[counted]histogram{}}
	for _, family := range families {
		metric, of, what := watchedMetric(family.GetName())
		if metric == "" {
			continue
		}
		for _, m := range family.GetMetric() {
			key := counted{metric, label(m, of), label(m, what)}
			if !known(of, key.of) || len(c.values)+len(c.histograms) == maxCounts {
				continue
			}
			if what != "" {
				if n := m.GetCounter().GetValue(); n >= 0 && !math.IsInf(n, 1) {
					c.values[key] += n
				}
			} else if h := readHistogram(m.GetHistogram()); len(h.bounds) > 0 {
				c.histograms[key] = h
			}
		}
	}
	return c
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// readHistogram reads one whose buckets count all below their bounds; it is empty if there are too many, or they are in no order.
func readHistogram(from *dto.Histogram) histogram {
	var h histogram
	below := 0.0
	for _, b := range from.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			break
		}
		up, lowest := float64(b.GetCumulativeCount()), 0.0
		if len(h.bounds) > 0 {
			lowest = h.bounds[len(h.bounds)-1]
		}
		if len(h.bounds) == maxBuckets || up < below || !(b.GetUpperBound() > lowest) {
			return histogram{}
		}
		h.bounds, h.counts, below = append(h.bounds, b.GetUpperBound()), append(h.counts, up-below), up
	}
	if len(h.bounds) == 0 {
		return histogram{}
	}
	h.counts = append(h.counts, max(float64(from.GetSampleCount())-below, 0))
	return h
}

// maxErrors bounds the errors of a subscriber.
const maxErrors = 20

// mergedErrors are the latest errors of all processes by subscriber; what several met alike is one.
func mergedErrors(reports []Report) map[string][]Error {
	type kind struct {
		subscriber, class, text string
		status                  int
	}
	merged := map[kind]Error{}
	for _, report := range reports {
		for subscriber, list := range report.Errors {
			for _, e := range list[:min(len(list), maxErrors)] {
				k := kind{subscriber, e.Class, e.Text, e.Status}
				merged[k] = together(merged[k], e)
			}
		}
	}
	of := map[string][]Error{}
	for k, e := range merged {
		of[k.subscriber] = append(of[k.subscriber], e)
	}
	for subscriber, list := range of {
		slices.SortFunc(list, func(a, b Error) int {
			return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Text, b.Text))
		})
		of[subscriber] = list[:min(len(list), maxErrors)]
	}
	return of
}

func together(a, b Error) Error {
	if a.Count == 0 {
		return b
	}
	if a.Last.After(b.Last) {
		a, b = b, a
	}
	b.Count += a.Count
	if a.First.Before(b.First) {
		b.First = a.First
	}
	return b
}
