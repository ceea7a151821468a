package telemetry

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

// traced is a process that makes spans.
type traced struct {
	*Tracing
	t       *testing.T
	log     *bytes.Buffer // read it when nothing logs any more
	metrics *prometheus.Registry
}

// newTraced makes a process with these variables in its environment.
func newTraced(t *testing.T, env map[string]string) *traced {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	p := &traced{t: t, log: new(bytes.Buffer), metrics: prometheus.NewRegistry()}
	log := logrus.New()
	log.SetOutput(p.log)
	var err error
	p.Tracing, err = NewTracing(t.Context(), TracingOptions{
		Version: "v1.2.3", LookupEnv: os.LookupEnv, Logger: log, Registerer: p.metrics,
	})
	require.NoError(t, err)
	return p
}

// spans makes so many.
func (p *traced) spans(n int, attributes ...attribute.KeyValue) {
	for i := range n {
		_, span := p.Provider().Tracer("test").Start(p.t.Context(), fmt.Sprint("span ", i), trace.WithAttributes(attributes...))
		span.End()
	}
}

func (p *traced) lost() float64 {
	p.t.Helper()
	families, err := p.metrics.Gather()
	require.NoError(p.t, err)
	require.Len(p.t, families, 1)
	require.Equal(p.t, "genmesh_trace_spans_lost_total", families[0].GetName())
	problems, err := testutil.GatherAndLint(p.metrics)
	require.NoError(p.t, err)
	require.Empty(p.t, problems)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func TestSpansLeaveOnlyWhereTheEnvironmentAsksForIt(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		on   bool
		says string
	}{
		"nothing is set":       {},
		"other variables":      {env: map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}},
		"endpoint":             {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		"endpoint for traces":  {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, on: true},
		"exporter":             {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true},
		"console":              {env: map[string]string{"OTEL_TRACES_EXPORTER": "console"}, on: true},
		"endpoint, none":       {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}},
		"endpoint, disabled":   {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}},
		"not quite disabled":   {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "1"}, on: true},
		"an unknown exporter":  {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, says: `OTEL_TRACES_EXPORTER is \"zipkin\" and passed over`},
		"an unknown protocol":  {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "soap"}, on: true, says: `OTEL_EXPORTER_OTLP_PROTOCOL is \"soap\" and passed over`},
		"a protocol of traces": {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "soap", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, on: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTraced(t, tc.env)
			assert.Equal(t, tc.on, p.Provider() != nil)
			require.NoError(t, p.Close())
			if tc.says == "" {
				assert.Empty(t, p.log.String())
			}
			assert.Contains(t, p.log.String(), tc.says)
		})
	}
}

func TestCollectorGetsSpansByEachProtocol(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(protocol+" "+compression, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				at := newCollector(t)
				p := newTraced(t, map[string]string{
					"OTEL_EXPORTER_OTLP_ENDPOINT": at.URL, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
					"OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret",
					"OTEL_SERVICE_NAME": "mesh-a", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
				})
				p.spans(3, attribute.String("genmesh.type", "caf\xe9"))
				require.NoError(t, p.Close())
				require.Len(t, at.spans, 3, "what waits leaves at the end; one byte that is no UTF-8 does not cost the batch")
				assert.Equal(t, "caf\uFFFD", at.spans[0].Attributes[0].Value.GetStringValue())
				assert.Equal(t, "Bearer secret", at.header.Get("Authorization"))
				assert.Equal(t, "mesh-a", at.about["service.name"])
				assert.Equal(t, "v1.2.3", at.about["service.version"])
				assert.Equal(t, "test", at.about["deployment.environment.name"])
				assert.Zero(t, p.lost())
				at.Close()
			})
		}
	}
}

func TestSamplerIsThatOfTheEnvironment(t *testing.T) {
	at := newCollector(t)
	p := newTraced(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at.URL, "OTEL_TRACES_SAMPLER": "always_off"})
	p.spans(3)
	require.NoError(t, p.Close())
	assert.Empty(t, at.spans)
}

func TestConsoleWritesSpansIntoTheLog(t *testing.T) {
	p := newTraced(t, map[string]string{"OTEL_TRACES_EXPORTER": "console"})
	p.spans(1, attribute.Int("genmesh.attempt", 3))
	require.NoError(t, p.Close())
	assert.Equal(t, 1, strings.Count(p.log.String(), "\n"))
	assert.Contains(t, p.log.String(), `msg="span 0" component=traces genmesh.attempt=3`)
}

// No span that is lost goes uncounted, whatever the collector does, and who makes spans is never kept waiting.
func TestLostSpansAreCounted(t *testing.T) {
	const made = 1000
	hangs := make(chan struct{})
	for name, handler := range map[string]http.HandlerFunc{
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"hangs":   func(http.ResponseWriter, *http.Request) { <-hangs },
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			at := httptest.NewServer(handler)
			p := newTraced(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": at.URL, "OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
			})
			began := time.Now()
			p.spans(made)
			assert.Less(t, time.Since(began), time.Second)
			began = time.Now()
			require.NoError(t, p.Close())
			assert.Less(t, time.Since(began), closeTimeout+time.Second)
			assert.EqualValues(t, made, p.lost())
			assert.Contains(t, p.log.String(), "the collector did not take spans; they are lost")
			if name == "hangs" {
				close(hangs)
			}
			at.Close()
		})
	}
}
