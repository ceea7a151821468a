package mesh

import "github.com/prometheus/client_golang/prometheus"

// AcknowledgedMetric is how a process tells the scrubbers of others up to where a stream, its label, must reach.
const AcknowledgedMetric = "genmesh_commit_acknowledged_sequence"

// commitMetrics count what the committers of one process do, by stream.
type commitMetrics struct {
	batchEvents *prometheus.HistogramVec
	seconds     *prometheus.HistogramVec
	refused     *prometheus.CounterVec
	remembered  *prometheus.CounterVec
	repeats     *prometheus.CounterVec
	// acknowledged is for scrubs.
	acknowledged *prometheus.GaugeVec
}

func newCommitMetrics(r prometheus.Registerer) *commitMetrics {
	m := &commitMetrics{
		batchEvents: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "genmesh_commit_batch_events",
			Help:    "Events that were stored by one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, []string{"stream"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "genmesh_commit_seconds",
			Help:    "Time from handing an event to the committer to the acknowledgement of its stream, the wait for the commit before it included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"stream"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_commit_batches_refused_total",
			Help: "Batches that the stream refused whole, such as for one duplicate, and that were halved and tried again.",
		}, []string{"stream"}),
		remembered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_commit_remembered_total",
			Help: "Redeliveries that were answered without asking the stream.",
		}, []string{"stream"}),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_commit_repeats_total",
			Help: "Later events with the key of an earlier one, kept or dropped as the source says.",
		}, []string{"stream", "repeat"}),
		acknowledged: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: AcknowledgedMetric, Help: "Highest sequence that the stream has told this process is stored.",
		}, []string{"stream"}),
	}
	if r != nil {
		r.MustRegister(m.batchEvents, m.seconds, m.refused, m.remembered, m.repeats, m.acknowledged)
	}
	return m
}
