//go:build fault

package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/itchyny/gojq"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
)

// place is a site: nodes with the configuration that ships, each in a network namespace of its own, and the parts of genmesh beside the first.
type place struct {
	t     testing.TB
	name  string
	hosts []string // the namespaces
	addrs []string
	dir   string // of nats.conf and what it includes
	certs string
	nodes []*shipped.Process
	parts []*shipped.Process
	nc    *nats.Conn
	js    jetstream.JetStream
}

// longWay is how long a message needs from one site to the other.
const longWay = 100 * time.Millisecond

// newPlaces makes two sites, east and west, that are not started yet. What west sends to a node of east goes over a long line.
func newPlaces(t testing.TB, network *lan, nodes int) (east, west *place, far []*line) {
	t.Helper()
	var names, near, long []string
	for i, host := range network.sites() {
		name := fmt.Sprintf("%s-%d", []string{"east", "west"}[i/nodes], i%nodes+1)
		names = append(names, name)
		near = append(near, host.address+" "+name)
		if i >= nodes {
			continue
		}
		end := fmt.Sprintf("%s%d", lanPrefix, 2+i) // east's node, as west knows it
		network.run("ip", "addr", "add", end+"/24", "dev", "lan")
		long = append(long, end+" "+name)
		line := newLine(t, end+":7422", longWay)
		line.lead(host.address + ":7422")
		far = append(far, line)
	}
	certs := certificates(t, names)
	hosts := writeFile(t, "hosts", "127.0.0.1 localhost\n"+strings.Join(near, "\n")+"\n")
	network.run("mount", "--bind", hosts, "/etc/hosts")
	t.Cleanup(func() { _ = do("umount", "/etc/hosts") })
	ofWest := writeFile(t, "hosts", "127.0.0.1 localhost\n"+strings.Join(append(near[nodes:], long...), "\n")+"\n")

	east = newPlace(t, network, "east", 0, nodes, certs, hosts, names)
	west = newPlace(t, network, "west", nodes, nodes, certs, ofWest, names)
	east.rewrite("site-remote.conf", func(string) string { return "" }) // it copies nothing
	return east, west, far
}

// newPlace is a site on hosts of the network from first on; names are the nodes of both sites.
func newPlace(t testing.TB, network *lan, name string, first, nodes int, certs, hosts string, names []string) *place {
	t.Helper()
	p := &place{t: t, name: name, dir: filepath.Join(t.TempDir(), "nats"), certs: certs}
	own, others := names[first:first+nodes], slices.Concat(names[:first], names[first+nodes:])
	p.shippedConfiguration(nodes > 1)
	for i := range nodes {
		p.hosts, p.addrs = append(p.hosts, network.hosts[first+i]), append(p.addrs, network.address(first+i))
		n := newProcess(t, own[i], p.dir, "ip", "netns", "exec", network.hosts[first+i], "sh", "-c",
			fmt.Sprintf("mount --bind %s /etc/hosts && exec %s --config %s", hosts, program("nats-server"), filepath.Join(p.dir, "nats.conf")))
		n.Env = append(n.Env, "NATS_SITE="+name, "NATS_SERVER_NAME="+own[i], "NATS_STORE_DIR="+t.TempDir(),
			"NATS_ROUTES="+urls(own, 6222), "NATS_OTHER_SITE="+urls(others, 7422))
		for variable, files := range map[string]string{"NATS_TLS": own[i] + "/clients", "NATS_ROUTES": own[i] + "/routes", "NATS_SITE": "site/identity"} {
			files = filepath.Join(certs, files)
			n.Env = append(n.Env, variable+"_CERT="+files+".pem", variable+"_KEY="+files+".key", variable+"_CA="+files+"-ca.pem")
		}
		p.nodes = append(p.nodes, n)
	}
	return p
}

func urls(hosts []string, port int) string {
	var all []string
	for _, h := range hosts {
		all = append(all, fmt.Sprintf(`"tls://%s:%d"`, h, port))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// certificates are those of deploy/certificates.
func certificates(t testing.TB, hosts []string) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "tls")
	require.NoError(t, do(append([]string{"bash", "../../deploy/certificates", folder}, hosts...)...))
	return folder
}

