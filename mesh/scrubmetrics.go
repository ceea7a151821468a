package mesh

import "github.com/prometheus/client_golang/prometheus"

// scrubMetrics tell what scrubs found. They are of the mesh and not of the process, but read, which counts what this process has read.
type scrubMetrics struct {
	missing  *prometheus.GaugeVec
	findings *prometheus.GaugeVec
	looked   *prometheus.GaugeVec
	passed   *prometheus.GaugeVec
	read     *prometheus.CounterVec
}

func newScrubMetrics(r prometheus.Registerer) *scrubMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "genmesh_scrub_" + name, Help: help}, append([]string{"stream"}, labels...))
	}
	m := &scrubMetrics{
		missing:  gauge("missing_messages", "Messages that were found lost or damaged and that nobody has accepted, by stream."),
		findings: gauge("findings", "Findings of scrubs that nobody has accepted.", "kind"),
		looked:   gauge("looked_timestamp_seconds", "When the count of the stream was last compared with the one before, as far as it was noted: at least once a minute."),
		passed:   gauge("passed_timestamp_seconds", "When all messages of the stream had been read the last time."),
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_scrub_read_messages_total", Help: "Messages that this process has read to see whether they can be.",
		}, []string{"stream"}),
	}
	if r != nil {
		r.MustRegister(m.missing, m.findings, m.looked, m.passed, m.read)
	}
	return m
}

// show makes the metrics what a report says.
func (m *scrubMetrics) show(report ScrubReport) {
	for _, all := range []*prometheus.GaugeVec{m.missing, m.findings, m.looked, m.passed} {
		all.Reset()
	}
	for _, s := range report.Streams {
		m.missing.WithLabelValues(s.Stream).Set(0)
		if !s.Looked.IsZero() {
			m.looked.WithLabelValues(s.Stream).Set(float64(s.Looked.Unix()))
		}
		if !s.Passed.IsZero() {
			m.passed.WithLabelValues(s.Stream).Set(float64(s.Passed.Unix()))
		}
	}
	for _, f := range report.Findings {
		m.missing.WithLabelValues(f.Stream).Add(float64(f.Lost()))
		m.findings.WithLabelValues(f.Stream, string(f.Kind)).Inc()
	}
}
