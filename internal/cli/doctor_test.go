package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// examined are the findings of genmesh doctor by check.
func examined(t *testing.T, o outcome) map[string]finding {
	t.Helper()
	byCheck := map[string]finding{}
	for _, f := range parsed[[]finding](t, o) {
		assert.NotContains(t, byCheck, f.Check, "one line each")
		assert.Equal(t, f.Status == healthOK, f.Remedy == "", "%s: a remedy where one is needed: %s", f.Check, f.Detail)
		byCheck[f.Check] = f
	}
	return byCheck
}

func TestDoctorFindsAHealthyMeshHealthy(t *testing.T) {
	server := appliedServer(t)
	target := httptest.NewServer(http.NotFoundHandler())
	defer target.Close()
	folder := t.TempDir()
	i := withSecret("NATS_URL", server.URL(), "CRM_URL", target.URL+"/secret-path?token="+testSecret, "COMPLIANCE_URL", "file:"+filepath.ToSlash(folder)+"/new/c.ndjson")
	js := server.JetStream()
	for _, name := range []string{"crm", "analytics", "compliance"} {
		consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", name)
		require.NoError(t, err)
		consuming, err := consumer.Consume(func(jetstream.Msg) {})
		require.NoError(t, err)
		defer consuming.Stop()
		require.Eventually(t, func() bool {
			info, err := consumer.Info(t.Context())
			return err == nil && info.PushBound
		}, 10*time.Second, time.Millisecond, "the server takes a moment to notice")
	}
	o := i.run(t, "doctor", "-o", "json")
	assert.Equal(t, exitOK, o.code, o.out+o.err)
	findings := examined(t, o)
	for check, f := range findings {
		if check == "target crm" {
			assert.Equal(t, healthWarn, f.Status, "a target on this machine is fine for dev, and serve would refuse it")
			assert.Contains(t, f.Detail, "loopback")
			continue
		}
		assert.Equal(t, healthOK, f.Status, "%s: %s", check, f.Detail)
	}
	for _, check := range []string{
		"streams.json", "secret genesys", "NATS", "nats-server", "JetStream", "clock", "plan",
		"consumer crm", "consumer analytics", "consumer compliance", "target crm", "target analytics", "target compliance",
	} {
		assert.Contains(t, findings, check)
	}
	assert.NoDirExists(t, filepath.Join(folder, "new"), "doctor changes nothing")

	text := i.run(t, "doctor")
	assert.Regexp(t, `(?m)^ok    secret genesys       1 secret set$`, text.out)
	assert.Equal(t, text.out[:60], i.run(t, "doctor").out[:60], "the order is stable")
}

func TestDoctorNamesWhatIsWrongAndItsRemedy(t *testing.T) {
	server := appliedServer(t)
	require.NoError(t, server.JetStream().DeleteConsumer(t.Context(), "INTERACTIONS", "crm"))
	unused := meshtest.FreeAddr(t)
	noFolder := file(t, "no-folder", "")
	i := invocation{env: map[string]string{
		"NATS_URL": server.URL(), "CRM_URL": "http://" + unused, "ANALYTICS_URL": "https://" + unused,
		"COMPLIANCE_URL": "file:" + filepath.ToSlash(noFolder) + "/c.ndjson", secretVariable: "short",
	}}
	o := i.run(t, "doctor", "-o", "json")
	assert.Equal(t, exitError, o.code)
	assert.NotContains(t, o.out, `"short"`)
	findings := examined(t, o)
	for check, want := range map[string]struct {
		status         health
		detail, remedy string
	}{
		"secret genesys":     {healthWarn, "shorter than 16 bytes", "openssl rand"},
		"plan":               {healthFail, "consumer INTERACTIONS/crm is missing", "genmesh apply"},
		"consumer crm":       {healthFail, "does not exist", "genmesh apply"},
		"consumer analytics": {healthWarn, "nobody serves it; 0 events wait", "genmesh serve workers"},
		"target crm":         {healthFail, "refused", "firewall"},
		"target analytics":   {healthFail, "refused", "firewall"},
		"target compliance":  {healthFail, "no-folder/c.ndjson", "write there"},
	} {
		assert.Equal(t, want.status, findings[check].Status, check)
		assert.Contains(t, findings[check].Detail, want.detail)
		assert.Contains(t, findings[check].Remedy, want.remedy)
	}
}

