package workers

import (
	"context"
	"slices"
	"sync"
)

// slots bound the attempts at once. Who waits gets one in the order of age, so that no event starves while
// newer ones pass; live events come before replays, and replays never have more than a quarter of the slots, so that
// a live event finds one soon.
type slots struct {
	mu    sync.Mutex
	total int
	// open is how many of them are handed out: all, or fewer after the target asked for air.
	open    int
	taken   int
	replays int // of those taken
	live    []*waiter
	later   []*waiter
}

type waiter struct {
	ready chan struct{}
	age   uint64 // the event's stream sequence
}

// queued is queue with w in its place.
func queued(queue []*waiter, w *waiter) []*waiter {
	at, _ := slices.BinarySearchFunc(queue, w.age, func(x *waiter, age uint64) int {
		if x.age <= age {
			return -1
		}
		return 1
	})
	return slices.Insert(queue, at, w)
}

func newSlots(n int) *slots { return &slots{total: max(n, 1), open: max(n, 1)} }

// narrow leaves one slot: whoever asked for air is not met by a volley when it had some.
func (s *slots) narrow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = 1
}

// widen opens one more for each event that was taken, so that their number doubles with each round.
func (s *slots) widen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open < s.total {
		s.open++
		s.hand()
	}
}

func (s *slots) size() int { return s.total }

func (s *slots) forReplays() int { return max(s.total/4, 1) }

// take waits for a slot; false means that ctx ended first.
func (s *slots) take(ctx context.Context, replay bool, age uint64) bool {
	s.mu.Lock()
	w := &waiter{make(chan struct{}), age}
	if replay {
		s.later = queued(s.later, w)
	} else {
		s.live = queued(s.live, w)
	}
	s.hand()
	s.mu.Unlock()
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.ready: // it came in this moment
		return true
	default:
	}
	s.live = slices.DeleteFunc(s.live, func(x *waiter) bool { return x == w })
	s.later = slices.DeleteFunc(s.later, func(x *waiter) bool { return x == w })
	return false
}

// free gives a slot back.
func (s *slots) free(replay bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if replay {
		s.replays--
	}
	s.hand()
}

// hand gives the free slots to those who wait; the caller holds the lock.
func (s *slots) hand() {
	for s.taken < s.open && len(s.live) > 0 {
		s.taken++
		close(s.live[0].ready)
		s.live = s.live[1:]
	}
	for s.taken < s.open && len(s.later) > 0 && s.replays < s.forReplays() {
		s.taken++
		s.replays++
		close(s.later[0].ready)
		s.later = s.later[1:]
	}
}
