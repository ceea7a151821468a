package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/archive"
	"github.com/genmesh/genmesh/workers/broker"
	"github.com/genmesh/genmesh/workers/forward"
	"github.com/genmesh/genmesh/workers/logtarget"
	"github.com/genmesh/genmesh/workers/ndjson"
	"github.com/genmesh/genmesh/workers/postgres"
	"github.com/genmesh/genmesh/workers/republish"
)

// TargetSchemes are the schemes of target URLs that this binary serves.
func TargetSchemes() []string {
	own := []string{"http", "https", "file", "nats", "log", postgres.Scheme, "postgresql"}
	return slices.Concat(own, broker.Schemes(), archive.Schemes())
}

// unbuilt says how a scheme can be served that this binary does not; "" for what none does.
func unbuilt(scheme string) string {
	for _, known := range []func(string) (string, bool){broker.Known, archive.Known} {
		if tag, ok := known(scheme); ok && tag != "" {
			return fmt.Sprintf("this binary was built without it: build one with -tags %s", tag)
		}
	}
	return ""
}

// targetMaker makes the target of a subscriber.
type targetMaker struct{ app *app }

// target is where a subscriber's events go: a handler that may have files or connections.
type target struct {
	name string
	open func() (workers.Handler, error)
	log  logrus.FieldLogger

	mu      sync.Mutex
	handler workers.Handler
	closed  bool
}

func (m targetMaker) make(s mesh.Subscriber) (*target, error) {
	if s.Target == nil {
		h := m.app.Workers.Handlers[s.Name]
		return &target{name: "handler", open: func() (workers.Handler, error) { return h, nil }}, nil
	}
	u, err := url.Parse(s.Target.URL)
	if err != nil {
		return nil, errors.New("the target's URL can't be read") // the URL may hold a secret
	}
	return &target{name: s.Target.Display(), log: m.app.Logger, open: func() (workers.Handler, error) { return m.open(u.Scheme, s) }}, nil
}

func (m targetMaker) open(scheme string, s mesh.Subscriber) (workers.Handler, error) {
	switch scheme {
	case "http", "https":
		return forward.New(*s.Target, s.Name, m.forwardOptions(s))
	case "file":
		return ndjson.New(*s.Target, s.Name, m.app.Logger)
	case "nats":
		return republish.New(*s.Target, s.Name, m.app.js)
	case "log":
		return logtarget.New(*s.Target, s.Name, m.app.Logger)
	case postgres.Scheme, "postgresql":
		return postgres.New(*s.Target, s.Name, m.app.Logger)
	}
	if slices.Contains(broker.Schemes(), scheme) {
		return broker.New(*s.Target, s.Name, m.app.Logger, broker.EventTypePrefix(eventTypePrefix))
	}
	if slices.Contains(archive.Schemes(), scheme) {
		return archive.New(*s.Target, s.Name, m.app.Logger)
	}
	return nil, fmt.Errorf("target scheme %q is not served", scheme)
}

// checkTarget finds what is wrong with a target without opening it.
func checkTarget(t mesh.Target) error {
	u, err := url.Parse(t.URL)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return forward.Check(t)
	}
	return nil
}

// eventTypePrefix makes a CloudEvents type of a Genesys event type.
const eventTypePrefix = "com.genesys.cloud."

// forwardOptions are those that every HTTP target of a subscriber has. The sender's own headers are passed
// on under the names that the first source of the subscriber's stream has for them.
func forwardOptions(t *mesh.Topology, s mesh.Subscriber, version string) forward.Options {
	o := forward.Options{MaxInFlight: s.MaxInFlight, Version: version, EventTypePrefix: eventTypePrefix}
	for _, source := range t.Sources {
		if source.Stream == s.Stream {
			o.DeliveryIDHeader, o.DeliveryTypeHeader = source.Identity.DeliveryIDHeader, source.Identity.DeliveryTypeHeader
			break
		}
	}
	return o
}

func (m targetMaker) forwardOptions(s mesh.Subscriber) forward.Options {
	o := forwardOptions(m.app.fleet.current(), s, m.app.Version)
	o.PublicOnly, o.LookupEnv, o.Logger = m.app.Workers.PublicTargets, m.app.LookupEnv, m.app.Logger
	return o
}

// Handle hands the event to the target, which is opened by the first: one that can't be opened
// yet, such as a file on a disk that is not mounted, is tried again with the event.
func (t *target) Handle(ctx context.Context, e mesh.Event) error {
	h, err := t.opened()
	if err != nil {
		return err
	}
	return h.Handle(ctx, e)
}

func (t *target) opened() (workers.Handler, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.New("the target is closed")
	}
	if t.handler == nil {
		h, err := t.open()
		if err != nil {
			// The target's fault and not the event's: the subscriber waits.
			return nil, workers.RetryAfter(0, fmt.Errorf("open target %s: %w", t.name, err))
		}
		t.handler = h
	}
	return t.handler, nil
}

// patience bounds how long a target may take to reopen or close: a disk or a server that hangs must not
// keep the process from reloading or ending. An archive stores what it has gathered within it.
const patience = 20 * time.Second

// reopen lets a target with files look at them again.
func (t *target) reopen(log logrus.FieldLogger) {
	h := t.current()
	if r, ok := h.(interface{ Reopen() error }); ok {
		t.patiently(log, "reopening", r.Reopen)
	}
}

// Idle closes what the target has open, so that another process can have it; the next event opens it
// again.
func (t *target) Idle() {
	if t.log == nil {
		return // a handler in code, which is its maker's to close
	}
	t.mu.Lock()
	h := t.handler
	t.handler = nil
	t.mu.Unlock()
	if c, ok := h.(interface{ Close() error }); ok {
		t.patiently(t.log, "closing", c.Close)
	}
}

// close ends the target; nothing is handed to it any more.
func (t *target) close(log logrus.FieldLogger) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	if c, ok := t.current().(interface{ Close() error }); ok {
		t.patiently(log, "closing", c.Close)
	}
}

func (t *target) current() workers.Handler {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.handler
}

func (t *target) patiently(log logrus.FieldLogger, doing string, do func() error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	log = log.WithField("target", t.name)
	select {
	case err := <-done:
		if err != nil {
			log.WithError(err).Errorf("%s the target failed", doing)
		}
	case <-time.After(patience):
		log.Errorf("%s the target takes too long; it is left alone", doing)
	}
}