// TestDoctorKnocksAtEveryServer: a broker or a database that nobody runs is found before an event is.
func TestDoctorKnocksAtEveryServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	there, gone, folder := listener.Addr().String(), meshtest.FreeAddr(t), filepath.ToSlash(t.TempDir())
	targets := map[string]struct {
		url, detail string
		want        health
	}{
		"kafka-there":  {"kafka://" + there + "/calls", "takes connections; credentials are not tried", healthOK},
		"kafka-gone":   {"kafka://" + gone + "/calls", "refused", healthFail},
		"kafka-one-of": {"kafka://" + gone + "/calls?brokers=" + there, "takes connections", healthOK},
		"rabbit-there": {"rabbit://" + there + "/calls", "takes connections", healthOK},
		"rabbit-gone":  {"rabbit://user:${PASSWORD}@" + gone + "/calls", "refused", healthFail},
		"sql-there":    {"postgres://" + there + "/calls?sslmode=disable", "takes connections", healthOK},
		"sql-gone":     {"postgres://user:${PASSWORD}@" + gone + "/calls?sslmode=disable", "refused", healthFail},
		"sql-socket":   {"postgres:///calls?host=/run/postgresql", "is not tried", healthOK},
		"archive":      {"archive+file://" + folder + "/new", "/new can be written", healthOK},
	}
	var subscribers []string
	for name, target := range targets {
		subscribers = append(subscribers, `{"name": "`+name+`", "stream": "INTERACTIONS", "target": {"url": "`+target.url+`"}}`)
	}
	o := invocation{env: map[string]string{"PASSWORD": testSecret, "NATS_URL": "nats://127.0.0.1:1"}}.run(t,
		"doctor", "-o", "json", "--streams", file(t, "streams.json", oneSubscriber(t, strings.Join(subscribers, ",\n"))))
	findings := examined(t, o)
	for name, target := range targets {
		f := findings["target "+name]
		assert.Equal(t, target.want, f.Status, "%s: %s", name, f.Detail)
		assert.Contains(t, f.Detail, target.detail, name)
	}
}

func TestServersHaveTheirUsualPorts(t *testing.T) {
	for text, want := range map[string][]string{
		"kafka://k1/calls?brokers=k2:9000,[::1]": {"k1:9092", "k2:9000", "[::1]:9092"},
		"rabbit://r/calls":                       {"r:5672"},
		"rabbit://r/calls?tls=true":              {"r:5671"},
		"rabbit://r:1/calls?tls=true":            {"r:1"},
		"postgres://p/calls":                     {"p:5432"},
		"postgresql://p/calls?port=6432":         {"p:6432"},
		"postgres:///calls?host=p1,p2":           {"p1:5432", "p2:5432"},
		"postgres:///calls?host=p1,p2&port=1,2":  {"p1:1", "p2:2"},
		"postgres://p0:6432/calls?host=p1":       {"p1:6432"},
		"postgres://p:1/calls?port=2":            {"p:2"},
		"postgres:///calls?host=/run/postgresql": nil,
		"s3://bucket":                            nil,
	} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		addresses, err := serverAddresses(mesh.Target{URL: text}, u)
		require.NoError(t, err)
		assert.Equal(t, want, addresses, text)
	}
	u, err := url.Parse("rabbit://r/calls")
	require.NoError(t, err)
	addresses, err := serverAddresses(mesh.Target{TLS: &mesh.TargetTLS{}}, u)
	require.NoError(t, err)
	assert.Equal(t, []string{"r:5671"}, addresses)
}

// TestDoctorSaysWhyASubscriberStandsStill, and not only how much waits for it.
func TestDoctorSaysWhyASubscriberStandsStill(t *testing.T) {
	server := appliedServer(t)
	js := server.JetStream()
	_, err := js.Publish(t.Context(), "genesys.00.interaction.call.1", []byte("{}"))
	require.NoError(t, err)
	state, err := mesh.OpenState(t.Context(), js)
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: now, Reason: "release 4.2", By: "ada"}))
	require.NoError(t, state.SetBreaker(t.Context(), "crm", mesh.BreakerState{Open: true, Since: now, Error: "not this one"}))
	require.NoError(t, state.SetBreaker(t.Context(), "analytics", mesh.BreakerState{Open: true, Since: now, Until: now.Add(time.Minute), Error: "analytics answered 503"}))
	require.NoError(t, state.SetWait(t.Context(), "compliance", mesh.Wait{Since: now, Until: now.Add(time.Minute), Reason: "answered 401: check auth"}))
	findings := examined(t, withSecret("NATS_URL", server.URL()).run(t, "doctor", "-o", "json"))
	for check, want := range map[string]struct{ detail, remedy string }{
		"consumer crm":        {`^is paused since .* by ada: release 4.2; 1 event waits; nobody serves it$`, "genmesh subscriber resume crm; run genmesh serve workers"},
		"consumer analytics":  {`^its breaker is open since .*, next try .*: analytics answered 503; 1 event waits; `, "see that its target works"},
		"consumer compliance": {`^waits since .*, next try .*: answered 401: check auth; 1 event waits; `, "nothing is spent meanwhile"},
	} {
		assert.Equal(t, healthWarn, findings[check].Status, check)
		assert.Regexp(t, want.detail, findings[check].Detail)
		assert.Contains(t, findings[check].Remedy, want.remedy)
	}
}