// shippedConfiguration writes the files of deploy/nats, with the lines that docs/second-site.md has for nats.conf and roles.conf. A node by
// itself has nobody to agree with: it is no cluster.
func (p *place) shippedConfiguration(clustered bool) {
	p.t.Helper()
	require.NoError(p.t, os.CopyFS(p.dir, os.DirFS("../../deploy/nats")))
	p.rewrite("nats.conf", func(conf string) string {
		conf = p.with(conf, "jetstream {\n", "jetstream {\n  domain: $NATS_SITE\n")
		conf = p.with(conf, "  name: genmesh\n", "  name: $NATS_SITE\n")
		if !clustered {
			conf = regexp.MustCompile(`(?ms)^cluster \{$.*?^\}$`).ReplaceAllString(conf, "")
		}
		return conf + "\ninclude ./site.conf\n"
	})
	p.rewrite("roles.conf", func(roles string) string {
		return p.with(roles, "    users: [\n", "    users: [\n      {include ./site-user.conf}\n")
	})
}

// with puts text in the place of another, unless it is there already.
func (p *place) with(conf, old, text string) string {
	p.t.Helper()
	if strings.Contains(conf, text) {
		return conf
	}
	require.Contains(p.t, conf, old)
	return strings.Replace(conf, old, text, 1)
}

func (p *place) rewrite(name string, change func(string) string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	text, err := os.ReadFile(file)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(file, []byte(change(string(text))), 0o600))
}

// start runs the nodes and waits until they can do their work.
func (p *place) start() {
	p.t.Helper()
	for _, n := range p.nodes {
		n.Launch()
	}
	if p.nc == nil {
		identity := filepath.Join(p.certs, "operator", "identity")
		nc, err := nats.Connect(p.url(), nats.ClientCert(identity+".pem", identity+".key"), nats.RootCAs(identity+"-ca.pem"),
			nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true), nats.Timeout(time.Second))
		require.NoError(p.t, err)
		p.t.Cleanup(nc.Close)
		p.nc = nc
		p.js, err = jetstream.New(nc)
		require.NoError(p.t, err)
	}
	require.Eventually(p.t, p.isLed, 2*time.Minute, 100*time.Millisecond, "%s does not come up", p.name)
}

// isLed reports whether the site and each of its streams have a leader.
func (p *place) isLed() bool {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	if _, err := p.js.AccountInfo(ctx); err != nil {
		return false
	}
	names := p.js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := p.js.Stream(ctx, name)
		if err != nil || stream.CachedInfo().Cluster != nil && stream.CachedInfo().Cluster.Leader == "" {
			return false
		}
	}
	return names.Err() == nil
}

// restart ends all nodes, and starts them again. A mirror has no duplicate window, and what it copied is not in the one that its stream gets when it
// is promoted (nats-server 2.15.2, server/jetstream.go, fixCfgMirrorWithDedupWindow); a node that starts reads it back.
func (p *place) restart() {
	p.t.Helper()
	for _, n := range p.nodes {
		n.Signal(syscall.SIGTERM)
	}
	for _, n := range p.nodes {
		<-n.Done()
	}
	p.start()
}

func (p *place) url() string {
	var all []string
	for _, n := range p.nodes {
		all = append(all, "tls://"+n.Name+":4222")
	}
	return strings.Join(all, ",")
}

// http is where senders post to.
func (p *place) http() string { return p.addrs[0] + ":8080" }

// die ends everything at once.
func (p *place) die() {
	all := slices.Concat(p.nodes, p.parts)
	for _, process := range all {
		process.Strike()
	}
	for _, process := range all {
		<-process.Done()
	}
	p.parts = nil
}

// as is the environment of a role's processes.
func (p *place) as(role string) []string {
	identity := filepath.Join(p.certs, role, "identity")
	return []string{
		"SECRET=" + secret, "NATS_URL=" + p.url(), "NATS_INBOX_PREFIX=_INBOX_" + role,
		"NATS_CERT=" + identity + ".pem", "NATS_KEY=" + identity + ".key", "NATS_CA=" + identity + "-ca.pem",
	}
}

