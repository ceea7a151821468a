package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/forward"
)

// deliveryTimeout is far above what a sound run needs for one variant's deliveries.
const deliveryTimeout = 60 * time.Second

// handlerMaker makes a subscriber's handler and what closes it.
type handlerMaker func(s mesh.Subscriber) (workers.Handler, func() error, error)

// forwarding posts events to the subscriber's target.
func forwarding(s mesh.Subscriber) (workers.Handler, func() error, error) {
	target, err := forward.New(*s.Target, s.Name, forward.Options{MaxInFlight: s.MaxInFlight, Version: "bench"})
	if err != nil {
		return nil, nil, err
	}
	return target, target.Close, nil
}

// inCode takes events in this process.
func inCode(mesh.Subscriber) (workers.Handler, func() error, error) {
	handler := workers.HandlerFunc(func(context.Context, mesh.Event) error { return nil })
	return handler, func() error { return nil }, nil
}

// measureRunners shares d's deliveries among n subscribers and measures from the first to the
// last of them.
func (b *deliveryBench) measureRunners(ctx context.Context, d time.Duration, n int, newHandler handlerMaker) (one sample, err error) {
	each := min(deliveriesIn(d), b.events) / n
	t := newTally(n, each, b.firstOf(each))
	ctx, stop := context.WithCancel(ctx)
	var running []func() error
	defer func() {
		stop()
		for _, wait := range running {
			err = errors.Join(err, wait())
		}
	}()
	for i := range n {
		wait, err := b.startRunner(ctx, b.topology.Subscribers[i], t.first, func(h workers.Handler) workers.Handler {
			return t.counting(i, h)
		}, newHandler)
		if err != nil {
			return sample{}, err
		}
		running = append(running, wait)
	}
	return t.await(ctx)
}

// firstOf is the sequence of the first of the last n stored events.
func (b *deliveryBench) firstOf(n int) uint64 { return uint64(b.events-n) + 1 }

// startRunner serves a subscriber, from the event at first on, until ctx ends. What it returns
// waits for that.
func (b *deliveryBench) startRunner(ctx context.Context, s mesh.Subscriber, first uint64,
	wrap func(workers.Handler) workers.Handler, newHandler handlerMaker,
) (wait func() error, err error) {
	s.DeliverPolicy, s.OptStartSeq = jetstream.DeliverByStartSequencePolicy, first
	if err := b.renew(ctx, s.Readers()[0].ConsumerConfig()); err != nil {
		return nil, err
	}
	handler, closeHandler, err := newHandler(s)
	if err != nil {
		return nil, err
	}
	runner := workers.NewRunner(workers.Options{
		JetStream: b.js, Subscriber: s, Handler: wrap(handler), DeadLetters: b.letters,
		Logger: b.log, Metrics: b.metrics, Grace: time.Millisecond, // what is counted is done by then
	})
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	return func() error { return errors.Join(<-ended, closeHandler()) }, nil
}

// renew makes a consumer that begins anew.
func (b *deliveryBench) renew(ctx context.Context, config jetstream.ConsumerConfig) error {
	err := b.js.DeleteConsumer(ctx, b.stream.Name, config.Durable)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	_, err = b.js.CreatePushConsumer(ctx, b.stream.Name, config)
	return err
}

// measureAckOnly is JetStream by itself: push consumers with a deliver group that acknowledge
// every message and do nothing else.
func (b *deliveryBench) measureAckOnly(ctx context.Context, d time.Duration, n int) (sample, error) {
	each := min(deliveriesIn(d), b.events) / n
	t := newTally(n, each, b.firstOf(each))
	for i := range n {
		subscription, err := b.consume(ctx, fmt.Sprintf("raw%d", i), t, i)
		if err != nil {
			return sample{}, err
		}
		defer func() {
			subscription.Stop()
			<-subscription.Closed()
		}()
	}
	return t.await(ctx)
}

func (b *deliveryBench) consume(ctx context.Context, name string, t *tally, i int) (jetstream.ConsumeContext, error) {
	if err := b.renew(ctx, jetstream.ConsumerConfig{
		Durable: name, DeliverSubject: "bench.deliver." + name, DeliverGroup: name,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.first,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: maxAckPending,
	}); err != nil {
		return nil, err
	}
	consumer, err := b.js.PushConsumer(ctx, b.stream.Name, name)
	if err != nil {
		return nil, err
	}
	return consumer.Consume(func(msg jetstream.Msg) {
		meta, err := msg.Metadata()
		if err == nil {
			err = msg.Ack()
		}
		t.count(i, meta, err)
	})
}
