package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/console/api"
	"github.com/genmesh/genmesh/internal/console/pages"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/internal/processes"
	"github.com/genmesh/genmesh/keypair"
	"github.com/genmesh/genmesh/mesh"
)

// parts are what the process does, as it tells others.
func (a *app) parts() []string {
	var parts []string
	for _, part := range []struct {
		name string
		runs bool
	}{
		{"ingress", a.Ingress != nil}, {"workers", a.Workers != nil}, {"notifications", a.Notifications != nil}, {"console", a.Console != nil},
	} {
		if part.runs {
			parts = append(parts, part.name)
		}
	}
	return parts
}

// addMember lets others ask this process about itself.
func (a *app) addMember(components []component) []component {
	if a.js == nil {
		return components
	}
	member := processes.NewMember(processes.Options{
		Conn: a.js.Conn(), Version: a.Version, Parts: a.parts(), Gatherer: a.metrics, Errors: a.errors, UnderWay: a.underWay, Ready: a.readiness.check,
		Logger: a.Logger,
	})
	return append(components, component{"member", member.Run})
}

// errors are what the targets of this process said lately.
func (a *app) errors() map[string][]live.Error {
	if a.fleet == nil {
		return nil
	}
	all := make(map[string][]live.Error)
	for subscriber, faults := range a.fleet.metrics.Faults() {
		for _, f := range faults {
			all[subscriber] = append(all[subscriber], live.Error(f))
		}
	}
	return all
}

// underWay tells what becomes here of the events that were stored at these places.
func (a *app) underWay(places []mesh.Place) []mesh.UnderWay {
	if a.fleet == nil {
		return nil
	}
	return a.fleet.crew.UnderWay(places)
}

// addConsole opens the operator's side: first the plain address for scrapers and probes, then the console.
func (a *app) addConsole(components []component) ([]component, error) {
	if a.MetricsAddr != "" {
		server, err := console.Listen(console.Options{Addr: a.MetricsAddr, Metrics: a.metrics, Ready: a.readiness.check, Logger: a.Logger})
		if err != nil {
			return nil, fmt.Errorf("%w; choose another with --metrics", err)
		}
		a.addresses.Metrics = server.Addr()
		a.onClose(server.Close)
		components = append(components, component{"metrics", server.Run})
	}
	if a.Console == nil {
		return components, nil
	}
	options, components, err := a.consoleOptions(components)
	if err != nil {
		return nil, err
	}
	server, err := console.Listen(options)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another with --console", err)
	}
	a.addresses.Console, a.addresses.ConsoleTLS = server.Addr(), options.Certificate != nil
	a.onClose(server.Close)
	// A name may mean something else by now.
	if err := access.CheckListen(server.Addr(), a.Console.TLSCert != "", a.Console.AccessFile != ""); err != nil {
		return nil, err
	}
	return append(components, component{"console", server.Run}), nil
}

// consoleOptions is what the console serves, and adds what has to run for that.
func (a *app) consoleOptions(components []component) (console.Options, []component, error) {
	c := a.Console
	o := console.Options{Addr: c.Addr, Metrics: a.metrics, Ready: a.readiness.check, Logger: a.Logger}
	if err := access.CheckListen(c.Addr, c.TLSCert != "", c.AccessFile != ""); err != nil {
		return o, nil, err
	}
	loopback, err := access.Loopback(c.Addr)
	if err != nil {
		return o, nil, err
	}
	if c.TLSCert != "" {
		certificate, err := keypair.Open(c.TLSCert, c.TLSKey, a.Logger)
		if err != nil {
			return o, nil, fmt.Errorf("console: %w", err)
		}
		a.metrics.MustRegister(certificate.Metric("console"))
		o.Certificate = certificate.Get
	}
	if a.guard, err = access.New(access.Options{
		File: c.AccessFile, LookupEnv: a.LookupEnv, Secure: c.TLSCert != "", Loopback: loopback, PublicURL: c.PublicURL,
		Logger: a.Logger, Registerer: a.metrics, Version: a.Version,
	}); err != nil {
		return o, nil, err
	}
	o.Guard = a.guard.Handler
	components = append(components, component{"access", a.guard.Run})
	if a.js == nil {
		return o, components, nil // there is nothing to show but itself
	}
	return a.dashboard(o, components)
}

// dashboard adds the API and the pages, and what they look at.
func (a *app) dashboard(o console.Options, components []component) (console.Options, []component, error) {
	asker := processes.NewAsker(a.js.Conn())
	watcher := live.NewWatcher(live.Options{JetStream: a.js, Topology: a.inForce.current, Reports: asker.Reports})
	if err := a.metrics.Register(live.NewCollector(watcher)); err != nil {
		return o, nil, fmt.Errorf("register the metrics of the mesh: %w", err)
	}
	scrubber := mesh.NewScrubber(mesh.ScrubOptions{
		JetStream: a.js, Topology: a.inForce.current, Logger: a.Logger, Metrics: a.metrics,
		Acknowledged: func(ctx context.Context) map[string]uint64 { return acknowledged(asker.Reports(ctx)) },
	})
	tasks := admin.NewTasks(a.Logger)
	direct := admin.NewDirect(admin.DirectOptions{
		JetStream: a.js, Topology: a.inForce.current, Logger: a.Logger, Live: watcher.Snapshot, File: a.inForce.configuration, Processes: asker,
		Scrubbed: scrubber.Report,
	})
	viewer := admin.ForViewer(direct, a.isSensitive)
	o.API = api.New(api.Options{
		Operator: direct, Viewer: viewer, Tasks: tasks, Live: watcher.Snapshot, Version: a.Version, Logger: a.Logger,
	})
	var err error
	o.Pages, err = pages.New(pages.Options{
		Operator: direct, Viewer: viewer, Tasks: tasks, Live: watcher.Snapshot, Topology: a.inForce.current, Version: a.Version, Logger: a.Logger,
	})
	return o, append(components, component{"watcher", watcher.Run}, component{"scrub", scrubber.Run}, component{"tasks", tasks.Run}), err
}

// acknowledged is up to where streams told any of the processes that they have stored. It knows less where not all could be asked.
func acknowledged(reports []live.Report, _ error) map[string]uint64 {
	highest := map[string]uint64{}
	for _, report := range reports {
		for _, family := range report.Families {
			if family.GetName() != mesh.AcknowledgedMetric {
				continue
			}
			for _, m := range family.GetMetric() {
				for _, label := range m.GetLabel() {
					highest[label.GetValue()] = max(highest[label.GetValue()], uint64(m.GetGauge().GetValue()))
				}
			}
		}
	}
	return highest
}

// isSensitive reports whether the bodies of a source are nothing for viewers. A source that is no more may have been.
func (a *app) isSensitive(source string) bool {
	sources := a.inForce.current().Sources
	i := slices.IndexFunc(sources, func(s mesh.Source) bool { return s.Name == source })
	return i < 0 || sources[i].Sensitive
}
