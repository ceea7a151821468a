package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/notification"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// bridges forward the notification service of Genesys Cloud to the sources that have a notifications
// block. A source whose block did not change keeps its bridge over a reload; one that did change gets
// another, and the one before ends when that has its socket.
type bridges struct {
	lookup    func(string) (string, bool)
	agent     string
	forwardTo string // the ingress, without the path of a source
	grace     time.Duration
	log       logrus.FieldLogger
	metrics   *notification.Metrics

	mu       sync.Mutex
	bySource map[string]*bridge
	running  context.Context // nil while Run does not
	ended    sync.WaitGroup
}

// bridge is that of one source and what it was made of.
type bridge struct {
	*notification.Bridge
	webhook      *notification.Webhook
	source       mesh.Source
	clientSecret string
	stop         context.CancelFunc // nil if it does not run
}

const (
	// defaultForwardTo is where an ingress on this machine listens by default.
	defaultForwardTo = "http://127.0.0.1:8080"
	// handover is how long a bridge waits for the one that follows it.
	handover = time.Minute
)

// Run runs the bridges until ctx ends and they have forwarded what arrived.
func (b *bridges) Run(ctx context.Context) error {
	b.mu.Lock()
	b.running = ctx
	for _, one := range b.bySource {
		b.start(one, nil)
	}
	b.mu.Unlock()
	<-ctx.Done()
	b.mu.Lock()
	b.running = nil
	b.mu.Unlock()
	b.ended.Wait()
	return nil
}

// start runs a bridge, in the place of the one before if there is one; the caller holds the lock.
func (b *bridges) start(one, before *bridge) {
	ctx, cancel := context.WithCancel(b.running)
	one.stop = cancel
	b.ended.Go(func() {
		_ = one.Bridge.Run(ctx) // it has no error of its own
		one.webhook.Close()
		b.forget(one.source.Name)
	})
	if before == nil || before.stop == nil {
		return
	}
	b.ended.Go(func() {
		late := time.NewTimer(handover)
		defer late.Stop()
		select {
		case <-one.Up():
		case <-late.C:
		case <-ctx.Done():
		}
		before.stop()
	})
}

// forget drops the gauges of a source without a bridge.
func (b *bridges) forget(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bySource[source] == nil {
		b.metrics.Forget(source)
	}
}

// Update makes the bridges what the sources say; if it fails, nothing changed.
func (b *bridges) Update(sources []mesh.Source) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := make(map[string]*bridge)
	for _, s := range sources {
		if s.Notifications == nil {
			continue
		}
		one, err := b.make(s)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		if before := b.bySource[s.Name]; before != nil && before.same(one) {
			one = before
		}
		next[s.Name] = one
	}
	before := b.bySource
	b.bySource = next
	if b.running == nil {
		return nil
	}
	for name, one := range next {
		if before[name] != one {
			b.start(one, before[name])
		}
	}
	for name, one := range before {
		if next[name] == nil {
			one.stop()
		}
	}
	return nil
}

// same reports whether the other bridge would do the same as this one.
func (one *bridge) same(other *bridge) bool {
	a, b := one.source, other.source
	return one.clientSecret == other.clientSecret && reflect.DeepEqual(a.API, b.API) && reflect.DeepEqual(a.Notifications, b.Notifications) &&
		a.Path == b.Path && a.MaxBodyBytes == b.MaxBodyBytes && reflect.DeepEqual(a.Verification, b.Verification) &&
		a.Secret == b.Secret && reflect.DeepEqual(a.Secrets, b.Secrets)
}

// make makes a bridge that does not run yet.
func (b *bridges) make(s mesh.Source) (*bridge, error) {
	client, err := CloudClient(*s.API, b.lookup, b.agent)
	if err != nil {
		return nil, err
	}
	secret, err := s.API.ClientSecret.Resolve(b.lookup)
	if err != nil {
		return nil, err
	}
	address, err := url.JoinPath(b.forwardTo, s.Path)
	if err != nil {
		return nil, errors.New("the URL to forward to can't be used")
	}
	webhook := notification.NewWebhook(notification.WebhookOptions{
		URL: address, Verification: ingress.Verification(s.Verification), UserAgent: b.agent,
		Key: func() (string, error) { return s.SigningKey(b.lookup) },
	})
	made, err := notification.New(notification.Options{
		Source: s.Name, Channels: client, Topics: s.Notifications.Topics, Forward: webhook.Post,
		MaxFrameBytes: s.MaxBodyBytes, Grace: b.grace, Logger: b.log, Metrics: b.metrics,
	})
	if err != nil {
		return nil, err
	}
	return &bridge{Bridge: made, webhook: webhook, source: s, clientSecret: secret}, nil
}

// ready tells which source hears nothing now.
func (b *bridges) ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.bySource {
		if err := one.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// checkNotifications finds out whether a source's bridge could work, as far as this process knows.
func (a *app) checkNotifications(s mesh.Source) error {
	if s.Notifications == nil {
		return nil
	}
	if _, err := CloudClient(*s.API, a.LookupEnv, a.agent()); err != nil {
		return err
	}
	key, err := s.SigningKey(a.LookupEnv)
	if err != nil {
		return err
	}
	_, err = ingress.NewVerifier(s, []string{key})
	return err
}

// addNotifications makes the bridges. They begin after the ingress of this process and end before it.
func (a *app) addNotifications(t *mesh.Topology, components []component) ([]component, error) {
	to, err := a.forwardTo()
	if err != nil {
		return nil, err
	}
	a.bridges = &bridges{
		lookup: a.LookupEnv, agent: a.agent(), forwardTo: to, grace: a.Notifications.Grace, log: a.Logger,
		metrics: notification.NewMetrics(a.metrics),
	}
	if err := a.bridges.Update(t.Sources); err != nil {
		return nil, err
	}
	if len(a.bridges.bySource) == 0 {
		return nil, errors.New("no source of streams.json has a notifications block: it says which topics to listen to")
	}
	a.Logger.WithField("forward_to", to).WithField("sources", len(a.bridges.bySource)).Info("notifications are forwarded")
	return append(components, component{"notifications", a.bridges.Run}), nil
}

// forwardTo is where the bridges post to: as somebody wrote, or to this process, or to this machine.
func (a *app) forwardTo() (string, error) {
	switch {
	case a.Notifications.ForwardTo != "":
		return a.Notifications.ForwardTo, nil
	case a.Ingress == nil:
		return defaultForwardTo, nil
	case a.Ingress.TLSCert != "":
		return "", errors.New("say where to forward to, by the name that the certificate of the ingress is for")
	}
	host, port, err := net.SplitHostPort(a.addresses.Ingress)
	if err != nil {
		return "", fmt.Errorf("the address of the ingress: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
