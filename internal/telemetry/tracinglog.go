package telemetry

import (
	"context"

	"github.com/sirupsen/logrus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// logged is an exporter that writes spans into the log, one line each: what OTEL_TRACES_EXPORTER calls console.
type logged struct{ log logrus.FieldLogger }

// ExportSpans logs what each span tells.
func (l logged) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		fields := logrus.Fields{
			"trace_id": s.SpanContext().TraceID().String(), "span_id": s.SpanContext().SpanID().String(),
			"kind": s.SpanKind().String(), "took": s.EndTime().Sub(s.StartTime()).String(),
		}
		if s.Parent().IsValid() {
			fields["parent_span_id"] = s.Parent().SpanID().String()
		}
		for _, a := range s.Attributes() {
			fields[string(a.Key)] = a.Value.AsInterface()
		}
		l.log.WithFields(fields).Info(s.Name())
	}
	return nil
}

// Shutdown has nothing to end.
func (l logged) Shutdown(context.Context) error { return nil }