func TestDoctorGoesOnWithoutServerAndConfiguration(t *testing.T) {
	o := invocation{env: map[string]string{"NATS_URL": "nats://127.0.0.1:1"}}.run(t, "doctor", "-o", "json")
	assert.Equal(t, exitError, o.code)
	findings := examined(t, o)
	assert.Equal(t, healthFail, findings["NATS"].Status)
	assert.Equal(t, healthFail, findings["secret genesys"].Status)
	assert.Equal(t, healthOK, findings["target crm"].Status)

	server := appliedServer(t)
	o = withSecret("NATS_URL", server.URL()).run(t, "doctor", "-o", "json", "--streams", file(t, "s.json", brokenStreams))
	assert.Equal(t, exitError, o.code)
	findings = examined(t, o)
	assert.Equal(t, healthFail, findings["streams.json"].Status)
	assert.Equal(t, healthOK, findings["JetStream"].Status)
}

// TestDoctorTakesTheSecretOfDevForOne in the mesh of genmesh dev, which needs no other, and nowhere else.
func TestDoctorTakesTheSecretOfDevForOne(t *testing.T) {
	env := map[string]string{"COMPLIANCE_URL": "log:"}
	dev := serve(t, maps.Clone(env), devArgs(t)...)
	env["NATS_URL"] = dev.await(dev.out, `NATS +(nats://\S+)`)
	require.Eventually(t, func() bool { return invocation{env: env}.run(t, "doctor").code == exitOK }, 20*time.Second, 100*time.Millisecond,
		"all else is well soon")
	secret := examined(t, invocation{env: env}.run(t, "doctor", "-o", "json"))["secret genesys"]
	assert.Equal(t, healthWarn, secret.Status)
	assert.Equal(t, secretVariable+" is not set; genmesh dev uses its built-in secret, which everybody knows", secret.Detail)
	assert.Contains(t, secret.Remedy, "production needs its own")

	// What dev has nothing to stand in for is missing there, too.
	o := invocation{env: env}.run(t, "doctor", "-o", "json", "--streams",
		file(t, "streams.json", editedStreams(t, "${GENESYS_WEBHOOK_SECRET_PREVIOUS:-}", "${ANOTHER}")))
	assert.Equal(t, healthFail, examined(t, o)["secret genesys"].Status)

	env["NATS_URL"] = meshtest.StartCluster(t).JetStream(0).Conn().ConnectedUrl()
	o = invocation{env: env}.run(t, "doctor", "-o", "json")
	assert.Equal(t, exitError, o.code)
	secret = examined(t, o)["secret genesys"]
	assert.Equal(t, healthFail, secret.Status)
	assert.Contains(t, secret.Remedy, "if you only run genmesh dev, this is fine")
}

func TestDoctorJudgesServerVersions(t *testing.T) {
	for text, want := range map[string]health{
		"2.11.9": healthFail, "2.12.0": healthTrap, "2.15.1": healthTrap, "2.15.2": healthOK, "2.16.0-dev": healthOK,
		"3.0.0": healthOK, "unknown": healthWarn,
	} {
		assert.Equal(t, want, version(text).Status, text)
	}
}

func TestDoctorComparesStreamsWithTheAccount(t *testing.T) {
	topology := topologyOf(t, editedStreams(t))
	account := &jetstream.AccountInfo{}
	account.Limits.MaxStore = 1 << 30
	assert.Equal(t, healthFail, room(account, topology).Status)
	account.Limits.MaxStore = 1 << 40
	assert.Equal(t, healthOK, room(account, topology).Status)
	account.Limits.MaxStore = -1
	assert.Contains(t, room(account, topology).Detail, "no storage limit, the streams may hold 13.5 GiB")

	unbound := topologyOf(t, editedStreams(t, `"max_bytes": 10737418240,`, ""))
	findings := boundFindings(unbound)
	require.Len(t, findings, 1)
	assert.Equal(t, "stream INTERACTIONS", findings[0].Check)
	assert.Equal(t, healthTrap, findings[0].Status)
}

func TestDoctorWatchesCertificates(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		begins, ends time.Duration
		want         health
	}{
		{-day, 90 * day, healthOK}, {-day, 13 * day, healthWarn}, {-2 * day, -day, healthFail}, {day, 90 * day, healthFail},
	} {
		path := certificateFile(t, time.Now().Add(tc.begins), time.Now().Add(tc.ends))
		findings := examined(t, run(t, "doctor", "-o", "json", "--server", "nats://127.0.0.1:1", "--tls-cert", path))
		assert.Equal(t, tc.want, findings["certificate"].Status, findings["certificate"].Detail)
	}
	findings := examined(t, run(t, "doctor", "-o", "json", "--server", "nats://127.0.0.1:1", "--tls-cert", file(t, "x.pem", "no PEM")))
	assert.Equal(t, healthFail, findings["certificate"].Status)
}

