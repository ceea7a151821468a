package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// natsServer runs a nats-server with a configuration until the test ends.
func natsServer(t *testing.T, config string) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(file(t, "nats.conf", config))
	require.NoError(t, err)
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// plainNode is a server as somebody starts it who has read nothing, with more of a configuration.
func plainNode(t *testing.T, jetStream, more string) *server.Server {
	t.Helper()
	s := natsServer(t, fmt.Sprintf("server_name: plain\nlisten: 127.0.0.1:-1\njetstream {store_dir: %q\n%s}\n%s", t.TempDir(), jetStream, more))
	require.True(t, s.ReadyForConnections(20*time.Second))
	return s
}

// monitorURL is where a server with a monitoring port tells about itself.
func monitorURL(t *testing.T, s *server.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.MonitorAddr().String())
	require.NoError(t, err)
	return "http://127.0.0.1:" + port
}

// TestDoctorRefusesTheTrapsOfAServerThatNobodyConfigured: each trap has its line and its remedy; they are warnings until the
// mesh is called production.
func TestDoctorRefusesTheTrapsOfAServerThatNobodyConfigured(t *testing.T) {
	s := plainNode(t, "max_file_store: 20GB", "http: 0.0.0.0:-1\nmax_payload: 512KB")
	i := withSecret("NATS_URL", s.ClientURL(), secretVariable, devSecret, "CRM_URL", "http://crm.invalid", "ANALYTICS_URL", "kafka://kafka.invalid/calls")
	require.Equal(t, exitOK, i.run(t, "apply").code)
	streams := file(t, "streams.json", editedStreams(t, `"max_bytes": 10737418240,`, `"max_bytes": 107374182400,`, `"max_bytes": 268435456`, `"max_bytes": 0`))
	require.NoError(t, os.Chmod(streams, 0o666))
	arguments := []string{"doctor", "-o", "json", "--streams", streams, "--monitor", monitorURL(t, s)}
	warned := examined(t, i.run(t, arguments...))
	o := i.run(t, append(arguments, "--production")...)
	assert.Equal(t, exitError, o.code)
	failed := examined(t, o)
	for check, want := range map[string]struct{ detail, remedy string }{
		"fsync":            {"plain: acknowledges before it fsyncs", "sync_interval: always"},
		"nodes":            {"there is 1 node", "three failure domains"},
		"node storage":     {"below 103.2 GiB", "raise max_file_store"},
		"node access":      {"without asking who they are", "roles.conf"},
		"monitoring ports": {"tells everybody", "http: 127.0.0.1:8222"},
		"authentication":   {"asks nobody", "roles.conf"},
		"permissions":      {"may publish on every subject", "the user of its role"},
		"message size":     {"NATS messages up to 512 KiB", "raise max_payload"},
		"replicas":         {"fewer than three: INTERACTIONS", "NATS_REPLICAS=3"},
		"secret genesys":   {"the secret of genmesh dev", "openssl rand"},
		"way to crm":       {"http without TLS", "use TLS"},
		"way to analytics": {"kafka without TLS", "use TLS"},
		"stream AUDIT":     {"no max_bytes", "below the free space"},
		"file permissions": {"can be written by others", "chmod o-w"},
	} {
		assert.Equal(t, healthWarn, warned[check].Status, check)
		assert.Equal(t, healthFail, failed[check].Status, check)
		assert.Contains(t, failed[check].Detail, want.detail, check)
		assert.Contains(t, failed[check].Remedy, want.remedy, check)
	}
	assert.Equal(t, healthOK, failed["node versions"].Status)
	assert.Equal(t, healthOK, failed["node health"].Status)
}

