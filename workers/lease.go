package workers

import (
	"context"
	"errors"
)

// errLeaseLost is a retryable error: the event is another process' by now.
var errLeaseLost = errors.New("this process stood still for longer than its lease; the event may be another process' by now")

type leaseKey struct{}

// LeaseHeld reports, right before a handler acts on its target, whether the event is still this
// process' to deliver: nil, or an error to return from Handle. A process that was frozen or starved wakes up
// in the middle of whatever it did. The nearer to the write it is asked, the smaller the window in
// which an event can overtake one that another process delivered meanwhile; it can't be closed. ctx is that of
// Handle.
func LeaseHeld(ctx context.Context) error {
	if held, ok := ctx.Value(leaseKey{}).(func() bool); ok && !held() {
		return errLeaseLost
	}
	return ctx.Err()
}

// WithLease is the context of a Handle whose LeaseHeld asks held, for who calls handlers without a Runner.
func WithLease(ctx context.Context, held func() bool) context.Context {
	return context.WithValue(ctx, leaseKey{}, held)
}
