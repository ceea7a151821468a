package embedded

import (
	"context"
	"errors"
	"os"
	"time"
)

var errRestarting = errors.New("the embedded nats-server is being started anew")

const (
	// restartWait is the least time between two restarts, and twice that if the one before did not last.
	restartWait = 10 * time.Second
	// lastingRestart is how long a server has to store until its next failure is a new one.
	lastingRestart = time.Minute
	// spareFiles have to be free before a restart, besides those that the server gives back: one that can't open its files would come up
	// without its streams.
	spareFiles = 16
)

// restarts keeps restarts apart.
type restarts struct {
	latest time.Time
	wait   time.Duration
}

// isDue reports whether the server may be started anew now.
func (r *restarts) isDue() bool { return time.Since(r.latest) >= r.wait && haveSpareFiles() }

// note counts a restart.
func (r *restarts) note() {
	if r.wait = restartWait; time.Since(r.latest) < lastingRestart {
		r.wait = 2 * restartWait
	}
	r.latest = time.Now()
}

// haveSpareFiles opens as many as it asks for and closes them.
func haveSpareFiles() bool {
	for range spareFiles {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return false
		}
		defer file.Close()
	}
	return true
}

// restart starts the server anew on its data. If it does not come up, it is tried again later.
func (s *Server) restart(ctx context.Context) {
	s.log.Warn("the embedded nats-server is started anew, for there is room for writing again")
	if old := s.running.Swap(nil); old != nil {
		shutDown(old)
	}
	s.restarts.note()
	next, err := start(ctx, s.options)
	if err != nil {
		s.log.WithError(err).Error("the embedded nats-server does not start; it is tried again")
		return
	}
	s.running.Store(next)
}