func TestDoctorRefusesAnUntrustedTarget(t *testing.T) {
	target := httptest.NewTLSServer(http.NotFoundHandler())
	defer target.Close()
	u, err := url.Parse(target.URL)
	require.NoError(t, err)
	f := dialledTLS(t.Context(), "target crm", target.URL, hostPort(u, "443"), tlsTo(u))
	assert.Equal(t, healthFail, f.Status)
	assert.Contains(t, f.Detail, "certificate")
}

func TestDoctorComparesStreamsWithTheDisk(t *testing.T) {
	fits := topologyOf(t, editedStreams(t, "10737418240", "1048576", "1073741824", "1048576", "1073741824", "1048576", "268435456", "1048576"))
	folder := filepath.Dir(file(t, "stored", "12345"))
	findings := diskProbe(folder, fits)(t.Context())
	require.Len(t, findings, 1)
	assert.Equal(t, healthOK, findings[0].Status, findings[0].Detail)

	huge := topologyOf(t, editedStreams(t, "10737418240", "1152921504606846976"))
	findings = diskProbe(folder, huge)(t.Context())
	assert.Equal(t, healthTrap, findings[0].Status, findings[0].Detail)

	assert.Equal(t, healthFail, diskProbe(filepath.Join(folder, "missing"), fits)(t.Context())[0].Status)
	assert.Empty(t, diskProbe("", fits)(t.Context()))
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 13153337344: "12.25 GiB"} {
		assert.Equal(t, want, bytesText(n))
	}
}

func certificateFile(t *testing.T, from, to time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return file(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func TestDoctorReadsSecretsAndCertificatesOfSubscribers(t *testing.T) {
	ca := certificateFile(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	subscriber := func(name, fields string) string {
		return `{"name": "` + name + `", "stream": "INTERACTIONS", ` + fields + `}`
	}
	streams := oneSubscriber(t, strings.Join([]string{
		subscriber("signed", `"target": {"url": "http://127.0.0.1:1", "signing_secrets": ["${SIGNING_KEY}"]}`),
		subscriber("shown", `"target": {"url": "http://127.0.0.1:1", "auth": {"method": "bearer", "token": "file:/nowhere/token"}}`),
		subscriber("hashed", `"redact": [{"path": "data.ani", "with": "hash"}], "redact_key": "${REDACT_KEY}", "target": {"url": "log:"}`),
		subscriber("trusting", `"target": {"url": "https://127.0.0.1:1", "tls": {"ca_file": "/nowhere/ca.pem"}}`),
		subscriber("queued", `"target": {"url": "kafka://127.0.0.1:1/calls", "tls": {"cert_file": "/nowhere/c.pem", "key_file": "/nowhere/k.pem"}}`),
		subscriber("stored", `"target": {"url": "postgres://127.0.0.1:1/calls?sslmode=verify-full&sslrootcert=/nowhere/root.pem"}`),
		subscriber("ready", `"target": {"url": "rabbit://127.0.0.1:1/calls", "tls": {"ca_file": "`+filepath.ToSlash(ca)+`"}}`),
		subscriber("plain", `"target": {"url": "log:"}`),
	}, ",\n"))
	i := invocation{env: map[string]string{"REDACT_KEY": "tooshort", "NATS_URL": "nats://127.0.0.1:1"}}
	o := i.run(t, "doctor", "-o", "json", "--streams", file(t, "streams.json", streams))
	assert.Equal(t, exitError, o.code)
	findings := examined(t, o)
	for name, detail := range map[string]string{
		"signed": "SIGNING_KEY}: the environment variable is not set", "shown": "auth.token: stat /nowhere/token",
		"hashed": "redact_key: ", "trusting": "tls.ca_file: open /nowhere/ca.pem", "queued": "/nowhere/c.pem", "stored": "certificate that can't be read",
	} {
		f := findings["credentials "+name]
		assert.Equal(t, healthFail, f.Status, name)
		assert.Contains(t, f.Detail, "subscriber "+name)
		assert.Contains(t, f.Detail, detail)
		assert.Contains(t, f.Remedy, "where genmesh serve runs")
	}
	assert.NotContains(t, o.out, "tooshort")
	assert.Equal(t, healthOK, findings["credentials ready"].Status, findings["credentials ready"].Detail)
	assert.NotContains(t, findings, "credentials plain", "it needs none")
}
