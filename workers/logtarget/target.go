// Package logtarget is the target that writes one log line for each event, for trying a mesh
// out and for seeing what a subscriber would get.
package logtarget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// Scheme is the scheme of the target's URL, which is "log:" and nothing more.
const Scheme = "log"

var errClosed = errors.New("the log target is closed")

// Target writes events to a log at level info. It never writes a body: bodies hold personal
// data, and logs are read by people who must not see it.
type Target struct {
	log    logrus.FieldLogger
	closed atomic.Bool
}

// New makes the target of a subscriber. The log is the caller's.
func New(target mesh.Target, subscriber string, log logrus.FieldLogger) (*Target, error) {
	if err := Check(target); err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	return &Target{log: log.WithField("subscriber", subscriber)}, nil
}

// Check finds what New would refuse. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	if strings.EqualFold(target.URL, Scheme+":") {
		return nil
	}
	return &mesh.FieldError{Field: "url", Problem: `a log target's url is "log:" and nothing more`}
}

// Handle writes one line. It fails only after Close or the end of ctx; a line that the log
// can't write is lost, for that is how logs are.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if t.closed.Load() {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("log target: %w", err)
	}
	t.log.WithFields(event.LogFields()).WithFields(logrus.Fields{
		"attempt":         event.Attempt,
		"bytes":           len(event.Body),
		"idempotency_key": event.IdempotencyKey(),
	}).Info("event")
	return nil
}

// Close makes Handle fail from now on.
func (t *Target) Close() error {
	t.closed.Store(true)
	return nil
}
