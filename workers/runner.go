package workers

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

// Burier keeps what can't be delivered. Bury returns once the dead letter is stored, and burying
// the same event of the same subscriber again changes nothing.
type Burier interface {
	Bury(ctx context.Context, letter mesh.DeadLetter) error
}

// Shaper makes of an event what the subscriber gets of it. It reports false if the subscriber does not
// get it at all, and why. A Permanent error makes the event a dead letter now; any other counts as an attempt.
type Shaper interface {
	Shape(ctx context.Context, event mesh.Event) (shaped mesh.Event, gets bool, why string, err error)
}

// Recorder keeps how deliveries ended. Record must not block.
type Recorder interface {
	Record(d mesh.Delivery, partition string)
}

// Options is what a Runner needs.
type Options struct {
	JetStream  jetstream.JetStream
	Subscriber mesh.Subscriber
	// ReplayStream is where dead letters are replayed to the subscriber: see
	// mesh.Topology.Replays. With "" the runner serves no replays.
	ReplayStream string
	Handler      Handler
	// Shape is applied to each event before the handler; nil leaves events as they are.
	Shape       Shaper
	DeadLetters Burier
	// Records may be nil.
	Records Recorder
	// Crew settles which of the subscriber's consumers are served here. All runners of a process
	// should share one, and its connection; with nil the runner makes its own.
	Crew    *Crew
	Logger  logrus.FieldLogger
	Metrics *Metrics
	// Tracing makes a span of each attempt and of each burial, in the trace that the event carries; nil makes none.
	Tracing trace.TracerProvider
	// Grace is how long a runner that was told to end goes on with the events that it holds,
	// before it gives them back. Default 15 s.
	Grace time.Duration
}

const defaultGrace = 15 * time.Second

// Runner serves one subscriber in one process: it takes events from those of the subscriber's durable
// push consumers that are this process' to serve, live ones and replays, and brings each to its end.
//
// It holds an event from its arrival until its fate is settled, retries included, and keeps it
// alive at the server meanwhile. So the events of one interaction, which wait behind each other
// in a lane, keep their order, and only what a process lost or gave back is delivered again.
// What a runner holds is bounded by the max_ack_pending of each consumer.
type Runner struct {
	Options
	log       logrus.FieldLogger
	metrics   *subscriberMetrics
	tracing   tracing
	turnstile *turnstile
	standing  *standing

	mu       sync.Mutex
	held     map[place]*delivery
	lanes    map[string]*lane
	finished *finished
	lags     map[*binding]uint64
	unseen   map[string]bool // streams where no consumer of the subscriber was found
}

// NewRunner makes a runner; Run starts it.
func NewRunner(o Options) *Runner {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	s := o.Subscriber
	r := &Runner{
		Options: o,
		log: o.Logger.WithFields(logrus.Fields{
			"component": "worker", "subscriber": s.Name, "stream": s.Stream,
		}),
		metrics:  o.Metrics.of(s.Name),
		tracing:  newTracing(o.Tracing, s),
		standing: newStanding(),
		held:     make(map[place]*delivery),
		lanes:    make(map[string]*lane),
		lags:     make(map[*binding]uint64),
		unseen:   make(map[string]bool),
		finished: newFinished(),
	}
	r.turnstile = newTurnstile(s, newBreaker(s, r.breakerChanged))
	return r
}

// Run serves the subscriber until ctx ends. Then it takes no more events, brings those under
// way to their end within the grace period, gives the rest back to the server and returns.
func (r *Runner) Run(ctx context.Context) error {
	crew := r.Crew
	if crew == nil {
		crew = NewCrew(CrewOptions{JetStream: r.JetStream, Logger: r.Logger})
		alone, end := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = crew.Run(alone) // it has no error of its own
		}()
		defer func() { end(); <-ended }()
	}
	crew.attach(r)
	keeping, end := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	kept.Go(func() { r.standing.keep(keeping, r, crew) })
	<-ctx.Done()
	crew.detach(r)
	end()
	kept.Wait()
	return nil
}

// streams are where the subscriber has consumers.
func (r *Runner) streams() []string {
	if r.ReplayStream == "" {
		return []string{r.Subscriber.Stream}
	}
	return []string{r.Subscriber.Stream, r.ReplayStream}
}

// Idler is a Handler that may hold what another process needs to serve the subscriber, such as the lock of
// a file. Idle is called when nothing of the subscriber is served by this process any more, before
// another one takes over; the next Handle is served again.
type Idler interface{ Idle() }

func (r *Runner) idle() {
	r.metrics.waiting.Set(0) // whoever serves it now tells
	r.metrics.breaker(false)
	if h, ok := r.Handler.(Idler); ok {
		h.Idle()
	}
}

// seen notes whether the subscriber has consumers in a stream, and says once that it has none.
func (r *Runner) seen(stream string, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stream != r.Subscriber.Stream && stream != r.ReplayStream || r.unseen[stream] == !is {
		return
	}
	r.unseen[stream] = !is
	if !is {
		r.log.Warnf("stream %s has no consumer for the subscriber: run genmesh apply; it is served as soon as there is one", stream)
	}
}

// countLag sums up what the subscriber's consumers that are served here have left; the caller holds the lock.
func (r *Runner) countLag(b *binding) {
	r.lags[b] = b.lag
	sum := uint64(0)
	for _, lag := range r.lags {
		sum += lag
	}
	r.metrics.lag.Set(float64(sum))
}

// forgetLag drops a consumer that is no longer served here.
func (r *Runner) forgetLag(b *binding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.lags[b]; !ok {
		return
	}
	b.lag = 0
	r.countLag(b)
	delete(r.lags, b)
}

// breakerChanged says once that the breaker opened or closed, and has its state kept.
func (r *Runner) breakerChanged(s mesh.BreakerState) {
	r.metrics.breaker(s.Open)
	switch {
	case s.Open && s.Probes == 0:
		r.log.WithField("last_error", s.Error).Error("the target has failed for a while: the breaker is open, and one event at a time tries until one is taken")
	case !s.Open:
		r.log.Info("the target answers again: the breaker is closed")
	}
	r.standing.setBreaker(s)
}
