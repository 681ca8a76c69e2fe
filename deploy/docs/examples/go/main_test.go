package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

const shipped = "../../../config/service_config.json"

// refusing answers every call with one code.
type refusing struct {
	heyanv1.UnimplementedVerificationServiceServer
	heyanv1.UnimplementedAdminServiceServer
	code  codes.Code
	calls atomic.Int32
}

func (r *refusing) Verify(context.Context, *heyanv1.VerifyRequest) (*heyanv1.VerifyResponse, error) {
	r.calls.Add(1)
	return nil, status.Error(r.code, "")
}

func (r *refusing) CloseClient(context.Context, *heyanv1.CloseClientRequest) (*heyanv1.Client, error) {
	r.calls.Add(1)
	return nil, status.Error(r.code, "")
}

// The shipped file retries UNAVAILABLE and nothing else, and no act of an administrator at all.
func TestShippedServiceConfigRetries(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code codes.Code
		act  bool
		want int32
	}{
		{"unavailable", codes.Unavailable, false, 4},
		{"aborted", codes.Aborted, false, 1},
		{"resource exhausted", codes.ResourceExhausted, false, 1},
		{"deadline", codes.DeadlineExceeded, false, 1},
		{"internal", codes.Internal, false, 1},
		{"an administrator's act", codes.Unavailable, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := &refusing{code: c.code}
			conn := serve(t, server, string(text))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var err error // its own: the cases run side by side
			if c.act {
				_, err = heyanv1.NewAdminServiceClient(conn).CloseClient(ctx, &heyanv1.CloseClientRequest{})
			} else {
				_, err = heyanv1.NewVerificationServiceClient(conn).Verify(ctx, &heyanv1.VerifyRequest{})
			}
			if status.Code(err) != c.code || server.calls.Load() != c.want {
				t.Errorf("%v after %d calls, want %v after %d", err, server.calls.Load(), c.code, c.want)
			}
		})
	}
}

// Every service that the file names exists, and each of its calls has a deadline.
func TestShippedServiceConfigNames(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		MethodConfig []struct {
			Name    []struct{ Service string }
			Timeout string
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range config.MethodConfig {
		if limit, err := time.ParseDuration(m.Timeout); err != nil || limit <= 0 {
			t.Errorf("timeout %q", m.Timeout)
		}
		for _, n := range m.Name {
			named = append(named, n.Service)
		}
	}
	slices.Sort(named)
	want := []string{heyanv1.CatalogService_ServiceDesc.ServiceName, heyanv1.ConsentService_ServiceDesc.ServiceName,
		heyanv1.VerificationService_ServiceDesc.ServiceName}
	if !slices.Equal(named, want) {
		t.Errorf("%q, want %q", named, want)
	}
}

func serve(t *testing.T, r *refusing, config string) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	heyanv1.RegisterVerificationServiceServer(server, r)
	heyanv1.RegisterAdminServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