func TestDoctorRefusesListenersThatTheMeshDoesNotUse(t *testing.T) {
	for name, block := range map[string]string{
		"websocket": "websocket {listen: \"127.0.0.1:-1\", no_tls: true}", "mqtt": `mqtt {listen: "127.0.0.1:-1"}`, "leafnodes": `leafnodes {listen: "127.0.0.1:-1"}`,
	} {
		s := plainNode(t, "", "http: 127.0.0.1:-1\n"+block)
		found := examined(t, withSecret("NATS_URL", s.ClientURL()).run(t, "doctor", "-o", "json", "--production", "--monitor", monitorURL(t, s)))
		assert.Equal(t, healthFail, found["listeners"].Status, name)
		assert.Contains(t, found["listeners"].Detail, "plain: listens for "+name)
		assert.Contains(t, found["listeners"].Remedy, "remove the "+name+" block")
		assert.Equal(t, healthOK, found["monitoring ports"].Status, found["monitoring ports"].Detail)
	}
}

// TestDoctorKnowsASecondSite: a leaf node that has to show a certificate is one.
func TestDoctorKnowsASecondSite(t *testing.T) {
	certificate, key := certificateAndKey(t)
	s := plainNode(t, "", fmt.Sprintf(`http: 127.0.0.1:-1
leafnodes {listen: "127.0.0.1:-1", tls {cert_file: %q, key_file: %q, ca_file: %q, verify_and_map: true}}`, certificate, key, certificate))
	found := examined(t, withSecret("NATS_URL", s.ClientURL()).run(t, "doctor", "-o", "json", "--production", "--monitor", monitorURL(t, s)))
	assert.Equal(t, healthOK, found["listeners"].Status, found["listeners"].Detail)
	assert.Equal(t, healthOK, found["node certificates"].Status, found["node certificates"].Detail)
}

// TestDoctorDoesNotTakeWhatItCannotSeeForGood: without a way to ask the nodes nobody knows whether they fsync.
func TestDoctorDoesNotTakeWhatItCannotSeeForGood(t *testing.T) {
	i := withSecret("NATS_URL", plainNode(t, "", "").ClientURL())
	nodes := examined(t, i.run(t, "doctor", "-o", "json", "--production"))["nodes"]
	assert.Equal(t, healthFail, nodes.Status)
	assert.Contains(t, nodes.Detail, "not checked: fsync")
	assert.Contains(t, nodes.Remedy, "--system-context")
	assert.Equal(t, healthWarn, examined(t, i.run(t, "doctor", "-o", "json"))["nodes"].Status)

	gone := examined(t, i.run(t, "doctor", "-o", "json", "--monitor", "http://"+meshtest.FreeAddr(t)))["nodes"]
	assert.Equal(t, healthFail, gone.Status, "who says where, wants an answer")
}

// TestDoctorRefusesADevServerInProduction, and spares whoever develops on it what only production needs.
func TestDoctorRefusesADevServerInProduction(t *testing.T) {
	i := withSecret("NATS_URL", appliedServer(t).URL())
	assert.NotContains(t, examined(t, i.run(t, "doctor", "-o", "json")), "server")
	assert.Equal(t, healthFail, examined(t, i.run(t, "doctor", "-o", "json", "--production"))["server"].Status)
}

// TestDoctorRefusesStreamsThatLoseWhatTheyTook, whatever streams.json says: the server's own configuration counts.
func TestDoctorRefusesStreamsThatLoseWhatTheyTook(t *testing.T) {
	for name, tc := range map[string]struct {
		weaken func(*jetstream.StreamConfig)
		detail string
	}{
		"memory": {func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "a restart of the nodes takes all of it"},
		"async": {func(c *jetstream.StreamConfig) {
			c.PersistMode = jetstream.AsyncPersistMode
			c.AllowAtomicPublish = false
		}, "acknowledges before it writes"},
		"no_ack":    {func(c *jetstream.StreamConfig) { c.NoAck = true }, "nobody hears what is stored"},
		"retention": {func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "what is delivered is deleted"},
		"discard":   {func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "deletes its oldest events"},
	} {
		topology := topologyOf(t, editedStreams(t))
		nc, err := mesh.Connect(t.Name(), plainNode(t, "", "").ClientURL(), meshtest.Quiet())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		js, err := mesh.JetStream(nc)
		require.NoError(t, err)
		for _, s := range topology.Streams {
			if s.Name != "INTERACTIONS" {
				continue
			}
			config := s.StreamConfig
			tc.weaken(&config)
			_, err := js.CreateStream(t.Context(), config)
			require.NoError(t, err, name)
		}
		findings := storedFindings(t.Context(), js, topology, 0)
		require.NotEmpty(t, findings)
		assert.Equal(t, "storing INTERACTIONS", findings[0].Check)
		assert.Equal(t, healthTrap, findings[0].Status, name)
		assert.Contains(t, findings[0].Detail, tc.detail)
		assert.Contains(t, findings[0].Remedy, "genmesh apply")
	}
}

