package workers

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/genmesh/genmesh/mesh"
)

// Metrics count what the workers of one process do. Labels come from streams.json and closed
// sets only.
type Metrics struct {
	attempts *prometheus.CounterVec
	deaths   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	held     *prometheus.GaugeVec
	lag      *prometheus.GaugeVec
	stranded *prometheus.GaugeVec
	breakers *prometheus.GaugeVec
	waiting  *prometheus.GaugeVec
	served   *prometheus.GaugeVec
	ends     *prometheus.GaugeVec // of certificates

	faultsMu sync.Mutex
	faults   map[string]*faults // by subscriber
}

// The outcomes of an attempt.
const (
	outcomeDelivered = "delivered"
	outcomeFailed    = "failed"
	outcomeRejected  = "rejected"
	outcomeWaits     = "waits"
	outcomeReturned  = "returned"
	outcomePassed    = "passed"
)

// NewMetrics registers the workers' metrics; a nil Registerer keeps them private.
func NewMetrics(r prometheus.Registerer) *Metrics {
	subscriber := []string{"subscriber"}
	m := &Metrics{
		faults: make(map[string]*faults),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_worker_attempts_total",
			Help: "Attempts to hand an event to a target, by outcome.",
		}, []string{"subscriber", "outcome"}),
		deaths: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_worker_dead_letters_total",
			Help: "Events that became dead letters, by reason.",
		}, []string{"subscriber", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "genmesh_worker_attempt_seconds",
			Help:    "How long a target took for one attempt.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, subscriber),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_worker_held_events",
			Help: "Events in this process' hands: under way, waiting for a retry or for their turn.",
		}, subscriber),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_worker_lag_events",
			Help: "Events that the consumers of the subscriber that this process serves have not settled yet.",
		}, subscriber),
	}
	m.stranded = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "genmesh_worker_stranded_events",
		Help: "Events that ended without a word and without a dead letter; anything but 0 is an alarm.",
	}, subscriber)
	m.breakers = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "genmesh_worker_breaker_open",
		Help: "1 while the subscriber's target has failed for so long that one event at a time tries.",
	}, subscriber)
	m.waiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "genmesh_worker_waiting",
		Help: "1 while the subscriber waits because its target asks for air or can't be used, until it takes an event.",
	}, subscriber)
	m.served = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "genmesh_worker_served_consumers",
		Help: "Consumers of the subscriber that this process serves.",
	}, subscriber)
	m.ends = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "genmesh_worker_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of a subscriber's target, or the client's that it is shown, ends to be valid: as of the newest connection.",
	}, []string{"subscriber", "use"})
	if r != nil {
		r.MustRegister(m.ends, m.attempts, m.deaths, m.seconds, m.held, m.lag, m.stranded, m.breakers, m.waiting, m.served)
	}
	return m
}

// NoteCertificate tells when a certificate ends to be valid; use is of a closed set.
func (m *Metrics) NoteCertificate(subscriber, use string, ends time.Time) {
	m.ends.WithLabelValues(subscriber, use).Set(float64(ends.Unix()))
}

// ForgetCertificates forgets those of a subscriber that is not served here any more: an alarm about one would never end.
func (m *Metrics) ForgetCertificates(subscriber string) {
	m.ends.DeletePartialMatch(prometheus.Labels{"subscriber": subscriber})
}

// subscriberMetrics are the metrics of one subscriber.
type subscriberMetrics struct {
	all       *Metrics
	name      string
	seconds   prometheus.Observer
	held, lag prometheus.Gauge
	waiting   prometheus.Gauge
	faults    *faults
}

func (m *Metrics) of(subscriber string) *subscriberMetrics {
	return &subscriberMetrics{
		all: m, name: subscriber,
		seconds: m.seconds.WithLabelValues(subscriber),
		held:    m.held.WithLabelValues(subscriber),
		lag:     m.lag.WithLabelValues(subscriber),
		waiting: m.waiting.WithLabelValues(subscriber),
		faults:  m.faultsOf(subscriber),
	}
}

func (m *subscriberMetrics) outcome(outcome string) {
	m.all.attempts.WithLabelValues(m.name, outcome).Inc()
}

func (m *subscriberMetrics) breaker(open bool) {
	value := 0.0
	if open {
		value = 1
	}
	m.all.breakers.WithLabelValues(m.name).Set(value)
}

func (m *subscriberMetrics) serves(n int) { m.all.served.WithLabelValues(m.name).Set(float64(n)) }

func (m *subscriberMetrics) dead(reason mesh.DeadReason) {
	m.all.deaths.WithLabelValues(m.name, string(reason)).Inc()
}
