package server_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/source"
)

// TestShutdownUnderLoad: whatever was acknowledged while the server stopped is in the log and in the ledger, every
// other call was refused for a reason that says try again, and a restart on the same data goes on.
func TestShutdownUnderLoad(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	var mu sync.Mutex
	acknowledged := map[string]*heyanv1.Verification{}
	refused := map[string]int{}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for c := range 16 {
		conn := w.WithKey(w.bank.Key)
		callers.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("load-%d-%d", c, n)
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				answer, err := heyanv1.NewVerificationServiceClient(conn).Verify(ctx, w.Request(id, 1+(c+n)%29))
				cancel()
				mu.Lock()
				if err == nil {
					acknowledged[id] = answer.GetVerification()
				} else {
					refused[refusal(err)]++
				}
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for enough := false; !enough; time.Sleep(time.Millisecond) {
		mu.Lock()
		enough = len(acknowledged) >= 200
		mu.Unlock()
	}
	from := w.Log.Size()
	w.restart(func() {
		close(stop)
		callers.Wait()
	})
	for reason := range refused {
		if reason != "Unavailable" && reason != "Unavailable SHUTTING_DOWN" {
			t.Errorf("%d calls were refused with %q", refused[reason], reason)
		}
	}
	for id, v := range acknowledged {
		checkKept(t, w, id, v)
	}
	records := w.Calls(from)
	stopped := slices.IndexFunc(records, func(r record.Record) bool { return r.Event == record.SystemStopped })
	if stopped < 0 || records[stopped].Status == nil || records[stopped].Status.Uptime <= 0 {
		t.Fatalf("no record of the stop in %q", servertest.Brief(records))
	}
	if got := servertest.Brief(records[stopped:]); !slices.Equal(got, []string{"system.stopped SUCCESS", "config.loaded SUCCESS", "system.started SUCCESS"}) {
		t.Errorf("after the stop: %q", got)
	}
	report, err := w.Log.Verify(context.Background())
	must(t, err)
	if !report.Whole() {
		t.Errorf("the log is not whole: %v", report.Findings)
	}
	if seen, _ := verify(w.bank.Conn, w.Request("afterwards", 1)); seen.Code != codes.OK {
		t.Errorf("after the restart: %v", seen.Err)
	}
}

// refusal names how a call failed.
func refusal(err error) string {
	seen := servertest.See(func(context.Context, ...grpc.CallOption) error { return err })
	if seen.Reason == "" {
		return seen.Code.String()
	}
	return seen.Code.String() + " " + seen.Reason
}

// checkKept: an acknowledged answer is in the log where its reply said, and in the ledger.
func checkKept(t *testing.T, w *world, request string, v *heyanv1.Verification) {
	t.Helper()
	own := w.Open(servertest.Entry(v.GetLogEntry()))
	if own.Event != record.VerificationVerify || own.Object.ID != v.GetId() || own.Outcome.Kind != record.Success {
		t.Errorf("%s is in the log as %v of %+v", request, own.Event, own.Object)
	}
	id, err := ledger.ParseID(v.GetId())
	must(t, err)
	if row, err := w.Store.Verification(context.Background(), "bank", id); err != nil || row.Log.Index != v.GetLogEntry().GetIndex() {
		t.Errorf("%s is not in the ledger as acknowledged: %v", request, err)
	}
}

// TestShutdownWaits: a call in flight is answered, health says NOT_SERVING meanwhile, and new connections find
// nobody.
func TestShutdownWaits(t *testing.T) {
	w, authority := withAuthority(t, servertest.Options{})
	asked, answer := make(chan struct{}), make(chan struct{})
	authority.before(func(context.Context, *source.Query) error {
		close(asked)
		<-answer
		return nil
	})
	watch := watchHealth(t, w)
	var seen servertest.Seen
	var calls sync.WaitGroup
	calls.Go(func() { seen, _ = verify(w.bank.Conn, w.Request("slow", 1)) })
	<-asked
	var stopped sync.WaitGroup
	stopped.Go(w.Stop)
	if got := <-watch; got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while stopping: %v", got)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", w.Address)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("still listening")
		}
	}
	close(answer)
	calls.Wait()
	stopped.Wait()
	if seen.Code != codes.OK || seen.Entry == "" {
		t.Errorf("the call in flight: %v", seen.Err)
	}
}

// watchHealth watches the health of the server, and gives what comes after SERVING.
func watchHealth(t *testing.T, w *world) <-chan healthv1.HealthCheckResponse_ServingStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	stream, err := healthv1.NewHealthClient(w.anonymous).Watch(ctx, &healthv1.HealthCheckRequest{})
	must(t, err)
	first, err := stream.Recv()
	must(t, err)
	if first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health begins with %v", first.GetStatus())
	}
	next := make(chan healthv1.HealthCheckResponse_ServingStatus, 1)
	go func() {
		answer, err := stream.Recv()
		if err != nil {
			close(next)
			return
		}
		next <- answer.GetStatus()
		cancel() // or the stop would wait for the watch
	}()
	return next
}

// TestShutdownIsBounded: a call that does not end is cut off after Drain, recorded, and its verification settled.
func TestShutdownIsBounded(t *testing.T) {
	w, authority := withAuthority(t, servertest.Options{Drain: 300 * time.Millisecond})
	asked := make(chan struct{})
	authority.before(func(ctx context.Context, _ *source.Query) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	})
	from := w.Log.Size()
	var seen servertest.Seen
	var calls sync.WaitGroup
	calls.Go(func() { seen, _ = verify(w.bank.Conn, w.Request("endless", 1)) })
	<-asked
	w.Stop()
	calls.Wait()
	if seen.Code != codes.Unavailable {
		t.Errorf("the endless call: %v", seen.Err)
	}
	w.restart(nil)
	want := []string{"verification.verify CANCELLED CALLER_CANCELLED", "system.stopped SUCCESS"}
	if got := servertest.Brief(w.Calls(from)); len(got) < 2 || !slices.Equal(got[:2], want) {
		t.Errorf("recorded %q, want %q first", got, want)
	}
}

// TestReadinessAtAStop: readiness and health say so from the beginning, while calls are answered still.
func TestReadinessAtAStop(t *testing.T) {
	w := newWorld(t, servertest.Options{Notice: time.Second})
	ready := func() bool {
		return !slices.ContainsFunc(w.Ready(), func(c telemetry.Check) bool { return !c.OK })
	}
	if !ready() {
		t.Error("a server that serves is not ready")
	}
	watch := watchHealth(t, w)
	var stopped sync.WaitGroup
	stopped.Go(w.Stop)
	if got := <-watch; got != healthv1.HealthCheckResponse_NOT_SERVING || ready() {
		t.Errorf("health says %v, ready %v", got, ready())
	}
	if seen, _ := verify(w.bank.Conn, w.Request("late", 1)); seen.Code != codes.OK {
		t.Errorf("a call meanwhile: %v", seen.Err)
	}
	stopped.Wait()
}

// TestHealthWithoutAStore: a store that has stopped is said to whoever asks for health, as a log that has stopped is.
func TestHealthWithoutAStore(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	watch := watchHealth(t, w)
	w.store.Halt()
	if got := <-watch; got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health says %v", got)
	}
	w.store.Hook(nil)
}
