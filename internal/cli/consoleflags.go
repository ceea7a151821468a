package cli

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/internal/console/access"
)

// consoleFlags say where a process shows itself, and to whom.
type consoleFlags struct {
	addr      string
	tlsCert   string
	tlsKey    string
	access    string
	publicURL string
	metrics   string
}

func (f *consoleFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.addr, "console", "127.0.0.1:8090", "`ADDRESS` for the console: dashboard, admin API, metrics and health; "+off+" serves none")
	flags.StringVar(&f.tlsCert, "console-tls-cert", "", "the console's certificate, a PEM `FILE`; it may change while the process runs")
	flags.StringVar(&f.tlsKey, "console-tls-key", "", "its key, a PEM `FILE`")
	flags.StringVar(&f.access, "console-access", "", "a `FILE` that says who may use the console; without one it is for this machine alone")
	flags.StringVar(&f.publicURL, "console-public-url", "", "the `URL` at which browsers find the console, where a proxy stands before it")
	flags.StringVar(&f.metrics, "metrics", "", "`ADDRESS` for metrics and health alone, which asks nobody who they are; "+off+" serves none")
}

// console is nil if there shall be none.
func (f *consoleFlags) console() (*app.Console, error) {
	switch {
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return nil, errors.New("--console-tls-cert and --console-tls-key belong together: give both or none")
	case addressOf(f.addr) == "":
		return nil, nil
	}
	if err := access.CheckListen(f.addr, f.tlsCert != "", f.access != ""); err != nil {
		return nil, err
	}
	return &app.Console{Addr: f.addr, TLSCert: f.tlsCert, TLSKey: f.tlsKey, AccessFile: f.access, PublicURL: f.publicURL}, nil
}

func (f *consoleFlags) listens() []listenFlag {
	return []listenFlag{{"console", addressOf(f.addr)}, {"metrics", addressOf(f.metrics)}}
}
