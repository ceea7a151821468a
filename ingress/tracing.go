package ingress

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

// tracing makes a span of each signed request and one of the storing of what it brought, which the events carry on their way. What is
// not signed makes none: strangers decide neither how many spans there are nor, by a sampled flag, which are kept. The names of the
// attributes are those of OpenTelemetry's semantic conventions for HTTP servers and for messaging.
type tracing struct {
	tracer trace.Tracer // nil makes no spans
	source mesh.Source
}

// tracerName names what makes the spans.
const tracerName = "github.com/genmesh/genmesh/ingress"

func newTracing(provider trace.TracerProvider, source mesh.Source) tracing {
	if provider == nil {
		return tracing{}
	}
	return tracing{tracer: provider.Tracer(tracerName), source: source}
}

// request begins the span of a request that came at a time. It goes on with the trace of the sender, who has proven who it is.
func (t *tracing) request(ctx context.Context, r *http.Request, began time.Time, e *mesh.Event) (context.Context, span) {
	if t.tracer == nil {
		return ctx, span{}
	}
	ctx, s := t.tracer.Start(e.ContextWithTrace(ctx), r.Method+" "+t.source.Path, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(began), trace.WithAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("http.route", t.source.Path),
			attribute.String("url.path", t.source.Path), attribute.Int("http.request.body.size", len(e.Body)),
			attribute.String("genmesh.source", t.source.Name),
		))
	return ctx, span{s}
}

// publication begins the span of the storing of what a request brought, which all of it carries from here on.
func (t *tracing) publication(ctx context.Context, readings []Reading) (context.Context, span) {
	if t.tracer == nil {
		return ctx, span{}
	}
	ctx, s := t.tracer.Start(ctx, "publish "+t.source.Stream, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "publish"),
		attribute.String("messaging.operation.type", "send"), attribute.String("messaging.destination.name", t.source.Stream),
		attribute.Int("messaging.batch.message_count", len(readings)),
	))
	for i := range readings {
		readings[i].Event.CarryTrace(ctx)
	}
	return ctx, span{s}
}

// span is one that was begun; the zero span is none.
type span struct{ trace.Span }

// answered ends the span of a request, whose answer has a status code of its own if accepted is not 0.
func (s span) answered(accepted int, a answer, err error) {
	if s.Span == nil {
		return
	}
	defer s.End()
	if err == nil {
		s.SetAttributes(attribute.Int("http.response.status_code", cmp.Or(accepted, a.code)), attribute.String("genmesh.outcome", a.Status))
		if a.Interaction != "" {
			s.SetAttributes(attribute.String("genmesh.interaction", a.Interaction))
		}
		return
	}
	e := asError(err)
	s.SetAttributes(attribute.Int("http.response.status_code", e.Status), attribute.String("genmesh.outcome", e.Reason))
	if e.Status >= http.StatusInternalServerError { // a server's span fails by its own fault alone
		s.SetAttributes(attribute.String("error.type", e.Reason))
		s.SetStatus(codes.Error, e.Reason)
	}
}

// stored ends the span of a publication.
func (s span) stored(err error) {
	if s.Span == nil {
		return
	}
	defer s.End()
	if err != nil {
		reason := asError(err).Reason
		s.SetAttributes(attribute.String("error.type", reason))
		s.SetStatus(codes.Error, reason)
	}
}
