package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/pflag"
	"github.com/synadia-io/orbit.go/natscontext"

	"github.com/genmesh/genmesh/mesh"
)

// defaultServer is where genmesh dev listens.
const defaultServer = "nats://127.0.0.1:4222"

// clusterFlags say how to reach NATS. They are named as in the nats command line.
type clusterFlags struct {
	server  string
	context string
	creds   string
	nkey    string
	user    string
	tlsCert string
	tlsKey  string
	tlsCA   string
	inboxes string
}

func (f *clusterFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.server, "server", "s", "", "the `URLS` of NATS, separated by commas (default "+defaultServer+")")
	flags.StringVar(&f.context, "context", "", "a context of the nats command line, by `NAME` or absolute path; --server and what is below win over it")
	flags.StringVar(&f.creds, "creds", "", "a `FILE` with user credentials")
	flags.StringVar(&f.nkey, "nkey", "", "a `FILE` with an NKey seed")
	flags.StringVar(&f.user, "user", "", "a user `NAME`; the password comes from NATS_PASSWORD alone")
	flags.StringVar(&f.tlsCert, "tlscert", "", "the client's certificate, a PEM `FILE`")
	flags.StringVar(&f.tlsKey, "tlskey", "", "the client's key, a PEM `FILE`")
	flags.StringVar(&f.tlsCA, "tlsca", "", "the authority that signed the server's certificate, a PEM `FILE`")
	flags.StringVar(&f.inboxes, "inbox-prefix", "", "how the subjects begin on which answers come, a `PREFIX` (default "+strings.TrimSuffix(nats.InboxPrefix, ".")+")")
	for flag, variable := range map[string]string{
		"server": "NATS_URL", "context": "NATS_CONTEXT", "creds": "NATS_CREDS", "nkey": "NATS_NKEY", "user": "NATS_USER",
		"tlscert": "NATS_CERT", "tlskey": "NATS_KEY", "tlsca": "NATS_CA", "inbox-prefix": "NATS_INBOX_PREFIX",
	} {
		alsoFrom(flags, flag, variable)
	}
}

// options is the URL to connect to and how.
func (f *clusterFlags) options(lookup func(string) (string, bool)) (string, []nats.Option, error) {
	server, options, err := f.contextOptions()
	if err != nil {
		return "", nil, err
	}
	if f.server != "" {
		server = f.server
	}
	if err := checkServers(server); err != nil {
		return "", nil, err
	}
	credentials, err := f.credentials(lookup)
	if err != nil {
		return "", nil, err
	}
	options = append(options, credentials...)
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return "", nil, errors.New("--tlscert and --tlskey belong together: give both or none")
	}
	if f.tlsCert != "" {
		options = append(options, nats.ClientCert(f.tlsCert, f.tlsKey))
	}
	if f.tlsCA != "" {
		options = append(options, nats.RootCAs(f.tlsCA))
	}
	if f.inboxes != "" {
		if strings.ContainsAny(f.inboxes, "*> \t") || strings.HasSuffix(f.inboxes, ".") {
			return "", nil, fmt.Errorf("--inbox-prefix %q (or NATS_INBOX_PREFIX): write the beginning of a subject, such as _INBOX_workers", f.inboxes)
		}
		options = append(options, nats.CustomInboxPrefix(f.inboxes))
	}
	return server, options, nil
}

func (f *clusterFlags) credentials(lookup func(string) (string, bool)) ([]nats.Option, error) {
	switch {
	case f.creds != "":
		return []nats.Option{nats.UserCredentials(f.creds)}, nil
	case f.nkey != "":
		option, err := nats.NkeyOptionFromSeed(f.nkey)
		if err != nil {
			return nil, fmt.Errorf("--nkey %s: %w", f.nkey, err)
		}
		return []nats.Option{option}, nil
	case f.user != "":
		password, _ := lookup("NATS_PASSWORD")
		if password == "" {
			return nil, errors.New("--user needs the password in the environment variable NATS_PASSWORD")
		}
		return []nats.Option{nats.UserInfo(f.user, password)}, nil
	}
	return nil, nil
}

// errRead ends natscontext's connecting once the context has been read.
var errRead = errors.New("context read")

// contextOptions reads a context of the nats command line. natscontext can only connect, so its
// options are taken out just before it would.
func (f *clusterFlags) contextOptions() (string, []nats.Option, error) {
	if f.context == "" {
		return defaultServer, nil, nil
	}
	var read nats.Options
	_, _, err := natscontext.Connect(f.context, func(o *nats.Options) error {
		read = *o
		return errRead
	})
	if !errors.Is(err, errRead) {
		return "", nil, fmt.Errorf("NATS context %s: %w", f.context, err)
	}
	server := defaultServer
	if len(read.Servers) > 0 && read.Servers[0] != "" {
		server = strings.Join(read.Servers, ",")
	}
	return server, []nats.Option{contextOption(read)}, nil
}

// contextOption sets what a context can say, and leaves genmesh's own choices alone.
func contextOption(read nats.Options) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.Token = read.User, read.Password, read.Token
		o.UserJWT, o.Nkey, o.SignatureCB = read.UserJWT, read.Nkey, read.SignatureCB
		o.Secure, o.TLSConfig, o.TLSHandshakeFirst = read.Secure, read.TLSConfig, read.TLSHandshakeFirst
		o.TLSCertCB, o.RootCAsCB = read.TLSCertCB, read.RootCAsCB
		o.CustomDialer, o.InboxPrefix = read.CustomDialer, read.InboxPrefix
		return nil
	}
}

// checkServers refuses what is no list of URLs before anyone shows it: it may hold a password,
// and the comma in one would make the rest of it look like another server.
func checkServers(servers string) error {
	for i, server := range strings.Split(servers, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			if i > 0 && strings.Contains(server, "@") {
				return errors.New("--server (or NATS_URL): begin each URL that has credentials with nats://, and write a comma in a password as %2C")
			}
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return errors.New("--server (or NATS_URL) is not a list of URLs such as nats://host:4222")
		}
	}
	return nil
}

// redacted is a list of server URLs that checkServers took, without users, passwords and tokens.
func redacted(servers string) string {
	var shown []string
	for server := range strings.SplitSeq(servers, ",") {
		server = strings.TrimSpace(server)
		if at := strings.LastIndexByte(server, '@'); at >= 0 {
			scheme, _, found := strings.Cut(server, "://")
			if !found {
				scheme = "nats"
			}
			server = scheme + "://" + server[at+1:]
		}
		shown = append(shown, server)
	}
	return strings.Join(shown, ",")
}

// connect reaches the cluster. The caller closes the connection.
func (p *program) connect(f *clusterFlags) (*nats.Conn, jetstream.JetStream, error) {
	server, options, err := f.options(p.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	log, err := p.logger()
	if err != nil {
		return nil, nil, err
	}
	nc, err := mesh.Connect("genmesh", server, log, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w; is it running (genmesh dev runs one), and does --server name it?", redacted(server), err)
	}
	js, err := mesh.JetStream(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}
