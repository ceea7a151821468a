package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/genmesh/genmesh/genesys/keyring"
	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/forward"
	"github.com/genmesh/genmesh/workers/shape"
)

// Run wires a process as c says and runs it until ctx ends. Everything that can fail at the
// start has not failed when c.Started is called. At the end requests and events under way come
// to theirs first.
func Run(ctx context.Context, c Config) (err error) {
	a := &app{Config: c, metrics: telemetry.NewRegistry(c.Version)}
	a.reloads = newReloadMetrics(a.metrics)
	defer func() { err = errors.Join(err, a.close()) }()
	components, err := a.build(ctx)
	if err != nil {
		return err
	}
	if c.Started != nil {
		c.Started(a.addresses)
	}
	return runAll(ctx, c.Logger, components)
}

// app is a process being wired: what was opened is closed by close, in reverse.
type app struct {
	Config
	metrics   *prometheus.Registry
	closers   []func() error
	addresses Addresses

	js        jetstream.JetStream
	storage   *embedded.Server // nil if NATS is elsewhere
	readiness readiness
	streams   *streamsFile
	committer *mesh.Committer
	fleet     *fleet
	keyrings  *keyrings
	watchers  *watchers
	ingress   *ingress.Server
	bridges   *bridges
	inForce   inForce
	reloads   *reloadMetrics
	tracing   *telemetry.Tracing
	guard     *access.Guard // nil without a console
	// unfinished is true while not all of streams.json is applied: NATS has not been there yet, or a subscriber's consumers wait to be drained
	// before they are switched.
	unfinished bool
}

func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *app) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		// A listener that was served has been closed by its server.
		if err := a.closers[i](); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// build opens everything in the order of the data, from the storage up to those who send to it.
// runAll ends the components in the reverse order.
func (a *app) build(ctx context.Context) ([]component, error) {
	topology, err := a.load()
	if err != nil {
		return nil, err
	}
	if err := a.trace(ctx); err != nil {
		return nil, err
	}
	a.readiness.ask = a.ready
	if a.usesNATS() {
		if err := a.connect(ctx); err != nil {
			return nil, err
		}
	}
	if a.Apply && !a.js.Conn().IsConnected() {
		a.unfinished = true
	} else if err := a.apply(ctx, topology, startPatience, "this process was started"); err != nil {
		return nil, err
	}
	a.setInForce(topology)
	var components []component
	if a.Workers != nil {
		components = a.addWorkers(topology, components)
	}
	if a.Ingress != nil {
		if components, err = a.addIngress(topology, components); err != nil {
			return nil, err
		}
	}
	if a.Notifications != nil {
		if components, err = a.addNotifications(topology, components); err != nil {
			return nil, err
		}
	}
	components = a.addConnection(components)
	components = a.addMember(components)
	if components, err = a.addConsole(components); err != nil {
		return nil, err
	}
	components = append(components, component{"streams.json", a.followStreams})
	if a.Simulation == nil {
		return components, nil
	}
	sim, err := a.simulator()
	if err != nil {
		return nil, err
	}
	return append(components, component{"simulator", sim.Run}), nil
}

// trace begins to export spans, if the environment says so.
func (a *app) trace(ctx context.Context) (err error) {
	a.tracing, err = telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Version: a.Version, LookupEnv: a.LookupEnv, Logger: a.Logger, Registerer: a.metrics,
	})
	if err == nil {
		a.onClose(a.tracing.Close)
	}
	return err
}

// setInForce makes a streams.json that was read the one that counts.
func (a *app) setInForce(t *mesh.Topology) {
	a.inForce.set(t, a.streams.name(), string(a.streams.next))
}

// simulator delivers to the ingress of this process, over HTTP as everybody does.
func (a *app) simulator() (*simulator.Simulator, error) {
	s := a.Simulation
	return simulator.New(simulator.Options{
		Seed: rand.Uint64(), Rate: s.Rate, Faults: s.Faults, Logger: a.Logger,
		Targets: []simulator.Target{{URL: "http://" + a.addresses.Ingress + s.Path, Secret: s.Secret}},
	})
}

// load reads streams.json for the first time, secrets included.
func (a *app) load() (*mesh.Topology, error) {
	a.streams = newStreamsFile(a.Streams, a.LookupEnv, a.inCode, a.Workers == nil)
	topology, err := a.streams.read()
	if err != nil {
		return nil, err
	}
	a.streams.settle()
	return topology, a.check(topology)
}

