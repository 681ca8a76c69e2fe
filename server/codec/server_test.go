package codec_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/codec"
)

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

type verification struct {
	heyanv1.UnimplementedVerificationServiceServer
}

func (verification) Verify(_ context.Context, r *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	return &heyanv1.VerifyResponse{Verification: &heyanv1.Verification{Product: r.GetProduct(), Source: string(bytes.Repeat([]byte("x"), 5000))}}, nil
}

// serve starts a grpc server with the codec, whose chain answers findings with their reason.
func serve(t *testing.T) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(m any) error {
		if f := codec.Finding(m.(proto.Message)); f != nil {
			return status.Error(codes.InvalidArgument, f.Error())
		}
		return nil
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(codec.New(codec.DefaultLimits())), grpc.MaxRecvMsgSize(16<<20),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := refuse(req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, refusing{ss, refuse})
		}))
	heyanv1.RegisterVerificationServiceServer(s, verification{})
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	go s.Serve(lis)
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type refusing struct {
	grpc.ServerStream
	refuse func(any) error
}

func (r refusing) RecvMsg(m any) error {
	if err := r.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return r.refuse(m)
}

func TestInServer(t *testing.T) {
	conn := serve(t)
	const method = "/heyan.v1.VerificationService/Verify"
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"clean", marshal(t, verifyRequest()), ""},
		{"unknown field", field(2, field(7)...), "FIELD_OUTSIDE_CEILING: fields UNKNOWN_FIELD"},
		{"invalid UTF-8", field(2, field(1, 0xff)...), "REQUEST_MALFORMED: fields.name INVALID_UTF8"},
		{"no protobuf", []byte{0x80}, "REQUEST_MALFORMED: VerifyRequest WIRE_FORM"},
		{"a value of 10 MiB", field(2, field(1, bytes.Repeat([]byte("a"), 10<<20)...)...), "REQUEST_TOO_LARGE"},
	} {
		var reply []byte
		err := conn.Invoke(t.Context(), method, &c.bytes, &reply, grpc.ForceCodecV2(rawCodec{}))
		if c.want == "" {
			var r heyanv1.VerifyResponse
			if err != nil || proto.Unmarshal(reply, &r) != nil || r.GetVerification().GetProduct() != "id2" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if got := status.Convert(err); got.Code() != codes.InvalidArgument || got.Message() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHealthAndReflection(t *testing.T) {
	conn := serve(t)
	reply, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || reply.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Error(reply, err)
	}
	bad := field(9)
	if err := conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", &bad, &[]byte{}, grpc.ForceCodecV2(rawCodec{})); status.Code(err) != codes.InvalidArgument {
		t.Error("an unknown field in a health check:", err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "heyan.v1.VerifyRequest"}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if r, err := stream.Recv(); err != nil || len(r.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Error(r, err)
	}
	ask.ProtoReflect().SetUnknown(varint(99, 1))
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Error("an unknown field in a stream:", err)
	}
}
