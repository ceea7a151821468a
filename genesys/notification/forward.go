package notification

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// believed is how often a source must refuse a frame that it may take soon.
	believed = 5
	// quietTime is how long nothing must fail before it is said that all is well again.
	quietTime = 30 * time.Second
)

// forwarder hands on what waits in the queue of a bridge.
type forwarder struct {
	*Bridge
	// closedDoor says that the source refused what it might have taken: it is not asked so often again
	// before it takes something.
	closedDoor         atomic.Bool
	failing, unwelcome outage
}

func newForwarder(b *Bridge) *forwarder {
	return &forwarder{
		Bridge: b,
		failing: outage{log: b.log, quiet: quietTime,
			begins: "notifications can't be forwarded; they wait and are tried again", ends: "notifications are forwarded again"},
		unwelcome: outage{log: b.log, quiet: quietTime,
			begins: "the source refuses a notification; it is lost", ends: "notifications were refused and are lost"},
	}
}

// run forwards until the queue is closed and empty, or ctx ends.
func (f *forwarder) run(ctx context.Context) {
	var lanes sync.WaitGroup
	for i := range laneCount {
		lanes.Go(func() { f.serve(ctx, i) })
	}
	lanes.Wait()
}

// serve forwards the frames of a lane, one after another.
func (f *forwarder) serve(ctx context.Context, lane int) {
	for {
		frame, ok := f.queue.take(ctx, lane)
		if !ok {
			return
		}
		f.metrics.wait(-1)
		f.forward(ctx, frame)
	}
}

// forward tries until the frame is taken or refused, or ctx ends.
func (f *forwarder) forward(ctx context.Context, frame []byte) {
	for failures := 1; ; failures++ {
		err := f.options.Forward(ctx, frame)
		if err == nil {
			f.taken()
			return
		}
		if ctx.Err() != nil {
			f.metrics.drop(droppedShutdown, 1)
			f.left.Add(1)
			return
		}
		if refusal, ok := errors.AsType[*Refusal](err); ok && f.isFinal(refusal, failures) {
			f.metrics.drop(droppedRefused, 1)
			f.unwelcome.fail(err)
			return
		}
		f.metrics.forwardFailed()
		f.failing.fail(err)
		sleep(ctx, f.pause(err, failures))
	}
}

func (f *forwarder) taken() {
	f.metrics.forward()
	f.closedDoor.Store(false)
	f.failing.succeed()
	f.unwelcome.succeed()
}

// isFinal reports whether there is no use in trying again.
func (f *forwarder) isFinal(r *Refusal, failures int) bool {
	if !r.mayPass() {
		return true
	}
	if failures >= believed {
		f.closedDoor.Store(true)
	}
	return f.closedDoor.Load()
}

// pause is the time until the next attempt: what the source asks for, if it asks.
func (f *forwarder) pause(err error, failures int) time.Duration {
	if u, ok := errors.AsType[*unavailable](err); ok && u.after > 0 {
		return u.after
	}
	return f.backoff.wait(failures)
}
