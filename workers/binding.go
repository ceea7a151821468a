package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/genmesh/genmesh/mesh"
)

var errRebind = errors.New("the subscription is lost")

const (
	// checkInterval: the server tells a push subscriber nothing when its consumer is deleted or
	// changed, so somebody has to look.
	checkInterval = 3 * time.Second
	drainTimeout  = 10 * time.Second
	apiTimeout    = 5 * time.Second
	// historyInterval is the same for a replay of the history, which somebody may be watching.
	historyInterval = 300 * time.Millisecond
	// rebindWait is the pause before a lost consumer is bound again.
	rebindWait = time.Second
	// handoverGrace is how long a process begins new attempts after another should take over.
	handoverGrace = time.Second
)

// binding serves one consumer in this process, from when it was claimed until it is let go.
type binding struct {
	crew            *Crew
	r               *Runner
	stream, durable string
	shared          bool
	skip            mesh.Skip
	// isReplay: of dead letters or of a part of the history. history is what of it, or nil; limiter is
	// its rate then.
	isReplay bool
	history  *mesh.HistoryReplay
	limiter  *rate.Limiter
	log      logrus.FieldLogger

	// leaving ends when nothing new shall be taken on, starting when no further attempt shall begin,
	// and working when those under way shall stop.
	leaving, starting, working context.Context
	endLeaving, endStarting    context.CancelFunc
	endWorking                 context.CancelFunc
	once                       sync.Once
	fenced                     context.CancelCauseFunc
	fencing                    context.Context
	ended                      chan struct{}
	over                       bool // it serves no more; guarded by Crew.mu

	deliveries sync.WaitGroup // in hand
	// before is what was out when the consumer was bound, before anything could be delivered here; for settle.
	before    *jetstream.ConsumerInfo
	unsettled chan struct{}
	remade    chan struct{}

	// Guarded by Runner.mu.
	held    int
	ends    int // of deliveries, so far
	lag     uint64
	lastAck string      // where the newest acknowledgement went
	waiting []*delivery // until all is in hand; nil if nothing has to be waited for
	gathers bool
	next    uint64 // the consumer sequence that comes next; 0 before the first, which may be one that the server had not sent yet
	stale   bool   // the consumer was made anew since it was bound
	created int64  // when the consumer that is bound was, in Unix nanoseconds
	// known is of events that were given back before and did not come here yet, returned of those that were given
	// back here, by stream sequence.
	known, returned map[uint64]progress
	// givenBack are the lanes of which something was given back.
	givenBack map[string]bool
}

var errFenced = errors.New("the consumer may be another process' by now")

func newBinding(c *Crew, r *Runner, u *unit, handed handover) *binding {
	b := &binding{
		crew: c, r: r, stream: u.stream, durable: u.durable, shared: u.served.Shared, skip: u.served.Skip,
		isReplay: u.stream == r.ReplayStream || u.served.Replay != nil, history: u.served.Replay,
		log:   r.log.WithField("consumer", u.durable),
		ended: make(chan struct{}), unsettled: make(chan struct{}, 1), remade: make(chan struct{}, 1),
		created: handed.Created, known: maps.Clone(handed.Events), returned: map[uint64]progress{}, givenBack: map[string]bool{},
	}
	if h := b.history; h != nil && h.Rate.Events > 0 {
		b.limiter = rate.NewLimiter(rate.Limit(h.Rate.PerSecond()), 1)
	}
	background := context.Background()
	b.fencing, b.fenced = context.WithCancelCause(background)
	b.leaving, b.endLeaving = context.WithCancel(b.fencing)
	b.starting, b.endStarting = context.WithCancel(b.fencing)
	b.working, b.endWorking = context.WithCancel(b.fencing)
	return b
}

// leave takes on nothing new from now on. For begins more attempts at what is in hand are begun, then
// those under way may end within the runner's grace. It does not wait.
func (b *binding) leave(begins time.Duration) {
	b.once.Do(func() {
		b.endLeaving()
		begin := time.AfterFunc(begins, b.endStarting)
		end := time.AfterFunc(max(begins, b.r.Grace), b.endWorking)
		context.AfterFunc(b.fencing, func() { begin.Stop(); end.Stop() })
	})
}

