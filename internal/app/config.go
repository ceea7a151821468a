// Package app wires a genmesh process: what runs, in which order it starts, and in which order
// it ends.
package app

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/workers"
)

// Config is what a process is started with.
type Config struct {
	// Streams is where the configuration comes from.
	Streams StreamsFile
	// Embedded runs a nats-server in the process; nil means that NATS is elsewhere.
	Embedded *Embedded
	// NATSURL and NATSOptions reach NATS where Embedded is nil.
	NATSURL     string
	NATSOptions []nats.Option
	// Ingress and Workers are nil where the process does not do that part.
	Ingress *Ingress
	Workers *Workers
	// Notifications are nil where the process forwards none. A process that does nothing else needs no
	// NATS.
	Notifications *Notifications
	// Console is the operator's side; nil serves none.
	Console *Console
	// MetricsAddr serves /metrics, /healthz and /readyz alone, and asks nobody who they are; "" serves none.
	MetricsAddr string
	// Simulation sends made-up events to the process' own ingress, without TLS; nil sends none.
	Simulation *Simulation
	// Apply makes the streams and consumers as streams.json says, at the start and after each
	// edit. What would lose data is left to genmesh apply.
	Apply bool
	// LookupEnv reads the environment for streams.json.
	LookupEnv func(string) (string, bool)
	// Reload asks for another look at streams.json, secrets and target files, as SIGHUP does.
	// It may be nil.
	Reload <-chan struct{}
	Logger *logrus.Logger
	// Version is the program's, for the User-Agent of targets.
	Version string
	// Started is called once, when everything runs. It may be nil.
	Started func(Addresses)
}

// StreamsFile is where streams.json is.
type StreamsFile struct {
	// Path is the file, which is followed while the process runs.
	Path string
	// Fallback is used if there is no such file at the start; nil makes a missing file an error.
	// A file that is there once is never replaced by it.
	Fallback []byte
}

// Embedded configures the nats-server in the process.
type Embedded struct {
	DataDir string
	// Listen is the address for other NATS clients; "" opens no port.
	Listen string
}

// Ingress configures the webhook server.
type Ingress struct {
	Addr string
	// TLSCert and TLSKey are PEM files, looked at again when they change; "" serves plain HTTP.
	TLSCert string
	TLSKey  string
	// Grace bounds how long requests under way may go on after the end was asked for.
	Grace time.Duration
}

// Workers configures the serving of subscribers.
type Workers struct {
	// Handlers are the Go handlers of subscribers that have no target, by subscriber name.
	Handlers map[string]workers.Handler
	// Lease is after how long without a sign of life from this process others take over what it serves; 0
	// is the default, 6 s. All processes should have the same.
	Lease time.Duration
	// PublicTargets refuses HTTP targets that are not on the public internet, but for the networks that
	// streams.json allows them.
	PublicTargets bool
	// Grace bounds how long events under way may go on after the end was asked for.
	Grace time.Duration
}

// Console configures the operator's side: dashboard, admin API, metrics and health.
type Console struct {
	// Addr needs TLS and an AccessFile unless it is a loopback address.
	Addr string
	// TLSCert and TLSKey are PEM files, looked at again when they change; "" serves plain HTTP.
	TLSCert string
	TLSKey  string
	// AccessFile says who may use it, and is looked at again when it changes; without one everybody on this machine may.
	AccessFile string
	// PublicURL is where browsers find it, if not at Addr.
	PublicURL string
	// Wanted connects to NATS for it, also where nothing else does.
	Wanted bool
}

// Notifications configures the forwarding of the notification service to the sources that have a
// notifications block.
type Notifications struct {
	// ForwardTo is the base URL of the ingress, to which the path of a source is added; "" is the one of
	// this process, or else port 8080 of this machine.
	ForwardTo string
	// Grace bounds how long what has arrived may take after the end was asked for.
	Grace time.Duration
}

// Simulation is a simulated Genesys Cloud that delivers to a source of this process.
type Simulation struct {
	Rate   float64 // events per second
	Path   string  // of the source
	Secret string
	Faults simulator.Faults
}

// Addresses are where a running process is reached; "" where it is not.
type Addresses struct {
	Ingress string // host:port
	Console string // host:port
	Metrics string // host:port
	NATS    string // URL
	// ConsoleTLS is true if the console serves TLS.
	ConsoleTLS bool
}

// ConsoleURL is what to type into a browser of this machine; "" without a console.
func (a Addresses) ConsoleURL() string {
	switch {
	case a.Console == "":
		return ""
	case a.ConsoleTLS:
		return "https://" + a.Console
	}
	return "http://" + a.Console
}