// check finds what is wrong with a streams.json for this process beyond what is wrong for any.
func (a *app) check(t *mesh.Topology) error {
	if a.Ingress != nil {
		for _, s := range t.Sources {
			if err := a.checkKeys(s); err != nil {
				return err
			}
			if err := checkSource(s, true); err != nil {
				return fmt.Errorf("source %s: %w", s.Name, err)
			}
		}
	}
	if a.Notifications != nil {
		for _, s := range t.Sources {
			if err := a.checkNotifications(s); err != nil {
				return fmt.Errorf("source %s: %w", s.Name, err)
			}
		}
	}
	if a.Workers != nil {
		for _, s := range t.Subscribers {
			if _, err := shape.New(s, a.LookupEnv); err != nil {
				return err
			}
		}
	}
	return nil
}

// inCode reports whether a handler in code serves a subscriber here.
func (a *app) inCode(subscriber string) bool {
	return a.Workers != nil && a.Workers.Handlers[subscriber] != nil
}

// checkKeys finds out whether a source's keys can be had and used, as far as this process knows.
func (a *app) checkKeys(s mesh.Source) error {
	if s.FetchesKeys() {
		if _, err := CloudClient(*s.API, a.LookupEnv, a.agent()); err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
	}
	var keys []string
	if s.Secret != "" || len(s.Secrets) > 0 {
		var err error
		if keys, err = s.ResolveSecrets(a.LookupEnv); err != nil {
			return err
		}
	}
	if len(keys) == 0 && (s.FetchesKeys() || s.Verification.JWKSURL != "") {
		return nil // they come later
	}
	if _, err := ingress.NewVerifier(s, keys); err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	return nil
}

// agent is what the process calls itself to others.
func (a *app) agent() string { return "genmesh/" + a.Version }

// usesNATS is false for a process that only forwards notifications, whose console then shows metrics and health alone.
func (a *app) usesNATS() bool {
	return a.Console != nil && a.Console.Wanted || a.Notifications == nil || a.Ingress != nil || a.Workers != nil || a.Embedded != nil || a.Apply
}

func (a *app) connect(ctx context.Context) error {
	url, options := a.NATSURL, a.NATSOptions
	if a.Embedded != nil {
		server, err := embedded.Start(ctx, embedded.Options{
			DataDir: a.Embedded.DataDir, Listen: a.Embedded.Listen, Logger: a.Logger,
		})
		if err != nil {
			return err
		}
		a.onClose(server.Shutdown)
		a.metrics.MustRegister(telemetry.NewDiskMetrics(a.Embedded.DataDir))
		a.storage = server
		url, options = "", []nats.Option{server.InProcess()}
		if a.Embedded.Listen != "" {
			a.addresses.NATS = server.ClientURL()
		}
	}
	nc, err := a.reach(url, options)
	if err != nil {
		return err
	}
	a.onClose(func() error {
		if nc.IsConnected() {
			_ = nc.FlushTimeout(flushTimeout) // what was acknowledged last; else it is delivered again
		}
		nc.Close()
		return nil
	})
	a.metrics.MustRegister(telemetry.NewNATSMetrics(nc))
	a.js, err = mesh.JetStream(nc)
	return err
}

// startPatience is how long the start waits for a subscriber's events under way, which may be this process' own to deliver. The
// rest has time until it runs; who sends events waits for the start.
const startPatience = time.Second

