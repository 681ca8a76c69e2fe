package server_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with a client that bought id2 and people to verify, on a store and a disk that can be made
// to fail.
type world struct {
	*servertest.Server
	t     *testing.T
	store *servertest.Faulty
	disk  *disktest.FS
	bank  *servertest.Client

	system, security, audit, anonymous *grpc.ClientConn
	between                            func() // to be done between a stop and the next start
}

func newWorld(t *testing.T, options servertest.Options) *world {
	t.Helper()
	w := &world{t: t, store: &servertest.Faulty{}, disk: disktest.New()}
	options.Store, options.LogFS = w.store.Wrap, w.disk
	w.Server = servertest.Start(t, options)
	w.dial()
	w.bank = w.Furnish("bank", "id2")
	w.Publish(30)
	return w
}

func (w *world) dial() {
	w.system, w.security, w.audit = w.As(servertest.System), w.As(servertest.Security), w.As(servertest.Audit)
	w.anonymous = w.WithKey("")
}

// logDown makes every flush of the network log fail from now on.
func (w *world) logDown() {
	w.disk.Hook(func(op disktest.Op) error {
		if op.Kind == disktest.Sync {
			return errors.New("injected: no flush")
		}
		return nil
	})
}

// reply is how much of an answer left: messages of the call's own, and whether headers came before them.
type reply struct {
	messages int
	items    []*heyanv1.BatchVerifyResponse_Item
	header   metadata.MD
}

// verify calls Verify.
func verify(conn *grpc.ClientConn, request *heyanv1.VerifyRequest) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		answer, err := heyanv1.NewVerificationServiceClient(conn).Verify(ctx, request, append(options, grpc.Header(&r.header))...)
		if answer != nil {
			r.messages++
		}
		return err
	})
	return seen, r
}

// batch calls BatchVerify.
func batch(conn *grpc.ClientConn, requests ...*heyanv1.VerifyRequest) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		answer, err := heyanv1.NewVerificationServiceClient(conn).BatchVerify(ctx, &heyanv1.BatchVerifyRequest{Requests: requests}, append(options, grpc.Header(&r.header))...)
		if answer != nil {
			r.messages++
		}
		r.items = answer.GetItems()
		return err
	})
	return seen, r
}

// list calls ListLogEntries.
func list(conn *grpc.ClientConn, request *heyanv1.ListLogEntriesRequest) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		stream, err := heyanv1.NewLogServiceClient(conn).ListLogEntries(ctx, request, append(options, grpc.Header(&r.header))...)
		for err == nil {
			if _, err = stream.Recv(); err == nil {
				r.messages++
			}
		}
		return ended(err)
	})
	return seen, r
}

// exporting calls ExportLog.
func exporting(conn *grpc.ClientConn, request *heyanv1.ExportLogRequest) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		stream, err := heyanv1.NewLogServiceClient(conn).ExportLog(ctx, request, append(options, grpc.Header(&r.header))...)
		for err == nil {
			if _, err = stream.Recv(); err == nil {
				r.messages++
			}
		}
		return ended(err)
	})
	return seen, r
}

// importing calls ImportRecords.
func importing(conn *grpc.ClientConn, messages ...*heyanv1.ImportRecordsRequest) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		stream, err := heyanv1.NewAdminServiceClient(conn).ImportRecords(ctx, append(options, grpc.Header(&r.header))...)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if stream.Send(m) != nil {
				break // the status says why
			}
		}
		answer, err := stream.CloseAndRecv()
		if answer != nil {
			r.messages++
		}
		return err
	})
	return seen, r
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// serving asks for the health of the whole server.
func serving(t *testing.T, conn *grpc.ClientConn) healthv1.HealthCheckResponse_ServingStatus {
	t.Helper()
	var status healthv1.HealthCheckResponse_ServingStatus
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}, options...)
		status = answer.GetStatus()
		return err
	})
	if seen.Code != codes.OK {
		t.Fatalf("health answers %v", seen.Err)
	}
	return status
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// policies lists policies without credentials.
func policies(w *world) (servertest.Seen, reply) {
	var r reply
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		answer, err := heyanv1.NewCatalogServiceClient(w.anonymous).ListPolicies(ctx, &heyanv1.ListPoliciesRequest{}, options...)
		if answer != nil {
			r.messages++
		}
		return err
	})
	return seen, r
}

// itemRefusal reads the reason and the log entry of a refused item; both are empty for an answered one.
func itemRefusal(item *heyanv1.BatchVerifyResponse_Item) (reason, entry string) {
	if item.GetStatus() == nil {
		return "", ""
	}
	for _, detail := range status.FromProto(item.GetStatus()).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason(), info.GetMetadata()["log_entry"]
		}
	}
	return "no reason", ""
}
