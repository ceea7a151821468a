package telemetry

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// valueOf is the value of a metric that has no labels.
func valueOf(t *testing.T, c prometheus.Collector, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue() + family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

func TestALostConnectionToNATSShows(t *testing.T) {
	server := meshtest.Start(t)
	conn := server.Connect()
	metrics := NewNATSMetrics(conn)
	assert.Equal(t, 1.0, valueOf(t, metrics, "genmesh_nats_connection_up"))
	assert.Zero(t, valueOf(t, metrics, "genmesh_nats_reconnects_total"))

	before := valueOf(t, metrics, "genmesh_nats_sent_bytes_total")
	require.NoError(t, conn.Publish("any", []byte("12345")))
	assert.Equal(t, before+5, valueOf(t, metrics, "genmesh_nats_sent_bytes_total"))

	server.Stop()
	assert.Eventually(t, func() bool { return valueOf(t, metrics, "genmesh_nats_connection_up") == 0 }, 10*time.Second, 10*time.Millisecond)
	server.Restart()
	assert.Eventually(t, func() bool { return valueOf(t, metrics, "genmesh_nats_connection_up") == 1 }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1.0, valueOf(t, metrics, "genmesh_nats_reconnects_total"))
}

func TestMetricsAreNamedAsPrometheusAsks(t *testing.T) {
	for _, c := range []prometheus.Collector{NewNATSMetrics(meshtest.Start(t).Connect()), NewDiskMetrics(t.TempDir())} {
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		assert.Empty(t, problems)
	}
}
