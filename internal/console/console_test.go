package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConsoleShowsMetricsAndHealth(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "genmesh_test_total", Help: "A test."}))
	var away atomic.Bool
	s, err := Listen("127.0.0.1:0", registry, func() error {
		if away.Load() {
			return errors.New("NATS is out of reach")
		}
		return nil
	}, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + s.Addr() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}

	status, body := get("/metrics")
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "genmesh_test_total 0")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404, "/metrics/": 404} {
		status, _ = get(path)
		assert.Equal(t, want, status, path)
	}
	away.Store(true)
	status, body = get("/readyz")
	assert.Equal(t, 503, status)
	assert.Equal(t, "NATS is out of reach\n", body)
	status, _ = get("/healthz")
	assert.Equal(t, 200, status, "the process is alive all the same")

	cancel()
	require.NoError(t, <-done)
}

func TestTakenAddressNamesTheFlag(t *testing.T) {
	s, err := Listen("127.0.0.1:0", prometheus.NewRegistry(), nil, logrus.New())
	require.NoError(t, err)
	defer s.Close()
	_, err = Listen(s.Addr(), prometheus.NewRegistry(), nil, logrus.New())
	require.ErrorContains(t, err, "--console")
}
