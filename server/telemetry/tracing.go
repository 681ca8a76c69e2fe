package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/server/rpcerr"
)

// TracingConfig is what Tracing needs beside the environment.
type TracingConfig struct {
	Methods []Method // what is traced; calls of other names are not
	Version string   // service.version
	Logger  *slog.Logger
}

// Tracing returns a handler for grpc.StatsHandler that exports a span a call by OTLP over gRPC, and a function
// that flushes and ends it. The handler is nil, and costs nothing, unless one of these variables asks for it:
//
//	OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_TRACES_EXPORTER=otlp
//
// and OTEL_SDK_DISABLED=true or OTEL_TRACES_EXPORTER=none do not forbid it. Asking for another exporter or
// protocol than OTLP over gRPC is an error. The SDK reads the other OTEL_* variables from the environment by
// itself: headers, certificates, the sampler (parent-based by default), batches, service name and resource.
//
// A span holds the method, the code, the reason of a refusal, the server's own address and times; nothing
// that a caller chose. For the same reason a caller's trace is not continued by default. With
// OTEL_PROPAGATORS=tracecontext it is, by trace and span id: then a caller chooses those 24 bytes, and
// whether the call is sampled. Trace state and baggage, which are text, are never taken.
//
// lookup is os.LookupEnv. An exporter that fails is reported to the logger; calls are served all the same.
func Tracing(ctx context.Context, lookup func(string) (string, bool), c TracingConfig) (stats.Handler, func(context.Context) error, error) {
	env := func(name string) string {
		value, ok := lookup(name)
		if !ok {
			return ""
		}
		return strings.TrimSpace(value)
	}
	nothing := func(context.Context) error { return nil }
	on, err := wanted(env)
	if !on || err != nil {
		return nil, nothing, err
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, nothing, errors.New("telemetry: the trace exporter cannot be made from the OTEL_EXPORTER_OTLP_* variables")
	}
	// The resource detectors of the SDK that read the host, the process or its command line stay off.
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "heyan"), attribute.String("service.version", c.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, nothing, errors.New("telemetry: OTEL_RESOURCE_ATTRIBUTES cannot be read")
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Logger.Warn("tracing", "error", err.Error()) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))

	known := make(map[string]bool, len(c.Methods))
	for _, m := range c.Methods {
		known[m.full()] = true
	}
	handler := otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(provider),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // metrics are our own
		otelgrpc.WithPropagators(propagators(env("OTEL_PROPAGATORS"))),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool { return known[info.FullMethodName] }),
	)
	return reasonOnly{handler}, provider.Shutdown, nil
}

// wanted reads whether the environment asks for tracing.
func wanted(env func(string) string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	endpoint := env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	switch env("OTEL_TRACES_EXPORTER") {
	case "none":
		return false, nil
	case "":
		if !endpoint {
			return false, nil
		}
	case "otlp":
	default:
		return false, errors.New("telemetry: OTEL_TRACES_EXPORTER: only otlp and none are built in")
	}
	protocol := env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = env("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "grpc" {
		return false, errors.New("telemetry: OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is built in")
	}
	return true, nil
}

func propagators(list string) propagation.TextMapPropagator {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(names, "tracecontext") {
		return idsOnly{}
	}
	return propagation.NewCompositeTextMapPropagator() // of none
}

// idsOnly is W3C Trace Context (https://www.w3.org/TR/trace-context/) without its state.
type idsOnly struct{ propagation.TraceContext }

// Extract implements propagation.TextMapPropagator.
func (p idsOnly) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ctx = p.TraceContext.Extract(ctx, carrier)
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc.WithTraceState(trace.TraceState{}))
	}
	return ctx
}

// reasonOnly keeps what an error says out of the span, where otelgrpc would write it: grpc-go's own errors
// quote what a caller sent. The reason of a refusal stays.
type reasonOnly struct{ stats.Handler }

// HandleRPC implements stats.Handler.
func (h reasonOnly) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if end, ok := s.(*stats.End); ok && end.Error != nil {
		plain := *end
		plain.Error = status.Error(status.Code(end.Error), rpcerr.ReasonOf(end.Error))
		s = &plain
	}
	h.Handler.HandleRPC(ctx, s)
}