// apply makes the streams and consumers of the streams.json in dir; new subscribers begin at start.
func (p *place) apply(dir, start string) {
	p.t.Helper()
	command := exec.Command(program("genmesh"), "apply", "--because", "a test of two sites")
	command.Dir = dir
	command.Env = append(append(shipped.Environment(), p.as("apply")...), "SUBSCRIBERS_START="+start)
	out, err := command.CombinedOutput()
	require.NoError(p.t, err, string(out))
}

// serve runs an ingress and workers.
func (p *place) serve(dir string) {
	p.t.Helper()
	p.part(dir, "ingress", p.http(), "--http", p.http())
	p.work(dir)
}

func (p *place) work(dir string) {
	p.t.Helper()
	metrics := p.addrs[0] + ":8091"
	p.part(dir, "workers", metrics, "--metrics", metrics)
}

func (p *place) part(dir, role, ready string, args ...string) {
	p.t.Helper()
	part := newProcess(p.t, role+"-"+p.name, dir,
		append([]string{"ip", "netns", "exec", p.hosts[0], program("genmesh"), "serve", role, "--console=off"}, args...)...)
	part.Env = append(append(part.Env, p.as(role)...), "SUBSCRIBERS_START=all") // consumers that there are keep their place
	part.Ready = "http://" + ready + "/readyz"
	part.Start()
	p.parts = append(p.parts, part)
}

// dial makes the nodes open the leaf node connection to the other site, or end it.
func (p *place) dial(on bool) {
	p.t.Helper()
	shipped, err := os.ReadFile("../../deploy/nats/site-remote.conf")
	require.NoError(p.t, err)
	p.rewrite("site-remote.conf", func(string) string {
		if on {
			return string(shipped)
		}
		return ""
	})
	connected := make([]int, len(p.nodes))
	for i, n := range p.nodes {
		connected[i] = n.Logged("JetStream using domains")
	}
	p.reload()
	if !on {
		return
	}
	for i, n := range p.nodes {
		again := func() bool { return n.Logged("JetStream using domains") > connected[i] }
		require.Eventually(p.t, again, 20*time.Second, 20*time.Millisecond, "%s", n.Tail(5))
	}
}

// reload makes the nodes read their configuration again.
func (p *place) reload() {
	p.t.Helper()
	for _, n := range p.nodes {
		told := n.Logged("Reloaded server configuration")
		n.Signal(syscall.SIGHUP)
		require.Eventually(p.t, func() bool { return n.Logged("Reloaded server configuration") > told }, 20*time.Second, 20*time.Millisecond, "%s", n.Tail(5))
	}
}

// copy makes the streams that copy those of another site.
func (p *place) copy(from *place) {
	p.t.Helper()
	for _, stream := range copied {
		config := p.shippedFilter("site-mirror.jq", from.ask("STREAM.INFO."+stream, nil), map[string]any{"$first": from.name})
		p.ask("STREAM.CREATE."+stream, config)
	}
}

// shippedFilter runs one of deploy/nats over what the server says of a stream, as jq does.
func (p *place) shippedFilter(name string, info []byte, variables map[string]any) (config any) {
	p.t.Helper()
	filter, err := os.ReadFile(filepath.Join("../../deploy/nats", name))
	require.NoError(p.t, err)
	query, err := gojq.Parse(string(filter))
	require.NoError(p.t, err)
	names := slices.Sorted(maps.Keys(variables))
	code, err := gojq.Compile(query, gojq.WithVariables(names))
	require.NoError(p.t, err)
	var values []any
	for _, n := range names {
		values = append(values, variables[n])
	}
	var input any
	require.NoError(p.t, json.Unmarshal(info, &input))
	config, _ = code.Run(input, values...).Next()
	if err, failed := config.(error); failed {
		require.NoError(p.t, err)
	}
	return config
}

// copyAnew makes a site that was the first one a copy of what is the first one now.
func (p *place) copyAnew(from *place) {
	p.t.Helper()
	for stream := range p.js.StreamNames(p.t.Context()).Name() {
		require.NoError(p.t, p.js.DeleteStream(p.t.Context(), stream))
	}
	p.dial(true)
	p.copy(from)
}

