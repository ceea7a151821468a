package workers

import (
	"context"
	"time"
)

// paceKey is the context key of the function that NotePace calls.
type paceKey struct{}

// NotePace tells the runner what the target said of its own limit: how many more requests it takes
// (remaining) until reset has passed. ctx is that of Handle; with another one NotePace does nothing.
// It is safe for concurrent use and does not wait.
func NotePace(ctx context.Context, remaining int, reset time.Duration) {
	if note, ok := ctx.Value(paceKey{}).(func(remaining int, reset time.Duration)); ok {
		note(remaining, reset)
	}
}

// withPace is the context of a Handle whose hints go to note, which is called by whatever goroutine
// the handler uses, and as often as the target answers.
func withPace(ctx context.Context, note func(remaining int, reset time.Duration)) context.Context {
	return context.WithValue(ctx, paceKey{}, note)
}
