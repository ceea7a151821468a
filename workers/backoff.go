package workers

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// delayBefore is the wait after the given number of failed attempts: base × factor^(n-1), at
// most max, and with full jitter a random part of that.
func delayBefore(b mesh.Backoff, failed int) time.Duration {
	delay := float64(b.Base) * math.Pow(b.Factor, float64(max(failed, 1)-1))
	bounded := time.Duration(min(delay, float64(b.Max)))
	if b.Jitter == "full" && bounded > 0 {
		return rand.N(bounded) + 1
	}
	return bounded
}

// gate keeps the whole subscriber waiting while its target asks for air.
type gate struct {
	backoff mesh.Backoff

	mu    sync.Mutex
	until time.Time
	waits int // in a row, without a hint how long
}

// maxHint bounds how long a target's own hint can make its subscriber wait.
const maxHint = 15 * time.Minute

// pass waits until the gate is open; false means that it is shut and ctx has ended.
func (g *gate) pass(ctx context.Context) bool {
	for {
		g.mu.Lock()
		left := time.Until(g.until)
		g.mu.Unlock()
		if left <= 0 {
			return true
		}
		if !sleep(ctx, left) {
			return false
		}
	}
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !time.Now().Before(g.until)
}

// shut closes the gate for the hint, or for the backoff if there is none. It reports how long,
// and false if the gate was closed already: calls that were under way together tell one thing.
func (g *gate) shut(hint time.Duration) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	wasShut := now.Before(g.until)
	if !wasShut {
		g.waits++
	}
	wait := min(hint, maxHint)
	if hint <= 0 {
		wait = delayBefore(g.backoff, g.waits)
	}
	if until := now.Add(wait); until.After(g.until) {
		g.until = until
	}
	return wait, !wasShut
}

// opened notes that the target took an event.
func (g *gate) opened() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waits = 0
}