// apply makes the server what t says, as far as this process may and nothing is lost by it. patience is that of mesh.Draining, why is for the
// audit.
func (a *app) apply(ctx context.Context, t *mesh.Topology, patience time.Duration, why string) error {
	if !a.Apply {
		return nil
	}
	plan, err := t.Apply(ctx, a.js, false, mesh.Draining{Patience: patience, Waits: func(subscriber string, events int) {
		a.Logger.WithField("subscriber", subscriber).WithField("events", events).
			Info("its consumers change: waiting for its events under way")
	}})
	for _, note := range plan.Notes {
		a.Logger.Warn(note)
	}
	a.recordApplied(ctx, t, why, plan, err)
	// By type and not errors.As: joined with another error it is not all that went wrong.
	_, onlyRefused := err.(*mesh.DestructiveError)
	var undrained *mesh.UndrainedError
	isUndrained := errors.As(err, &undrained)
	if err == nil || onlyRefused || isUndrained { // else what had to wait still has to
		a.unfinished = isUndrained
	}
	switch {
	case isUndrained:
		a.Logger.WithError(err).Warn("not everything of streams.json is applied yet; it is tried again until it is")
	case onlyRefused:
		a.Logger.WithError(err).Warn("streams.json asks for what would lose data; all else is applied. To do that too: genmesh apply --allow-destroy")
	case err != nil:
		return err
	case !plan.Empty():
		a.Logger.WithField("steps", len(plan.Steps)).Info("streams and consumers are as streams.json says")
	}
	return nil
}

// recordApplied keeps in the audit what this process did to the server by itself.
func (a *app) recordApplied(ctx context.Context, t *mesh.Topology, why string, plan mesh.Plan, err error) {
	direct := admin.NewDirect(admin.DirectOptions{JetStream: a.js, Topology: func() *mesh.Topology { return t }, Logger: a.Logger})
	host, _ := os.Hostname() // without its name it is who it is
	direct.RecordApplied(ctx, t, admin.By{Reason: why, Who: mesh.Actor{User: "genmesh", Via: "streams.json", Host: host}}, plan, err)
}

func (a *app) addWorkers(t *mesh.Topology, components []component) []component {
	metrics := workers.NewMetrics(a.metrics)
	a.fleet = newFleet(fleetOptions{
		js: a.js, topology: t, targets: a.targetMaker(metrics), grace: a.Workers.Grace, lease: a.Workers.Lease, hosts: a.Embedded != nil,
		log: a.Logger, registerer: a.metrics, metrics: metrics, tracing: a.tracing.Provider(),
	})
	undertaker := &workers.Undertaker{
		JetStream: a.js, DeadLetters: a.fleet, Topology: a.fleet.current, Logger: a.Logger, Metrics: metrics,
	}
	return append(components,
		component{"undertaker", undertaker.Run},
		component{"records", a.fleet.records.Run},
		component{"crew", a.fleet.crew.Run},
		component{"workers", a.fleet.Run})
}

func (a *app) targetMaker(metrics *workers.Metrics) targetMaker {
	return targetMaker{
		handlers: a.Workers.Handlers, topology: func() *mesh.Topology { return a.fleet.current() }, js: a.js, log: a.Logger,
		metrics: metrics, options: forward.Options{Version: a.Version, PublicOnly: a.Workers.PublicTargets, LookupEnv: a.LookupEnv, Logger: a.Logger},
	}
}

func (a *app) addIngress(t *mesh.Topology, components []component) ([]component, error) {
	var err error
	if a.committer, err = mesh.NewCommitter(a.js, t, a.Logger, a.metrics); err != nil {
		return nil, err
	}
	a.keyrings = &keyrings{lookup: a.LookupEnv, agent: a.agent(), log: a.Logger, metrics: keyring.NewMetrics(a.metrics)}
	if err := a.keyrings.Update(t.Sources); err != nil {
		return nil, err
	}
	a.watchers = &watchers{js: a.js, log: a.Logger, metrics: schema.NewMetrics(a.metrics)}
	if err := a.watchers.Update(t.Sources); err != nil {
		return nil, err
	}
	a.ingress, err = ingress.New(ingress.Options{
		Addr: a.Ingress.Addr, CertFile: a.Ingress.TLSCert, KeyFile: a.Ingress.TLSKey, MaxConnections: maxConnections(),
		Sources: t.Sources, Verifier: a.keyrings.verifier, Observer: a.watchers.observer, Store: a.store(),
		Ready: a.readiness.check, GracePeriod: a.Ingress.Grace, Logger: a.Logger, Registerer: a.metrics,
		Tracing: a.tracing.Provider(),
	})
	if err != nil {
		return nil, err
	}
	a.onClose(a.ingress.Close)
	a.addresses.Ingress = a.ingress.Addr().String()
	return append(components,
		component{"committer", a.committer.Run},
		component{"keyrings", a.keyrings.Run},
		component{"watchers", a.watchers.Run},
		component{"ingress", a.ingress.Run}), nil
}