// fence drops everything at once, if anything is in hand yet: it may be another process' by now. why is logged.
func (b *binding) fence(why string) {
	if b.fencing.Err() == nil {
		b.log.WithField("reason", why).Warn("the consumer may be another process' by now and is let go")
	}
	b.fenced(errFenced)
}

// wasSilent is why most consumers are let go of so.
const wasSilent = "no sign of life was taken for too long: NATS is slow or out of reach, or this process stood still"

func (b *binding) isFenced() bool { return context.Cause(b.fencing) == errFenced }

// mayAct reports whether an attempt may begin now.
func (b *binding) mayAct() bool { return b.shared || !b.isFenced() && b.crew.isAlive() }

// run serves the consumer until leave or fence was called and what is in hand came to its end.
func (b *binding) run() {
	defer b.fenced(nil)
	var keeping sync.WaitGroup
	keeping.Go(b.keepAlive)
	defer keeping.Wait()
	defer b.endWorking()
	b.serve()
	b.empty()
	if !b.isFenced() {
		b.confirm()
	}
}

// empty returns once nothing is in hand any more. Nothing comes meanwhile.
func (b *binding) empty() {
	context.AfterFunc(b.starting, func() { b.r.returnQueued(b) })
	b.r.dropGathered(b)
	b.deliveries.Wait()
}

// serve binds the consumer, again and again. Each loss is logged once.
func (b *binding) serve() {
	var last string
	for b.leaving.Err() == nil {
		err := b.bind()
		if b.leaving.Err() != nil {
			return
		}
		if err.Error() != last {
			level := logrus.WarnLevel
			if errors.Is(err, jetstream.ErrConsumerNotFound) {
				level = logrus.InfoLevel // by apply most likely; a subscriber that is left without any is warned of
			}
			b.log.WithError(err).Log(level, "the consumer is not served; trying again until it is")
			last = err.Error()
		}
		if errors.Is(err, errRebind) {
			last = "" // it had been bound
		}
		sleep(b.leaving, rebindWait)
	}
}

// bind subscribes to the consumer and stays until it is left or the subscription is lost. It only
// binds: plan and apply make consumers.
func (b *binding) bind() error {
	lookup, cancel := context.WithTimeout(b.leaving, apiTimeout)
	defer cancel()
	consumer, err := b.r.JetStream.PushConsumer(lookup, b.stream, b.durable)
	if err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", b.durable, b.stream, err)
	}
	b.before = consumer.CachedInfo()
	b.gather(b.before)
	subscription, err := consumer.Consume(b.take, jetstream.ConsumeErrHandler(
		// Never stop the subscription in here: the client holds its lock.
		func(_ jetstream.ConsumeContext, err error) {
			b.log.WithError(err).Warn("the subscription reports an error")
		}))
	if err != nil {
		return fmt.Errorf("subscribe to consumer %s of stream %s: %w", b.durable, b.stream, err)
	}
	b.log.Debug("serving the consumer")
	// Drain and not Stop: what is already here is taken in, and no delivery is spent for nothing.
	defer b.drain(subscription)
	return b.watch(consumer, subscription)
}

func (b *binding) drain(subscription jetstream.ConsumeContext) {
	// One that is drained while its connection is away comes back with that, and nobody knows of it then (nats.go 1.55). In the moment
	// between the end of a connection and the client's noticing that can't be told: what goes to nobody then comes again after ack_wait.
	if b.isFenced() || !b.r.JetStream.Conn().IsConnected() {
		subscription.Stop()
	} else {
		subscription.Drain()
	}
	select {
	case <-subscription.Closed():
	case <-time.After(drainTimeout):
		b.log.Warn("the subscription did not drain in time")
	}
}

