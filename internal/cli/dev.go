package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

const (
	devName        = "dev"
	secretVariable = "GENESYS_WEBHOOK_SECRET"
	// devSecret signs events on a developer's machine, where nobody has set a secret.
	devSecret = "dev-secret"
	// devGrace is short: somebody has pressed Ctrl-C and waits.
	devGrace = 5 * time.Second
)

const devHelp = `Run everything in one process: NATS, webhooks, the workers of every subscriber, the console.

streams.json is followed: save an edit, and the running mesh takes it up. Without a
streams.json the built-in one is used. The data stays in the --data folder; delete the folder to
begin anew.`

// devFlags are the addresses and the folder of genmesh dev; "" switches an address off.
type devFlags struct {
	http    string
	console consoleFlags
	nats    string
	data    string
	// simulate is events per second of a simulated Genesys Cloud; 0 is none.
	simulate float64
}

func newDev(p *program) *cobra.Command {
	f := new(devFlags)
	cmd := &cobra.Command{
		Use:   devName,
		Short: "Run everything in one process, on this machine",
		Long:  devHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.dev(cmd, f) },
	}
	cmd.Flags().StringVar(&f.http, "http", "127.0.0.1:8080", "`ADDRESS` for webhooks")
	f.console.add(cmd.Flags())
	cmd.Flags().StringVar(&f.nats, "nats", "127.0.0.1:4222", "`ADDRESS` for other NATS clients; \"\" lets none in")
	cmd.Flags().StringVar(&f.data, "data", ".genmesh", "the `FOLDER` that keeps the streams")
	cmd.Flags().Float64Var(&f.simulate, "simulate", 0, "so many events per second of a simulated Genesys Cloud, as genmesh simulate makes them")
	return cmd
}

func (p *program) dev(cmd *cobra.Command, f *devFlags) error {
	log, err := p.logger()
	if err != nil {
		return err
	}
	defer telemetry.FlushLog(log)
	lookup, assumed := withDevSecret(p.LookupEnv)
	p.LookupEnv = lookup
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	console, err := f.console.console()
	if err != nil {
		return err
	}
	if err := checkListen(append([]listenFlag{{"http", f.http}, {"nats", f.nats}}, f.console.listens()...)...); err != nil {
		return err
	}
	simulation, err := p.simulation(t, f.simulate)
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.streams); err != nil {
		log.Warnf("there is no %s: the built-in one is used", p.streams)
	}
	if assumed && usesWebhookSecret(t) {
		log.Warnf("%s is not set: events are verified with %q, which everybody knows", secretVariable, devSecret)
	}
	ctx, end := context.WithCancel(cmd.Context())
	defer end()
	reloads := p.reloads(ctx)
	if isTerminal(p.Out) {
		reloads = endWithTerminal(ctx, reloads, func() bool { return isTerminal(p.Out) }, end)
	}
	return app.Run(ctx, app.Config{
		Simulation: simulation,
		Streams:    p.streamsFile(cmd),
		Embedded:   &app.Embedded{DataDir: filepath.Join(f.data, "nats"), Listen: f.nats},
		Ingress:    &app.Ingress{Addr: f.http, Grace: devGrace},
		Workers:    &app.Workers{Grace: devGrace},
		// A bridge that has nothing to do would end the process.
		Notifications: notificationsOf(t),
		Console:       console,
		MetricsAddr:   addressOf(f.console.metrics),
		Apply:         true,
		LookupEnv:     lookup,
		Reload:        reloads,
		Logger:        log,
		Version:       p.Version,
		Started: func(a app.Addresses) {
			hints{topology: t, addresses: a, streams: p.streams, data: f.data}.write(cmd.OutOrStdout())
		},
	})
}

// simulation is a simulated Genesys Cloud for the first source that takes its webhooks; nil if there
// are no events to make.
func (p *program) simulation(t *mesh.Topology, perSecond float64) (*app.Simulation, error) {
	switch {
	case perSecond == 0:
		return nil, nil
	case !(perSecond > 0):
		return nil, errors.New("--simulate must be above zero: it is a rate, events per second")
	}
	for _, s := range t.Sources {
		if s.Preset != genesysPreset || s.FetchesKeys() {
			continue
		}
		key, err := s.SigningKey(p.LookupEnv)
		if err != nil {
			return nil, err
		}
		return &app.Simulation{Rate: perSecond, Path: s.Path, Secret: key, Faults: usualFaults()}, nil
	}
	return nil, fmt.Errorf("--simulate needs a source with the preset %q and a secret of its own", genesysPreset)
}

// notificationsOf is the forwarding of notifications, if a source asks for it.
func notificationsOf(t *mesh.Topology) *app.Notifications {
	if !slices.ContainsFunc(t.Sources, func(s mesh.Source) bool { return s.Notifications != nil }) {
		return nil
	}
	return &app.Notifications{Grace: devGrace}
}

// usesWebhookSecret reports whether a source is verified by the secret that dev stands in for.
func usesWebhookSecret(t *mesh.Topology) bool {
	return slices.ContainsFunc(t.Sources, func(s mesh.Source) bool {
		return slices.ContainsFunc(slices.Concat(s.Secrets, []mesh.Secret{s.Secret}), func(secret mesh.Secret) bool {
			return strings.HasPrefix(string(secret), "${"+secretVariable+"}") || strings.HasPrefix(string(secret), "${"+secretVariable+":")
		})
	})
}

// withDevSecret is lookup with devSecret in the place of a webhook secret that is not set.
func withDevSecret(lookup func(string) (string, bool)) (wrapped func(string) (string, bool), assumed bool) {
	if value, _ := lookup(secretVariable); value != "" {
		return lookup, false
	}
	return func(name string) (string, bool) {
		if name == secretVariable {
			return devSecret, true
		}
		return lookup(name)
	}, true
}

// reloads are requests to look at the configuration again; nil where nobody can ask.
func (p *program) reloads(ctx context.Context) <-chan struct{} {
	if p.Reload == nil {
		return nil
	}
	return p.Reload(ctx)
}

// endWithTerminal passes requests to reload on, but ends the mesh if one came because its
// terminal was closed: it would go on unseen and hold its ports.
func endWithTerminal(ctx context.Context, asked <-chan struct{}, open func() bool, end func()) <-chan struct{} {
	reloads := make(chan struct{})
	go func() {
		for {
			select {
			case <-asked:
			case <-ctx.Done():
				return
			}
			if !open() {
				end()
				return
			}
			select {
			case reloads <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return reloads
}
