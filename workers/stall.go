package workers

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stall notices that the server delivers nothing of what it has, and goes on with that until the next event is stored: as after a
// pause that was ended and did not run out (nats consumer resume; nats-server 2.15.2, server/consumer.go, updatePauseState).
type stall struct {
	delivered uint64    // the consumer sequence of the newest delivery
	since     time.Time // since when that is the newest, although others wait; zero if none do
	patience  time.Duration
}

const (
	// stallPatience is how long nothing may come of what waits. It doubles with each time in vain, up to maxStallPatience: what the
	// server says that waits may be an error of its count.
	stallPatience    = 2500 * time.Millisecond
	maxStallPatience = time.Minute
)

// look reports whether a consumer is to be woken.
func (s *stall) look(info *jetstream.ConsumerInfo, now time.Time) bool {
	switch {
	case !couldDeliver(info):
		s.since = time.Time{}
		return false
	case s.since.IsZero() || info.Delivered.Consumer != s.delivered:
		s.delivered, s.since, s.patience = info.Delivered.Consumer, now, stallPatience
		return false
	case now.Sub(s.since) < s.patience:
		return false
	}
	s.since, s.patience = now, min(2*s.patience, maxStallPatience)
	return true
}

// couldDeliver reports whether nothing keeps the server from delivering what waits now.
func couldDeliver(info *jetstream.ConsumerInfo) bool {
	isSlow := info.Config.ReplayPolicy != jetstream.ReplayInstantPolicy || info.Config.RateLimit > 0
	return info.NumPending > 0 && info.NumAckPending < info.Config.MaxAckPending && info.PushBound && !info.Paused && !isSlow
}
