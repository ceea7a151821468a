package workers

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// Burier keeps what can't be delivered. Bury returns once the dead letter is stored, and burying
// the same event of the same subscriber again changes nothing.
type Burier interface {
	Bury(ctx context.Context, letter mesh.DeadLetter) error
}

// Options is what a Runner needs.
type Options struct {
	JetStream  jetstream.JetStream
	Subscriber mesh.Subscriber
	// ReplayStream is where dead letters are replayed to the subscriber: see
	// mesh.Topology.Replays. With "" the runner serves no replays.
	ReplayStream string
	Handler      Handler
	DeadLetters  Burier
	Logger       logrus.FieldLogger
	Metrics      *Metrics
	// Grace is how long a runner that was told to end goes on with the events that it holds,
	// before it gives them back. Default 15 s.
	Grace time.Duration
}

const defaultGrace = 15 * time.Second

// Runner serves one subscriber: it takes events from the subscriber's durable push consumer, and
// replays from another, and brings each to its end.
//
// It holds an event from its arrival until its fate is settled, retries included, and keeps it
// alive at the server meanwhile. So the events of one interaction, which wait behind each other
// in a lane, keep their order, and only what a process lost or gave back is delivered again.
// What a runner holds is bounded by the subscriber's max_ack_pending, once for events and once for
// replays.
type Runner struct {
	Options
	log     logrus.FieldLogger
	metrics *subscriberMetrics
	gate    gate
	slots   chan struct{}

	mu       sync.Mutex
	held     map[place]*delivery
	lanes    map[string]*lane
	finished *finished
	lanesRun sync.WaitGroup
	lag      map[string]uint64 // by stream, as last seen
	lastAck  map[string]string // where the newest acknowledgement went, by stream

	// leaving ends when the runner shall take on nothing new; working when it shall stop.
	leaving context.Context
	working context.Context
}

// NewRunner makes a runner; Run starts it.
func NewRunner(o Options) *Runner {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	s := o.Subscriber
	return &Runner{
		Options: o,
		log: o.Logger.WithFields(logrus.Fields{
			"component": "worker", "subscriber": s.Name, "stream": s.Stream,
		}),
		metrics:  o.Metrics.of(s.Name),
		gate:     gate{backoff: s.Backoff},
		slots:    make(chan struct{}, s.MaxInFlight),
		held:     make(map[place]*delivery),
		lanes:    make(map[string]*lane),
		lag:      make(map[string]uint64),
		lastAck:  make(map[string]string),
		finished: newFinished(),
	}
}

// rebindWait is the pause before a lost consumer is bound again.
const rebindWait = time.Second

// Run serves the subscriber until ctx ends. Then it takes no more events, brings those under
// way to their end within the grace period, gives the rest back to the server and returns.
func (r *Runner) Run(ctx context.Context) error {
	var stop context.CancelFunc
	r.leaving = ctx
	r.working, stop = context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	keeper := make(chan struct{})
	go func() {
		defer close(keeper)
		r.keepAlive()
	}()
	var serving sync.WaitGroup
	for _, stream := range []string{r.Subscriber.Stream, r.ReplayStream} {
		if stream != "" {
			serving.Go(func() { r.serve(ctx, stream) })
		}
	}
	serving.Wait()
	grace := time.AfterFunc(r.Grace, stop)
	defer grace.Stop()
	r.lanesRun.Wait()
	r.confirm()
	stop()
	<-keeper
	return nil
}

// confirm waits until the server has taken in the acknowledgements so far, which are sent without
// waiting: what it has not taken in when it stops with us it would deliver again.
func (r *Runner) confirm() {
	r.mu.Lock()
	last := slices.Collect(maps.Values(r.lastAck))
	r.mu.Unlock()
	for _, subject := range last {
		if _, err := r.JetStream.Conn().Request(subject, []byte("+ACK"), apiTimeout); err != nil {
			r.log.WithError(err).Debug("the last acknowledgements are not confirmed")
		}
	}
}

// serve binds the subscriber's consumer of a stream, again and again, until ctx ends. Each loss
// is logged once.
func (r *Runner) serve(ctx context.Context, stream string) {
	var last string
	for ctx.Err() == nil {
		err := r.bind(ctx, stream)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != last {
			r.log.WithError(err).Warn("the consumer is not served; trying again until it is")
			last = err.Error()
		}
		if errors.Is(err, errRebind) {
			last = "" // it had been bound
		}
		select {
		case <-time.After(rebindWait):
		case <-ctx.Done():
		}
	}
}
