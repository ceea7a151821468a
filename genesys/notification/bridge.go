package notification

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/cloud"
)

// Channels makes channels of the notification service. A *cloud.Client does. It must be safe for
// concurrent use, and its errors are logged: they show no channel's address.
type Channels interface {
	// CreateChannel makes a channel without topics.
	CreateChannel(ctx context.Context) (cloud.Channel, error)
	// SetTopics replaces a channel's topics and returns those that it has then.
	SetTopics(ctx context.Context, channelID string, topics []string) ([]string, error)
}

// Options is what a Bridge is made of. Where a field has a default, its zero value asks for it.
type Options struct {
	// Source names the source in the log and in the metrics.
	Source   string
	Channels Channels
	// Topics are what to listen to: 1 to cloud.MaxChannelTopics, each once.
	Topics []string
	// Forward hands a frame on as it came, without its context ending before it has to. A *Refusal drops
	// the frame, any other error has it handed on again later. It is called for several frames at once,
	// but for those of one conversation one after another.
	Forward func(ctx context.Context, frame []byte) error
	Logger  logrus.FieldLogger
	// Metrics may be nil.
	Metrics *Metrics
	// HTTPClient opens sockets. Its Timeout and CheckRedirect are not used. Default: one of its own.
	HTTPClient *http.Client

	// MaxFrameBytes bounds a frame; a larger one is read past and dropped. Default 1 MiB.
	MaxFrameBytes int
	// QueueFrames and QueueBytes bound the frames that wait to be handed on; when there are more, the
	// oldest are dropped. Default 10,000 and 64 MiB.
	QueueFrames, QueueBytes int
	// Silence is how long nothing may arrive, not even a heartbeat, until the socket counts as dead.
	// Half of it asks for a sign of life. Default 90s: heartbeats come about every 30 s.
	Silence time.Duration
	// Overlap is how long a socket goes on beside the one that follows it. Both bring the same events
	// then; the source drops what it has already. Default 5s.
	Overlap time.Duration
	// Grace is how long what waits may take once the end was asked for. Default 15s.
	Grace time.Duration
	// RetryBase and RetryMax are the first and the longest wait between attempts. Default 1s and 60s.
	RetryBase, RetryMax time.Duration
	// MinRenewal is the time for which a channel is used at least, whatever it says itself. Default 1m.
	MinRenewal time.Duration
}

const (
	defaultMaxFrameBytes = 1 << 20
	defaultQueueFrames   = 10_000
	defaultQueueBytes    = 64 << 20
	defaultSilence       = 90 * time.Second
	defaultOverlap       = 5 * time.Second
	defaultGrace         = 15 * time.Second
	defaultRetryBase     = time.Second
	defaultRetryMax      = time.Minute
	defaultMinRenewal    = time.Minute
)

// Bridge hands on what the notification service says about some topics. Its methods are safe for
// concurrent use.
type Bridge struct {
	options Options
	log     logrus.FieldLogger
	metrics sourceMetrics
	client  *http.Client
	backoff backoff
	queue   *queue
	left    atomic.Int64 // frames that the end of the grace period cut off

	overflowing, oversized outage

	sockets atomic.Int64 // that are open
	up      chan struct{}
	upOnce  sync.Once
}

// New makes a bridge. It speaks to nobody yet.
func New(o Options) (*Bridge, error) {
	if o.Channels == nil || o.Forward == nil || o.Logger == nil {
		return nil, errors.New("a bridge needs channels, a logger and somebody to forward to")
	}
	if len(o.Topics) == 0 || len(o.Topics) > cloud.MaxChannelTopics {
		return nil, fmt.Errorf("%d topics; 1 to %d are possible", len(o.Topics), cloud.MaxChannelTopics)
	}
	o.Topics = slices.Clone(o.Topics)
	o = withDefaults(o)
	b := &Bridge{
		options: o, log: o.Logger.WithFields(logrus.Fields{"component": "notifications", "source": o.Source}),
		metrics: sourceMetrics{o.Metrics, o.Source}, client: newClient(o.HTTPClient), backoff: backoff{o.RetryBase, o.RetryMax},
		queue: newQueue(o.QueueFrames, o.QueueBytes), up: make(chan struct{}),
	}
	b.overflowing = outage{log: b.log, quiet: quietTime,
		begins: "more notifications wait than may: the oldest are dropped and lost", ends: "notifications were dropped, for too many waited"}
	b.oversized = outage{log: b.log.WithField("max_bytes", o.MaxFrameBytes), quiet: quietTime,
		begins: "a notification is too large and lost", ends: "notifications were too large and are lost"}
	return b, nil
}

func withDefaults(o Options) Options {
	setDefault(&o.MaxFrameBytes, defaultMaxFrameBytes)
	setDefault(&o.QueueFrames, defaultQueueFrames)
	setDefault(&o.QueueBytes, defaultQueueBytes)
	setDefault(&o.Silence, defaultSilence)
	setDefault(&o.Overlap, defaultOverlap)
	setDefault(&o.Grace, defaultGrace)
	setDefault(&o.RetryBase, defaultRetryBase)
	setDefault(&o.RetryMax, defaultRetryMax)
	setDefault(&o.MinRenewal, defaultMinRenewal)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Run listens and forwards until ctx ends; then it forwards what has arrived, for as long as the grace
// period lasts. It has no error of its own: what fails is logged and tried again. It runs once.
func (b *Bridge) Run(ctx context.Context) error {
	defer b.client.CloseIdleConnections()
	b.log.WithField("topics", len(b.options.Topics)).Info(
		"notifications are best effort: Genesys Cloud keeps none for a socket that is away, and what happened before now does not come")
	b.metrics.socket(0) // to be seen from the beginning
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var forwarding sync.WaitGroup
	forwarding.Go(func() { newForwarder(b).run(work) })
	newListener(b).run(ctx)
	b.queue.close()
	grace := time.AfterFunc(b.options.Grace, stop)
	defer grace.Stop()
	forwarding.Wait()
	b.countRest()
	return nil
}

// countRest says what the end of the grace period cut off.
func (b *Bridge) countRest() {
	waiting := b.queue.length()
	b.metrics.wait(-waiting)
	b.metrics.drop(droppedShutdown, waiting)
	if left := int(b.left.Load()) + waiting; left > 0 {
		b.log.WithField("frames", left).Warn("notifications could not be forwarded before the end and are lost")
	}
}

// Up is closed once the first socket is open.
func (b *Bridge) Up() <-chan struct{} { return b.up }

// Ready tells why the bridge hears nothing now.
func (b *Bridge) Ready() error {
	if b.sockets.Load() == 0 {
		return fmt.Errorf("source %s has no socket to the notification service", b.options.Source)
	}
	return nil
}

// receive takes an event in. It never waits.
func (b *Bridge) receive(about string, frame []byte) {
	b.metrics.receive()
	dropped := b.queue.put(about, frame)
	b.metrics.wait(1 - dropped)
	if dropped == 0 {
		b.overflowing.succeed()
		return
	}
	b.metrics.drop(droppedOverflow, dropped)
	b.overflowing.fail(nil)
}

// skip counts a frame that is too large.
func (b *Bridge) skip() {
	b.metrics.receive()
	b.metrics.drop(droppedTooLarge, 1)
	b.oversized.fail(nil)
}
