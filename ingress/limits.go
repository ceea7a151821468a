package ingress

import (
	"net/http"
	"sync"
	"time"

	"github.com/genmesh/genmesh/mesh"
	"golang.org/x/time/rate"
)

// admit lets a verified request in or tells it to come later. Who was let in must leave.
func (s *receiver) admit() error {
	if s.inFlight.Add(1) > int64(s.source.MaxInFlight) {
		s.inFlight.Add(-1)
		return &Error{Status: http.StatusTooManyRequests, Reason: reasonInFlight, RetryAfter: time.Second}
	}
	if s.limiter != nil && !s.limiter.Allow() {
		s.inFlight.Add(-1)
		return &Error{Status: http.StatusTooManyRequests, Reason: reasonRateLimited, RetryAfter: refill(s.source.RateLimit)}
	}
	s.metrics.inFlight.WithLabelValues(s.source.Name).Inc()
	return nil
}

func (s *receiver) leave() {
	s.metrics.inFlight.WithLabelValues(s.source.Name).Dec()
	s.inFlight.Add(-1)
}

// newLimiter lets the events of one period come at once, and then as fast as the rate says.
func newLimiter(r mesh.Rate) *rate.Limiter {
	if r.Events <= 0 || r.Per <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(r.Events)/r.Per.Seconds()), r.Events)
}

// refill is how long it takes until one more event may come.
func refill(r mesh.Rate) time.Duration { return r.Per / time.Duration(r.Events) }

// drain counts the requests under way and lets no more in once it is ending.
type drain struct {
	mu     sync.Mutex
	inside int
	ending bool
	empty  chan struct{} // closed when it is ending and nothing is inside
}

func newDrain() *drain { return &drain{empty: make(chan struct{})} }

// enter reports whether the request may come in; if so, it must leave.
func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending {
		return false
	}
	d.inside++
	return true
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.ending && d.inside == 0 {
		close(d.empty)
	}
}

// end lets no more in. It returns a channel that is closed when all have left. It is called
// once.
func (d *drain) end() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = true
	if d.inside == 0 {
		close(d.empty)
	}
	return d.empty
}

func (d *drain) isEnding() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ending
}
