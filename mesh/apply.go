package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DestructiveError says that Apply did not make the steps that would lose something.
type DestructiveError struct {
	// Steps were refused, and nothing of them was done.
	Steps []Step
}

func (e *DestructiveError) Error() string {
	lines := make([]string, len(e.Steps))
	for i, s := range e.Steps {
		lines[i] = fmt.Sprintf("%s %s %s: %s", s.Action, s.Kind, s.Name, s.Loses)
	}
	return "refused without --allow-destroy: " + strings.Join(lines, "; ")
}

// Apply makes the steps of the plan. Without allowDestroy it makes the harmless ones and
// returns a *DestructiveError for the rest, joined with what else went wrong, if anything did. It may be run again, and by several processes at
// once: a step that another has made already is done.
func (p Plan) Apply(ctx context.Context, js jetstream.JetStream, allowDestroy bool) error {
	a := applier{js: js}
	var refused []Step
	for _, s := range p.Steps {
		switch {
		case s.Loses != "" && !allowDestroy:
			refused = append(refused, s)
		case slices.ContainsFunc(refused, func(r Step) bool { return r.Name == s.needs && r.Kind == KindStream }):
			// its stream stays as it is, and so does the consumer
		default:
			a.steps = append(a.steps, s)
		}
	}
	err := a.run(ctx)
	switch {
	case len(refused) == 0:
		return err
	case err == nil:
		return &DestructiveError{Steps: refused}
	}
	return errors.Join(err, &DestructiveError{Steps: refused})
}

type applier struct {
	js    jetstream.JetStream
	steps []Step
}

// run makes the steps in their order. A step may have to wait for a later one, as when a
// subject moves from one stream to another: such steps are tried again as long as others
// succeed.
func (a *applier) run(ctx context.Context) error {
	for {
		var waiting []Step
		var errs []error
		for _, s := range a.steps {
			err := a.step(ctx, s)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s %s: %w", s.Action, s.Kind, s.Name, err))
			}
			if err != nil && awaitsAnother(err) {
				waiting = append(waiting, s)
			} else if err != nil {
				return errors.Join(errs...)
			}
		}
		if len(waiting) == 0 || len(waiting) == len(a.steps) {
			return errors.Join(errs...)
		}
		a.steps = waiting
	}
}

// errCodeSubjectOverlap is the server's "subjects overlap with an existing stream", which
// nats.go does not name.
const errCodeSubjectOverlap jetstream.ErrorCode = 10065

func awaitsAnother(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == errCodeSubjectOverlap || api.ErrorCode == jetstream.JSErrCodeStreamNotFound)
}

func (a *applier) step(ctx context.Context, s Step) error {
	if s.Kind == KindStream {
		return a.streamStep(ctx, s)
	}
	return a.consumerStep(ctx, s)
}

func (a *applier) streamStep(ctx context.Context, s Step) error {
	switch s.Action {
	case Create:
		return a.createStream(ctx, s)
	case Update:
		if _, err := a.unchangedStream(ctx, s); err != nil {
			return err
		}
		return patiently(ctx, s.replicas, func() error {
			_, err := a.js.UpdateStream(ctx, *s.stream)
			return err
		})
	case Delete:
		_, err := a.deleteStream(ctx, s)
		return err
	}
	return a.replaceStream(ctx, s)
}

// replaceStream deletes a stream and makes it anew. If the server does not take the new one,
// the old one is made again, empty, so that at least what comes in is stored.
func (a *applier) replaceStream(ctx context.Context, s Step) error {
	old, err := a.deleteStream(ctx, s)
	if err != nil {
		return err
	}
	err = a.createStream(ctx, s)
	if err == nil || old == nil {
		return err
	}
	s.stream = old
	if again := a.createStream(ctx, s); again != nil {
		return fmt.Errorf("the stream was deleted, the new one refused, and the old one too: %w", errors.Join(err, again))
	}
	return fmt.Errorf("the stream was deleted, the new one refused, and the old one made again, empty: %w", err)
}

func (a *applier) createStream(ctx context.Context, s Step) error {
	return patiently(ctx, s.replicas, func() error {
		_, err := a.js.CreateStream(ctx, *s.stream)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("another process made it meanwhile, and differently; plan again: %w", err)
		}
		return err
	})
}

// errChanged means that what a step would destroy is not what the plan has seen.
var errChanged = errors.New("it was made anew since the plan; plan again")

// unchangedStream reads the stream and checks that it is the one that was planned for. It is
// nil if there is none.
func (a *applier) unchangedStream(ctx context.Context, s Step) (*jetstream.StreamConfig, error) {
	stream, err := a.js.Stream(ctx, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !stream.CachedInfo().Created.Equal(s.created):
		return nil, errChanged
	}
	return &stream.CachedInfo().Config, nil
}

// deleteStream returns what it deleted, or nil if it was gone already.
func (a *applier) deleteStream(ctx context.Context, s Step) (*jetstream.StreamConfig, error) {
	old, err := a.unchangedStream(ctx, s)
	if err != nil || old == nil {
		return nil, err
	}
	err = a.js.DeleteStream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return old, nil
	}
	return old, err
}

const (
	patience = 10 * time.Second
	interval = 250 * time.Millisecond
)

// patiently repeats what a cluster refuses while its members still find each other.
func patiently(ctx context.Context, replicas int, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil || replicas <= 1 || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(interval):
		}
	}
}

// passing reports whether an error is that of a cluster that is not ready yet.
func passing(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503
	}
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, context.DeadlineExceeded)
}
