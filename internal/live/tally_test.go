package live

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// process is one that a test starts, and that counts as the real ones do.
type process struct {
	t        testing.TB
	id       string
	up       time.Duration
	registry *prometheus.Registry
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	errors   map[string][]Error
}

func startProcess(t testing.TB, id string, up time.Duration) *process {
	p := &process{
		t: t, id: id, up: up, registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: attemptsMetric}, []string{"subscriber", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: callsMetric, Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"subscriber"}),
	}
	p.registry.MustRegister(p.attempts, p.seconds)
	return p
}

func (p *process) deliver(subscriber string, events float64) {
	p.attempts.WithLabelValues(subscriber, "delivered").Add(events)
	p.seconds.WithLabelValues(subscriber).Observe(0.1)
}

func (p *process) report() Report {
	p.t.Helper()
	families, err := p.registry.Gather()
	require.NoError(p.t, err)
	return Report{Process: p.id, Up: p.up, Families: families, Errors: p.errors}
}

func anybody(string, string) bool { return true }

var delivered = counted{attemptsMetric, "crm", "delivered"}

func TestProcessesThatComeAndGoMakeNoRateHugeOrNegative(t *testing.T) {
	sums := newTally()
	now := time.Now()
	sample := func(processes ...*process) float64 {
		now = now.Add(2 * time.Second)
		var reports []Report
		for _, p := range processes {
			p.up += 2 * time.Second
			reports = append(reports, p.report())
		}
		sums.count(reports, anybody, now)
		return sums.rates[delivered]
	}
	old, other := startProcess(t, "old", time.Hour), startProcess(t, "other", time.Hour)
	old.deliver("crm", 1e6)
	assert.Zero(t, sample(old), "what was counted before anybody looked is no rate")
	assert.EqualValues(t, 1e6, sums.totals[delivered])

	old.deliver("crm", 20)
	other.deliver("crm", 5e6)
	assert.EqualValues(t, 10, sample(old, other), "one that was silent till now may have counted for long")

	fresh := startProcess(t, "fresh", 0)
	fresh.deliver("crm", 40)
	old.deliver("crm", 20)
	assert.EqualValues(t, 30, sample(old, other, fresh), "all that one counts that began just now is new")

	old.deliver("crm", 20)
	assert.Zero(t, sample(other, fresh), "one that died counts no more")
	assert.EqualValues(t, 5e6+40, sums.totals[delivered])

	old.deliver("crm", 40)
	assert.EqualValues(t, 15, sample(old, other, fresh), "what came while it was not heard is spread over that time")

	again := startProcess(t, "again", 0)
	again.deliver("crm", 2)
	assert.EqualValues(t, 1, sample(again), "one that was started again begins with nothing, and is another one")
	assert.EqualValues(t, 2, sums.totals[delivered])
	assert.Equal(t, 1, sums.answered)
}

func TestOneProcessRemembersNoOtherForEver(t *testing.T) {
	sums := newTally()
	now := time.Now()
	for i := range 100 {
		now = now.Add(10 * time.Second)
		sums.count([]Report{startProcess(t, fmt.Sprint(i), time.Hour).report()}, anybody, now)
	}
	assert.LessOrEqual(t, len(sums.processes), int(remembered/(10*time.Second))+1)
}

func TestOnlyNamesOfTheConfigurationAreCounted(t *testing.T) {
	p := startProcess(t, "a", time.Hour)
	p.deliver("crm", 1)
	p.deliver("gone", 1)
	got := readCounts(p.report().Families, func(of, name string) bool { return of == "subscriber" && name == "crm" })
	assert.Equal(t, map[counted]float64{delivered: 1}, got.values)
	assert.Len(t, got.histograms, 1)
}

func TestErrorsOfSeveralProcessesAreTogether(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	down := func(first, last int, count, sequence uint64) Error {
		return Error{Class: "failed", Status: 503, Text: "down", Count: count, First: at(first), Last: at(last), Sequence: sequence}
	}
	refused := Error{Class: "rejected", Status: 422, Text: "no", Count: 1, First: at(9), Last: at(9)}
	of := mergedErrors([]Report{
		{Errors: map[string][]Error{"crm": {down(3, 8, 2, 8)}}},
		{Errors: map[string][]Error{"crm": {refused, down(1, 5, 3, 5)}, "wfm": {down(1, 1, 1, 1)}}},
	})
	assert.Equal(t, []Error{refused, down(1, 8, 5, 8)}, of["crm"])
	assert.Len(t, of["wfm"], 1)

	var many []Report
	for i := range 100 {
		many = append(many, Report{Errors: map[string][]Error{"crm": {{Text: fmt.Sprint(i), Count: 1, Last: at(i)}}}})
	}
	assert.Len(t, mergedErrors(many)["crm"], maxErrors)
}

func TestAHistogramThatMakesNoSenseIsLeftOut(t *testing.T) {
	bucket := func(bound float64, n uint64) *dto.Bucket {
		return &dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(n)}
	}
	for name, h := range map[string]*dto.Histogram{
		"none":         nil,
		"no buckets":   {SampleCount: proto.Uint64(3)},
		"no order":     {Bucket: []*dto.Bucket{bucket(2, 1), bucket(1, 2)}},
		"no number":    {Bucket: []*dto.Bucket{bucket(1, 1), bucket(math.NaN(), 2)}},
		"below zero":   {Bucket: []*dto.Bucket{bucket(math.Inf(-1), 1), bucket(1, 2)}},
		"counts sink":  {Bucket: []*dto.Bucket{bucket(1, 2), bucket(2, 1)}},
		"only the sum": {Bucket: []*dto.Bucket{bucket(math.Inf(1), 2)}},
	} {
		assert.Empty(t, readHistogram(h).bounds, name)
	}
	fits := readHistogram(&dto.Histogram{SampleCount: proto.Uint64(4), Bucket: []*dto.Bucket{bucket(1, 1), bucket(2, 3), bucket(math.Inf(1), 4)}})
	assert.Equal(t, histogram{[]float64{1, 2}, []float64{1, 2, 1}}, fits)
}

func FuzzCounts(f *testing.F) {
	p := startProcess(f, "a", time.Hour)
	p.deliver("crm", 1)
	for _, family := range p.report().Families {
		raw, err := proto.Marshal(family)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var family dto.MetricFamily
		if proto.Unmarshal(raw, &family) != nil {
			return
		}
		sums := newTally()
		now := time.Now()
		for range 3 {
			now = now.Add(time.Second)
			sums.count([]Report{{Process: "a", Families: []*dto.MetricFamily{&family}}}, anybody, now)
			for what, rate := range sums.rates {
				assert.GreaterOrEqual(t, rate, 0.0, what)
			}
			for _, h := range sums.grown {
				_, _ = h.latency(), h.buckets()
			}
		}
	})
}
