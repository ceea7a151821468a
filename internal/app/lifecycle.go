package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
)

// component is one long-lived part of a process.
type component struct {
	name string
	run  func(ctx context.Context) error
}

// running is a component that was started.
type running struct {
	component
	stop context.CancelFunc
	done chan error
}

// runAll starts the components in order and blocks until ctx ends or one of them fails. Then it
// ends them in reverse order, each only after the one started later has ended: what is fed ends
// after what feeds it.
func runAll(ctx context.Context, log logrus.FieldLogger, components []component) error {
	failed := make(chan error, len(components))
	started := make([]running, 0, len(components))
	for _, c := range components {
		started = append(started, start(context.WithoutCancel(ctx), c, failed))
	}
	var errs []error
	select {
	case <-ctx.Done():
		log.Info("shutting down")
	case err := <-failed:
		errs = append(errs, err)
	}
	for i := len(started) - 1; i >= 0; i-- {
		began := time.Now()
		started[i].stop()
		if err := <-started[i].done; err != nil && len(errs) == 0 {
			errs = append(errs, err)
		}
		log.WithFields(logrus.Fields{"part": started[i].name, "took": time.Since(began).Round(time.Millisecond).String()}).
			Debug("ended")
	}
	return errors.Join(errs...)
}

func start(ctx context.Context, c component, failed chan<- error) running {
	ctx, cancel := context.WithCancel(ctx)
	r := running{component: c, stop: cancel, done: make(chan error, 1)}
	go func() {
		err := c.run(ctx)
		if err != nil {
			err = fmt.Errorf("%s: %w", c.name, err)
		}
		if ctx.Err() == nil {
			if err == nil {
				err = fmt.Errorf("%s ended by itself", c.name)
			}
			failed <- err
		}
		r.done <- err
	}()
	return r
}
