package app

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// fleet serves the subscribers of streams.json, one runner each, and follows its edits: a
// subscriber that did not change is not disturbed.
type fleet struct {
	js      jetstream.JetStream
	targets targetMaker
	grace   time.Duration
	crew    *workers.Crew
	records *workers.Recording
	log     logrus.FieldLogger
	metrics *workers.Metrics
	tracing trace.TracerProvider // nil makes no spans

	mu       sync.Mutex
	topology *mesh.Topology
	changed  chan struct{}
	services map[string]*service
}

// service is a subscriber that is being served.
type service struct {
	subscriber mesh.Subscriber
	target     *target
	replays    string   // the stream of its replays
	headers    passedOn // that its target was made with
	stop       context.CancelFunc
	done       chan struct{}
}

// fleetOptions is what a fleet needs.
type fleetOptions struct {
	js         jetstream.JetStream
	topology   *mesh.Topology
	targets    targetMaker
	grace      time.Duration
	lease      time.Duration
	hosts      bool // the process runs the embedded server
	log        logrus.FieldLogger
	registerer prometheus.Registerer
	metrics    *workers.Metrics
	tracing    trace.TracerProvider
}

func newFleet(o fleetOptions) *fleet {
	f := &fleet{
		js: o.js, targets: o.targets, grace: o.grace, log: o.log, metrics: o.metrics, tracing: o.tracing,
		crew:     workers.NewCrew(workers.CrewOptions{JetStream: o.js, Lease: o.lease, Hosts: o.hosts, Logger: o.log}),
		topology: o.topology, changed: make(chan struct{}, 1), services: make(map[string]*service),
	}
	f.records = workers.NewRecording(o.js, f.current, o.log, o.registerer)
	return f
}

// Run serves the subscribers until ctx ends and they have let go of their events.
func (f *fleet) Run(ctx context.Context) error {
	defer f.stopAll()
	for {
		if err := f.follow(ctx); err != nil {
			return err
		}
		select {
		case <-f.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Update serves the subscribers of t from now on. It returns before the change is complete, for
// a runner that ends first brings its events to their ends.
func (f *fleet) Update(t *mesh.Topology) {
	f.mu.Lock()
	f.topology = t
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Reopen lets every target look at its files again.
func (f *fleet) Reopen() {
	f.mu.Lock()
	services := slices.Collect(maps.Values(f.services))
	f.mu.Unlock()
	for _, s := range services {
		s.target.reopen(f.log)
	}
}

func (f *fleet) current() *mesh.Topology {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topology
}

// follow makes the services what the topology says. Those that change end together, so that a
// slow one does not keep the others waiting.
func (f *fleet) follow(ctx context.Context) error {
	t := f.current()
	wanted := make(map[string]mesh.Subscriber, len(t.Subscribers))
	for _, s := range t.Subscribers {
		wanted[s.Name] = s
	}
	letters, err := mesh.NewDeadLetters(f.js, t)
	if err != nil {
		return err
	}
	f.end(func(s *service) bool {
		w, ok := wanted[s.subscriber.Name]
		return !ok || !reflect.DeepEqual(w, s.subscriber) || s.replays != letters.Stream() || s.headers != passedOnTo(w, t).takenBy(w)
	})
	for _, s := range t.Subscribers {
		if f.services[s.Name] != nil {
			continue
		}
		if err := f.serve(ctx, t, s, letters.Stream()); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) stopAll() { f.end(func(*service) bool { return true }) }

// end stops the chosen services and waits for them.
func (f *fleet) end(chosen func(*service) bool) {
	var ending []*service
	for _, s := range f.services {
		if chosen(s) {
			s.stop()
			ending = append(ending, s)
		}
	}
	for _, s := range ending {
		<-s.done
		f.mu.Lock()
		delete(f.services, s.subscriber.Name)
		f.mu.Unlock()
		f.metrics.ForgetCertificates(s.subscriber.Name)
		f.log.WithField("subscriber", s.subscriber.Name).Info("subscriber is no longer served here")
	}
}

// Bury stores a dead letter in the stream that is theirs now.
func (f *fleet) Bury(ctx context.Context, letter mesh.DeadLetter) error {
	_, err := f.BuryOnce(ctx, letter)
	return err
}

// BuryOnce is that of the same stream.
func (f *fleet) BuryOnce(ctx context.Context, letter mesh.DeadLetter) (first bool, err error) {
	letters, err := mesh.NewDeadLetters(f.js, f.current())
	if err != nil {
		return false, err
	}
	return letters.BuryOnce(ctx, letter)
}

func (f *fleet) serve(ctx context.Context, t *mesh.Topology, s mesh.Subscriber, replays string) error {
	target, err := f.targets.make(s)
	if err != nil {
		return fmt.Errorf("subscriber %s: %w", s.Name, err)
	}
	shape, err := NewShaper(s, f.targets.options.LookupEnv)
	if err != nil {
		return err
	}
	runner := workers.NewRunner(workers.Options{
		JetStream: f.js, Subscriber: s, ReplayStream: replays, Handler: target, Shape: shape, DeadLetters: f, Records: f.records,
		Crew: f.crew, Logger: f.log, Metrics: f.metrics, Tracing: f.tracing, Grace: f.grace,
	})
	// Its own context: follow and Run's end stop it, in the fleet's order.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	service := &service{
		subscriber: s, target: target, replays: replays, headers: passedOnTo(s, t).takenBy(s), stop: cancel, done: make(chan struct{}),
	}
	f.mu.Lock()
	f.services[s.Name] = service
	f.mu.Unlock()
	f.log.WithFields(logrus.Fields{"subscriber": s.Name, "target": target.name}).Info("serving subscriber")
	go func() {
		defer close(service.done)
		_ = runner.Run(ctx) // it has no error of its own: what fails is logged and tried again
		target.close(f.log)
	}()
	return nil
}
