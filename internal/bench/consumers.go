package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// atOnce bounds the requests about consumers that are under way together.
	atOnce = 16
	// bindTimeout is far above what it takes to bind the consumers of one variant.
	bindTimeout  = 30 * time.Second
	bindInterval = 5 * time.Millisecond
	// resumeTime for each consumer is about how long the requests to resume them take.
	resumeTime = 2 * time.Millisecond
)

// makePaused makes consumers that deliver nothing until resume. So nobody is measured while others are
// still being made and bound.
func (b *deliveryBench) makePaused(ctx context.Context, configs []jetstream.ConsumerConfig) error {
	later := time.Now().Add(time.Hour)
	return eachOf(ctx, configs, func(ctx context.Context, config jetstream.ConsumerConfig) error {
		config.PauseUntil = &later
		_, err := b.js.CreatePushConsumer(ctx, b.stream.Name, config)
		return err
	})
}

// resume lets all consumers deliver from one moment on, once each of them is bound.
func (b *deliveryBench) resume(ctx context.Context, configs []jetstream.ConsumerConfig) error {
	if err := b.awaitBound(ctx, configs); err != nil {
		return err
	}
	moment := time.Now().Add(10*time.Millisecond + time.Duration(len(configs))*resumeTime)
	return eachOf(ctx, configs, func(ctx context.Context, config jetstream.ConsumerConfig) error {
		return b.resumeAt(ctx, config.Durable, moment)
	})
}

// resumeAt lets a consumer deliver from the moment on, or from a later one if the server was too slow for
// that: nats-server 2.15 does not wake a consumer whose pause is set to end in the past.
func (b *deliveryBench) resumeAt(ctx context.Context, durable string, moment time.Time) error {
	for least := 5 * time.Millisecond; ; least *= 2 {
		if soonest := time.Now().Add(least); moment.Before(soonest) {
			moment = soonest
		}
		answer, err := b.js.PauseConsumer(ctx, b.stream.Name, durable, moment)
		if err != nil || answer.Paused {
			return err
		}
	}
}

func (b *deliveryBench) awaitBound(ctx context.Context, configs []jetstream.ConsumerConfig) error {
	late := fmt.Errorf("not all of %d consumers were bound within %s", len(configs), bindTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, bindTimeout, late)
	defer cancel()
	return eachOf(ctx, configs, func(ctx context.Context, config jetstream.ConsumerConfig) error {
		for {
			consumer, err := b.js.PushConsumer(ctx, b.stream.Name, config.Durable)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if consumer.CachedInfo().PushBound {
				return nil
			}
			select {
			case <-time.After(bindInterval):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

// remove deletes consumers, also when ctx has ended.
func (b *deliveryBench) remove(ctx context.Context, configs []jetstream.ConsumerConfig) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bindTimeout)
	defer cancel()
	return eachOf(ctx, configs, func(ctx context.Context, config jetstream.ConsumerConfig) error {
		err := b.js.DeleteConsumer(ctx, b.stream.Name, config.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil // an interrupted run never made it
		}
		return err
	})
}

func eachOf(ctx context.Context, configs []jetstream.ConsumerConfig, do func(context.Context, jetstream.ConsumerConfig) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, config := range configs {
		group.Go(func() error {
			if err := do(ctx, config); err != nil {
				return fmt.Errorf("consumer %s: %w", config.Durable, err)
			}
			return nil
		})
	}
	return group.Wait()
}
