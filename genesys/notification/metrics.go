package notification

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of all bridges of a process. A nil *Metrics counts nothing.
type Metrics struct {
	sockets, waiting                        *prometheus.GaugeVec
	received, forwarded, dropped, failures  *prometheus.CounterVec
	reconnects, connectFailures, gapSeconds *prometheus.CounterVec
}

// Why a frame was dropped.
const (
	droppedOverflow = "overflow"  // newer ones took its place in the queue
	droppedRefused  = "refused"   // the source does not want it
	droppedTooLarge = "too_large" // above MaxFrameBytes
	droppedShutdown = "shutdown"  // the grace period was over
)

// Why a socket followed another.
const (
	afterLoss    = "lost"
	afterSilence = "silent"
	afterNotice  = "closing"
	afterRenewal = "renewal"
)

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	bySource := []string{"source"}
	m := &Metrics{
		sockets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_notifications_sockets",
			Help: "Sockets to the notification service that are open: 1, 2 while one follows another, and 0 while events are being lost.",
		}, bySource),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "genmesh_notifications_waiting_frames",
			Help: "Frames of the notification service that wait to be forwarded.",
		}, bySource),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_received_total",
			Help: "Frames that the notification service sent, without heartbeats and notices.",
		}, bySource),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_forwarded_total",
			Help: "Frames that the source took.",
		}, bySource),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_dropped_total",
			Help: "Frames that are lost: overflow, refused, too_large or shutdown.",
		}, []string{"source", "reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_forward_failures_total",
			Help: "Attempts to forward a frame that failed and are made again.",
		}, bySource),
		reconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_reconnects_total",
			Help: "Sockets that followed another: after it was lost or silent, was announced to be closing, or for renewal.",
		}, []string{"source", "reason"}),
		connectFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_connect_failures_total",
			Help: "Attempts to open a socket that failed.",
		}, bySource),
		gapSeconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "genmesh_notifications_gap_seconds_total",
			Help: "Seconds without a socket. What happened in them is lost for good.",
		}, bySource),
	}
	registerer.MustRegister(m.sockets, m.waiting, m.received, m.forwarded, m.dropped, m.failures, m.reconnects, m.connectFailures, m.gapSeconds)
	return m
}

// Forget drops the gauges of a source that no longer has a bridge. Its counters stay what they are.
func (m *Metrics) Forget(source string) {
	if m != nil {
		m.sockets.DeleteLabelValues(source)
		m.waiting.DeleteLabelValues(source)
	}
}

// sourceMetrics are the metrics of one source.
type sourceMetrics struct {
	*Metrics
	source string
}

func (m sourceMetrics) socket(opened float64) {
	if m.Metrics != nil {
		m.sockets.WithLabelValues(m.source).Add(opened)
	}
}

func (m sourceMetrics) wait(frames int) {
	if m.Metrics != nil {
		m.waiting.WithLabelValues(m.source).Add(float64(frames))
	}
}

func (m sourceMetrics) receive() {
	if m.Metrics != nil {
		m.received.WithLabelValues(m.source).Inc()
	}
}

func (m sourceMetrics) forward() {
	if m.Metrics != nil {
		m.forwarded.WithLabelValues(m.source).Inc()
	}
}

func (m sourceMetrics) drop(reason string, frames int) {
	if m.Metrics != nil {
		m.dropped.WithLabelValues(m.source, reason).Add(float64(frames))
	}
}

func (m sourceMetrics) forwardFailed() {
	if m.Metrics != nil {
		m.failures.WithLabelValues(m.source).Inc()
	}
}

func (m sourceMetrics) reconnect(reason string) {
	if m.Metrics != nil {
		m.reconnects.WithLabelValues(m.source, reason).Inc()
	}
}

func (m sourceMetrics) connectFailed() {
	if m.Metrics != nil {
		m.connectFailures.WithLabelValues(m.source).Inc()
	}
}

func (m sourceMetrics) gap(lasted time.Duration) {
	if m.Metrics != nil {
		m.gapSeconds.WithLabelValues(m.source).Add(lasted.Seconds())
	}
}
