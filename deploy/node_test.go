package deploy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// node is a nats-server with the configuration that ships; ports, folders and certificates are the test's.
type node struct {
	*server.Server
	t     *testing.T
	log   *serverLog
	roles *authority
}

// startNode runs a node by itself until the test ends.
func startNode(t *testing.T) *node {
	t.Helper()
	roles, routes := newAuthority(t, "roles"), newAuthority(t, "routes")
	options := shippedOptions(t, "nats-1", roles, routes, meshtest.FreePort(t))
	options.Cluster, options.Routes = server.ClusterOpts{}, nil // it has nobody to agree with
	return startServer(t, options, roles)
}

func startServer(t *testing.T, options *server.Options, roles *authority) *node {
	t.Helper()
	s, err := server.NewServer(options)
	require.NoError(t, err)
	n := &node{s, t, new(serverLog), roles}
	s.SetLoggerV2(n.log, false, false, false)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
		if t.Failed() {
			t.Log(strings.Join(n.log.with(""), "\n"))
		}
	})
	require.True(t, s.ReadyForConnections(30*time.Second))
	return n
}

// shippedOptions is deploy/nats/nats.conf for a node called localhost. routes are the cluster ports of all nodes, its own first.
func shippedOptions(t *testing.T, name string, roles, nodes *authority, routes ...int) *server.Options {
	t.Helper()
	var urls []string
	for _, port := range routes {
		urls = append(urls, fmt.Sprintf(`"tls://localhost:%d"`, port))
	}
	certificate, key := roles.signed("localhost")
	routeCertificate, routeKey := nodes.signed("localhost")
	for variable, value := range map[string]string{
		"NATS_SERVER_NAME": name, "NATS_STORE_DIR": t.TempDir(), "NATS_ROUTES": "[" + strings.Join(urls, ",") + "]",
		"NATS_TLS_CERT": certificate, "NATS_TLS_KEY": key, "NATS_TLS_CA": roles.file,
		"NATS_ROUTES_CERT": routeCertificate, "NATS_ROUTES_KEY": routeKey, "NATS_ROUTES_CA": nodes.file,
	} {
		t.Setenv(variable, value)
	}
	options, err := server.ProcessConfigFile(filepath.Join("nats", "nats.conf"))
	require.NoError(t, err)
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	options.Cluster.Host, options.Cluster.Port = "127.0.0.1", routes[0]
	options.NoSigs = true
	return options
}

// url is where clients reach it.
func (n *node) url() string { return strings.Replace(n.ClientURL(), "nats://", "tls://", 1) }

// connect is a connection with the certificate and the inboxes of a role.
func (n *node) connect(role string, more ...nats.Option) *nats.Conn {
	n.t.Helper()
	certificate, key := n.roles.signed(role + ".genmesh")
	options := append([]nats.Option{nats.ClientCert(certificate, key), nats.RootCAs(n.roles.file)}, more...)
	if prefix := inboxes(n.t, role); prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	nc, err := nats.Connect(n.url(), options...)
	require.NoError(n.t, err)
	n.t.Cleanup(nc.Close)
	return nc
}

// inboxes is how the inboxes of a role begin, or "" for one that may use those that everybody has.
func inboxes(t *testing.T, role string) string {
	t.Helper()
	prefix := "_INBOX_" + role
	if !strings.Contains(read(t, "nats/roles.conf"), `subscribe: {allow: ["`+prefix+`.>"`) {
		return ""
	}
	return prefix
}

// serverLog keeps what a server warns of.
type serverLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *serverLog) keep(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
}

func (l *serverLog) Noticef(string, ...any)         {}
func (l *serverLog) Debugf(string, ...any)          {}
func (l *serverLog) Tracef(string, ...any)          {}
func (l *serverLog) Warnf(format string, v ...any)  { l.keep(format, v...) }
func (l *serverLog) Errorf(format string, v ...any) { l.keep(format, v...) }
func (l *serverLog) Fatalf(format string, v ...any) { l.keep(format, v...) }

// with are the lines that hold a text.
func (l *serverLog) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
