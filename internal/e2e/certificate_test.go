package e2e

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newSecureSink is a sink that is reached by TLS, and the file with what its certificate is trusted by.
func newSecureSink(t testing.TB) (s *sink, caFile string) {
	t.Helper()
	s = &sink{answer: always(http.StatusOK)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	require.NoError(t, os.WriteFile(caFile, authority, 0o600))
	return s, caFile
}

// metric is the value of a series as the console tells it, "" if there is none.
func (p *process) metric(series string) string {
	p.t.Helper()
	answer, err := http.Get("http://" + p.addr.Console + "/metrics")
	require.NoError(p.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindSubmatch(text)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// A certificate of a target is known by its end as long as the subscriber is served: an alarm about one that is gone would never end.
func TestTheEndOfATargetsCertificateIsAMetricWhileItIsServed(t *testing.T) {
	crm, caFile := newSecureSink(t)
	analytics := newSink(t)
	secured := strings.Replace(subscriber("crm", crm), `"timeout"`, fmt.Sprintf(`"tls": {"ca_file": %q}, "timeout"`, caFile), 1)
	p := startDev(t, streams(secured, subscriber("analytics", analytics)))
	require.Equal(t, http.StatusAccepted, p.send(event("42", 1)).status)
	crm.await(t, 1)
	const series = `genmesh_worker_certificate_expiry_timestamp_seconds{subscriber="crm",use="target"}`
	ends := float64(crm.Certificate().NotAfter.Unix())
	assert.Equal(t, fmt.Sprint(ends), p.metric(series))

	p.edit(streams(subscriber("analytics", analytics)))
	require.Eventually(t, func() bool { return p.metric(series) == "" }, 20*time.Second, 50*time.Millisecond)
}
