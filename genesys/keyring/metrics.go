package keyring

import "github.com/prometheus/client_golang/prometheus"

// Metrics are those of all keyrings of a process. A nil *Metrics counts nothing.
type Metrics struct {
	keyCount, newest             *prometheus.GaugeVec
	fetchCount, unconfirmedCount *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		keyCount: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_ingress_keys",
			Help: "Keys that verify a source's deliveries: current ones, and previous ones that are still valid.",
		}, []string{"source", "state"}),
		newest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_ingress_key_newest_timestamp_seconds",
			Help: "When the newest key of a source was seen first.",
		}, []string{"source"}),
		fetchCount: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_key_fetches_total",
			Help: "Fetches from the key service: changed, unchanged or failed.",
		}, []string{"source", "outcome"}),
		unconfirmedCount: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_ingress_key_unconfirmed_total",
			Help: "Deliveries that no known key signed and that were asked to come again, for the keys could not be looked at.",
		}, []string{"source"}),
	}
	registerer.MustRegister(m.keyCount, m.newest, m.fetchCount, m.unconfirmedCount)
	return m
}

func (m *Metrics) keys(source string, s State) {
	if m == nil {
		return
	}
	m.keyCount.WithLabelValues(source, "current").Set(float64(s.Current))
	m.keyCount.WithLabelValues(source, "previous").Set(float64(s.Previous))
	if !s.Newest.IsZero() {
		m.newest.WithLabelValues(source).Set(float64(s.Newest.Unix()))
	}
}

func (m *Metrics) fetched(source, outcome string) {
	if m != nil {
		m.fetchCount.WithLabelValues(source, outcome).Inc()
	}
}

func (m *Metrics) unconfirmed(source string) {
	if m != nil {
		m.unconfirmedCount.WithLabelValues(source).Inc()
	}
}

// Forget drops the gauges of a source that is no longer there. Its counters stay what they are.
func (m *Metrics) Forget(source string) {
	if m != nil {
		m.keyCount.DeletePartialMatch(prometheus.Labels{"source": source})
		m.newest.DeleteLabelValues(source)
	}
}