// TestDoctorSaysWhatTheDuplicateWindowCosts by what really came, and what is handed out at once.
func TestDoctorSaysWhatTheDuplicateWindowCosts(t *testing.T) {
	topology := topologyOf(t, editedStreams(t, `"max_ack_pending": 256`, `"max_ack_pending": 10000`))
	js := meshtest.Start(t).JetStream()
	meshtest.Apply(t, js, topology)
	for i := range 20 {
		_, err := js.Publish(t.Context(), fmt.Sprintf("genesys.00.interaction.call.%d", i), make([]byte, 8<<10))
		require.NoError(t, err)
	}
	byCheck := map[string]finding{}
	for _, f := range storedFindings(t.Context(), js, topology, 0) {
		byCheck[f.Check] = f
	}
	assert.Equal(t, healthOK, byCheck["window INTERACTIONS"].Status)
	assert.Contains(t, byCheck["window INTERACTIONS"].Detail, "remember about 20 ids on average, 6.25 KiB of memory")
	assert.Equal(t, healthTrap, byCheck["in hand crm"].Status)
	assert.Contains(t, byCheck["in hand crm"].Remedy, "max_ack_pending")
	assert.NotContains(t, byCheck, "in hand compliance")

	// Nodes with little memory: a quarter of it is less than the ids need.
	for _, f := range storedFindings(t.Context(), js, topology, 8<<10) {
		if f.Check == "window INTERACTIONS" {
			assert.Equal(t, healthTrap, f.Status, f.Detail)
			assert.Contains(t, f.Remedy, "shorten duplicate_window")
		}
	}
}

// TestDoctorJudgesWhatNodesTell where no server of this version can be made to tell it.
func TestDoctorJudgesWhatNodesTell(t *testing.T) {
	topology := topologyOf(t, editedStreams(t))
	now := time.Now()
	sound := func(name string) node {
		n := node{Name: name, Version: "2.15.2", Host: "0.0.0.0", AuthRequired: true, TLSRequired: true}
		n.JetStream.Config = &struct {
			MaxStore   int64  `json:"max_storage"`
			StoreDir   string `json:"store_dir"`
			SyncAlways bool   `json:"sync_always"`
		}{1 << 40, "/data", true}
		return n
	}
	for check, tc := range map[string]struct {
		spoil          func(*node)
		detail, remedy string
	}{
		"node versions": {func(n *node) { n.Version = "2.15.1" }, "c: lacks fixes", "upgrade"},
		"nodes": {func(n *node) {
			n.JetStream.Meta = &struct {
				Size int `json:"cluster_size"`
			}{5}
		}, "3 of 5 answered: a, b, c", "see that the others run"},
		"node access":       {func(n *node) { n.TLSRequired = false }, "c: takes clients without TLS", "tls block"},
		"routes":            {func(n *node) { n.Cluster.Port, n.Cluster.Host = 6222, "0.0.0.0" }, "c: takes other nodes without TLS", "cluster block"},
		"store folders":     {func(n *node) { n.JetStream.Config.StoreDir = "/tmp/nats/jetstream" }, "folder for temporary files", "store_dir"},
		"node certificates": {func(n *node) { n.CertEnds = now.Add(time.Hour) }, "c: a certificate ends", "renew"},
		"node health":       {func(n *node) { n.unwell = "unavailable JetStream stream 'X' is not current" }, "c: unavailable", "restarted"},
	} {
		nodes := []node{sound("a"), sound("b"), sound("c")}
		for _, f := range nodeFindings(nodes, nil, topology, now) {
			assert.Equal(t, healthOK, f.Status, "%s: %s", f.Check, f.Detail)
		}
		tc.spoil(&nodes[2])
		for _, f := range nodeFindings(nodes, nil, topology, now) {
			if f.Check != check {
				assert.Equal(t, healthOK, f.Status, "%s after %s", f.Check, check)
				continue
			}
			assert.Contains(t, []health{healthTrap, healthFail}, f.Status, check)
			assert.Contains(t, f.Detail, tc.detail)
			assert.Contains(t, f.Remedy, tc.remedy)
		}
	}
	newer := []node{sound("a"), sound("b"), sound("c")}
	newer[1].Version = "2.16.0"
	assert.Contains(t, nodeVersions(newer).Detail, "b: another version than 2.15.2 of a")
	assert.Contains(t, counted(append(newer, sound("d"))).Detail, "4 nodes survive the loss of no more than 3 do")
}

