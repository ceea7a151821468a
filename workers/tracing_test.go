package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

const (
	storedTrace  = "0af7651916cd43dd8448eb211c80319c"
	storedSpan   = "b7ad6b7169203331"
	storedParent = "00-" + storedTrace + "-" + storedSpan + "-01"
)

// deliverTraced brings an event with a trace context to its end.
func deliverTraced(t *testing.T, o Options) {
	t.Helper()
	o.Subscriber = mesh.Subscriber{
		Name: "crm", Stream: "S", MaxAttempts: 3, MaxDeliver: 9, MaxInFlight: 1, AckWait: mesh.Duration(30 * time.Second), Backoff: defaultBackoff(),
	}
	o.ReplayStream, o.Metrics = "DEAD", NewMetrics(nil)
	r := NewRunner(o)
	c := NewCrew(CrewOptions{Logger: quiet()})
	c.receipts = given{}
	c.beaten.Store(1)
	b := newBinding(c, r, &unit{stream: "S", durable: "crm"}, handover{})
	b.holdEvent(mesh.Event{
		Source: "genesys", Interaction: "call-1", ID: "e-1", Type: "interaction", Stream: "S", Sequence: 7, Stored: time.Now(),
		TraceParent: storedParent, TraceState: "vendor=1",
	})
	b.deliveries.Wait()
	b.fenced(nil)
	synctest.Wait()
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

// target answers 503 each time, and remembers what it was told.
type target struct{ told []mesh.Event }

func (f *target) Handle(_ context.Context, e mesh.Event) error {
	f.told = append(f.told, e)
	return &Failure{Status: 503, Err: errors.New("Ada is not known"), Answer: []byte("who is Ada?")}
}

func TestEachAttemptIsASpanOfTheEventsTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder, letters, crm := tracetest.NewSpanRecorder(), new(buriedLetters), new(target)
		deliverTraced(t, Options{
			Handler: crm, DeadLetters: letters, Logger: quiet(),
			Tracing: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)),
		})
		spans := recorder.Ended()
		require.Len(t, spans, 4)
		for i, s := range spans {
			assert.Equal(t, storedTrace, s.SpanContext().TraceID().String())
			assert.Equal(t, storedSpan, s.Parent().SpanID().String(), "the parent is the publication, however many attempts there were")
			assert.Equal(t, trace.SpanKindClient, s.SpanKind())
			assert.LessOrEqual(t, s.EndTime().Sub(s.StartTime()), time.Second, "waiting for the next attempt is no span")
			all := attributesOf(s)
			assert.Subset(t, all, map[string]any{
				"messaging.system": "nats", "messaging.destination.name": "S", "messaging.message.id": "7",
				"genmesh.subscriber": "crm", "genmesh.source": "genesys", "genmesh.interaction": "call-1", "genmesh.type": "interaction",
			})
			for name, value := range all {
				assert.NotContains(t, fmt.Sprint(value), "Ada", name)
			}
			assert.NotContains(t, s.Status().Description, "Ada")
			if i < 3 {
				assert.Equal(t, "deliver crm", s.Name())
				assert.EqualValues(t, i+1, all["genmesh.attempt"])
				assert.EqualValues(t, 503, all["http.response.status_code"])
				assert.Equal(t, "503", all["error.type"])
				assert.Equal(t, codes.Error, s.Status().Code)
				assert.Equal(t, "00-"+storedTrace+"-"+s.SpanContext().SpanID().String()+"-01", crm.told[i].TraceParent)
				assert.Equal(t, "vendor=1", crm.told[i].TraceState)
			}
		}
		assert.Equal(t, "bury crm", spans[3].Name())
		assert.Equal(t, "exhausted", attributesOf(spans[3])["genmesh.reason"])
		assert.Equal(t, codes.Unset, spans[3].Status().Code)
		require.Len(t, letters.all, 1)
		assert.Equal(t, storedParent, letters.all[0].TraceParent, "its replay goes on where the event came from")
	})
}

func TestWithoutTracingTheTargetIsToldWhatTheEventCameWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crm := new(target)
		deliverTraced(t, Options{Handler: crm, DeadLetters: new(buriedLetters), Logger: quiet()})
		require.Len(t, crm.told, 3)
		for _, e := range crm.told {
			assert.Equal(t, storedParent, e.TraceParent)
			assert.Equal(t, "vendor=1", e.TraceState)
		}
	})
}

func TestLogOfAnEventNamesItsTraceWithOrWithoutTracing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written bytes.Buffer
		log := logrus.New()
		log.SetOutput(&written)
		log.SetFormatter(&logrus.JSONFormatter{})
		deliverTraced(t, Options{Handler: new(target), DeadLetters: new(buriedLetters), Logger: log})
		lines := 0
		for line := range bytes.Lines(written.Bytes()) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal(line, &fields))
			lines++
			assert.Subset(t, fields, map[string]any{
				"trace_id": storedTrace, "span_id": storedSpan, "interaction": "call-1", "id": "e-1", "type": "interaction", "source": "genesys",
				"subscriber": "crm", "stream": "S", "sequence": 7.0, "attempt": float64(lines),
			}, "%s", line)
		}
		assert.Equal(t, 3, lines, "two retries and a dead letter")
	})
}

func TestNoTracingCostsNothing(t *testing.T) {
	off := newTracing(nil, mesh.Subscriber{Name: "crm"})
	d, event, letter, failed := new(delivery), mesh.Event{TraceParent: storedParent}, mesh.DeadLetter{}, errors.New("no")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		own := event
		ctx, attempt := off.attempt(context.Background(), d, &own)
		attempt.end(failed)
		_, burial := off.burial(ctx, &letter)
		burial.end(nil)
	}))
}

func TestASpanTellsTheKindOfItsError(t *testing.T) {
	for kind, err := range map[string]error{
		"422":     Permanent(&Failure{Status: 422, Err: errors.New("Ada is not known")}),
		"timeout": &Failure{Err: fmt.Errorf("no answer within 10s: %w", context.DeadlineExceeded)},
		"retry":   errors.New("connection refused"),
	} {
		recorder := tracetest.NewSpanRecorder()
		_, traced := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("").Start(t.Context(), "deliver crm")
		span{traced}.end(err)
		assert.Equal(t, kind, attributesOf(recorder.Ended()[0])["error.type"])
	}
}
