package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Handler takes a subscriber's events.
//
// Handle is called by several goroutines at once, but never for two events of one interaction.
// It must return when ctx ends; an event whose Handle returned an error may come again, so
// taking it must be safe to repeat. It must not change the event or keep its body.
type Handler interface {
	Handle(ctx context.Context, event mesh.Event) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, event mesh.Event) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, event mesh.Event) error { return f(ctx, event) }

// Permanent says that no retry can cure err: the event becomes a dead letter now.
func Permanent(err error) error { return &permanentError{err} }

// RetryAfter says that the target asks for air: the whole subscriber waits for at least wait,
// or for its own backoff if wait is 0, and the event's attempt does not count.
func RetryAfter(wait time.Duration, err error) error { return &retryAfterError{wait: wait, err: err} }

// Unusable says that err would meet every event alike, such as credentials that the target refuses: the whole subscriber
// waits for its backoff, and the event's attempt does not count. But where the target takes other events meanwhile it is
// this one's own fault: then only this one waits, and its attempt counts.
func Unusable(err error) error { return &retryAfterError{err: err, forAll: true} }

// isUnusable reports whether an error says that it would meet every event alike.
func isUnusable(err error) bool {
	var after *retryAfterError
	return errors.As(err, &after) && after.forAll
}

// Failure is an error in the target's own words. Dead letters keep them.
type Failure struct {
	// Status is the answer's status code, or 0 if there was no answer.
	Status int
	// Answer is the beginning of the answer, at most MaxAnswerBytes.
	Answer []byte
	// Err is what went wrong; it never holds a secret of the target's URL.
	Err error
}

// MaxAnswerBytes bounds how much of a target's answer is kept.
const MaxAnswerBytes = 1024

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type retryAfterError struct {
	wait   time.Duration
	err    error
	forAll bool // see Unusable
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// Fate is what a handler's error means for its event.
type Fate string

// The fates of an event.
const (
	// Done acknowledges it.
	Done Fate = "done"
	// Retry tries it again after the backoff.
	Retry Fate = "retry"
	// Wait makes the whole subscriber wait, and then tries it again.
	Wait Fate = "wait"
	// Refuse makes it a dead letter now.
	Refuse Fate = "refuse"
)

// FateOf reads a handler's error as a Runner does: for handlers that wrap others. The time is
// that of RetryAfter.
func FateOf(err error) (Fate, time.Duration) {
	var permanent *permanentError
	var after *retryAfterError
	switch {
	case err == nil:
		return Done, 0
	case errors.As(err, &permanent):
		return Refuse, 0
	case errors.As(err, &after):
		return Wait, after.wait
	}
	return Retry, 0
}

// call runs the handler and turns its panic into an error, so that one event can't take the
// other subscribers down with it.
func call(ctx context.Context, h Handler, event mesh.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return h.Handle(ctx, event)
}