// TestDoctorReadsWhoMayReadSecrets of the machine that it runs on.
func TestDoctorReadsWhoMayReadSecrets(t *testing.T) {
	secret := file(t, "genesys", testSecret)
	topology := topologyOf(t, editedStreams(t, `"${GENESYS_WEBHOOK_SECRET}"`, `"file:`+filepath.ToSlash(secret)+`"`))
	streams := file(t, "streams.json", "{}")
	require.Len(t, readable(streams, topology), 1)
	assert.Equal(t, healthOK, readable(streams, topology)[0].Status)
	require.NoError(t, os.Chmod(secret, 0o644))
	f := readable(streams, topology)[0]
	assert.Equal(t, healthTrap, f.Status)
	assert.Contains(t, f.Detail, secret)
	assert.Contains(t, f.Remedy, "chmod o= ")
}

func TestDoctorComparesDescriptorsWithConnections(t *testing.T) {
	topology := topologyOf(t, editedStreams(t))
	assert.Equal(t, healthOK, descriptors(topology).Status)
	topology.Sources[0].MaxInFlight = 1 << 40
	greedy := descriptors(topology)
	assert.Equal(t, healthTrap, greedy.Status, greedy.Detail)
	assert.Contains(t, greedy.Remedy, "ulimit")
}

// productionConfig is a node of three: TLS for clients and routes, roles, fsync, a system account.
const productionConfig = `
server_name: node-%[1]d
listen: 127.0.0.1:-1
tls {cert_file: %[2]q, key_file: %[3]q, timeout: 20}
jetstream {store_dir: %[4]q, sync_interval: always, max_file_store: 64GB}
cluster {
  name: production, listen: "127.0.0.1:%[5]d", routes: [%[6]s], no_advertise: true
  tls {cert_file: %[2]q, key_file: %[3]q, ca_file: %[2]q, verify: true, timeout: 20}
}
accounts {
  APP {jetstream: enabled, users: [
    {user: admin, password: admin-password}
    {user: serve, password: serve-password, permissions: {
      publish: ["$JS.API.>", "$KV.genmesh.>", "$SYS.REQ.USER.INFO"]
      subscribe: ["_INBOX.>", "_mesh.deliver.>"]
    }}
  ]}
  SYS {users: [{user: monitor, password: monitor-password, permissions: {
    publish: ["$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING.HEALTHZ"], subscribe: ["_INBOX.>"]
  }}]}
}
system_account: SYS
`

