package e2e

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracing "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is an OpenTelemetry collector that takes OTLP over HTTP.
type spans struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex
	of []*tracing.Span
}

func newCollector(t *testing.T) *spans {
	t.Helper()
	s := &spans{t: t}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if !assert.NoError(s.t, err) {
			return
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	assert.NoError(s.t, err)
	var request collector.ExportTraceServiceRequest
	assert.NoError(s.t, proto.Unmarshal(raw, &request))
	assert.Equal(s.t, "/v1/traces", r.URL.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range request.ResourceSpans {
		for _, by := range of.ScopeSpans {
			s.of = append(s.of, by.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// named waits for so many spans of a name, the one that began first in front.
func (s *spans) named(name string, n int) (found []*tracing.Span) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		found = nil
		for _, span := range s.of {
			if span.Name == name {
				found = append(found, span)
			}
		}
		return len(found) == n
	}, 20*time.Second, 10*time.Millisecond, "%d spans %s", n, name)
	for i := range found {
		for j := range found[:i] {
			if found[j].StartTimeUnixNano > found[i].StartTimeUnixNano {
				found[i], found[j] = found[j], found[i]
			}
		}
	}
	return found
}

func traceID(s *tracing.Span) string { return hex.EncodeToString(s.TraceId) }

func parentOf(traceparent string) (traceID, spanID string) {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 {
		return "", ""
	}
	return parts[1], parts[2]
}

// attribute is a span's; "" if it has none of that name.
func attribute(s *tracing.Span, name string) any {
	for _, a := range s.Attributes {
		if a.Key != name {
			continue
		}
		switch v := a.Value; {
		case v.GetStringValue() != "":
			return v.GetStringValue()
		case v.GetIntValue() != 0:
			return v.GetIntValue()
		default:
			return v.GetBoolValue()
		}
	}
	return ""
}

// One trace goes from the sender's request through the stream to each target's call, and on through a dead letter and its replay.
func TestOneTraceFromTheRequestToEachTarget(t *testing.T) {
	at := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	crm, billing := newSink(t), newSink(t)
	tries := 0
	crm.answerWith(func(delivery) int {
		if tries++; tries <= 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	billing.answerWith(always(http.StatusUnprocessableEntity))
	p := startDev(t, streams(subscriber("crm", crm), subscriber("billing", billing)))

	assert.Equal(t, 202, p.send(event("call-1", 1)).status)
	requests := at.named("POST /webhooks/genesys", 1)
	request := requests[0]
	trace := traceID(request)
	assert.Equal(t, tracing.Span_SPAN_KIND_SERVER, request.Kind)
	assert.EqualValues(t, 202, attribute(request, "http.response.status_code"))
	assert.Equal(t, "call-1", attribute(request, "genmesh.interaction"))
	publication := at.named("publish INTERACTIONS", 1)[0]
	assert.Equal(t, tracing.Span_SPAN_KIND_PRODUCER, publication.Kind)
	assert.Equal(t, request.SpanId, publication.ParentSpanId)

	attempts := at.named("deliver crm", 3)
	for i, attempt := range attempts {
		assert.Equal(t, trace, traceID(attempt))
		assert.Equal(t, publication.SpanId, attempt.ParentSpanId)
		assert.EqualValues(t, i+1, attribute(attempt, "genmesh.attempt"))
		calledTrace, calledSpan := parentOf(crm.attempts()[i].header.Get("Traceparent"))
		assert.Equal(t, trace, calledTrace)
		assert.Equal(t, hex.EncodeToString(attempt.SpanId), calledSpan, "the target is told the attempt's own span")
	}
	assert.EqualValues(t, 503, attribute(attempts[0], "http.response.status_code"))
	assert.Equal(t, tracing.Status_STATUS_CODE_ERROR, attempts[0].Status.Code)
	assert.NotEqual(t, tracing.Status_STATUS_CODE_ERROR, attempts[2].Status.GetCode())

	burial := at.named("bury billing", 1)[0]
	assert.Equal(t, trace, traceID(burial))
	billing.answerWith(always(http.StatusOK))
	letters := p.dead()
	require.Len(t, letters, 1)
	require.NoError(t, p.letters.Replay(t.Context(), letters[0]))
	replayed := at.named("deliver billing", 2)[1]
	assert.Equal(t, trace, traceID(replayed))
	assert.Equal(t, true, attribute(replayed, "genmesh.replay"))

	// A stranger decides nothing: what is not signed makes no span.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.addr.Ingress+"/webhooks/genesys", strings.NewReader(event("call-2", 1)))
	require.NoError(t, err)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 401, resp.StatusCode)
	assert.Equal(t, 200, p.send(event("call-1", 1)).status)
	for _, span := range at.named("POST /webhooks/genesys", 2) {
		assert.NotEqual(t, "4bf92f3577b34da6a3ce929d0e0e4736", traceID(span))
	}
}

// A collector that hangs costs spans, and nothing else.
func TestCollectorThatHangsSlowsNothing(t *testing.T) {
	hangs := make(chan struct{})
	away := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	t.Cleanup(away.Close)
	t.Cleanup(func() { close(hangs) })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", away.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	crm := newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	began := time.Now()
	for n := range 50 {
		require.Equal(t, 202, p.send(event("call-1", n)).status)
	}
	require.Eventually(t, func() bool { return len(crm.all()) == 50 }, 10*time.Second, 10*time.Millisecond)
	assert.Less(t, time.Since(began), 9*time.Second, "an export that hangs is given up after ten")
	began = time.Now()
	p.stop()
	assert.Less(t, time.Since(began), 8*time.Second, "the last spans are waited for, for a moment")
}
