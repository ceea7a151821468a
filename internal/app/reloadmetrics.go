package app

import "github.com/prometheus/client_golang/prometheus"

// reloadMetrics tell whether the edits of streams.json are in force.
type reloadMetrics struct {
	results    *prometheus.CounterVec
	successful prometheus.Gauge
	success    prometheus.Gauge
}

// The results of a reload.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

func newReloadMetrics(r prometheus.Registerer) *reloadMetrics {
	m := &reloadMetrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_config_reloads_total",
			Help: "Edits of streams.json, and orders to read it again, that were applied or refused. What is refused for something that may end is tried again and counts each time.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "genmesh_config_last_reload_successful",
			Help: "1 while the streams.json in force is the one that was read last, 0 while that one is refused.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "genmesh_config_last_reload_success_timestamp_seconds",
			Help: "When this process took over a streams.json last, its start included.",
		}),
	}
	for _, result := range []string{reloadApplied, reloadRefused} {
		m.results.WithLabelValues(result) // so that each is there from the start
	}
	r.MustRegister(m.results, m.successful, m.success)
	m.took() // that which the process begins with
	return m
}

// took notes that the process took a streams.json over.
func (m *reloadMetrics) took() {
	m.successful.Set(1)
	m.success.SetToCurrentTime()
}

func (m *reloadMetrics) applied() {
	m.results.WithLabelValues(reloadApplied).Inc()
	m.took()
}

func (m *reloadMetrics) refused() {
	m.results.WithLabelValues(reloadRefused).Inc()
	m.successful.Set(0)
}
