//go:build sizing

package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/internal/shipped"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// natsNode is a nats-server in a process of its own.
type natsNode struct {
	*shipped.Process
	t                   testing.TB
	url, profile, store string
}

// natsNodes are one node, or three that replicate each stream.
type natsNodes struct {
	t   testing.TB
	all []*natsNode
	url string
}

// Whether a node fsyncs before it acknowledges, as production does.
const (
	syncs  = "sync_interval: always"
	lately = `sync_interval: "2m"` // for what does not depend on it, and takes long
)

// startNodes runs so many nodes; under is what each of them runs under.
func startNodes(t testing.TB, many int, sync string, under ...string) *natsNodes {
	t.Helper()
	c := &natsNodes{t: t}
	var routes, urls []string
	routePorts := make([]int, many)
	for i := range many {
		routePorts[i] = meshtest.FreePort(t)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", routePorts[i]))
	}
	for i := range many {
		client, monitor, profile := meshtest.FreeAddr(t), meshtest.FreeAddr(t), meshtest.FreePort(t)
		n := &natsNode{t: t, url: "nats://" + client, profile: fmt.Sprintf("http://127.0.0.1:%d", profile), store: t.TempDir()}
		config := fmt.Sprintf("listen: %s\nhttp: %s\nserver_name: node-%d\n", client, monitor, i) +
			fmt.Sprintf("prof_port: %d\njetstream {\n  store_dir: %q\n  max_file_store: 20GB\n  %s\n}\n", profile, n.store, sync)
		if many > 1 {
			config += fmt.Sprintf("cluster {\n  name: sizing\n  listen: 127.0.0.1:%d\n  no_advertise: true\n  routes: [%s]\n}\n",
				routePorts[i], strings.Join(routes, ", "))
		}
		file := filepath.Join(t.TempDir(), "nats.conf")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		n.Process = newProcess(t, fmt.Sprintf("nats-%d", i), "http://"+monitor+"/healthz?js-server-only=true",
			append(slices.Clone(under), program("nats-server"), "--config", file)...)
		n.Launch()
		c.all, urls = append(c.all, n), append(urls, n.url)
	}
	for _, n := range c.all {
		n.AwaitReady(2 * time.Minute)
	}
	c.url = strings.Join(urls, ",")
	return c
}

func (c *natsNodes) processes() []*shipped.Process {
	var all []*shipped.Process
	for _, n := range c.all {
		all = append(all, n.Process)
	}
	return all
}

// connect opens a JetStream context that lasts until the test ends.
func (c *natsNodes) connect() jetstream.JetStream {
	c.t.Helper()
	nc, err := mesh.Connect("sizing", c.url, meshtest.Quiet(), nats.MaxReconnects(-1))
	require.NoError(c.t, err)
	c.t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(c.t, err)
	return js
}

// connectPatiently is connect for publishing without genmesh, which waits for a disk that stands still.
func (c *natsNodes) connectPatiently() jetstream.JetStream {
	c.t.Helper()
	js, err := jetstream.New(c.connect().Conn(), jetstream.WithPublishAsyncTimeout(time.Minute))
	require.NoError(c.t, err)
	return js
}

// apply makes the streams and consumers of a configuration, as genmesh apply does, and returns its folder and what it says.
func (c *natsNodes) apply(config []byte) (dir string, t *mesh.Topology) {
	c.t.Helper()
	dir = c.t.TempDir()
	require.NoError(c.t, os.WriteFile(filepath.Join(dir, "streams.json"), config, 0o600))
	command := exec.Command(program("genmesh"), "apply", "--server", c.url)
	command.Dir, command.Env = dir, append(shipped.Environment(), "SECRET="+secret)
	out, err := command.CombinedOutput()
	require.NoError(c.t, err, string(out))
	t, err = app.ParseStreams(config, func(string) (string, bool) { return secret, true })
	require.NoError(c.t, err)
	return dir, t
}

// leader is which node leads a stream.
func (c *natsNodes) leader(js jetstream.JetStream, stream string) int {
	c.t.Helper()
	info := c.state(js, stream)
	if info.Cluster == nil || len(c.all) == 1 {
		return 0
	}
	return slices.IndexFunc(c.all, func(n *natsNode) bool { return n.Name == strings.Replace(info.Cluster.Leader, "node-", "nats-", 1) })
}

func (c *natsNodes) state(js jetstream.JetStream, stream string) *jetstream.StreamInfo {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	require.NoError(c.t, err)
	return s.CachedInfo()
}

// live is what a node's memory holds after a garbage collection, in bytes: the end of the heap profile of Go says it.
func (n *natsNode) live() float64 {
	n.t.Helper()
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Get(n.profile + "/debug/pprof/heap?gc=1&debug=1")
	require.NoError(n.t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			value, err := strconv.ParseFloat(rest, 64)
			require.NoError(n.t, err)
			return value
		}
	}
	require.NoError(n.t, lines.Err())
	n.t.Fatal("the profile says no HeapAlloc")
	return 0
}

// filesOf is the size of the files of a stream on a node.
func (n *natsNode) filesOf(stream string) (size float64) {
	n.t.Helper()
	err := filepath.WalkDir(n.store, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, "/streams/"+stream+"/msgs/") {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += float64(info.Size())
		}
		return err
	})
	require.NoError(n.t, err)
	return size
}
