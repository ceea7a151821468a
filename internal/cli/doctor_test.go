package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	unused := unusedAddress(t)
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

func TestDoctorJudgesServerVersions(t *testing.T) {
	for text, want := range map[string]health{
		"2.11.9": healthFail, "2.12.0": healthWarn, "2.15.1": healthWarn, "2.15.2": healthOK, "2.16.0-dev": healthOK,
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
	assert.Equal(t, healthWarn, findings[0].Status)
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
	assert.Equal(t, healthWarn, findings[0].Status, findings[0].Detail)

	assert.Equal(t, healthFail, diskProbe(filepath.Join(folder, "missing"), fits)(t.Context())[0].Status)
	assert.Empty(t, diskProbe("", fits)(t.Context()))
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 13153337344: "12.25 GiB"} {
		assert.Equal(t, want, bytesText(n))
	}
}

// unusedAddress is one that refuses connections.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
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