// productionCluster runs three nodes and gives their addresses and the file of their authority.
func productionCluster(t *testing.T) (urls, ca string) {
	t.Helper()
	cert, key := certificateAndKey(t)
	var ports []int
	var routes []string
	for range 3 {
		ports = append(ports, meshtest.FreePort(t))
		routes = append(routes, fmt.Sprintf("%q", fmt.Sprintf("tls://127.0.0.1:%d", ports[len(ports)-1])))
	}
	var addresses []string
	var nodes []*server.Server
	for i := range 3 {
		s := natsServer(t, fmt.Sprintf(productionConfig, i, cert, key, t.TempDir(), ports[i], strings.Join(routes, ", ")))
		nodes = append(nodes, s)
	}
	require.Eventually(t, func() bool {
		ready := 0
		for _, s := range nodes {
			if s.JetStreamIsCurrent() {
				ready++
			}
		}
		return ready == len(nodes)
	}, 60*time.Second, 50*time.Millisecond)
	for _, s := range nodes {
		addresses = append(addresses, strings.Replace(s.ClientURL(), "nats://", "tls://", 1))
	}
	return strings.Join(addresses, ","), cert
}

// TestDoctorIsContentWithAProductionCluster: three nodes that fsync, TLS, roles, three replicas, served subscribers.
func TestDoctorIsContentWithAProductionCluster(t *testing.T) {
	urls, ca := productionCluster(t)
	folder := filepath.ToSlash(t.TempDir())
	i := withSecret("NATS_URL", urls, "NATS_CA", ca, "NATS_USER", "admin", "NATS_PASSWORD", "admin-password", "GENMESH_STREAMS", file(t, "streams.json", strings.ReplaceAll(sampleStreams, `"subjects":`, `"num_replicas": 3, "subjects":`)),
		"CRM_URL", "file:"+folder+"/crm.ndjson", "ANALYTICS_URL", "file:"+folder+"/analytics.ndjson", "COMPLIANCE_URL", "file:"+folder+"/compliance.ndjson")
	o := i.run(t, "apply")
	require.Equal(t, exitOK, o.code, o.err)
	i.env["NATS_USER"], i.env["NATS_PASSWORD"] = "serve", "serve-password"

	options := clusterFlags{server: urls, tlsCA: ca, user: "serve"}
	url, with, err := options.options(func(string) (string, bool) { return "serve-password", true })
	require.NoError(t, err)
	nc, err := mesh.Connect(t.Name(), url, meshtest.Quiet(), with...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(t, err)
	for _, name := range []string{"crm", "analytics", "compliance"} {
		consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", name)
		require.NoError(t, err)
		consuming, err := consumer.Consume(func(jetstream.Msg) {})
		require.NoError(t, err)
		defer consuming.Stop()
	}
	system := file(t, "system.json", fmt.Sprintf(`{"url": %q, "user": "monitor", "password": "monitor-password", "ca": %q}`, urls, ca))
	arguments := []string{"doctor", "--production", "-o", "json", "--system-context", system}
	require.EventuallyWithT(t, func(c *assert.CollectT) { // copies catch up, and the server notices who serves
		o := i.run(t, arguments...)
		assert.Equal(c, exitOK, o.code, o.out)
	}, 60*time.Second, 100*time.Millisecond)
	o = i.run(t, arguments...)
	findings := examined(t, o)
	for check, f := range findings {
		assert.Equal(t, healthOK, f.Status, "%s: %s", check, f.Detail)
	}
	assert.Equal(t, "3 answer", findings["nodes"].Detail)
	assert.Contains(t, findings["permissions"].Detail, "the user serve may publish on 3 subjects and no other")
	for _, check := range []string{"fsync", "encryption", "authentication", "node certificates", "storing INTERACTIONS", "window INTERACTIONS", "message size"} {
		assert.Contains(t, findings, check)
	}

	i.env["NATS_USER"], i.env["NATS_PASSWORD"] = "admin", "admin-password"
	assert.Equal(t, healthFail, examined(t, i.run(t, arguments...))["permissions"].Status)
}

// certificateAndKey is a certificate for 127.0.0.1 that is its own authority.
func certificateAndKey(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return file(t, "node.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, "node-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}
