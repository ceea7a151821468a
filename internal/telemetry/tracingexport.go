package telemetry

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// envQueue is how many spans may wait for their export.
const envQueue = "OTEL_BSP_MAX_QUEUE_SIZE"

// outgoing is what becomes of spans that have ended: they wait in OpenTelemetry's queue, and leave in batches. What is lost is counted and
// logged, whether the collector does not take it or the queue is full. OpenTelemetry says nothing about the latter, and hands the former to
// an error handler that all of a program shares.
type outgoing struct {
	sdktrace.SpanProcessor // the queue
	exporter               sdktrace.SpanExporter
	room                   int64
	waiting                atomic.Int64    // in the queue, or on their way
	ended                  context.Context // ends the exports under way
	end                    context.CancelFunc
	log                    logrus.FieldLogger
	lost                   prometheus.Counter
}

func newOutgoing(exporter sdktrace.SpanExporter, o TracingOptions) *outgoing {
	out := &outgoing{
		exporter: exporter,
		log:      o.Logger.WithField("component", "traces"),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "genmesh_trace_spans_lost_total",
			Help: "Spans that the collector did not take, or that found no room in the queue before it.",
		}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(out.lost)
	}
	out.ended, out.end = context.WithCancel(context.Background())
	room := sdktrace.DefaultMaxQueueSize
	if n, err := strconv.Atoi(o.env(envQueue)); err == nil && n > 0 {
		room = n
	}
	out.room = int64(room)
	out.SpanProcessor = sdktrace.NewBatchSpanProcessor(exports{out}, sdktrace.WithMaxQueueSize(room))
	return out
}

// OnEnd lets a span into the queue if there is room.
func (o *outgoing) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if o.waiting.Add(1) > o.room {
		o.waiting.Add(-1)
		o.lost.Inc()
		return
	}
	o.SpanProcessor.OnEnd(s)
}

// exports is the end of the queue.
type exports struct{ *outgoing }

// ExportSpans exports, or counts what is lost.
func (e exports) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ended, cancel)()
	defer e.waiting.Add(-int64(len(spans)))
	valid := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		valid[i] = validText{s}
	}
	if err := e.exporter.ExportSpans(ctx, valid); err != nil {
		e.lost.Add(float64(len(spans)))
		e.log.WithError(err).WithField("spans", len(spans)).Warn("the collector did not take spans; they are lost")
	}
	return nil
}

// Shutdown lets go of the collector.
func (e exports) Shutdown(ctx context.Context) error { return e.exporter.Shutdown(ctx) }

// validText is a span without bytes that are no UTF-8. An event may have such ones, and one of them would cost all of a batch.
type validText struct{ sdktrace.ReadOnlySpan }

// Attributes are the span's own, made valid.
func (v validText) Attributes() []attribute.KeyValue {
	attributes := slices.Clone(v.ReadOnlySpan.Attributes())
	for i, a := range attributes {
		if a.Value.Type() == attribute.STRING {
			attributes[i].Value = attribute.StringValue(strings.ToValidUTF8(a.Value.AsString(), "\uFFFD"))
		}
	}
	return attributes
}
