package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// readiness asks at most once a second whether the process can do its work, however often it is
// asked itself: anybody may.
type readiness struct {
	ask func() error

	mu    sync.Mutex
	until time.Time
	last  error
}

const readyInterval = time.Second

func (r *readiness) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().After(r.until) {
		r.last = r.ask()
		r.until = time.Now().Add(readyInterval) // asking may have taken longer than that
	}
	return r.last
}

// ready tells why the process can't do its work now.
func (a *app) ready() error {
	if a.js == nil {
		return a.bridges.ready() // it does nothing else
	}
	if err := a.storing(); err != nil {
		return err
	}
	if !a.js.Conn().IsConnected() {
		return errors.New("NATS is out of reach")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if _, err := a.js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("JetStream does not answer: %w", err)
	}
	if a.committer != nil {
		return a.committer.Ready()
	}
	return nil
}
