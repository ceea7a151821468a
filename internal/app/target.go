package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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

// kind is a kind of target.
type kind struct {
	schemes []string
	// check finds what open would refuse on any machine: it reads neither secrets nor files. Its FieldErrors are
	// within the target.
	check func(*mesh.Topology, mesh.Subscriber) error
	open  func(targetMaker, mesh.Subscriber) (workers.Handler, error)
	// touches means that open makes something on this machine, or needs NATS.
	touches bool
}

// kinds are those that this binary serves.
func kinds() []kind {
	return []kind{
		{schemes: httpSchemes(), check: checkHTTP, open: targetMaker.http},
		{schemes: []string{ndjson.Scheme}, check: alone(ndjson.Check), open: targetMaker.file, touches: true},
		{schemes: []string{republish.Scheme}, check: alone(republish.Check), open: targetMaker.nats, touches: true},
		{schemes: []string{logtarget.Scheme}, check: alone(logtarget.Check), open: targetMaker.logLine},
		{schemes: []string{postgres.Scheme, "postgresql"}, check: alone(postgres.Check), open: targetMaker.postgres},
		{schemes: broker.Schemes(), check: alone(broker.Check), open: targetMaker.broker},
		{schemes: archive.Schemes(), check: alone(archive.Check), open: targetMaker.archive},
	}
}

func httpSchemes() []string { return []string{"http", "https"} }

// checkHTTP knows the headers that the sender's delivery is passed on in.
func checkHTTP(t *mesh.Topology, s mesh.Subscriber) error {
	return forward.CheckWith(*s.Target, forwardOptions(forward.Options{}, t, s))
}

// alone is the check of a target that concerns nothing else of the topology.
func alone(check func(mesh.Target) error) func(*mesh.Topology, mesh.Subscriber) error {
	return func(_ *mesh.Topology, s mesh.Subscriber) error { return check(*s.Target) }
}

// kindOf is the kind of a target; false if this binary does not serve it.
func kindOf(t mesh.Target) (kind, bool) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return kind{}, false
	}
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return slices.Contains(k.schemes, u.Scheme) })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// TargetSchemes are the schemes of target URLs that this binary serves.
func TargetSchemes() []string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.schemes...)
	}
	return all
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

// targetMaker makes the targets of subscribers.
type targetMaker struct {
	handlers map[string]workers.Handler // in code, by subscriber
	topology func() *mesh.Topology      // the one in force
	options  forward.Options            // of HTTP targets, as far as they are the same for all
	js       jetstream.Publisher
	log      logrus.FieldLogger
	metrics  *workers.Metrics // nil where nobody counts
}

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
		h := m.handlers[s.Name]
		return &target{name: "handler", open: func() (workers.Handler, error) { return h, nil }}, nil
	}
	k, ok := kindOf(*s.Target)
	if !ok {
		return nil, fmt.Errorf("no kind of target serves %s", s.Target.Display())
	}
	return &target{name: s.Target.Display(), log: m.log, open: func() (workers.Handler, error) { return k.open(m, s) }}, nil
}

func (m targetMaker) http(s mesh.Subscriber) (workers.Handler, error) {
	options := forwardOptions(m.options, m.topology(), s)
	if m.metrics != nil {
		options.NoteCertificate = func(use forward.CertificateUse, ends time.Time) { m.metrics.NoteCertificate(s.Name, string(use), ends) }
	}
	return forward.New(*s.Target, s.Name, options)
}

func (m targetMaker) file(s mesh.Subscriber) (workers.Handler, error) {
	return ndjson.New(*s.Target, s.Name, m.log)
}

func (m targetMaker) nats(s mesh.Subscriber) (workers.Handler, error) {
	return republish.New(*s.Target, s.Name, m.js)
}

func (m targetMaker) logLine(s mesh.Subscriber) (workers.Handler, error) {
	return logtarget.New(*s.Target, s.Name, m.log)
}

func (m targetMaker) postgres(s mesh.Subscriber) (workers.Handler, error) {
	return postgres.New(*s.Target, s.Name, m.log)
}

func (m targetMaker) broker(s mesh.Subscriber) (workers.Handler, error) {
	return broker.New(*s.Target, s.Name, m.log, broker.EventTypePrefix(eventTypePrefix))
}

func (m targetMaker) archive(s mesh.Subscriber) (workers.Handler, error) {
	return archive.New(*s.Target, s.Name, m.log)
}

// eventTypePrefix makes a CloudEvents type of a Genesys event type.
const eventTypePrefix = "com.genesys.cloud."

// passedOn are the headers in which an HTTP target passes the sender's own delivery on.
type passedOn struct{ id, kind string }

// passedOnTo are the names that the first source of the subscriber's stream has for them.
func passedOnTo(s mesh.Subscriber, t *mesh.Topology) passedOn {
	i := slices.IndexFunc(t.Sources, func(source mesh.Source) bool { return source.Stream == s.Stream })
	if i < 0 {
		return passedOn{}
	}
	identity := t.Sources[i].Identity
	return passedOn{identity.DeliveryIDHeader, identity.DeliveryTypeHeader}
}

// takenBy are those that the subscriber's own target takes: it has to be made anew when they change.
func (p passedOn) takenBy(s mesh.Subscriber) passedOn {
	if s.Target == nil || !isHTTP(*s.Target) {
		return passedOn{}
	}
	return p
}

func isHTTP(t mesh.Target) bool {
	u, err := url.Parse(t.URL)
	return err == nil && slices.Contains(httpSchemes(), u.Scheme)
}

// forwardOptions are base, and what an HTTP target of the subscriber has besides.
func forwardOptions(base forward.Options, t *mesh.Topology, s mesh.Subscriber) forward.Options {
	headers := passedOnTo(s, t)
	base.DeliveryIDHeader, base.DeliveryTypeHeader = headers.id, headers.kind
	base.MaxInFlight, base.EventTypePrefix = s.MaxInFlight, eventTypePrefix
	return base
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
			return nil, workers.Unusable(fmt.Errorf("open target %s: %w", t.name, err))
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
