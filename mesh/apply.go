package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
// returns a *DestructiveError for the rest. It may be run again, and by several processes at
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
	if len(refused) > 0 {
		err = errors.Join(err, &DestructiveError{Steps: refused})
	}
	return err
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
		_, err := a.js.UpdateStream(ctx, *s.stream)
		return err
	}
	if err := a.deleteStream(ctx, s); err != nil || s.Action == Delete {
		return err
	}
	return a.createStream(ctx, s)
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

// unchangedStream checks that the stream is the one that was planned for. It reports whether
// the stream is there at all.
func (a *applier) unchangedStream(ctx context.Context, s Step) (bool, error) {
	stream, err := a.js.Stream(ctx, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !stream.CachedInfo().Created.Equal(s.created):
		return true, errChanged
	}
	return true, nil
}

func (a *applier) deleteStream(ctx context.Context, s Step) error {
	if exists, err := a.unchangedStream(ctx, s); err != nil || !exists {
		return err
	}
	err := a.js.DeleteStream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

func (a *applier) consumerStep(ctx context.Context, s Step) error {
	stream, name, _ := strings.Cut(s.Name, "/")
	switch s.Action {
	case Create:
		err := a.createConsumer(ctx, stream, s, *s.consumer)
		if err == nil && s.resumes {
			err = a.remember(ctx, stream, name, "")
		}
		return err
	case Update:
		return a.updateConsumer(ctx, stream, s)
	}
	info, err := a.consumerInfo(ctx, stream, name)
	if err != nil {
		return err
	}
	if info != nil && !info.Created.Equal(s.created) {
		return errChanged
	}
	if s.Action == Delete {
		return a.deleteConsumer(ctx, stream, name)
	}
	return a.replaceConsumer(ctx, stream, s, info)
}

// updateConsumer also pauses or resumes: the server ignores pause_until in an update.
func (a *applier) updateConsumer(ctx context.Context, stream string, s Step) error {
	if _, err := a.js.UpdatePushConsumer(ctx, stream, *s.consumer); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Field == "pause_until" }) {
		return nil
	}
	var err error
	if until := s.consumer.PauseUntil; until != nil {
		_, err = a.js.PauseConsumer(ctx, stream, s.consumer.Durable, *until)
	} else {
		_, err = a.js.ResumeConsumer(ctx, stream, s.consumer.Durable)
	}
	return err
}

// replaceConsumer makes a consumer anew that goes on where the old one was: at the first
// message that was not acknowledged for good, so that none is skipped. The stream remembers
// the place meanwhile, in case that we don't get to the end.
func (a *applier) replaceConsumer(ctx context.Context, stream string, s Step, info *jetstream.ConsumerInfo) error {
	config := *s.consumer
	if info != nil {
		startAt(&config, info.AckFloor.Stream+1)
		if err := a.remember(ctx, stream, config.Durable, strconv.FormatUint(config.OptStartSeq, 10)); err != nil {
			return err
		}
		if err := a.deleteConsumer(ctx, stream, config.Durable); err != nil {
			return err
		}
	}
	if err := a.createConsumer(ctx, stream, s, config); err != nil {
		return err
	}
	return a.remember(ctx, stream, config.Durable, "")
}

// remember writes onto a stream where a consumer goes on; "" forgets it.
func (a *applier) remember(ctx context.Context, stream, consumer, sequence string) error {
	handle, err := a.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	config := handle.CachedInfo().Config
	metadata := map[string]string{}
	maps.Copy(metadata, config.Metadata)
	config.Metadata = metadata
	if sequence == "" {
		delete(config.Metadata, metadataResume+consumer)
	} else {
		config.Metadata[metadataResume+consumer] = sequence
	}
	if _, err = a.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("note on the stream where %s goes on: %w", consumer, err)
	}
	return nil
}

func (a *applier) createConsumer(ctx context.Context, stream string, s Step, config jetstream.ConsumerConfig) error {
	return patiently(ctx, s.replicas, func() error {
		_, err := a.js.CreatePushConsumer(ctx, stream, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("another process made it meanwhile, and differently; plan again: %w", err)
		}
		return err
	})
}

// consumerInfo is nil if there is no such consumer. It finds pull consumers too.
func (a *applier) consumerInfo(ctx context.Context, stream, name string) (*jetstream.ConsumerInfo, error) {
	handle, err := a.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := handle.ListConsumers(ctx)
	var found *jetstream.ConsumerInfo
	for info := range list.Info() {
		if info.Name == name {
			found = info
		}
	}
	return found, list.Err()
}

func (a *applier) deleteConsumer(ctx context.Context, stream, name string) error {
	err := a.js.DeleteConsumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

const (
	patience = 10 * time.Second
	interval = 250 * time.Millisecond
)

// patiently repeats a create that a cluster refuses while its members still find each other.
func patiently(ctx context.Context, replicas int, create func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := create()
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
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout)
}
