package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// tally counts the deliveries to several subscribers, each event of each subscriber once. It is
// safe for concurrent use.
type tally struct {
	first uint64 // sequence of the first event
	each  int
	seen  [][]atomic.Bool // by subscriber and event
	left  atomic.Int64

	begin      sync.Once
	started    time.Time
	cpuStarted time.Duration
	done       chan sample
	failed     chan error
}

// newTally expects the given number of events, from the sequence first on, at each subscriber.
func newTally(subscribers, each int, first uint64) *tally {
	t := &tally{first: first, each: each, done: make(chan sample, 1), failed: make(chan error, 1)}
	for range subscribers {
		t.seen = append(t.seen, make([]atomic.Bool, each))
	}
	t.left.Store(int64(subscribers * each))
	return t
}

// tap counts what one subscriber does with its events. The zero tap counts nothing.
type tap struct {
	tally      *tally
	subscriber int
}

func (t *tally) tapOf(subscriber int) tap { return tap{t, subscriber} }

// handler counts the events that h has taken. That h fails fails the benchmark.
func (p tap) handler(h workers.Handler) workers.Handler {
	if p.tally == nil {
		return h
	}
	return workers.HandlerFunc(func(ctx context.Context, e mesh.Event) error {
		p.tally.start()
		err := h.Handle(ctx, e)
		p.count(e, err)
		return err
	})
}

// shaper counts the events that s passes by.
func (p tap) shaper(s workers.Shaper) workers.Shaper {
	if p.tally == nil || s == nil {
		return s
	}
	return tappedShaper{s, p}
}

type tappedShaper struct {
	workers.Shaper
	tap tap
}

func (s tappedShaper) Shape(ctx context.Context, e mesh.Event) (mesh.Event, bool, string, error) {
	s.tap.tally.start()
	shaped, gets, why, err := s.Shaper.Shape(ctx, e)
	if err != nil || !gets {
		s.tap.count(e, err)
	}
	return shaped, gets, why, err
}

// count counts an event that came to its end, unless err.
func (p tap) count(e mesh.Event, err error) {
	if err != nil {
		p.tally.fail(fmt.Errorf("subscriber %d failed on event %d: %w", p.subscriber, e.Sequence, err))
		return
	}
	p.tally.take(p.subscriber, e.Sequence)
}

// count counts a raw message that was acknowledged, unless err.
func (t *tally) count(subscriber int, meta *jetstream.MsgMetadata, err error) {
	t.start()
	if err != nil {
		t.fail(fmt.Errorf("consumer %d could not acknowledge: %w", subscriber, err))
		return
	}
	t.take(subscriber, meta.Sequence.Stream)
}

// start starts the clock, with the first delivery.
func (t *tally) start() {
	t.begin.Do(func() { t.started, t.cpuStarted = time.Now(), cpuTime() })
}

func (t *tally) take(subscriber int, sequence uint64) {
	i := int(sequence - t.first)
	if sequence < t.first || i >= t.each {
		t.fail(fmt.Errorf("subscriber %d was handed event %d, which it had not asked for", subscriber, sequence))
		return
	}
	if t.seen[subscriber][i].Swap(true) {
		return // a redelivery, which may happen and counts once
	}
	if t.left.Add(-1) == 0 {
		t.done <- t.sample()
	}
}

func (t *tally) sample() sample {
	n := len(t.seen) * t.each
	return sample{
		events: n,
		rate:   float64(n) / time.Since(t.started).Seconds(),
		cpu:    (cpuTime() - t.cpuStarted) / time.Duration(n),
	}
}

func (t *tally) fail(err error) {
	select {
	case t.failed <- err:
	default: // the first one counts
	}
}

// await waits for the last delivery. That one is missing fails the benchmark.
func (t *tally) await(ctx context.Context) (sample, error) {
	timeout := time.NewTimer(deliveryTimeout)
	defer timeout.Stop()
	select {
	case one := <-t.done:
		return one, nil
	case err := <-t.failed:
		return sample{}, err
	case <-timeout.C:
		return sample{}, fmt.Errorf("%d of %d deliveries are missing after %s", t.left.Load(), len(t.seen)*t.each, deliveryTimeout)
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
}
