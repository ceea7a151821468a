package workers

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

// tracing makes a span of each attempt and of each burial, in the trace that the event carries. An event may wait for days between two
// attempts, so no span lasts from its arrival to its end: how long it has waited, and for how long it has been stored, each attempt
// says in its attributes. The names of those are of OpenTelemetry's semantic conventions for messaging, where it has some.
type tracing struct {
	tracer     trace.Tracer // nil makes no spans
	subscriber mesh.Subscriber
}

// tracerName names what makes the spans.
const tracerName = "github.com/genmesh/genmesh/workers"

func newTracing(provider trace.TracerProvider, s mesh.Subscriber) tracing {
	if provider == nil {
		return tracing{}
	}
	return tracing{tracer: provider.Tracer(tracerName), subscriber: s}
}

// attempt begins the span of an attempt, which the event carries to its target.
func (t *tracing) attempt(ctx context.Context, d *delivery, e *mesh.Event) (context.Context, span) {
	if t.tracer == nil {
		return ctx, span{}
	}
	ctx, s := t.tracer.Start(e.ContextWithTrace(ctx), "deliver "+t.subscriber.Name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(t.about(e)...), trace.WithAttributes(
			attribute.String("messaging.operation.name", "deliver"),
			attribute.String("messaging.operation.type", "process"),
			attribute.Int("genmesh.attempt", e.Attempt),
			attribute.Bool("genmesh.replay", d.b.isReplay),
			attribute.Float64("genmesh.waited_seconds", d.waited.Seconds()),
			attribute.Float64("genmesh.age_seconds", time.Since(e.Stored).Seconds()),
		))
	e.CarryTrace(ctx)
	return ctx, span{s}
}

// burial begins the span of the storing of a dead letter. The letter goes on carrying what its event was stored with, so that its replay is
// of the same trace.
func (t *tracing) burial(ctx context.Context, letter *mesh.DeadLetter) (context.Context, span) {
	if t.tracer == nil {
		return ctx, span{}
	}
	ctx, s := t.tracer.Start(letter.ContextWithTrace(ctx), "bury "+t.subscriber.Name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(t.about(&letter.Event)...), trace.WithAttributes(
			attribute.String("messaging.operation.name", "bury"),
			attribute.String("messaging.operation.type", "settle"),
			attribute.Int("genmesh.attempts", letter.Attempts), attribute.String("genmesh.reason", string(letter.Reason)),
		))
	return ctx, span{s}
}

func (t *tracing) about(e *mesh.Event) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.destination.name", e.Stream),
		attribute.String("messaging.consumer.group.name", t.subscriber.Name),
		attribute.String("messaging.message.id", strconv.FormatUint(e.Sequence, 10)),
		attribute.String("genmesh.subscriber", t.subscriber.Name),
		attribute.String("genmesh.source", e.Source),
		attribute.String("genmesh.interaction", e.Interaction),
		attribute.String("genmesh.type", e.Type),
	}
}

// span is one that was begun; the zero span is none.
type span struct{ trace.Span }

// end ends it. Of an error it tells the kind and the target's status, and not its words, which may repeat what was sent.
func (s span) end(err error) {
	if s.Span == nil {
		return
	}
	defer s.End()
	if err == nil {
		return
	}
	fate, _ := FateOf(err)
	kind := string(fate)
	if errors.Is(err, context.DeadlineExceeded) {
		kind = "timeout"
	}
	var failure *Failure
	if errors.As(err, &failure) && failure.Status != 0 {
		kind = strconv.Itoa(failure.Status)
		s.SetAttributes(attribute.Int("http.response.status_code", failure.Status))
	}
	s.SetAttributes(attribute.String("error.type", kind))
	s.SetStatus(codes.Error, kind)
}
