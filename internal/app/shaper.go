package app

import (
	"context"
	"errors"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/shape"
)

// shaper makes of an event what a subscriber gets, in the terms of a runner.
type shaper struct {
	applied *shape.Shape
	passes  string // the one step that passes events by; "" if two may
}

// NewShaper makes what applies a subscriber's when, redact and transform; nil for a subscriber that gets events as they are. lookup reads
// the environment for the key of redact's hashes. It fails if one of them can't be compiled or the key can't be read.
func NewShaper(s mesh.Subscriber, lookup func(string) (string, bool)) (workers.Shaper, error) {
	made, err := shape.New(s, lookup)
	if made == nil || err != nil {
		return nil, err
	}
	one := shaper{applied: made}
	switch {
	case s.Transform == "":
		one.passes = string(shape.StepWhen)
	case s.When == "":
		one.passes = string(shape.StepTransform)
	}
	return one, nil
}

// Shape applies when, redact and transform. Only a machine that was too busy for the time that they
// have is no verdict on the event.
func (s shaper) Shape(ctx context.Context, event mesh.Event) (mesh.Event, bool, string, error) {
	if event.Notice != "" {
		return event, true, "", nil // it is genmesh's own word, which holds nothing of a body
	}
	shaped, gets, err := s.applied.Apply(ctx, event)
	if err != nil && !errors.Is(err, shape.ErrTimeLimit) && ctx.Err() == nil {
		err = workers.Permanent(err)
	}
	if gets || err != nil {
		return shaped, gets, "", err
	}
	if s.passes == "" {
		return shaped, false, string(s.applied.Explain(ctx, event).Decided), nil
	}
	return shaped, false, s.passes, nil
}
