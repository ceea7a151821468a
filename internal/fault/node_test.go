//go:build fault

package fault

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// node is a nats-server in a process of its own.
type node struct {
	*shipped.Process
	t   testing.TB
	url string
}

// newNode is a single node that fsyncs before it acknowledges, with its store in a folder. lines are more of its configuration.
func newNode(t testing.TB, store string, lines ...string) *node {
	t.Helper()
	return newNodeWith(t, store, append([]string{"sync_interval: always"}, lines...)...)
}

// newNodeWith leaves it to jetStream what the server syncs.
func newNodeWith(t testing.TB, store string, jetStream ...string) *node {
	t.Helper()
	client, monitor := meshtest.FreeAddr(t), meshtest.FreeAddr(t)
	config := fmt.Sprintf("listen: %s\nhttp: %s\nserver_name: node\njetstream {\n  store_dir: %q\n  max_file_store: 4GB\n  %s\n}\n",
		client, monitor, store, strings.Join(jetStream, "\n  "))
	n := &node{t: t, url: "nats://" + client}
	n.Process = newProcess(t, "nats", store, program("nats-server"), "--config", writeFile(t, "nats.conf", config))
	n.Ready = "http://" + monitor + "/healthz?js-server-only=true"
	return n
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// apply makes the streams and consumers of the streams.json in dir.
func (n *node) apply(dir string) { apply(n.t, dir, n.url) }

func apply(t testing.TB, dir, url string) {
	t.Helper()
	command := exec.Command(program("genmesh"), "apply", "--server", url)
	command.Dir, command.Env = dir, append(shipped.Environment(), "SECRET="+secret)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

func (n *node) jetStream() jetstream.JetStream { return connect(n.t, n.url) }

// addr is where the node listens for clients.
func (n *node) addr() string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(n.url, "nats://"))
	require.NoError(n.t, err)
	return net.JoinHostPort(host, port)
}
