package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

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
	target, err := forward.New(*s.Target, s.Name, forward.Options{MaxInFlight: s.MaxInFlight, Version: "bench", LookupEnv: lookup})
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

// service is a subscriber in a measurement.
type service struct {
	subscriber mesh.Subscriber
	newHandler handlerMaker
	records    bool               // how its deliveries end is recorded
	log        logrus.FieldLogger // nil is the benchmark's
}

// measureServices measures subscribers that one worker process serves.
func (b *deliveryBench) measureServices(ctx context.Context, d time.Duration, services ...service) (sample, error) {
	return b.inProcess(ctx, func(p *process) (sample, error) { return p.measure(ctx, d, services) })
}

// measureRunners shares d's deliveries among n subscribers.
func (b *deliveryBench) measureRunners(ctx context.Context, d time.Duration, n int, newHandler handlerMaker) (sample, error) {
	services := make([]service, n)
	for i := range services {
		services[i] = service{subscriber: b.subscriber(plainName(i)), newHandler: newHandler}
	}
	return b.measureServices(ctx, d, services...)
}

// measure lets the subscribers share d's deliveries, and measures from the first to the last of them.
func (p *process) measure(ctx context.Context, d time.Duration, services []service) (sample, error) {
	each := min(deliveriesIn(d), p.b.events) / len(services)
	t := newTally(len(services), each, p.b.firstOf(each))
	made, err := p.prepare(ctx, t.first, services)
	if err != nil {
		return sample{}, err
	}
	for i, s := range services {
		if err := p.serve(s, t.tapOf(i)); err != nil {
			return sample{}, err
		}
	}
	if err := p.b.resume(ctx, made); err != nil {
		return sample{}, err
	}
	return t.await(ctx)
}

// firstOf is the sequence of the first of the last n stored events.
func (b *deliveryBench) firstOf(n int) uint64 { return uint64(b.events-n) + 1 }

// measureAckOnly is JetStream by itself: push consumers with a deliver group that acknowledge
// every message and do nothing else.
func (b *deliveryBench) measureAckOnly(ctx context.Context, d time.Duration, n int) (one sample, err error) {
	each := min(deliveriesIn(d), b.events) / n
	t := newTally(n, each, b.firstOf(each))
	configs := make([]jetstream.ConsumerConfig, n)
	for i := range configs {
		name := fmt.Sprintf("raw%d", i)
		configs[i] = jetstream.ConsumerConfig{
			Durable: name, DeliverSubject: "bench.deliver." + name, DeliverGroup: name,
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.first,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: maxAckPending,
		}
	}
	if err := b.makePaused(ctx, configs); err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, b.remove(ctx, configs)) }()
	for i, config := range configs {
		subscription, err := b.consume(ctx, config.Durable, t, i)
		if err != nil {
			return sample{}, err
		}
		defer func() {
			subscription.Stop()
			<-subscription.Closed()
		}()
	}
	if err := b.resume(ctx, configs); err != nil {
		return sample{}, err
	}
	return t.await(ctx)
}

func (b *deliveryBench) consume(ctx context.Context, name string, t *tally, i int) (jetstream.ConsumeContext, error) {
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
