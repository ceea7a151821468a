package mesh

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// ContextWithTrace is ctx with the W3C trace context that the event carries, as that of somebody else's span; ctx itself where the
// event carries none that is valid.
func (e *Event) ContextWithTrace(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{HeaderTraceParent: e.TraceParent, HeaderTraceState: e.TraceState})
}

// CarryTrace makes the event carry the trace context of the span in ctx, in place of what it carried. It changes nothing where there is
// none.
func (e *Event) CarryTrace(ctx context.Context) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if parent := carrier[HeaderTraceParent]; parent != "" {
		e.TraceParent, e.TraceState = parent, carrier[HeaderTraceState]
	}
}

// TraceIDs are the hexadecimal ids of the trace and the span that the event carries; "" where it carries none that is valid.
func (e *Event) TraceIDs() (traceID, spanID string) {
	if e.TraceParent == "" {
		return "", ""
	}
	span := oteltrace.SpanContextFromContext(e.ContextWithTrace(context.Background()))
	if !span.IsValid() {
		return "", ""
	}
	return span.TraceID().String(), span.SpanID().String()
}
