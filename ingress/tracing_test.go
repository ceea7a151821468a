package ingress

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

const (
	senderTrace = "0af7651916cd43dd8448eb211c80319c"
	senderSpan  = "b7ad6b7169203331"
)

// startTraced is start with tracing. What it returns are the spans that ended, in the order of that.
func startTraced(t *testing.T, store Committer, changes ...func(*Options)) (*running, func(n int) []sdktrace.ReadOnlySpan) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	r := start(t, store, append(changes, func(o *Options) { o.Tracing = provider })...)
	return r, func(n int) []sdktrace.ReadOnlySpan {
		// A sender may have its answer before the span of its request has ended.
		require.Eventually(t, func() bool { return len(recorder.Ended()) >= n }, 20*time.Second, time.Millisecond)
		require.Len(t, recorder.Ended(), n)
		return recorder.Ended()
	}
}

// about is an attribute of a span as text; "" if it has none of that name.
func about(s sdktrace.ReadOnlySpan, name string) string {
	set := attribute.NewSet(s.Attributes()...)
	value, _ := set.Value(attribute.Key(name))
	return value.String()
}

func TestSignedRequestGoesOnWithItsSendersTrace(t *testing.T) {
	store := new(memory)
	r, ended := startTraced(t, store)
	req := r.request(goodBody)
	req.Header.Set("traceparent", "00-"+senderTrace+"-"+senderSpan+"-01")
	req.Header.Set("tracestate", "vendor=1")
	require.Equal(t, 202, r.do(req).code)

	spans := ended(2)
	publication, request := spans[0], spans[1]
	assert.Equal(t, "POST /webhooks/genesys", request.Name())
	assert.Equal(t, trace.SpanKindServer, request.SpanKind())
	assert.Equal(t, senderTrace, request.SpanContext().TraceID().String())
	assert.Equal(t, senderSpan, request.Parent().SpanID().String())
	for name, want := range map[string]string{
		"http.request.method": "POST", "http.route": "/webhooks/genesys", "url.path": "/webhooks/genesys", "http.response.status_code": "202",
		"genmesh.source": "genesys", "genmesh.outcome": "accepted", "genmesh.interaction": "987654321",
	} {
		assert.Equal(t, want, about(request, name), name)
	}
	assert.Equal(t, "publish INTERACTIONS", publication.Name())
	assert.Equal(t, trace.SpanKindProducer, publication.SpanKind())
	assert.Equal(t, request.SpanContext().SpanID(), publication.Parent().SpanID())
	stored := store.all()[0]
	assert.Equal(t, "00-"+senderTrace+"-"+publication.SpanContext().SpanID().String()+"-01", stored.TraceParent)
	assert.Equal(t, "vendor=1", stored.TraceState)
}

func TestStrangersMakeNoSpans(t *testing.T) {
	r, ended := startTraced(t, new(memory))
	forged := r.request(goodBody)
	forged.Header.Set("X-Genesys-Signature", "sha256=00")
	forged.Header.Set("traceparent", "00-"+senderTrace+"-"+senderSpan+"-01")
	assert.Equal(t, 401, r.do(forged).code)
	packed := r.request(goodBody)
	packed.Header.Set("Content-Encoding", "gzip")
	assert.Equal(t, 415, r.do(packed).code)
	require.Equal(t, 202, r.post(goodBody).code)
	for _, span := range ended(2) {
		assert.NotEqual(t, senderTrace, span.SpanContext().TraceID().String())
	}
}

func TestSpanTellsHowARequestEnded(t *testing.T) {
	refuse := errors.New("the disk of 10.0.0.7 is full")
	for name, tc := range map[string]struct {
		source, body         string
		fails                error
		code, outcome, error string
	}{
		"quarantined":         {body: `{`, code: "202", outcome: "quarantined"},
		"a status of its own": {source: `"preset": "genesys", "accepted_status": 200`, body: goodBody, code: "200", outcome: "accepted"},
		"not stored":          {body: goodBody, fails: refuse, code: "503", outcome: "unavailable", error: "unavailable"},
		"too large":           {body: goodBody, fails: mesh.ErrTooLarge, code: "413", outcome: "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memory{before: func(context.Context, mesh.Event) error { return tc.fails }}
			r, ended := startTraced(t, store, func(o *Options) {
				if tc.source != "" {
					o.Sources = []mesh.Source{sourceOf(tc.source)}
				}
			})
			assert.Equal(t, tc.code, strconv.Itoa(r.post(tc.body).code))
			request := ended(2)[1]
			assert.Equal(t, tc.code, about(request, "http.response.status_code"))
			assert.Equal(t, tc.outcome, about(request, "genmesh.outcome"))
			assert.Equal(t, tc.error, about(request, "error.type"))
			assert.Equal(t, tc.error != "", request.Status().Code == codes.Error)
			for _, span := range ended(2) {
				for _, a := range span.Attributes() {
					assert.NotContains(t, a.Value.String(), "10.0.0.7", "what went wrong is told by the log, in full")
				}
			}
		})
	}
}

func TestNoTracingCostsNothing(t *testing.T) {
	off := newTracing(nil, testSource())
	req, err := http.NewRequest(http.MethodPost, "/webhooks/genesys", nil)
	require.NoError(t, err)
	event, readings, began := mesh.Event{TraceParent: "00-" + senderTrace + "-" + senderSpan + "-01"}, make([]Reading, 1), time.Now()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		ctx, request := off.request(context.Background(), req, began, &event)
		_, publication := off.publication(ctx, readings)
		publication.stored(nil)
		request.answered(0, answer{}, nil)
	}))
}
