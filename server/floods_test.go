package server_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// groundlessBatch is n requests that are refused each.
func groundlessBatch(w *world, n int) []*heyanv1.VerifyRequest {
	requests := make([]*heyanv1.VerifyRequest, n)
	for i := range requests {
		requests[i] = groundless(w, fmt.Sprintf("flood-%d", i))
	}
	return requests
}

// TestRefusalFloodInABatch: refused items spend the budget as refused calls do. Above it they are answered and counted, its
// connection is closed when the batch has had its answer, and the ledger's mark is not held up.
func TestRefusalFloodInABatch(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	thaw := w.Clock.Freeze()
	defer thaw()
	from := w.Log.Size()
	requests := append([]*heyanv1.VerifyRequest{w.Request("good", 1)}, groundlessBatch(w, 900)...)
	seen, r := batch(w.bank.Conn, requests...)
	if seen.Code != codes.OK || seen.Entry == "" || len(r.items) != 901 {
		t.Fatalf("above the budget: %v, trailer %q, %d items", seen.Err, seen.Entry, len(r.items))
	}
	answered, recorded := 0, 0
	for _, item := range r.items {
		if item.GetResponse() != nil {
			answered++
			continue
		}
		info := infoOf(item.GetStatus())
		if info.GetReason() != "CONSENT_MISSING" {
			t.Fatalf("a refused item: %v", item)
		}
		if info.GetMetadata()["log_entry"] != "" {
			recorded++
		}
	}
	if answered != 1 || recorded != 500 {
		t.Errorf("%d items were answered, %d refusals name their record", answered, recorded)
	}
	waitForLogout(t, w, from, "bank")
	want := map[string]int{"verification.batch SUCCESS": 1, "verification.batch_item SUCCESS": 1, "verification.batch_item DENIED CONSENT_MISSING": 500, "budget.exhausted DENIED CONSENT_MISSING": 1}
	var count map[string]int
	for deadline := time.Now().Add(10 * time.Second); !maps.Equal(count, want) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		count = map[string]int{} // the connection is closed while other items are under way
		for _, entry := range servertest.Brief(w.Calls(from)) {
			count[entry]++
		}
	}
	if !maps.Equal(count, want) {
		t.Errorf("recorded %v", count)
	}
	for settled, deadline := false, time.Now().Add(10*time.Second); !settled; time.Sleep(time.Millisecond) {
		mark, err := w.Mark()
		must(t, err)
		if settled = mark == w.Log.Size(); time.Now().After(deadline) {
			t.Fatalf("the mark stands at %d of %d", mark, w.Log.Size())
		}
	}
	from = w.Log.Size()
	must(t, w.Flush())
	total := uint64(0)
	for _, r := range w.Calls(from) {
		if r.Event == record.RefusalBulk && r.Action == many && r.Actor.ID == "bank" {
			total += r.Tally.Count
		}
	}
	if total == 0 {
		t.Error("no refusal above the budget was counted")
	}
	if seen, _ := verify(w.bank.Conn, w.Request("next", 1)); seen.Code != codes.OK {
		t.Errorf("a good call over a new connection: %v", seen.Err)
	}
}

// infoOf returns the ErrorInfo of an item's status.
func infoOf(s *statuspb.Status) *errdetails.ErrorInfo {
	for _, detail := range status.FromProto(s).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// TestABatchCountsWhole: a batch takes as many calls of the rate as it holds requests. One that asks for more than
// a bucket holds passes when it is full, and what it took has to come in again.
func TestABatchCountsWhole(t *testing.T) {
	w := newWorld(t, servertest.Options{Rate: 10})
	w.Clock.Set(w.Clock.Now().Add(time.Hour)) // what setting up took is back
	thaw := w.Clock.Freeze()
	defer thaw()
	requests := make([]*heyanv1.VerifyRequest, 30)
	for i := range requests {
		requests[i] = w.Request(fmt.Sprint("rate-", i), 1)
	}
	if seen, _ := batch(w.bank.Conn, requests...); seen.Code != codes.OK {
		t.Fatalf("with a full bucket: %v", seen.Err)
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{0, "RATE_LIMITED"}, {time.Second, "RATE_LIMITED"}, {200 * time.Millisecond, ""}} {
		w.Clock.Set(w.Clock.Now().Add(step.later))
		if seen, _ := verify(w.bank.Conn, w.Request("after", 1)); seen.Reason != step.want {
			t.Errorf("%v later: %v", step.later, seen.Err)
		}
	}
}

// TestTheOperatorsLogIsNotFilled: strangers, and refusals that are only counted, leave no line in it; a failure that
// meets every call leaves one a second.
func TestTheOperatorsLogIsNotFilled(t *testing.T) {
	output := &buffer{}
	w := newWorld(t, servertest.Options{LogOutput: output})
	lines := func(reason string) int { return strings.Count(output.String(), `"reason":"`+reason+`"`) }
	for range 20 {
		verify(w.anonymous, w.Request("a", 1))
		send(w.anonymous, "/no.Such/Method", nil)
		send(w.anonymous, heyanv1.CatalogService_ListPolicies_FullMethodName, broken)
	}
	if text := output.String(); strings.Contains(text, "refused") {
		t.Errorf("strangers wrote %s", text)
	}
	thaw := w.Clock.Freeze()
	defer thaw()
	for range 510 {
		verify(w.bank.Conn, groundless(w, "f"))
	}
	if n := lines("CONSENT_MISSING"); n != 500 {
		t.Errorf("%d lines of refusals, want those of the 500 with a record", n)
	}
	for i := range 10 {
		down(verifyAs(bank, fmt.Sprint("down-", i)))(w)
	}
	if n := lines("STORE_UNAVAILABLE"); n != 1 {
		t.Errorf("%d lines of one failure in the same second", n)
	}
	w.Clock.Set(w.Clock.Now().Add(time.Second))
	down(verifyAs(bank, "down-again"))(w)
	if n := lines("STORE_UNAVAILABLE"); n != 2 {
		t.Errorf("%d lines of one failure a second later", n)
	}
}
