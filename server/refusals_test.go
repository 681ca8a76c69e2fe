package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/source"
)

// refusalTally counts refusals by reason.
type refusalTally struct {
	tally
	reasons map[fault.Reason]int
}

func (m *refusalTally) Refused(reason fault.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reasons[reason]++
}

// TestFailuresSpendNoBudget: what Heyan could not do is on record each time, as a failure, however often; it is nobody's
// attack, and closes no connection.
func TestFailuresSpendNoBudget(t *testing.T) {
	m := &refusalTally{reasons: map[fault.Reason]int{}}
	w := newWorld(t, servertest.Options{Metrics: m})
	w.store.Down()
	defer w.store.Hook(nil)
	from := w.Log.Size()
	const each = 600 // in single calls and in items: each more than the budget
	for range each {
		if seen, _ := verify(w.bank.Conn, w.Request("x", 1)); seen.Reason != "STORE_UNAVAILABLE" || seen.Entry == "" {
			t.Fatal(seen.Err)
		}
	}
	requests := make([]*heyanv1.VerifyRequest, each)
	for i := range requests {
		requests[i] = w.Request("y", 1)
	}
	if seen, _ := batch(w.bank.Conn, requests...); seen.Code != codes.OK {
		t.Fatal(seen.Err)
	}
	w.store.Hook(nil)
	failures := 0
	for _, r := range w.Records(from) {
		if r.Event == record.BudgetExhausted || r.Event == record.RefusalBulk {
			t.Fatalf("an outage is on record as %v", r.Event)
		}
		if r.Outcome.Kind == record.Failed {
			failures++
		}
	}
	if failures != 2*each {
		t.Errorf("%d failures on record, want %d", failures, 2*each)
	}
	if seen, _ := verify(w.bank.Conn, w.Request("z", 1)); seen.Code != codes.OK {
		t.Errorf("afterwards: %v", seen.Err)
	}
	if got := m.reasons[fault.StoreUnavailable]; got != 2*each {
		t.Errorf("%d refusals counted, want %d: items of a batch count each", got, 2*each)
	}
}

// TestUnknownMethodsSpendTheBudget: what a client can cause by itself has a bound, whatever the reason is called.
func TestUnknownMethodsSpendTheBudget(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	thaw := w.Clock.Freeze()
	defer thaw()
	from := w.Log.Size()
	for range 700 {
		_ = w.bank.Conn.Invoke(t.Context(), "/heyan.v1.VerificationService/Guess", &heyanv1.VerifyRequest{}, &heyanv1.VerifyResponse{})
	}
	each, exhausted := 0, 0
	for _, r := range w.Records(from) {
		switch r.Event {
		case record.RPCUnknownMethod:
			each++
		case record.BudgetExhausted:
			exhausted++
		}
	}
	if each != 500 || exhausted != 1 {
		t.Errorf("%d records of unknown methods, budget exhausted %d times; want 500 and 1", each, exhausted)
	}
}

// TestHeartbeatCountsFailures: refusals are no failures of Heyan's. Beside them stands what the machine says of itself.
func TestHeartbeatCountsFailures(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	must(t, w.Heartbeat())
	for range 3 {
		verify(w.bank.Conn, groundless(w, "a"))
	}
	w.store.Down()
	verify(w.bank.Conn, w.Request("b", 1))
	w.store.Hook(nil)
	from := w.Log.Size()
	must(t, w.Heartbeat())
	for _, r := range w.Records(from) {
		if r.Event == record.SystemHeartbeat && (r.Status.Calls != 4 || r.Status.Failures != 1) {
			t.Errorf("%d calls, %d failures; want 4 and 1", r.Status.Calls, r.Status.Failures)
		}
		if r.Event == record.SystemHeartbeat && (r.Status.LoadMilli != 1250 || r.Status.DiskFree != 7<<30 || r.Status.DiskTotal != 9<<30) {
			t.Errorf("the machine: %+v", r.Status)
		}
		if r.Event == record.SystemHeartbeat && !slices.Equal(r.Status.Sources, []record.Health{{Name: "registry", State: "up"}}) {
			t.Errorf("the authorities: %+v", r.Status.Sources)
		}
	}
}

// TestTrafficOfWhatWasRefused: the record of a message that was too large or could not be read says how large it was.
func TestTrafficOfWhatWasRefused(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	for _, size := range []int{100 << 10, 2 << 20} {
		request := w.Request("large", 1)
		*request.Fields.Name = strings.Repeat("x", size)
		from := w.Log.Size()
		if seen, _ := verify(w.bank.Conn, request); seen.Reason != "REQUEST_TOO_LARGE" {
			t.Fatal(seen.Err)
		}
		calls := w.Calls(from)
		if got := calls[len(calls)-1].Traffic.BytesIn; got < uint64(size) || got > uint64(size)+1000 {
			t.Errorf("a message of %d bytes is on record with %d", size, got)
		}
	}
}

// TestTwinIsTold: who waits for a twin learns of it before the call's time is over, with when to ask again.
func TestTwinIsTold(t *testing.T) {
	w, authority := withAuthority(t, servertest.Options{})
	asked, release := make(chan struct{}, 1), make(chan struct{})
	authority.before(func(ctx context.Context, _ *source.Query) error {
		asked <- struct{}{}
		<-release
		return nil
	})
	first := make(chan error, 1)
	go func() {
		_, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(context.Background(), w.Request("twin", 1))
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(ctx, w.Request("twin", 1))
	s, _ := status.FromError(err)
	if s.Code() != codes.Aborted || !strings.HasPrefix(s.Message(), "REQUEST_IN_PROGRESS") || !hasRetry(s) {
		t.Errorf("the twin is told %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	answer, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).BatchVerify(ctx, &heyanv1.BatchVerifyRequest{Requests: []*heyanv1.VerifyRequest{w.Request("twin", 1)}})
	must(t, err)
	if reason, entry := itemRefusal(answer.GetItems()[0]); reason != "REQUEST_IN_PROGRESS" || entry == "" {
		t.Errorf("the twin in a batch is told %q", reason)
	}
	close(release)
	must(t, <-first)
}

func hasRetry(s *status.Status) bool {
	for _, detail := range s.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return retry.GetRetryDelay().AsDuration() > 0
		}
	}
	return false
}

// TestConnectionOutlivesItsCertificate: a certificate that ends while its connection is open serves no further call.
func TestConnectionOutlivesItsCertificate(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	if seen, _ := list(w.audit, nil); seen.Code != codes.OK {
		t.Fatal(seen.Err)
	}
	w.Clock.Set(w.Clock.Now().Add(1001 * time.Hour)) // a day more than its certificate is good for
	from := w.Log.Size()
	seen, _ := list(w.audit, nil)
	if seen.Code != codes.Unauthenticated || seen.Reason != "CREDENTIAL_EXPIRED" {
		t.Errorf("answered %v %q", seen.Code, seen.Reason)
	}
	calls := w.Calls(from)
	if len(calls) == 0 || calls[len(calls)-1].Actor.ID != servertest.Audit {
		t.Errorf("the refusal is on record as %q", servertest.Brief(calls))
	}
}
