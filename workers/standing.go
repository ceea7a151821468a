package workers

import (
	"context"
	"sync"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// standing is how a subscriber stands as far as this process sees it, on its way to the state bucket: an open breaker has
// to survive a restart, and people look there why nothing moves. Only the newest word is kept; what
// can't be written is not tried again.
type standing struct {
	mu      sync.Mutex
	breaker *mesh.BreakerState // nil if there is nothing new
	wait    *mesh.Wait
	waits   time.Time // since when the subscriber waits, as far as that was told; zero if it doesn't
	told    bool      // the bucket says that it waits
	said    string    // why it waits, as it was logged last
	saidAt  time.Time
	news    chan struct{}
}

func newStanding() *standing { return &standing{news: make(chan struct{}, 1)} }

func (s *standing) setBreaker(b mesh.BreakerState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaker = &b
	signal(s.news)
}

// sayAgain is how long the same reason to wait is not logged again: a target at its limit asks for air every second, and a
// configuration may stay wrong for days.
const sayAgain = 10 * time.Minute

// longWait is how old a reason is that was logged for its end to be logged, too.
const longWait = time.Minute

// setWait tells that the subscriber waits because its target asks for air or can't be used. Short waits are only logged. It
// reports whether this one is to be logged: the reason is another one, or was logged long ago.
func (s *standing) setWait(wait time.Duration, reason string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if news = s.said != reason || now.Sub(s.saidAt) >= sayAgain; news {
		s.said, s.saidAt = reason, now
	}
	if wait < mesh.LeastWait {
		return news
	}
	if s.waits.IsZero() {
		s.waits = now
	}
	s.wait = &mesh.Wait{Since: s.waits, Until: now.Add(wait), Reason: reason}
	signal(s.news)
	return news
}

// heard notes that the bucket says that the subscriber waits, by whatever process: one that is gone takes nothing back.
func (s *standing) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
}

// endWait tells that the target took an event, and reports whether that is to be logged: because the wait was, and not
// just now.
func (s *standing) endWait() (said bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if said = s.said != "" && time.Since(s.saidAt) >= longWait; said {
		s.said = ""
	}
	if s.told || !s.waits.IsZero() {
		s.told, s.waits, s.wait = false, time.Time{}, new(mesh.Wait)
		signal(s.news)
	}
	return said
}

// keep writes what is new until ctx ends.
func (s *standing) keep(ctx context.Context, r *Runner, crew *Crew) {
	for {
		select {
		case <-s.news:
			s.mu.Lock()
			breaker, wait := s.breaker, s.wait
			s.breaker, s.wait = nil, nil
			s.mu.Unlock()
			if err := crew.tell(ctx, r.Subscriber.Name, breaker, wait); err != nil {
				r.log.WithError(err).Debug("how the subscriber stands is not kept")
			}
		case <-ctx.Done():
			return
		}
	}
}

// tell writes how a subscriber stands; nil is nothing new.
func (c *Crew) tell(ctx context.Context, subscriber string, breaker *mesh.BreakerState, wait *mesh.Wait) error {
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	if state == nil {
		return errNoState
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if breaker != nil {
		if err := state.SetBreaker(ctx, subscriber, *breaker); err != nil {
			return err
		}
	}
	if wait != nil {
		return state.SetWait(ctx, subscriber, *wait)
	}
	return nil
}