// watch returns when the subscription no longer serves the consumer, or when it is left.
func (b *binding) watch(consumer jetstream.PushConsumer, subscription jetstream.ConsumeContext) error {
	bound, created := consumer.CachedInfo().Config, consumer.CachedInfo().Created
	interval := checkInterval
	if b.history != nil {
		interval = historyInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	unbound := 0
	var silence stall
	for {
		select {
		case <-b.leaving.Done():
			return nil
		case <-subscription.Closed():
			return fmt.Errorf("%w: the connection closed it", errRebind)
		case <-b.unsettled:
			b.settle(consumer, subscription)
		case <-b.remade:
			return fmt.Errorf("%w: the consumer was made anew", errRebind)
		case <-ticker.C:
		}
		info, err := b.info(consumer)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("%w: the consumer was deleted (%w)", errRebind, jetstream.ErrConsumerNotFound)
		case err != nil:
			continue // NATS is away; the subscription resumes with the connection
		case !info.Created.Equal(created):
			return fmt.Errorf("%w: the consumer was made anew", errRebind)
		case info.Config.DeliverSubject != bound.DeliverSubject || info.Config.DeliverGroup != bound.DeliverGroup:
			return fmt.Errorf("%w: the consumer delivers elsewhere now", errRebind)
		case info.PushBound:
			unbound = 0
		default:
			unbound++
		}
		if unbound == 2 {
			return fmt.Errorf("%w: the server does not know of it", errRebind)
		}
		b.noteLag(info)
		if silence.look(info, time.Now()) {
			b.wake(info)
		}
		if b.isDone(info) {
			b.log.WithField("events", b.history.Events).Info("the replay has come to its end")
			return b.endReplay()
		}
	}
}

// wake makes the server look for what it has to deliver.
func (b *binding) wake(info *jetstream.ConsumerInfo) {
	b.log.WithField("waiting", info.NumPending).Warn("the server delivers nothing of what waits, as after a pause that was ended by hand; it is told to look again")
	ctx, cancel := context.WithTimeout(b.leaving, apiTimeout)
	defer cancel()
	if err := mesh.WakeConsumer(ctx, b.r.JetStream, info); err != nil {
		b.log.WithError(err).Debug("the server could not be told to look again")
	}
}

// isDone reports whether a replay of the history has come to its end.
func (b *binding) isDone(info *jetstream.ConsumerInfo) bool {
	return b.history != nil && info.NumAckPending == 0 && (info.NumPending == 0 || info.Delivered.Stream >= b.history.Until)
}

// endReplay takes the consumer away, and with that the replay.
func (b *binding) endReplay() error {
	ctx, cancel := context.WithTimeout(b.working, apiTimeout)
	defer cancel()
	if err := mesh.EndReplay(ctx, b.r.JetStream, b.r.Subscriber, b.history.ID); err != nil {
		return err
	}
	b.leave(0)
	return nil
}

// noteLag counts what the consumers of the subscriber that are served here still have to settle.
func (b *binding) noteLag(info *jetstream.ConsumerInfo) {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.lag = info.NumPending + uint64(info.NumAckPending)
	b.r.countLag(b)
}

func (b *binding) info(consumer jetstream.PushConsumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(b.working, apiTimeout)
	defer cancel()
	return consumer.Info(ctx)
}

// confirm waits until the server has taken in the acknowledgements so far, which are sent without
// waiting: what it has not taken in when the consumer goes to another process that would try again.
func (b *binding) confirm() {
	b.r.mu.Lock()
	last := b.lastAck
	b.r.mu.Unlock()
	if last == "" {
		return
	}
	if _, err := b.r.JetStream.Conn().Request(last, []byte("+ACK"), apiTimeout); err != nil {
		b.log.WithError(err).Debug("the last acknowledgements are not confirmed")
	}
}

// keepAlive tells the server of everything held, well before its ack_wait ends: that runs from
// the moment of sending, so an event that only waits its turn would be sent again.
func (b *binding) keepAlive() {
	every := max(time.Duration(b.r.Subscriber.AckWait)/3, minKeepAlive)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			for _, msg := range b.r.stale(b, now, every/2) {
				b.r.settled(msg.InProgress())
			}
		case <-b.working.Done():
			return
		}
	}
}

const minKeepAlive = 50 * time.Millisecond
