package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/verifier/fault"
)

func TestTracingIsOffUnlessAsked(t *testing.T) {
	for _, c := range []struct {
		env map[string]string
		on  bool
		bad bool
	}{
		{nil, false, false},
		{map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, false, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, false, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		{map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false, false},
		{map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, false, false},
		{map[string]string{"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		{map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, true},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, false, true},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, true, false},
	} {
		lookup := func(name string) (string, bool) {
			if v, ok := c.env[name]; ok {
				return v, true
			}
			return "none", false // the value of a variable that is not set says nothing
		}
		h, shutdown, err := telemetry.Tracing(t.Context(), lookup, telemetry.TracingConfig{Logger: slog.New(slog.DiscardHandler)})
		if (h != nil) != c.on || (err != nil) != c.bad || shutdown == nil {
			t.Errorf("%v: on %v, error %v", c.env, h != nil, err)
		}
		if err := shutdown(t.Context()); err != nil {
			t.Errorf("%v: shutdown: %v", c.env, err)
		}
	}
}

// sink is an OTLP collector.
type sink struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracepb.Span
	raw   bytes.Buffer
}

func (s *sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	s.raw.Write(b)
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			s.spans = append(s.spans, ss.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// start serves over loopback until the test ends.
func start(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) (address string, stop func()) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	register(s)
	go s.Serve(lis)
	t.Cleanup(s.Stop)
	return lis.Addr().String(), s.GracefulStop
}

type verification struct {
	heyanv1.UnimplementedVerificationServiceServer
}

func (verification) Verify(_ context.Context, r *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	switch r.GetProduct() {
	case "refused":
		return nil, rpcerr.Status(fault.New(fault.ConsentMissing), "").Err()
	case "broken":
		return nil, status.Error(codes.Internal, "it quotes "+r.GetRequestId())
	}
	return &heyanv1.VerifyResponse{}, nil
}

// trace runs calls with marked values against a traced server and returns what a collector got.
func trace(t *testing.T, propagate string) *sink {
	t.Helper()
	s := &sink{}
	collects, _ := start(t, func(g *grpc.Server) { collector.RegisterTraceServiceServer(g, s) })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collects)
	t.Setenv("OTEL_PROPAGATORS", propagate)
	handler, shutdown, err := telemetry.Tracing(t.Context(), os.LookupEnv, telemetry.TracingConfig{
		Methods: methods(), Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if err != nil || handler == nil {
		t.Fatal(handler, err)
	}
	address, stop := start(t, func(g *grpc.Server) { heyanv1.RegisterVerificationServiceServer(g, verification{}) }, grpc.StatsHandler(handler),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return rpcerr.Status(fault.New(fault.MethodUnknown), "").Err() }))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(canary))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(),
		"traceparent", "00-"+parent+"-00f067aa0ba902b7-01", "tracestate", "vendor="+canary, "baggage", "phone="+canary, "x-note", canary)
	client := heyanv1.NewVerificationServiceClient(conn)
	for _, id := range []string{"id2", "refused", "broken"} {
		_, err := client.Verify(ctx, &heyanv1.VerifyRequest{Product: id, RequestId: canary, Fields: &heyanv1.Fields{PhoneNumber: proto.String(canary)}})
		if (err == nil) != (id == "id2") {
			t.Fatal(id, err)
		}
	}
	// A method of a caller's invention.
	if err := conn.Invoke(ctx, "/"+canary+"/"+canary, &heyanv1.VerifyRequest{}, &heyanv1.VerifyResponse{}); status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	stop() // a span ends after its reply has left
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s
}

const (
	canary = "canary-13800138000"
	parent = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func TestSpansHoldNothingOfACaller(t *testing.T) {
	for _, propagate := range []string{"", "tracecontext, baggage"} {
		s := trace(t, propagate)
		if len(s.spans) != 3 {
			t.Fatalf("%d spans", len(s.spans))
		}
		if raw := s.raw.String(); strings.Contains(raw, "13800138000") {
			t.Error("the export holds a caller's value")
		} else if !strings.Contains(raw, "heyan.v1.VerificationService/Verify") || !strings.Contains(raw, "heyan") || !strings.Contains(raw, "1.2.3") {
			t.Error("the export lacks method, service or version")
		}
		statuses := []string{}
		for _, span := range s.spans {
			statuses = append(statuses, span.GetStatus().GetCode().String()+" "+span.GetStatus().GetMessage())
			continued := strings.Contains(string(span.GetTraceId()), string([]byte{0x4b, 0xf9, 0x2f, 0x35}))
			if continued != (propagate != "") || span.GetTraceState() != "" || len(span.GetLinks()) != 0 {
				t.Errorf("propagators %q: trace %x of the caller continued: %v, state %q", propagate, span.GetTraceId(), continued, span.GetTraceState())
			}
		}
		slices.Sort(statuses)
		if want := "STATUS_CODE_ERROR , STATUS_CODE_UNSET , STATUS_CODE_UNSET "; strings.Join(statuses, ", ") != want {
			t.Errorf("statuses %q, want %q", strings.Join(statuses, ", "), want)
		}
	}
}
