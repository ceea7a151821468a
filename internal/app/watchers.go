package app

import (
	"context"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// watchers notice when the events of the sources begin to look different.
type watchers struct {
	perSource[*schema.Watcher]
	js      jetstream.JetStream
	log     logrus.FieldLogger
	metrics *schema.Metrics
}

// learnedEvents is from how many stored events a starting watcher learns.
const learnedEvents = 2000

// Update makes the watchers those of the sources; if it fails, nothing changed.
func (w *watchers) Update(sources []mesh.Source) error {
	return w.update(sources, w.watcher, func(string) {})
}

func (w *watchers) watcher(s mesh.Source, before *sourcePart[*schema.Watcher]) (*schema.Watcher, error) {
	if before != nil && readsAlike(before.source, s) {
		return before.part, nil
	}
	reader, err := ingress.NewReader(s)
	if err != nil {
		return nil, err
	}
	return schema.NewWatcher(schema.WatcherOptions{Source: s.Name, Logger: w.log, Metrics: w.metrics, Learn: w.learner(s, reader)}), nil
}

// readsAlike reports whether two sources find the same content and type in the same event.
func readsAlike(a, b mesh.Source) bool {
	return a.Stream == b.Stream && a.Subject == b.Subject && reflect.DeepEqual(a.Identity, b.Identity)
}

// learner reads the latest events of a source.
func (w *watchers) learner(s mesh.Source, reader *ingress.Reader) func(context.Context, func(eventType, content string, at time.Time)) error {
	return func(ctx context.Context, look func(eventType, content string, at time.Time)) error {
		for e, err := range mesh.StoredEvents(ctx, w.js, &s, mesh.Stored{Last: learnedEvents}) {
			if err != nil {
				return err
			}
			if e.Notice != "" {
				continue // genmesh's own, and nothing that the source sends
			}
			for _, reading := range reader.Reread(e) {
				if reading.Content != "" {
					look(reading.Event.Type, reading.Content, e.Received)
				}
			}
		}
		return nil
	}
}

// observer is that of a source that Update was told of.
func (w *watchers) observer(source string) ingress.Observer {
	one, _ := w.of(source)
	return one
}
