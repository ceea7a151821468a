package notification

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait between attempts.
type backoff struct{ base, most time.Duration }

// maxDoublings keeps the wait from overflowing.
const maxDoublings = 16

// wait is the time before the next attempt, after so many that failed: none after none, then doubling
// up to the most. Half of it is jitter, which keeps many processes from coming back at once.
func (b backoff) wait(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	most := min(b.base<<min(failures-1, maxDoublings), b.most)
	return most/2 + rand.N(most/2+1)
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
