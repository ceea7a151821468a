package cli

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/internal/telemetry"
)

const serveHelp = `Run the webhook server, the workers, or both against a NATS cluster, and the bridge from the
notification service.

ingress takes webhooks in and workers hand events to the subscribers; without a part named, these two
run. Start as many processes of each kind as you like: the workers of one subscriber share its events.

notifications listens to the topics of each source that has a notifications block and posts what comes
to the webhook of the source, signed with its first secret. This is best effort: Genesys Cloud keeps
nothing for a socket that is away and repeats nothing, so what happens while there is none is lost, and
what can't be forwarded waits in memory only. What must not be lost comes by a webhook. A process that
runs this part alone needs no NATS. Of two processes with the same sources both forward, and the ingress
drops what it has.

console alone serves the dashboard and the admin API, and nothing else: for a process that operators reach and events don't.
Every other process has them, too, at --console, which only this machine reaches unless it has a certificate and an
access file (genmesh console user makes its entries). --metrics is for scrapers and probes: metrics and health alone, anywhere.

NATS may come later than the process, which waits for it and is not ready; where NATS refuses it at
its start it ends. Streams and consumers are made by genmesh apply. Until they exist, workers wait
for them and webhooks are answered 503. With --apply the process makes them itself, at the start and after each
edit of streams.json, except for what would lose data.

SIGHUP asks for another look at streams.json, secrets and target files. SIGINT and SIGTERM end the
process: it takes nothing new and finishes what is under way, for as long as --grace says. A second
signal ends it at once.`

const serveExample = `  genmesh serve --server nats://n1:4222,nats://n2:4222 --creds mesh.creds
  genmesh serve ingress --http :8443 --tls-cert cert.pem --tls-key key.pem
  genmesh serve workers --console off --metrics :8091
  genmesh serve console --console :8443 --console-access access.json --console-tls-cert cert.pem --console-tls-key key.pem
  genmesh serve notifications --forward-to https://mesh.example.com`

// The parts of a process that serve can run.
const (
	partIngress       = "ingress"
	partWorkers       = "workers"
	partNotifications = "notifications"
	partConsole       = "console"
)

type serveFlags struct {
	cluster   clusterFlags
	http      string
	tlsCert   string
	tlsKey    string
	forwardTo string
	console   consoleFlags
	apply     bool
	grace     time.Duration
	lease     time.Duration
}

func newServe(p *program) *cobra.Command {
	f := new(serveFlags)
	cmd := &cobra.Command{
		Use:       "serve [ingress] [workers] [notifications] [console]",
		Short:     "Run ingress, workers, the console or the notification bridge against a cluster",
		Long:      serveHelp,
		Example:   serveExample,
		ValidArgs: []string{partIngress, partWorkers, partNotifications, partConsole},
		Args:      cobra.OnlyValidArgs,
		RunE:      func(cmd *cobra.Command, parts []string) error { return p.serve(cmd, f, parts) },
	}
	f.cluster.add(cmd.Flags())
	cmd.Flags().StringVar(&f.http, "http", ":8080", "`ADDRESS` for webhooks")
	cmd.Flags().StringVar(&f.tlsCert, "tls-cert", "", "the webhook server's certificate, a PEM `FILE`; it may change while the process runs")
	cmd.Flags().StringVar(&f.tlsKey, "tls-key", "", "its key, a PEM `FILE`")
	cmd.Flags().StringVar(&f.forwardTo, "forward-to", "", "base `URL` of the ingress that takes notifications, https but on this machine (default: the ingress of this process, or http://127.0.0.1:8080)")
	f.console.add(cmd.Flags())
	cmd.Flags().BoolVar(&f.apply, "apply", false, "make streams and consumers as streams.json says")
	cmd.Flags().DurationVar(&f.lease, "lease", 6*time.Second, "after how long without a sign of life from a worker process the others take over what it served; the same for all of them")
	cmd.Flags().DurationVar(&f.grace, "grace", 15*time.Second, "how long what is under way may take after the end was asked for")
	return cmd
}

func (p *program) serve(cmd *cobra.Command, f *serveFlags, parts []string) error {
	log, err := p.logger()
	if err != nil {
		return err
	}
	defer telemetry.FlushLog(log)
	if _, err := p.topology(cmd); err != nil {
		return err
	}
	config := app.Config{
		Streams:     p.streamsFile(cmd),
		MetricsAddr: addressOf(f.console.metrics),
		Apply:       f.apply,
		LookupEnv:   p.LookupEnv,
		Logger:      log,
		Version:     p.Version,
	}
	if config.NATSURL, config.NATSOptions, err = f.cluster.options(p.LookupEnv); err != nil {
		return err
	}
	if err := f.parts(&config, parts); err != nil {
		return err
	}
	config.Started = func(a app.Addresses) {
		log := log.WithField("webhooks", a.Ingress).WithField("console", a.Console)
		if config.Ingress != nil || config.Workers != nil || config.Apply { // notifications alone need none
			log = log.WithField("nats", redacted(config.NATSURL))
		}
		log.Info("serving")
	}
	config.Reload = p.reloads(cmd.Context())
	return app.Run(cmd.Context(), config)
}

// The bounds of --lease: below, a busy machine would hand consumers to and fro; above, a dead process'
// would wait for too long.
const (
	leastLease = time.Second
	mostLease  = 10 * time.Minute
)

// parts fills in what the process shall do and checks that it can.
func (f *serveFlags) parts(config *app.Config, parts []string) error {
	if f.grace <= 0 {
		return errors.New("--grace must be above zero")
	}
	if f.lease < leastLease || f.lease > mostLease {
		return fmt.Errorf("--lease must be %s to %s", leastLease, mostLease)
	}
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or none")
	}
	var err error
	if config.Console, err = f.console.console(); err != nil {
		return err
	}
	if slices.Contains(parts, partConsole) {
		if config.Console == nil {
			return errors.New("the part console needs an address: give --console one")
		}
		config.Console.Wanted = true
	}
	listen := f.console.listens()
	if len(parts) == 0 || slices.Contains(parts, partIngress) {
		config.Ingress = &app.Ingress{Addr: f.http, TLSCert: f.tlsCert, TLSKey: f.tlsKey, Grace: f.grace}
		listen = append(listen, listenFlag{"http", f.http})
	}
	if len(parts) == 0 || slices.Contains(parts, partWorkers) {
		config.Workers = &app.Workers{Grace: f.grace, Lease: f.lease, PublicTargets: true}
	}
	if err := f.notifications(config, slices.Contains(parts, partNotifications)); err != nil {
		return err
	}
	return checkListen(listen...)
}

// notifications fills in where they are forwarded to, if they shall be.
func (f *serveFlags) notifications(config *app.Config, wanted bool) error {
	if !wanted {
		return nil
	}
	if f.forwardTo == "" && config.Ingress != nil && f.tlsCert != "" {
		return errors.New("--forward-to is missing: an https URL with the name that --tls-cert is for")
	}
	if err := checkForwardTo(f.forwardTo); err != nil {
		return err
	}
	config.Notifications = &app.Notifications{ForwardTo: f.forwardTo, Grace: f.grace}
	return nil
}

// checkForwardTo wants https, but on this machine: events and keys go there.
func checkForwardTo(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("--forward-to is no base URL such as https://mesh.example.com")
	case u.User != nil:
		return errors.New("--forward-to has a user or a password: the source's secret is what proves where events come from")
	case u.Scheme == "http" && !isLoopback(text):
		return errors.New("--forward-to is not https: anybody on the way could read the events; http is only for this machine")
	}
	return nil
}
