//go:build fault

package fault

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// cluster is three nodes that replicate each stream.
type cluster struct {
	t     testing.TB
	nodes []*node
	url   string // of all of them
}

// site says where a node of a cluster lives: under which command it runs and at which address.
type site struct {
	under   []string
	address string
}

// loopback is one machine for all three.
func loopback() []site {
	return []site{{address: "127.0.0.1"}, {address: "127.0.0.1"}, {address: "127.0.0.1"}}
}

// newCluster is a cluster that is not started yet; node i keeps its streams in stores[i].
func newCluster(t testing.TB, sites []site, stores []string, jetStream ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var routes, urls []string
	routePorts := make([]int, len(sites))
	for i, s := range sites {
		routePorts[i] = meshtest.FreePort(t)
		routes = append(routes, fmt.Sprintf("nats://%s:%d", s.address, routePorts[i]))
	}
	for i, s := range sites {
		client, monitor := fmt.Sprintf("%s:%d", s.address, meshtest.FreePort(t)), fmt.Sprintf("%s:%d", s.address, meshtest.FreePort(t))
		config := fmt.Sprintf(`listen: %s
http: %s
server_name: node-%d
ping_interval: "2s"
jetstream {
  store_dir: %q
  max_file_store: 2GB
  %s
}
cluster {
  name: lab
  listen: %s:%d
  no_advertise: true
  routes: [%s]
}
`, client, monitor, i, filepath.Join(stores[i], "js"), strings.Join(jetStream, "\n  "), s.address, routePorts[i], strings.Join(routes, ", "))
		argv := append(append([]string(nil), s.under...), program("nats-server"), "--config", writeFile(t, "nats.conf", config))
		n := &node{t: t, url: "nats://" + client}
		n.Process = newProcess(t, fmt.Sprintf("nats-%d", i), t.TempDir(), argv...)
		n.Ready = "http://" + monitor + "/healthz?js-server-only=true"
		c.nodes = append(c.nodes, n)
		urls = append(urls, n.url)
	}
	c.url = strings.Join(urls, ",")
	return c
}

// start launches all nodes that don't run and waits until each has read its streams and takes clients. A leader may come later.
func (c *cluster) start() {
	c.t.Helper()
	for _, n := range c.nodes {
		if !n.Running() {
			n.Launch()
		}
	}
	for _, n := range c.nodes {
		n.AwaitReady(2 * time.Minute)
	}
}

// caughtUp waits until a node says that it has what the others have.
func (c *cluster) caughtUp(n *node) {
	c.t.Helper()
	whole := strings.TrimSuffix(n.Ready, "?js-server-only=true")
	require.Eventually(c.t, func() bool { return shipped.Status(whole) == http.StatusOK }, 2*time.Minute, 50*time.Millisecond, "%s does not catch up", n.Name)
}

func (c *cluster) jetStream() jetstream.JetStream { return connect(c.t, c.url) }

// startParts applies a streams.json and runs so many ingress and workers against the cluster.
func (c *cluster) startParts(t testing.TB, config []byte, many int) *parts {
	t.Helper()
	dir := writeConfiguration(t, config)
	apply(t, dir, c.url)
	p := new(parts)
	for range many {
		p.addIngress(t, dir, c.url)
		p.addWorkers(t, dir, c.url)
	}
	return p
}

// leader is the node that leads a stream.
func (c *cluster) leader(js jetstream.JetStream, stream string) *node {
	c.t.Helper()
	var led *node
	require.Eventually(c.t, func() bool {
		s, err := js.Stream(c.t.Context(), stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		for i, n := range c.nodes {
			if s.CachedInfo().Cluster.Leader == fmt.Sprintf("node-%d", i) {
				led = n
			}
		}
		return led != nil
	}, time.Minute, 100*time.Millisecond, "stream %s has no leader", stream)
	return led
}

// lan is a network of namespaces on one bridge; a host can be moved to another bridge, where nobody else is.
type lan struct {
	t     testing.TB
	hosts []string
}

// The lab's own network: nothing of it is seen outside of its namespace.
const lanPrefix = "10.99.0."

// newLAN makes hosts with addresses 10.99.0.11, .12 and so on; the test itself is 10.99.0.1.
func newLAN(t testing.TB, hosts int) *lan {
	t.Helper()
	l := &lan{t: t}
	l.run("ip", "link", "add", "lan", "type", "bridge")
	l.run("ip", "link", "add", "nowhere", "type", "bridge")
	t.Cleanup(func() {
		for _, h := range l.hosts {
			_ = do("ip", "netns", "del", h)
		}
		_ = do("ip", "link", "del", "lan")
		_ = do("ip", "link", "del", "nowhere")
	})
	l.run("ip", "addr", "add", lanPrefix+"1/24", "dev", "lan")
	l.run("ip", "link", "set", "lan", "up")
	l.run("ip", "link", "set", "nowhere", "up")
	for i := range hosts {
		name := fmt.Sprintf("host%d", i)
		l.hosts = append(l.hosts, name)
		l.run("ip", "netns", "add", name)
		l.run("ip", "link", "add", "veth"+name, "type", "veth", "peer", "name", "eth0", "netns", name)
		l.run("ip", "link", "set", "veth"+name, "master", "lan", "up")
		l.run("ip", "-n", name, "addr", "add", l.address(i)+"/24", "dev", "eth0")
		l.run("ip", "-n", name, "link", "set", "eth0", "up")
		l.run("ip", "-n", name, "link", "set", "lo", "up")
	}
	return l
}

func (l *lan) address(i int) string { return fmt.Sprintf("%s%d", lanPrefix, 11+i) }

func (l *lan) run(command ...string) {
	l.t.Helper()
	require.NoError(l.t, do(command...))
}

// sites are the hosts as those of a cluster.
func (l *lan) sites() []site {
	var all []site
	for i, h := range l.hosts {
		all = append(all, site{under: []string{"ip", "netns", "exec", h}, address: l.address(i)})
	}
	return all
}

// cut takes a host off the network; heal puts it back.
func (l *lan) cut(i int)  { l.run("ip", "link", "set", "veth"+l.hosts[i], "master", "nowhere") }
func (l *lan) heal(i int) { l.run("ip", "link", "set", "veth"+l.hosts[i], "master", "lan") }

// index is which host a node is.
func (c *cluster) index(n *node) int {
	for i := range c.nodes {
		if c.nodes[i] == n {
			return i
		}
	}
	c.t.Fatal("a node of another cluster")
	return -1
}
