package workers

import (
	"sync"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// breaker spares a target that has failed for a while. It is closed until so many attempts in a row
// have failed over so long a time. Then it is open: after a wait that grows with each time, one
// event tries; if it is taken, or refused by a target that answers again, the breaker closes. What an event tries while it
// is open is not counted against it, for it is the target that is down: so an outage makes no dead
// letters but of what had spent its attempts before.
//
// It is our own and no library's because events wait for it rather than fail, because its waits are the subscriber's
// backoff, and because its state survives a restart.
type breaker struct {
	mesh.Breaker
	backoff mesh.Backoff
	// changed is called when those who wait should look again, told when the state has to be kept and said.
	changed func()
	told    func(mesh.BreakerState)

	mu      sync.Mutex
	row     int       // failures in a row
	first   time.Time // of these
	open    bool
	since   time.Time
	until   time.Time
	probes  int
	probing bool
	last    string
}

func newBreaker(s mesh.Subscriber, told func(mesh.BreakerState)) *breaker {
	b := &breaker{Breaker: s.Breaker, backoff: s.Backoff, changed: func() {}, told: told}
	b.Disabled = b.Disabled || b.Failures <= 0 // a subscriber made in code that says nothing of it
	return b
}

// restore takes up what was kept of an open breaker.
func (b *breaker) restore(s mesh.BreakerState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Disabled || !s.Open || b.open {
		return
	}
	now := time.Now()
	b.open, b.since, b.probes, b.last = true, s.Since, s.Probes, s.Error
	b.until = s.Until
	if latest := now.Add(time.Duration(b.backoff.Max)); b.until.After(latest) {
		b.until = latest // whatever the clocks say
	}
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// shutFor is how long nothing may try; while an event tries, until it is done.
func (b *breaker) shutFor(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return 0
	case b.probing:
		return forever
	}
	return b.until.Sub(now)
}

// admit takes the part of the one that tries, if the breaker is open.
func (b *breaker) admit(now time.Time) (probes, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return false, true
	case b.probing || now.Before(b.until):
		return false, false
	}
	b.probing = true
	return true, true
}

// answered notes that the target is well enough to answer.
func (b *breaker) answered() {
	b.mu.Lock()
	wasOpen := b.open
	b.row, b.open, b.probing, b.probes = 0, false, false, 0
	if wasOpen {
		b.since = time.Now()
	}
	state := b.state()
	b.mu.Unlock()
	if wasOpen {
		b.told(state)
		b.changed()
	}
}

// failed notes a failed attempt. It reports whether the attempt counts against its event.
func (b *breaker) failed(probed bool, cause error) (counts bool) {
	now := time.Now()
	b.mu.Lock()
	if b.row++; b.row == 1 {
		b.first = now
	}
	wasOpen := b.open
	tell := false
	switch {
	case probed:
		b.probing = false
		b.probes++
		b.shut(now, cause)
		tell = true
	case !wasOpen && !b.Disabled && b.row >= b.Failures && now.Sub(b.first) >= time.Duration(b.For):
		b.open, b.since, b.probes = true, now, 0
		b.shut(now, cause)
		tell = true
	}
	state := b.state()
	b.mu.Unlock()
	if tell {
		b.told(state)
		b.changed()
	}
	return !probed
}

// gaveUp notes that the one that tries came to no verdict.
func (b *breaker) gaveUp(probed bool) {
	if !probed {
		return
	}
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
	b.changed()
}

// shut sets when the next one tries; the caller holds the lock.
func (b *breaker) shut(now time.Time, cause error) {
	b.until = now.Add(delayBefore(b.backoff, b.probes+1))
	b.last = cause.Error()
}

// maxBreakerError bounds the target's words that are kept.
const maxBreakerError = 300

func (b *breaker) state() mesh.BreakerState {
	s := mesh.BreakerState{Open: b.open, Since: b.since}
	if b.open {
		s.Until, s.Probes, s.Error = b.until, b.probes, b.last[:min(len(b.last), maxBreakerError)]
	}
	return s
}
