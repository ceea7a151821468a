package schema

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// WatcherOptions is what a Watcher is made of.
type WatcherOptions struct {
	// Source names the source in the log and in the metrics.
	Source string
	// Learn calls look for events that were stored before, the oldest first, so that a process that
	// starts anew does not take for new what is not; nil if there is nothing to learn from.
	Learn  func(ctx context.Context, look func(eventType, content string, at time.Time)) error
	Logger logrus.FieldLogger
	// Metrics may be nil.
	Metrics *Metrics
}

// Watcher reports once, in the log and in a metric, when the events of a source begin to look
// different. It costs who hands it an event next to nothing: events are looked at by Run, and are
// let go if too many wait. Observe is safe for concurrent use.
type Watcher struct {
	options WatcherOptions
	log     logrus.FieldLogger
	catalog *Catalog
	waiting chan observed
	bytes   atomic.Int64 // of what waits
}

// observed is an event to look at.
type observed struct{ eventType, content string }

const (
	maxWaiting      = 256
	maxWaitingBytes = 8 << 20
)

// NewWatcher makes a watcher; it looks at nothing before Run.
func NewWatcher(o WatcherOptions) *Watcher {
	return &Watcher{
		options: o, log: o.Logger.WithField("source", o.Source), catalog: NewCatalog(), waiting: make(chan observed, maxWaiting),
	}
}

// Observe hands over an event. It never blocks. Content is valid JSON without a name twice, and is kept
// for a while with all that it is a part of.
func (w *Watcher) Observe(eventType, content string) {
	if len(w.waiting) == cap(w.waiting) {
		return
	}
	size := int64(len(content))
	if w.bytes.Add(size) > maxWaitingBytes {
		w.bytes.Add(-size)
		return
	}
	select {
	case w.waiting <- observed{eventType, content}:
	default:
		w.bytes.Add(-size)
	}
}

// Run learns from what was stored, and then looks at the events that are handed over, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.learn(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.waiting:
			w.bytes.Add(-int64(len(e.content)))
			for _, c := range w.catalog.Look(e.eventType, e.content, time.Now()) {
				w.report(c)
			}
		}
	}
}

// learn reads what was stored. What changed then was reported then.
func (w *Watcher) learn(ctx context.Context) {
	if w.options.Learn == nil {
		return
	}
	err := w.options.Learn(ctx, func(eventType, content string, at time.Time) {
		w.catalog.Look(eventType, content, at)
	})
	if err != nil && ctx.Err() == nil {
		w.log.WithError(err).Warn("what events look like can't be learned from the stored ones; it is learned from those that come")
	}
}

func (w *Watcher) report(c Change) {
	w.options.Metrics.changed(w.options.Source, c.Kind)
	log := w.log.WithFields(logrus.Fields{"type": c.EventType, "change": string(c.Kind), "field": c.Pointer, "was": c.Was, "is": c.Is})
	if c.Pointer == "" && c.Kind == New {
		log.Warn("there is a new event type")
		return
	}
	log.Warn("the events look different: see genmesh schema drift")
}

// Metrics are those of all watchers of a process. A nil *Metrics counts nothing.
type Metrics struct{ changes *prometheus.CounterVec }

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "genmesh_ingress_schema_changes_total",
		Help: "Fields of a source's events that are new, have vanished or have another type than before.",
	}, []string{"source", "change"})}
	registerer.MustRegister(m.changes)
	return m
}

func (m *Metrics) changed(source string, kind ChangeKind) {
	if m != nil {
		m.changes.WithLabelValues(source, string(kind)).Inc()
	}
}
