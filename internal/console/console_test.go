package console

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// served is a console that runs until the test ends.
type served struct {
	*Server
	t      *testing.T
	scheme string
	client *http.Client
	end    func() error
}

func serve(t *testing.T, o Options) *served {
	t.Helper()
	o.Addr, o.Logger = "127.0.0.1:0", quiet()
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	s, err := Listen(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	c := &served{Server: s, t: t, scheme: "http", client: &http.Client{Transport: transport}}
	if o.Certificate != nil {
		c.scheme = "https"
	}
	ended := false
	c.end = func() error {
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !ended {
			assert.NoError(t, c.end())
		}
		transport.CloseIdleConnections()
	})
	return c
}

func (c *served) get(path string) (int, string) {
	c.t.Helper()
	resp, err := c.client.Get(c.scheme + "://" + c.Addr() + path)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, string(body)
}

func TestConsoleShowsMetricsAndHealth(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "genmesh_test_total", Help: "A test."}))
	var away atomic.Bool
	c := serve(t, Options{Metrics: registry, Ready: func() error {
		if away.Load() {
			return errors.New("NATS is out of reach")
		}
		return nil
	}})

	status, body := c.get("/metrics")
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "genmesh_test_total 0")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404, "/metrics/": 404, "/api/v1/overview": 404} {
		status, _ = c.get(path)
		assert.Equal(t, want, status, path)
	}
	away.Store(true)
	status, body = c.get("/readyz")
	assert.Equal(t, 503, status)
	assert.Equal(t, "NATS is out of reach\n", body)
	status, _ = c.get("/healthz")
	assert.Equal(t, 200, status, "the process is alive all the same")
}

// nobody is a guard that lets nobody in, but to its own page.
func nobody(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func TestGuardStandsBeforeAllButHealth(t *testing.T) {
	open := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	c := serve(t, Options{Pages: open, API: open, Guard: nobody})
	for path, want := range map[string]int{
		"/": 401, "/dead-letters": 401, "/api/v1/overview": 401, "/metrics": 401, "/login/": 401,
		"/login": 200, "/healthz": 200, "/readyz": 200,
	} {
		status, _ := c.get(path)
		assert.Equal(t, want, status, path)
	}
}

func TestLiveUpdatesEndWithTheConsole(t *testing.T) {
	watching := make(chan struct{})
	c := serve(t, Options{Pages: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		assert.NoError(t, http.NewResponseController(w).Flush())
		close(watching)
		<-r.Context().Done()
	})})
	resp, err := c.client.Get(c.scheme + "://" + c.Addr() + "/")
	require.NoError(t, err)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "first\n", line)
	<-watching

	began := time.Now()
	require.NoError(t, c.end())
	assert.Less(t, time.Since(began), shutdownTimeout-time.Second, "nobody has to wait for who only watches")
}

func TestConsoleServesTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	certificate := server.TLS.Certificates[0]
	server.Close()
	c := serve(t, Options{Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }})
	resp, err := c.client.Get("https://" + c.Addr() + "/healthz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 2, resp.ProtoMajor, "many tabs that watch share a connection")
	_, err = tls.Dial("tcp", c.Addr(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	require.Error(t, err)
}

func TestTakenAddressIsNamed(t *testing.T) {
	c := serve(t, Options{})
	_, err := Listen(Options{Addr: c.Addr(), Logger: quiet()})
	require.ErrorContains(t, err, c.Addr())
}
