package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

func (a *applier) consumerStep(ctx context.Context, s Step) error {
	stream, name, _ := strings.Cut(s.Name, "/")
	switch s.Action {
	case Create:
		if err := a.layoutIsFree(ctx, stream, *s.consumer, nil); err != nil {
			return err
		}
		err := a.createConsumer(ctx, stream, s, *s.consumer)
		if err == nil && s.forgets != "" {
			err = a.forget(ctx, stream, s.forgets)
		}
		return err
	case Switch:
		return a.switchConsumers(ctx, stream, name, s)
	}
	info, err := a.consumerInfo(ctx, stream, name)
	if err != nil {
		return err
	}
	if info != nil && !info.Created.Equal(s.created) {
		return errChanged
	}
	switch s.Action {
	case Update:
		if info == nil {
			return errChanged
		}
		return a.updateConsumer(ctx, stream, s, info)
	case Delete:
		return a.deleteConsumer(ctx, stream, name)
	}
	return a.replaceConsumer(ctx, stream, s, info)
}

// updateConsumer also pauses or resumes: the server ignores pause_until in an update.
func (a *applier) updateConsumer(ctx context.Context, stream string, s Step, now *jetstream.ConsumerInfo) error {
	if err := a.endDrain(ctx, stream, s, now); err != nil {
		return err
	}
	err := patiently(ctx, s.replicas, func() error {
		_, err := a.js.UpdatePushConsumer(ctx, stream, *s.consumer)
		return err
	})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Field == "pause_until" }) {
		return nil
	}
	if until := s.consumer.PauseUntil; until != nil {
		_, err = a.js.PauseConsumer(ctx, stream, s.consumer.Durable, *until)
	} else {
		_, err = endPause(ctx, a.js, stream, s.consumer.Durable)
	}
	return err
}

// endDrain ends the pause of a consumer that a switch has drained that was cut short, if the step takes that back: first, so that
// whoever is cut short here finds the step again.
func (a *applier) endDrain(ctx context.Context, stream string, s Step, now *jetstream.ConsumerInfo) error {
	wasDrained := slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Field == "max_ack_pending" && c.From == "1" })
	if !wasDrained || !now.Paused || now.PauseRemaining > drainPause {
		return nil
	}
	_, err := endPause(ctx, a.js, stream, s.consumer.Durable)
	return err
}

// replaceConsumer makes a consumer anew that goes on where the old one was: at the first
// message that was not acknowledged for good, so that none is skipped. The stream remembers
// the place meanwhile, in case that we don't get to the end.
func (a *applier) replaceConsumer(ctx context.Context, stream string, s Step, info *jetstream.ConsumerInfo) error {
	config := *s.consumer
	if info != nil {
		reached := Skip{{info.AckFloor.Stream}}
		if served, ok := ServedBy(info.Config); ok {
			reached = reached.and(served.Skip)
		}
		goOn(&config, reached)
		if err := a.remember(ctx, stream, config.Durable, reached); err != nil {
			return err
		}
		if err := a.deleteConsumer(ctx, stream, config.Durable); err != nil {
			return err
		}
	}
	if err := a.createConsumer(ctx, stream, s, config); err != nil {
		return err
	}
	return a.forget(ctx, stream, config.Durable)
}

// remember writes onto a stream where a consumer, or all those of a subscriber, go on.
func (a *applier) remember(ctx context.Context, stream, name string, reached Skip) error {
	return a.note(ctx, stream, name, reached.String())
}

func (a *applier) forget(ctx context.Context, stream, name string) error {
	return a.note(ctx, stream, name, "")
}

func (a *applier) note(ctx context.Context, stream, name, reached string) error {
	handle, err := a.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	config := handle.CachedInfo().Config
	if config.Metadata[metadataResume+name] == reached {
		return nil
	}
	metadata := map[string]string{}
	maps.Copy(metadata, config.Metadata)
	config.Metadata = metadata
	if reached == "" {
		delete(config.Metadata, metadataResume+name)
	} else {
		config.Metadata[metadataResume+name] = reached
	}
	if _, err = a.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("note on the stream where %s goes on: %w", name, err)
	}
	return nil
}

func (a *applier) createConsumer(ctx context.Context, stream string, s Step, config jetstream.ConsumerConfig) error {
	return patiently(ctx, s.replicas, func() error {
		_, err := a.js.CreatePushConsumer(ctx, stream, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("another process made it meanwhile, and differently: %w (%w)", ErrPlanAgain, err)
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
	info, err := consumerOf(ctx, handle, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, nil
	}
	return info, err
}

func (a *applier) deleteConsumer(ctx context.Context, stream, name string) error {
	err := a.js.DeleteConsumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}
