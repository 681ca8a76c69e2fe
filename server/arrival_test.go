package server_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// announced opens a call of a method, sends no message, and waits for what becomes of it.
func announced(conn *grpc.ClientConn, method string, patience time.Duration) servertest.Seen {
	return servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		if patience > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, options...)
		if err != nil {
			return err
		}
		return stream.RecvMsg(&heyanv1.VerifyResponse{})
	})
}

// TestStrangersAreTurnedAwayByTheirHeaders: no byte of a message is waited for.
func TestStrangersAreTurnedAwayByTheirHeaders(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	wrong := w.WithKey("hy_wrong")
	for _, c := range []struct {
		conn   *grpc.ClientConn
		method string
		code   codes.Code
		reason string
	}{
		{w.anonymous, unary, codes.Unauthenticated, "CREDENTIAL_MISSING"},
		{w.anonymous, upload, codes.Unauthenticated, "CREDENTIAL_MISSING"},
		{w.anonymous, "/no.Such/Method", codes.Unimplemented, "METHOD_UNKNOWN"},
		{wrong, many, codes.Unauthenticated, "CREDENTIAL_INVALID"},
	} {
		if seen := announced(c.conn, c.method, 0); seen.Code != c.code || seen.Reason != c.reason || seen.Handling == "" || seen.Entry != "" {
			t.Errorf("%s: %v", c.method, seen.Err)
		}
	}
	must(t, w.Flush())
	rows := map[string]uint64{}
	for _, r := range w.Calls(from) {
		rows[servertest.Brief([]record.Record{r})[0]] += r.Tally.Count
	}
	if rows["auth.failed DENIED CREDENTIAL_MISSING"] != 2 || rows["rpc.unknown_method FAILED METHOD_UNKNOWN"] != 1 || rows["auth.failed DENIED CREDENTIAL_INVALID"] != 1 {
		t.Errorf("counted %v", rows)
	}
	// One whose deadline lies far ahead is refused all the same, by the chain.
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, err := heyanv1.NewVerificationServiceClient(w.anonymous).Verify(ctx, w.Request("far", 1))
	if got := refusal(err); got != "Unauthenticated CREDENTIAL_MISSING" {
		t.Errorf("with an hour to go: %v", err)
	}
}

// TestACallWithoutItsMessage: a unary call whose message does not come is ended, and recorded as its caller's,
// whatever deadline it set.
func TestACallWithoutItsMessage(t *testing.T) {
	w := newWorld(t, servertest.Options{Silence: 200 * time.Millisecond})
	from := w.Log.Size()
	if seen := announced(w.bank.Conn, unary, time.Hour); seen.Code != codes.Canceled {
		t.Errorf("ended with %v", seen.Err)
	}
	records := eventually(t, w, from, "verification.verify FAILED DEADLINE_REACHED")
	if records[0].Actor.ID != "bank" {
		t.Errorf("recorded of %q", records[0].Actor.ID)
	}
	if seen, _ := verify(w.bank.Conn, w.Request("next", 1)); seen.Code != codes.OK {
		t.Errorf("a call with its message: %v", seen.Err)
	}
}

// TestACallThatIsCutHasItsRecordFirst: its caller hears of the end when the record is durable, and a defect while it is
// written ends neither the process nor the wait.
func TestACallThatIsCutHasItsRecordFirst(t *testing.T) {
	var armed, released atomic.Bool
	var broken atomic.Bool
	output := &buffer{}
	w := newWorld(t, servertest.Options{Silence: 200 * time.Millisecond, LogOutput: output, OnRecord: func() {
		switch {
		case broken.Load():
			panic("no luck")
		case armed.Load():
			time.Sleep(100 * time.Millisecond)
			released.Store(true)
		}
	}})
	if seen, _ := verify(w.bank.Conn, w.Request("first", 1)); seen.Code != codes.OK { // the connection is logged in
		t.Fatal(seen.Err)
	}
	armed.Store(true)
	from := w.Log.Size()
	if seen := announced(w.bank.Conn, unary, 0); seen.Code != codes.Canceled || !released.Load() {
		t.Errorf("ended with %v, its record begun: %v", seen.Err, released.Load())
	}
	if got := servertest.Brief(w.Calls(from)); len(got) != 1 || got[0] != "verification.verify FAILED DEADLINE_REACHED" {
		t.Errorf("recorded %q", got)
	}
	broken.Store(true)
	if seen := announced(w.bank.Conn, unary, 0); seen.Code != codes.Canceled || w.Waiting() != 0 {
		t.Errorf("with a panic: ended with %v, %d waiting", seen.Err, w.Waiting())
	}
	broken.Store(false)
	if seen, _ := verify(w.bank.Conn, w.Request("next", 1)); seen.Code != codes.OK || !strings.Contains(output.String(), "panic") {
		t.Errorf("afterwards: %v; the operator's log:\n%s", seen.Err, output.String())
	}
}

