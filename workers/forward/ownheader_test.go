package forward

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

// echo is a subscriber that shows what it was sent.
func echo(t *testing.T) (*httptest.Server, chan *http.Request) {
	t.Helper()
	arrived := make(chan *http.Request, 64)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r }))
	t.Cleanup(server.Close)
	return server, arrived
}

func TestATargetGetsTheHeadersItAsksFor(t *testing.T) {
	server, arrived := echo(t)
	file := filepath.Join(t.TempDir(), "tenant")
	require.NoError(t, os.WriteFile(file, []byte("first\n"), 0o600))
	target := openTarget(t, mesh.Target{
		URL:     server.URL,
		Headers: map[string]string{"x-tenant": "t 1", "content-type": "application/cloudevents+json", "user-agent": "us"},
		SecretHeaders: map[string]mesh.Secret{
			"X-Api-Key": "${API_KEY}", "X-Unset": "${UNSET:-}", "X-From-File": mesh.Secret("file:" + file), "Authorization": "${API_KEY}",
		},
	}, Options{LookupEnv: env("API_KEY", "k3y")})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	r := <-arrived
	for name, want := range map[string]string{
		"X-Tenant": "t 1", "Content-Type": "application/cloudevents+json", "User-Agent": "us", "X-Api-Key": "k3y",
		"X-From-File": "first", "Authorization": "k3y", "Idempotency-Key": targettest.Event(1).IdempotencyKey(),
	} {
		assert.Equal(t, []string{want}, r.Header.Values(name), name)
	}
	assert.NotContains(t, r.Header, "X-Unset")

	require.NoError(t, os.WriteFile(file, []byte("second\n"), 0o600))
	require.Eventually(t, func() bool {
		require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
		return (<-arrived).Header.Get("X-From-File") == "second"
	}, 20*time.Second, 50*time.Millisecond)
}

func TestHeadersOfGenmeshAndOfHTTPStayTheirs(t *testing.T) {
	for _, name := range []string{
		"Host", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Expect",
		"Proxy-Authorization", "Proxy-Connection", "Accept-Encoding", "Content-Encoding", "Idempotency-Key", "idempotency-KEY",
		"Webhook-Id", "webhook-signature", "webhook-anything", "CE-Id", "ce-extension", "Genmesh-Attempt", "genmesh-x",
		"Traceparent", "tracestate", "", "a b", "a:b", "a\r\nb", ":authority", "é",
	} {
		plain := mesh.Target{URL: "https://crm", Headers: map[string]string{name: "1"}}
		secret := mesh.Target{URL: "https://crm", SecretHeaders: map[string]mesh.Secret{name: "${X}"}}
		for _, target := range []mesh.Target{plain, secret} {
			err := Check(target)
			require.ErrorContains(t, err, "headers."+name+": ")
			_, newErr := New(target, "crm", Options{LookupEnv: env("X", "1")})
			require.ErrorContains(t, newErr, err.Error())
		}
	}
}

func TestHeadersThatContradictEachOther(t *testing.T) {
	for want, target := range map[string]mesh.Target{
		"twice":              {Headers: map[string]string{"X-A": "1", "x-a": "2"}},
		"is there twice":     {Headers: map[string]string{"X-A": "1"}, SecretHeaders: map[string]mesh.Secret{"x-a": "${X}"}},
		"leave one of them":  {Headers: map[string]string{"authorization": "x"}, Auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${X}"}},
		"the url sets it":    {URL: "https://u:p@crm", SecretHeaders: map[string]mesh.Secret{"Authorization": "${X}"}},
		"passed on":          {Headers: map[string]string{"x-sender-id": "1"}},
		"at most 64":         {Headers: manyHeaders(65)},
		"longer than 8192":   {Headers: map[string]string{"X-A": strings.Repeat("s3cret", 2000)}},
		"a line break":       {Headers: map[string]string{"X-A": "s3cret\r\nX-B: 1"}},
		"a control":          {Headers: map[string]string{"X-A": "s3cret\x00"}},
		"not ASCII":          {Headers: map[string]string{"X-A": "s3cret é"}},
		`secret_headers: "X`: {SecretHeaders: map[string]mesh.Secret{"X-A": "${X}"}},
	} {
		if target.URL == "" {
			target.URL = "https://crm"
		}
		_, err := New(target, "crm", Options{DeliveryIDHeader: "X-Sender-ID", LookupEnv: env("X", "s3cret\nsecond line")})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func manyHeaders(n int) map[string]string {
	headers := map[string]string{}
	for i := range n {
		headers["X-"+strings.Repeat("a", i+1)] = "1"
	}
	return headers
}

func TestCheckTellsAllMistakesAtOnce(t *testing.T) {
	err := Check(mesh.Target{
		URL:     "http://crm/s3cret",
		Headers: map[string]string{"Host": "x", "Connection": "s3cret"},
		Auth:    &mesh.TargetAuth{Method: "digest"},
		TLS:     &mesh.TargetTLS{CertFile: "/cert.pem"},
		Proxy:   "socks5://u:s3cret@proxy", AllowNetworks: []string{"10.0.0.0/8", "intranet"},
	})
	for _, want := range []string{
		"headers.Host: ", "headers.Connection: ", `auth.method: "digest"`, "tls: cert_file and key_file", "proxy: ", `allow_networks[1]: "intranet"`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "s3cret")
	assert.NoError(t, Check(mesh.Target{
		URL: "https://crm.example.com/events", Headers: map[string]string{"X-Tenant": "1"}, SecretHeaders: map[string]mesh.Secret{"X-Key": "${KEY}"},
		Auth:           &mesh.TargetAuth{Method: mesh.AuthOAuth2, TokenURL: "https://login/token", ClientID: "id", ClientSecret: "${KEY}"},
		SigningSecrets: []mesh.Secret{"${KEY}"}, TLS: &mesh.TargetTLS{CertFile: "/c", KeyFile: "/k", CAFile: "/ca", ServerName: "crm"},
		Proxy: "https://user:p@proxy.example.com:3128/", AllowNetworks: []string{"10.0.0.0/8", "fd00::/8", "192.0.2.1"},
	}))
}
