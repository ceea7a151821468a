package pages

import (
	"context"
	"errors"

	"github.com/genmesh/genmesh/internal/console/access"
)

// The bounds of what is looked up at once, each for operators and for viewers: so that those who only look keep nobody from acting.
const (
	maxLooks = 16
	// maxTimelines is how many of them are timelines, each of which may hold 64 MiB of bodies for a moment.
	maxTimelines = 2
)

// errBusy means that too much is looked at at once.
var errBusy = errors.New("too many pages are looked at at once")

// rooms bound what is looked up at once.
type rooms struct{ looks, timelines chan struct{} }

func newRooms() *rooms {
	return &rooms{looks: make(chan struct{}, maxLooks), timelines: make(chan struct{}, maxTimelines)}
}

// room is that of a visit's kind of visitors.
func (s *site) room(v *visit) *rooms {
	if v.may(access.Operator) {
		return s.operatorRooms
	}
	return s.viewerRooms
}

// enter waits for room; the caller calls leave.
func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, errBusy
	}
}