// TestCallsThatEndBeforeTheirMessage leave a record each, and nothing that waits.
func TestCallsThatEndBeforeTheirMessage(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	gone := func(conn *grpc.ClientConn) {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, unary)
		must(t, err)
		for deadline := time.Now().Add(10 * time.Second); w.Waiting() == 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}
	for name, call := range map[string]func(*grpc.ClientConn){
		"given up":  gone,
		"too large": func(conn *grpc.ClientConn) { send(conn, unary, make([]byte, 12<<20+1)) },
		"none": func(conn *grpc.ClientConn) {
			stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, unary)
			must(t, err)
			must(t, stream.CloseSend())
			if err := stream.RecvMsg(&heyanv1.VerifyResponse{}); err == nil {
				t.Error("answered nothing")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			from := w.Log.Size()
			call(w.bank.Conn)
			records := eventually(t, w, from, "verification.verify CANCELLED CALLER_CANCELLED")
			if records[0].Actor.ID != "bank" {
				t.Errorf("recorded of %q", records[0].Actor.ID)
			}
			// It is forgotten a moment after its record is there.
			for deadline := time.Now().Add(10 * time.Second); w.Waiting() != 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d waiting", w.Waiting())
				}
			}
		})
	}
}

// TestCompressedMessages are refused before they are unpacked, with a record.
func TestCompressedMessages(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		_, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(ctx, w.Request("packed", 1), append(options, grpc.UseCompressor(gzip.Name))...)
		return err
	})
	if seen.Code != codes.InvalidArgument || seen.Reason != "REQUEST_MALFORMED" || w.Open(seen.Entry).Event != record.RPCMalformed {
		t.Errorf("answered %v, trailer %q", seen.Err, seen.Entry)
	}
}

// TestStrangersHaveFewCallsOpen: above 32 on a connection the next is refused, until one ends.
func TestStrangersHaveFewCallsOpen(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watch := func(ctx context.Context) error {
		stream, err := healthv1.NewHealthClient(w.anonymous).Watch(ctx, &healthv1.HealthCheckRequest{})
		must(t, err)
		_, err = stream.Recv()
		return err
	}
	one, end := context.WithCancel(ctx)
	must(t, watch(one))
	for range 31 {
		must(t, watch(ctx))
	}
	if got := refusal(watch(ctx)); got != "ResourceExhausted RATE_LIMITED" {
		t.Errorf("the 33rd: %v", got)
	}
	if got := serving(t, w.bank.Conn); got != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("another connection: %v", got)
	}
	end()
	for deadline := time.Now().Add(10 * time.Second); watch(ctx) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no place came free")
		}
	}
}

// TestStrangersSendLittle: a connection without an identity is closed when it sends more than its calls can need.
func TestStrangersSendLittle(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	method := heyanv1.CatalogService_ListPolicies_FullMethodName
	if seen := send(w.anonymous, method, oversized[:400<<10]); seen.Reason == "" {
		t.Errorf("400 KiB: %v", seen.Err)
	}
	if seen := send(w.anonymous, method, oversized[:400<<10]); seen.Reason == "" {
		t.Errorf("400 KiB once more: %v", seen.Err)
	}
	if seen := send(w.anonymous, method, oversized); seen.Code != codes.Unavailable || seen.Reason != "" {
		t.Errorf("10 MiB: %v", seen.Err)
	}
	if seen := send(w.bank.Conn, method, oversized); seen.Reason != "REQUEST_TOO_LARGE" || seen.Entry == "" {
		t.Errorf("10 MiB of a client: %v", seen.Err)
	}
}

// TestAStopEndsWhatHasNoEnd: followers, watches and calls without a message are told that the server stops, and it
// does not wait for them; an import runs on.
func TestAStopEndsWhatHasNoEnd(t *testing.T) {
	w := newWorld(t, servertest.Options{Drain: time.Hour})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := heyanv1.NewAdminServiceClient(w.system).ImportRecords(ctx)
	must(t, err)
	must(t, stream.Send(w.ImportHeader()))
	from := w.Log.Size()
	follow, err := heyanv1.NewLogServiceClient(w.audit).ListLogEntries(ctx, &heyanv1.ListLogEntriesRequest{Follow: true, StartIndex: from})
	must(t, err)
	_, err = follow.Recv()
	must(t, err)
	watch := watchHealth(t, w)
	var ends sync.WaitGroup
	var followed, silent string
	ends.Go(func() {
		for err == nil {
			_, err = follow.Recv()
		}
		followed = refusal(err)
	})
	ends.Go(func() { silent = announced(w.bank.Conn, unary, 0).Code.String() })
	ends.Go(func() { <-watch })
	for deadline := time.Now().Add(10 * time.Second); w.Waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the silent call did not come")
		}
	}
	var stopped sync.WaitGroup
	stopped.Go(w.Stop)
	ends.Wait()
	must(t, stream.Send(servertest.ImportRows(0, 3)))
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Errorf("the import: %v", err)
	}
	stopped.Wait()
	if followed != "Unavailable SHUTTING_DOWN" || silent != "Canceled" {
		t.Errorf("the follower was told %q, the silent call %q", followed, silent)
	}
	w.restart(nil)
	var got []string
	for _, r := range w.Calls(from) {
		if r.Event == record.LogFollowed || r.Event == record.VerificationVerify || r.Event == record.DatasetImported {
			got = append(got, servertest.Brief([]record.Record{r})...)
		}
	}
	if len(got) != 3 || got[0] != "log.followed FAILED SHUTTING_DOWN" || got[1] != "verification.verify FAILED SHUTTING_DOWN" || got[2] != "dataset.imported SUCCESS" {
		t.Errorf("recorded %q", got)
	}
}
