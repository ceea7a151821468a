package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var errRebind = errors.New("the subscription is lost")

const (
	// checkInterval: the server tells a push subscriber nothing when its consumer is deleted or
	// changed, so somebody has to look.
	checkInterval = 3 * time.Second
	drainTimeout  = 10 * time.Second
	apiTimeout    = 5 * time.Second
)

// bind subscribes to the subscriber's consumer of a stream and stays until ctx ends or the subscription is lost. It only
// binds: plan and apply make consumers.
func (r *Runner) bind(ctx context.Context, stream string) error {
	durable := r.Subscriber.Name
	lookup, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, err := r.JetStream.PushConsumer(lookup, stream, durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("consumer %s of stream %s does not exist: run genmesh apply", durable, stream)
	}
	if err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", durable, stream, err)
	}
	subscription, err := consumer.Consume(r.take, jetstream.ConsumeErrHandler(
		// Never stop the subscription in here: the client holds its lock.
		func(_ jetstream.ConsumeContext, err error) {
			r.log.WithError(err).Warn("the subscription reports an error")
		}))
	if err != nil {
		return fmt.Errorf("subscribe to consumer %s of stream %s: %w", durable, stream, err)
	}
	r.log.Debug("serving the consumer")
	// Drain and not Stop: what is already here is taken in, and no delivery is spent for nothing.
	defer r.drain(subscription)
	return r.watch(ctx, consumer, subscription)
}

func (r *Runner) drain(subscription jetstream.ConsumeContext) {
	subscription.Drain()
	select {
	case <-subscription.Closed():
	case <-time.After(drainTimeout):
		r.log.Warn("the subscription did not drain in time")
	}
}

// watch returns when the subscription no longer serves the consumer, or when ctx ends.
func (r *Runner) watch(ctx context.Context, consumer jetstream.PushConsumer, subscription jetstream.ConsumeContext) error {
	bound := consumer.CachedInfo().Config
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	unbound := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-subscription.Closed():
			return fmt.Errorf("%w: the connection closed it", errRebind)
		case <-ticker.C:
		}
		info, err := r.info(ctx, consumer)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("%w: the consumer was deleted", errRebind)
		case err != nil:
			continue // NATS is away; the subscription resumes with the connection
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
		r.noteLag(info)
	}
}

// noteLag counts what the consumers of all streams still have to settle.
func (r *Runner) noteLag(info *jetstream.ConsumerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag[info.Stream] = info.NumPending + uint64(info.NumAckPending)
	sum := uint64(0)
	for _, lag := range r.lag {
		sum += lag
	}
	r.metrics.lag.Set(float64(sum))
}

func (r *Runner) info(ctx context.Context, consumer jetstream.PushConsumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return consumer.Info(ctx)
}
