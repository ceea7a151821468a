package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

const (
	// waitingName is the subscriber whose target fails on every event.
	waitingName = "waiting"
	// waitingRetries of its events wait for their retry.
	waitingRetries = 10_000
	waitingTimeout = 60 * time.Second

	httpBesideWaiting = "genmesh to HTTP, 1 subscriber beside 10,000 retries of another"
	codeBesideWaiting = "genmesh to code, 1 subscriber beside 10,000 retries of another"
)

func waitingSubscriber(url string) string {
	return deliverySubscriber(waitingName, waitingRetries, target(url, ""),
		`, "order": "none", "backoff": {"base": "1h", "max": "1h"}, "breaker": {"disabled": true}`)
}

// measureBesideWaiting measures one subscriber while the retries of another wait, and what memory each of
// those holds.
func (b *deliveryBench) measureBesideWaiting(ctx context.Context, d time.Duration, newHandler handlerMaker) (sample, error) {
	return b.inProcess(ctx, func(p *process) (sample, error) {
		failing := newFailing()
		quiet := logrus.New()
		quiet.SetOutput(io.Discard) // it warns of each event
		before := memoryInUse()
		err := p.occupy(ctx, b.firstOf(waitingRetries), service{subscriber: b.subscriber(waitingName), newHandler: failing.make, log: quiet})
		if err != nil {
			return sample{}, err
		}
		if err := failing.await(ctx); err != nil {
			return sample{}, err
		}
		held := memoryInUse() - before
		one, err := p.measure(ctx, d, []service{{subscriber: b.subscriber(plainName(0)), newHandler: newHandler}})
		one.waiting = float64(held) / waitingRetries
		return one, errors.Join(err, b.checkWaiting(ctx))
	})
}

// failing is a target that fails on every event.
type failing struct {
	calls atomic.Int64
	all   chan struct{} // closed when each event has failed once
}

func newFailing() *failing { return &failing{all: make(chan struct{})} }

func (f *failing) make(mesh.Subscriber) (workers.Handler, func() error, error) {
	return workers.HandlerFunc(func(context.Context, mesh.Event) error {
		if f.calls.Add(1) == waitingRetries {
			close(f.all)
		}
		return errors.New("the target is away")
	}), nothing, nil
}

func (f *failing) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitingTimeout, errors.New("not all events that shall wait came"))
	defer cancel()
	select {
	case <-f.all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkWaiting fails if an event that was to wait did not.
func (b *deliveryBench) checkWaiting(ctx context.Context) error {
	consumer, err := b.js.PushConsumer(ctx, b.stream.Name, b.subscriber(waitingName).Readers()[0].Durable)
	if err != nil {
		return err
	}
	if waits := consumer.CachedInfo().NumAckPending; waits != waitingRetries {
		return fmt.Errorf("%d events wait for their retry, and not %d", waits, waitingRetries)
	}
	return nil
}

// memoryInUse is what this process holds on its heap and stacks, in bytes. The server's are among it.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC() // the first one frees what pools hold only in part
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
