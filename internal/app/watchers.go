package app

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// watchers notice when the events of the sources begin to look different. A source that reads its
// events as before keeps its watcher over a reload.
type watchers struct {
	js      jetstream.JetStream
	log     logrus.FieldLogger
	metrics *schema.Metrics

	mu       sync.Mutex
	bySource map[string]*watcher
	running  context.Context // nil while Run does not
	ended    sync.WaitGroup
}

type watcher struct {
	*schema.Watcher
	source mesh.Source
	stop   context.CancelFunc // nil if it does not run
}

// learnedEvents is from how many stored events a starting watcher learns.
const learnedEvents = 2000

// Run looks at events until ctx ends.
func (w *watchers) Run(ctx context.Context) error {
	w.mu.Lock()
	w.running = ctx
	for _, one := range w.bySource {
		w.start(one)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.running = nil
	w.mu.Unlock()
	w.ended.Wait()
	return nil
}

// start runs a watcher; the caller holds the lock.
func (w *watchers) start(one *watcher) {
	ctx, cancel := context.WithCancel(w.running)
	one.stop = cancel
	w.ended.Go(func() { _ = one.Watcher.Run(ctx) }) // it has no error of its own
}

// Update makes the watchers those of the sources; if it fails, nothing changed.
func (w *watchers) Update(sources []mesh.Source) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make(map[string]*watcher, len(sources))
	for _, s := range sources {
		if before := w.bySource[s.Name]; before != nil && readsAlike(before.source, s) {
			next[s.Name] = before
			continue
		}
		reader, err := ingress.NewReader(s)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		next[s.Name] = &watcher{source: s, Watcher: schema.NewWatcher(schema.WatcherOptions{
			Source: s.Name, Logger: w.log, Metrics: w.metrics, Learn: w.learner(s, reader),
		})}
	}
	for name, one := range w.bySource {
		if next[name] != one && one.stop != nil {
			one.stop()
		}
	}
	for name, one := range next {
		if w.bySource[name] != one && w.running != nil {
			w.start(one)
		}
	}
	w.bySource = next
	return nil
}

// readsAlike reports whether two sources find the same content and type in the same event.
func readsAlike(a, b mesh.Source) bool {
	return a.Stream == b.Stream && a.Subject == b.Subject && reflect.DeepEqual(a.Identity, b.Identity)
}

// learner reads the latest events of a source.
func (w *watchers) learner(s mesh.Source, reader *ingress.Reader) func(context.Context, func(eventType, content string)) error {
	return func(ctx context.Context, look func(eventType, content string)) error {
		for e, err := range mesh.StoredEvents(ctx, w.js, &s, mesh.Stored{Last: learnedEvents}) {
			if err != nil {
				return err
			}
			for _, reading := range reader.Reread(e) {
				if reading.Content != "" {
					look(reading.Event.Type, reading.Content)
				}
			}
		}
		return nil
	}
}

// observer is that of a source that Update was told of.
func (w *watchers) observer(source string) ingress.Observer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bySource[source]
}