// promote makes streams of the copies.
func (p *place) promote() {
	p.t.Helper()
	p.dial(false)
	for _, name := range copied {
		config := p.info(name).Config
		config.Mirror = nil
		_, err := p.js.UpdateStream(p.t.Context(), config)
		require.NoError(p.t, err, name)
	}
}

// waiting is how many events the site has still to hand to the subscriber that is furthest behind. Consumers may have no leader for a moment.
func (p *place) waiting(subscribers ...*subscriber) (events int) {
	p.t.Helper()
	for _, s := range subscribers {
		require.Eventually(p.t, func() bool {
			ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Second)
			defer cancel()
			consumer, err := p.js.PushConsumer(ctx, "INTERACTIONS", s.name)
			if err == nil {
				events = max(events, int(consumer.CachedInfo().NumPending)+consumer.CachedInfo().NumAckPending)
			}
			return err == nil
		}, time.Minute, 100*time.Millisecond, "consumer %s at %s", s.name, p.name)
	}
	return events
}

// ask puts a question to the JetStream API, as the nats command line does.
func (p *place) ask(what string, question any) []byte {
	p.t.Helper()
	raw, err := json.Marshal(question)
	require.NoError(p.t, err)
	if question == nil {
		raw = nil
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	answer, err := p.nc.RequestWithContext(ctx, "$JS.API."+what, raw)
	require.NoError(p.t, err, what)
	require.NotContains(p.t, string(answer.Data), `"error"`, what)
	return answer.Data
}

func (p *place) info(stream string) *jetstream.StreamInfo {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	s, err := p.js.Stream(ctx, stream)
	require.NoError(p.t, err, "%s at %s", stream, p.name)
	return s.CachedInfo()
}

func (p *place) last(stream string) uint64        { return p.info(stream).State.LastSeq }
func (p *place) lastTime(stream string) time.Time { return p.info(stream).State.LastTime }
func (p *place) messages(stream string) uint64    { return p.info(stream).State.Msgs }

// catchesUp waits until the copy has all. One that lost its line may wait 30 seconds for the answer to a question that went with it, before it asks
// again (nats-server 2.15.2, server/stream.go, srcConsumerWaitTime).
func (p *place) catchesUp(with *place) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.last("INTERACTIONS") == with.last("INTERACTIONS") }, 2*time.Minute, 50*time.Millisecond,
		"the copy does not catch up")
}

// storedSince is how many events the site has that were stored from a time on.
func (p *place) storedSince(at time.Time) int {
	p.t.Helper()
	s, err := p.js.Stream(p.t.Context(), "INTERACTIONS")
	require.NoError(p.t, err)
	consumer, err := s.OrderedConsumer(p.t.Context(), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at})
	require.NoError(p.t, err)
	info, err := consumer.Info(p.t.Context())
	require.NoError(p.t, err)
	return int(info.NumPending)
}

// knowsAllAgain sends once more what the site has: each is a duplicate, to genmesh and to the stream itself.
func (p *place) knowsAllAgain(load *senders) {
	p.t.Helper()
	var bodies [][]byte
	require.NoError(p.t, readAll(p.t.Context(), p.js, "INTERACTIONS", func(_ string, body []byte) { bodies = append(bodies, body) }))
	for _, body := range slices.Concat(bodies[:50], bodies[len(bodies)-50:]) {
		status, err := load.post(p.http(), body)
		require.NoError(p.t, err)
		require.Equal(p.t, http.StatusOK, status, "200 says that it is there already: %s", body)
	}
	stream, err := p.js.Stream(p.t.Context(), "INTERACTIONS")
	require.NoError(p.t, err)
	all := uint64(len(bodies))
	for _, sequence := range []uint64{all / 4, all / 2, all - 51} { // those that were not sent just now
		stored, err := stream.GetMsg(p.t.Context(), sequence)
		require.NoError(p.t, err)
		ack, err := p.js.Publish(p.t.Context(), stored.Subject, stored.Data, jetstream.WithMsgID(stored.Header.Get(jetstream.MsgIDHeader)))
		require.NoError(p.t, err)
		require.True(p.t, ack.Duplicate, "the stream knows the ids of what was copied")
		require.Equal(p.t, sequence, ack.Sequence)
	}
}
