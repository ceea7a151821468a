package telemetry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing exports the spans of a process by OTLP, as the OTEL_ variables of the environment say
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). By that specification an exporter that nobody configured
// sends to this machine; this one sends nothing until an endpoint or an exporter is named, for a collector is not there by chance.
type Tracing struct {
	provider *sdktrace.TracerProvider // nil is off
	outgoing *outgoing
}

// TracingOptions is what NewTracing goes by.
type TracingOptions struct {
	Version string
	// LookupEnv tells whether, where to and by which protocol to export. All else about it OpenTelemetry's own packages read, from the
	// environment of the process.
	LookupEnv func(string) (string, bool)
	Logger    logrus.FieldLogger
	// Registerer takes the count of lost spans; nil leaves it uncollected.
	Registerer prometheus.Registerer
}

// env is a variable, "" if it is not set.
func (o *TracingOptions) env(name string) string {
	value, _ := o.LookupEnv(name)
	return strings.TrimSpace(value)
}

// The variables that decide whether and how spans leave the process.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// closeTimeout bounds what the export of the last spans may take.
const closeTimeout = 3 * time.Second

// NewTracing makes what the environment asks for. It connects to nothing yet: a collector that is away is told of in the log, and costs spans and
// nothing else. A value that is not known is passed over with a warning, as the specification wants it: such variables are often set for all
// programs of a machine at once.
func NewTracing(ctx context.Context, o TracingOptions) (*Tracing, error) {
	exporter, err := newExporter(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if exporter == nil {
		return &Tracing{}, nil
	}
	from, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(attribute.String("service.name", "genmesh"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv()) // the last one wins
	if err != nil {
		o.Logger.WithError(err).WithField("component", "traces").Warn("not all that spans should say of this process is known")
	}
	out := newOutgoing(exporter, o)
	return &Tracing{
		provider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(out), sdktrace.WithResource(from)),
		outgoing: out,
	}, nil
}

// newExporter is nil where the environment asks for no spans.
func newExporter(ctx context.Context, o TracingOptions) (sdktrace.SpanExporter, error) {
	if strings.EqualFold(o.env(envDisabled), "true") {
		return nil, nil
	}
	switch exporter := strings.ToLower(o.env(envExporter)); exporter {
	case "none":
		return nil, nil
	case "console":
		return logged{o.Logger.WithField("component", "traces")}, nil
	case "otlp":
		return newOTLP(ctx, o)
	case "":
	default:
		o.passOver(envExporter, "otlp, console or none")
	}
	if o.env(envEndpoint) == "" && o.env(envTracesEndpoint) == "" {
		return nil, nil
	}
	return newOTLP(ctx, o)
}

func newOTLP(ctx context.Context, o TracingOptions) (sdktrace.SpanExporter, error) {
	name := envProtocol
	if o.env(envTracesProtocol) != "" {
		name = envTracesProtocol
	}
	switch o.env(name) {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "", "http/protobuf", "http/json":
	default:
		o.passOver(name, "http/protobuf, http/json or grpc")
	}
	return otlptracehttp.New(ctx)
}

// passOver warns of a value that is not known.
func (o *TracingOptions) passOver(name, known string) {
	o.Logger.WithField("component", "traces").Warnf("%s is %.40q and passed over: write %s", name, o.env(name), known)
}

// Provider makes the spans; nil while tracing is off.
func (t *Tracing) Provider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// Close exports what waits, for at most three seconds, and ends. What is left then is lost, and counted. It is called when nothing makes spans any more.
func (t *Tracing) Close() error {
	if t.provider == nil {
		return nil
	}
	patience := time.AfterFunc(closeTimeout, t.outgoing.end)
	defer patience.Stop()
	defer t.outgoing.end()
	ctx, cancel := context.WithTimeout(context.Background(), 2*closeTimeout) // exports that are ended end at once
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.outgoing.log.WithError(err).Warn("the connection to the collector did not end well")
	}
	return nil
}
