package keyring

import (
	"sync/atomic"
	"time"
)

// rhythm is how often deliveries come that a known key signed. A forger can't change it: only a sender
// that has begun to sign with another key makes it stop. So where it has stopped, the keys may be looked
// at before the minute is over that forgeries have to wait for; else one forgery just before a
// rotation would turn a busy sender away for so long that it gives up.
//
// It is safe for concurrent use; beats that come at one time may count as one.
type rhythm struct {
	last atomic.Int64 // in Unix nanoseconds; 0 before the first
	mean atomic.Int64 // nanoseconds between beats, over the latest
}

const (
	// missedBeats is after how many usual distances without a beat the rhythm has stopped. By chance
	// that happens once in hundreds of thousands of beats.
	missedBeats = 12
	// minSilence is how long it has stopped at least.
	minSilence = 2 * time.Second
	meanOver   = 16 // beats
)

func (r *rhythm) beat(now time.Time) {
	at := now.UnixNano()
	last := r.last.Swap(at)
	if last == 0 {
		return
	}
	mean, distance := r.mean.Load(), max(at-last, 0)
	if mean == 0 {
		r.mean.Store(distance)
		return
	}
	r.mean.Store(mean + (distance-mean)/meanOver)
}

// silence is how long there must be no beat for it to have stopped; a long time before it has begun.
func (r *rhythm) silence() time.Duration {
	mean := time.Duration(r.mean.Load())
	if mean <= 0 || mean > minFetchInterval {
		return minFetchInterval
	}
	return min(max(missedBeats*mean, minSilence), minFetchInterval)
}

// hasStopped reports whether beats that came regularly, and after a time, come no more.
func (r *rhythm) hasStopped(now, after time.Time) bool {
	last := time.Unix(0, r.last.Load())
	return last.After(after) && now.Sub(last) >= r.silence()
}
