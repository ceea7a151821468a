package mesh_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// TestAConnectionOutlivesRefusals: a node whose list of users was wrong for a while takes the process back once it is right.
func TestAConnectionOutlivesRefusals(t *testing.T) {
	node := startNodeOf(t, "genmesh")
	refusals := &refusals{seen: make(chan struct{}, 100)}
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(refusals)
	nc, err := mesh.Connect(t.Name(), node.ClientURL(), log, nats.UserInfo("genmesh", "secret"))
	require.NoError(t, err)
	defer nc.Close()

	node.admit("somebody")
	for i := range 4 { // the first ends the connection, and two of a client that gives up would follow
		select {
		case <-refusals.seen:
		case <-time.After(20 * time.Second):
			require.Fail(t, "it tries no more", "after %d refusals; closed: %t", i, nc.IsClosed())
		}
	}
	node.admit("genmesh")
	require.Eventually(t, nc.IsConnected, 20*time.Second, 10*time.Millisecond)
	assert.NoError(t, nc.Flush())
}

// TestOnlyASilentServerIsAway: to wait mends neither credentials nor certificates.
func TestOnlyASilentServerIsAway(t *testing.T) {
	refusing := startNodeOf(t, "somebody")
	encrypted, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, TLSConfig: strangersTLS(t)})
	require.NoError(t, err)
	encrypted.Start()
	defer encrypted.Shutdown()
	require.True(t, encrypted.ReadyForConnections(20*time.Second))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	nameless := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNoNames }}}
	for name, c := range map[string]struct {
		url  string
		away bool
	}{
		"nobody listens":              {"nats://" + meshtest.FreeAddr(t), true},
		"nobody has the name":         {"nats://nats-1:4222", true},
		"it says nothing":             {"nats://" + silent.Addr().String(), true},
		"it refuses the user":         {refusing.ClientURL(), false},
		"its authority is not known":  {strings.Replace(encrypted.ClientURL(), "nats:", "tls:", 1), false},
		"it speaks no TLS":            {strings.Replace(refusing.ClientURL(), "nats:", "tls:", 1), false},
		"the address can't be parsed": {"nats://%", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mesh.Connect(t.Name(), c.url, meshtest.Quiet(), nats.UserInfo("genmesh", "secret"), nats.SkipHostLookup(), nats.SetCustomDialer(nameless))
			require.Error(t, err)
			assert.Equal(t, c.away, mesh.IsAway(err), err)
		})
	}
}

var errNoNames = errors.New("there is no server of names")

// strangersTLS has a certificate whose authority nobody knows.
func strangersTLS(t *testing.T) *tls.Config {
	t.Helper()
	stranger := httptest.NewTLSServer(nil)
	t.Cleanup(stranger.Close)
	return stranger.TLS
}

// refusals hears in a log that the server does not know who connects.
type refusals struct{ seen chan struct{} }

func (*refusals) Levels() []logrus.Level { return logrus.AllLevels }

func (r *refusals) Fire(entry *logrus.Entry) error {
	if err, ok := entry.Data[logrus.ErrorKey].(error); ok && entry.Level == logrus.ErrorLevel && errors.Is(err, nats.ErrAuthorization) {
		r.seen <- struct{}{}
	}
	return nil
}

// node is a nats-server that knows one user, as its configuration file says.
type node struct {
	*server.Server
	t      *testing.T
	config string
}

func startNodeOf(t *testing.T, user string) *node {
	t.Helper()
	n := &node{t: t, config: filepath.Join(t.TempDir(), "nats.conf")}
	n.write(user)
	options, err := server.ProcessConfigFile(n.config)
	require.NoError(t, err)
	options.NoSigs, options.NoLog = true, true
	n.Server, err = server.NewServer(options)
	require.NoError(t, err)
	n.Start()
	t.Cleanup(func() {
		n.Shutdown()
		n.WaitForShutdown()
	})
	require.True(t, n.ReadyForConnections(20*time.Second))
	return n
}

// admit makes a user the only one, as an edit of the file and a SIGHUP do.
func (n *node) admit(user string) {
	n.t.Helper()
	n.write(user)
	require.NoError(n.t, n.Reload())
}

func (n *node) write(user string) {
	n.t.Helper()
	text := fmt.Sprintf("listen: 127.0.0.1:-1\nauthorization {users: [{user: %q, password: secret}]}\n", user)
	require.NoError(n.t, os.WriteFile(n.config, []byte(text), 0o600))
}
