package processes

import (
	"context"
	"sync"
	"time"
)

// readiness asks whether the process can do its work, beside the answering: a process that can't may need long to find out, and that
// is when its answer is wanted.
type readiness struct {
	ask func() error // may be nil

	asking sync.WaitGroup
	mu     sync.Mutex
	busy   bool
	known  chan struct{} // closed once the asking under way is done
	at     time.Time
	last   string
}

const (
	readyEvery = time.Second
	// readyPatience is how long an answer waits for it.
	readyPatience = 100 * time.Millisecond
)

// now is why the process can't do its work, or "". It is what was known last while nothing newer is.
func (r *readiness) now(ctx context.Context) string {
	if r.ask == nil {
		return ""
	}
	timer := time.NewTimer(readyPatience)
	defer timer.Stop()
	select {
	case <-r.renewed():
	case <-timer.C:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// renewed asks, unless that is done already or was just done, and returns what is closed when it is known.
func (r *readiness) renewed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || time.Since(r.at) < readyEvery {
		return r.known
	}
	r.busy, r.known = true, make(chan struct{})
	r.asking.Go(func() {
		why := ""
		if err := r.ask(); err != nil {
			why = err.Error()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy, r.at, r.last = false, time.Now(), why
		close(r.known)
	})
	return r.known
}

func (r *readiness) end() { r.asking.Wait() }
