package embedded

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/genmesh/genmesh/mesh/embedded/disk"
)

const (
	// lookInterval bounds for how long events are taken after the reserve is reached or a write has failed. In
	// that time a disk that takes 50 MB/s fills by 12 MB, a fifth of the reserve.
	lookInterval   = 250 * time.Millisecond
	defaultReserve = 64 << 20
	// A disk that is smaller than twenty default reserves keeps a twentieth.
	smallestPart = 20
)

// storing says whether the server stores: ctx ends, with the reason as its cause, once it does not.
type storing struct {
	ctx context.Context
	end context.CancelCauseFunc
}

func newStoring() *storing {
	ctx, end := context.WithCancelCause(context.Background())
	return &storing{ctx: ctx, end: end}
}

// Storing is a context that ends once the server can't store events any more or should not, because its disk is full, nearly full or
// refuses to be written. Its cause says why and what to do, and names no path. When the server stores again there is another context.
//
// Who takes events asks for it each time: what is published while the disk is full is never answered. What else is stored, as
// acknowledgements and dead letters, is small and goes on while there is a reserve.
func (s *Server) Storing() context.Context { return s.storing.Load().ctx }

// watch looks after the storage until ctx ends.
func (s *Server) watch(ctx context.Context) {
	defer close(s.watched)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look finds out whether the server can store, says so, and starts it anew if that mends it.
func (s *Server) look(ctx context.Context) {
	failed, shortage := s.failedWrite(), s.shortage()
	if s.running.Load() == nil || failed != nil && failed.passes() {
		if shortage == nil && s.restarts.isDue() {
			s.restart(ctx)
			failed = s.failedWrite()
		}
	}
	switch {
	case s.running.Load() == nil:
		s.refuse(errRestarting)
	case failed != nil:
		s.refuse(failed)
	case shortage != nil:
		s.refuse(shortage)
	default:
		s.accept()
	}
}

// refuse says why nothing is stored. While it goes on that is said once.
func (s *Server) refuse(why error) {
	now := s.storing.Load()
	if now.ctx.Err() != nil && context.Cause(now.ctx).Error() == why.Error() {
		return
	}
	next := newStoring()
	next.end(why)
	s.storing.Store(next)
	now.end(why)
	s.log.WithError(why).WithField("path", s.options.DataDir).Error("events are not taken")
}

func (s *Server) accept() {
	if s.storing.Load().ctx.Err() == nil {
		return
	}
	s.storing.Store(newStoring())
	s.log.Info("events are taken again")
}

// shortage is why there is too little space for more events, or nil. Once there was too little it takes a quarter more than the
// reserve to go on. Where the system does not tell the space, there is no shortage.
func (s *Server) shortage() error {
	space, err := disk.Read(s.options.DataDir)
	if err != nil {
		return nil
	}
	reserve := cmp.Or(s.options.Reserve, min(defaultReserve, space.Size/smallestPart))
	enough := reserve + reserve/4
	if space.Free >= enough || space.Free >= reserve && s.Storing().Err() == nil {
		return nil
	}
	return shortageError{enough: enough}
}

// shortageError says what is enough and not what is there, so that it stays the same while it lasts.
type shortageError struct{ enough int64 }

func (e shortageError) Error() string {
	return fmt.Sprintf("nothing is stored: the disk of the data folder is nearly full. Free space until there are %.0f MB: all else happens by itself",
		math.Ceil(float64(e.enough)/1e6))
}
