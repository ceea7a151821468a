package cli

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
)

const serveHelp = `Run the webhook server, the workers, or both against a NATS cluster.

ingress takes webhooks in and workers hand events to the subscribers; without either, both run.
Start as many processes of each kind as you like: the workers of one subscriber share its events.

Streams and consumers are made by genmesh apply. Until they exist, workers wait for them and
webhooks are answered 503. With --apply the process makes them itself, at the start and after each
edit of streams.json, except for what would lose data.

SIGHUP asks for another look at streams.json, secrets and target files. SIGINT and SIGTERM end the
process: it takes nothing new and finishes what is under way, for as long as --grace says. A second
signal ends it at once.`

const serveExample = `  genmesh serve --server nats://n1:4222,nats://n2:4222 --creds mesh.creds
  genmesh serve ingress --http :8443 --tls-cert cert.pem --tls-key key.pem
  genmesh serve workers`

// The parts of a process that serve can run.
const (
	partIngress = "ingress"
	partWorkers = "workers"
)

type serveFlags struct {
	cluster clusterFlags
	http    string
	tlsCert string
	tlsKey  string
	console string
	apply   bool
	grace   time.Duration
}

func newServe(p *program) *cobra.Command {
	f := new(serveFlags)
	cmd := &cobra.Command{
		Use:       "serve [ingress] [workers]",
		Short:     "Run ingress, workers or both against a cluster",
		Long:      serveHelp,
		Example:   serveExample,
		ValidArgs: []string{partIngress, partWorkers},
		Args:      cobra.OnlyValidArgs,
		RunE:      func(cmd *cobra.Command, parts []string) error { return p.serve(cmd, f, parts) },
	}
	f.cluster.add(cmd.Flags())
	cmd.Flags().StringVar(&f.http, "http", ":8080", "`ADDRESS` for webhooks")
	cmd.Flags().StringVar(&f.tlsCert, "tls-cert", "", "the webhook server's certificate, a PEM `FILE`; it may change while the process runs")
	cmd.Flags().StringVar(&f.tlsKey, "tls-key", "", "its key, a PEM `FILE`")
	cmd.Flags().StringVar(&f.console, "console", "127.0.0.1:8090", "`ADDRESS` for metrics and health, which asks nobody who they are; \"\" serves none")
	cmd.Flags().BoolVar(&f.apply, "apply", false, "make streams and consumers as streams.json says")
	cmd.Flags().DurationVar(&f.grace, "grace", 15*time.Second, "how long what is under way may take after the end was asked for")
	return cmd
}

func (p *program) serve(cmd *cobra.Command, f *serveFlags, parts []string) error {
	log, err := p.logger()
	if err != nil {
		return err
	}
	if _, err := p.topology(cmd); err != nil {
		return err
	}
	config := app.Config{
		Streams:     p.streamsFile(cmd),
		ConsoleAddr: f.console,
		Apply:       f.apply,
		LookupEnv:   p.LookupEnv,
		Logger:      log,
		Version:     p.Version,
		Started: func(a app.Addresses) {
			log.WithField("webhooks", a.Ingress).WithField("console", a.Console).WithField("nats", redacted(a.NATS)).Info("serving")
		},
	}
	if config.NATSURL, config.NATSOptions, err = f.cluster.options(p.LookupEnv); err != nil {
		return err
	}
	if err := f.parts(&config, parts); err != nil {
		return err
	}
	config.Reload = p.reloads(cmd.Context())
	return app.Run(cmd.Context(), config)
}

// parts fills in what the process shall do and checks that it can.
func (f *serveFlags) parts(config *app.Config, parts []string) error {
	if f.grace <= 0 {
		return errors.New("--grace must be above zero")
	}
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or none")
	}
	listen := []listenFlag{{"console", f.console}}
	if len(parts) == 0 || slices.Contains(parts, partIngress) {
		config.Ingress = &app.Ingress{Addr: f.http, TLSCert: f.tlsCert, TLSKey: f.tlsKey, Grace: f.grace}
		listen = append(listen, listenFlag{"http", f.http})
	}
	if len(parts) == 0 || slices.Contains(parts, partWorkers) {
		config.Workers = &app.Workers{Grace: f.grace}
	}
	return checkListen(listen...)
}
