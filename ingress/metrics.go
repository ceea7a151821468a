package ingress

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics has labels from the configuration and from closed sets only.
type metrics struct {
	requests          *prometheus.CounterVec
	signatureFailures *prometheus.CounterVec
	quarantined       *prometheus.CounterVec
	seconds           *prometheus.HistogramVec
	inFlight          *prometheus.GaugeVec
	bodyBytes         *prometheus.CounterVec
}

// noSource is the source label of requests that no route takes. No source can be named so.
const noSource = "-"

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_requests_total",
			Help: "Requests by source and what became of them.",
		}, []string{"source", "outcome"}),
		signatureFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_signature_failures_total",
			Help: "Requests refused for their signature: missing, several, malformed, mismatch, expired, claims or uncovered.",
		}, []string{"source", "reason"}),
		quarantined: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_quarantined_total",
			Help: "Events that were put into quarantine, by why they could not go on their way. A redelivery of one that is there does not count.",
		}, []string{"source", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "genmesh_ingress_seconds",
			Help:    "Time from a request's headers to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_ingress_in_flight",
			Help: "Requests under way.",
		}, []string{"source"}),
		bodyBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_body_bytes_total",
			Help: "Bytes of bodies that were read whole.",
		}, []string{"source"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.signatureFailures, m.quarantined, m.seconds, m.inFlight, m.bodyBytes} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of ingress: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(source, outcome string, took time.Duration) {
	m.requests.WithLabelValues(source, outcome).Inc()
	m.seconds.WithLabelValues(source).Observe(took.Seconds())
}
