package workers

import (
	"math"
	"math/rand/v2"
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
