package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

func batchOf(requests ...*heyanv1.VerifyRequest) *heyanv1.BatchVerifyRequest {
	return &heyanv1.BatchVerifyRequest{Requests: requests}
}

func TestABatchHasOneToAThousandRequests(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	refusedFor(t, run(w, acme, service.BatchVerify, batchOf()).refused, fault.FieldMissing, "requests")
	requests := make([]*heyanv1.VerifyRequest, maxBatch+1)
	for i := range requests {
		requests[i] = verifyRequest(i, "测试一致")
	}
	before := w.Log.Size()
	refusedFor(t, run(w, acme, service.BatchVerify, batchOf(requests...)).refused, fault.RequestTooLarge, "requests AT_MOST_1000")
	if w.Log.Size() != before+1 {
		t.Error("items of a refused batch were begun")
	}
	end := run(w, acme, service.BatchVerify, batchOf(requests[:maxBatch]...))
	seen := map[uint64]bool{}
	for i, item := range accepted(t, end).GetItems() {
		v := item.GetResponse().GetVerification()
		if v.GetVerdict() != heyanv1.Verdict_VERDICT_MATCH || seen[v.GetLogEntry().GetIndex()] {
			t.Fatalf("item %d: %v", i, item)
		}
		seen[v.GetLogEntry().GetIndex()] = true
	}
	if len(seen) != maxBatch {
		t.Errorf("%d answers", len(seen))
	}
	rows := value(w.store.Usage(t.Context(), "acme", workday.DateOf(start), workday.DateOf(start)))(t)
	if len(rows) != 1 || rows[0].Verdicts[product.Match] != maxBatch {
		t.Errorf("usage %+v", rows)
	}
}

// Each item is gated, counted and logged alone, and the answers stand in the order of the requests.
func TestItemsAreAnsweredAloneAndInOrder(t *testing.T) {
	w := newWorld(t)
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Detail: true, Revision: 1, Quota: product.Quota{Limit: 3, Period: product.Daily}})
	malformed, validate, receipt := verifyRequest(2, "测试一致"), verifyRequest(3, "测试一致"), verifyRequest(4, "测试无记录")
	malformed.Fields.IdNumber = new(string)
	validate.ValidateOnly = true
	receipt.ReturnReceipt, receipt.ClientReference = true, marked+"ref"
	unstamped := verifyRequest(5, "测试一致")
	unstamped.GetConsent().ObtainTime.Nanos = -1
	failing := verifyRequest(6, "测试源故障")
	end := run(w, w.client("acme"), NewVerification(w.Deps).BatchVerify,
		batchOf(verifyRequest(1, "测试不一致"), malformed, validate, receipt, unstamped, failing, nil))
	items := accepted(t, end).GetItems()
	if got := items[0].GetResponse().GetVerification(); got.GetVerdict() != heyanv1.Verdict_VERDICT_MISMATCH || len(got.GetOpening()) != 32 {
		t.Errorf("item 0: %v", got)
	}
	if got := items[2].GetResponse(); !got.GetValidation().GetValid() || got.GetVerification() != nil {
		t.Errorf("item 2: %v", got)
	}
	v := items[3].GetResponse().GetVerification()
	if v.GetVerdict() != heyanv1.Verdict_VERDICT_NO_RECORD || v.GetClientReference() != marked+"ref" {
		t.Errorf("item 3: %v", v)
	}
	proves(t, w, v.GetReceipt().GetLeaf(), v.GetReceipt().GetProof(), v.GetLogEntry().GetIndex())
	for i, reason := range map[int]string{1: "FIELD_MISSING", 4: "REQUEST_MALFORMED", 5: "SOURCE_UNAVAILABLE", 6: "FIELD_MISSING"} {
		info := infoOf(t, items[i].GetStatus())
		logged := w.recordAt(info.GetMetadata()["log_entry"])
		if info.GetReason() != reason || logged.Outcome.Reason != reason || logged.Event != record.VerificationBatchItem {
			t.Errorf("item %d: %v, its record %+v", i, info, logged)
		}
		if i == 1 && (logged.Processing.Product != "id2" || strings.Join(logged.Processing.Fields, " ") != "name id_number") {
			t.Errorf("item %d: %+v", i, logged.Processing)
		}
	}
	if end.record.Event != record.AccountRead || end.record.Object.ID != "" {
		t.Errorf("the call's own record is %+v", end.record)
	}
	items2, validated := 0, 0
	for i := uint64(1); i < w.Log.Size(); i++ {
		r := w.read(i)
		if r.Event == record.VerificationBatchItem {
			items2++
			if r.Outcome.Kind == record.Success && r.Object.ID == "" {
				validated++
			}
		}
	}
	if items2 != 7 || validated != 1 {
		t.Errorf("%d records of items, %d of a validation", items2, validated)
	}
}

// recordAt reads the record that "origin/index" names.
func (w *world) recordAt(entry string) record.Record {
	w.t.Helper()
	var index uint64
	if _, err := fmt.Sscanf(strings.TrimPrefix(entry, w.Log.Origin()+"/"), "%d", &index); err != nil {
		w.t.Fatalf("log entry %q: %v", entry, err)
	}
	return w.read(index)
}

func TestTwinsInABatchAreAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	requests := make([]*heyanv1.VerifyRequest, 40)
	for i := range requests {
		requests[i] = verifyRequest(i%2, "测试一致")
	}
	var asked atomic.Int64
	w.script.during(func(*source.Query) { asked.Add(1) })
	end := run(w, w.client("acme"), NewVerification(w.Deps).BatchVerify, batchOf(requests...))
	ids, fresh := map[string]bool{}, 0
	for i, item := range accepted(t, end).GetItems() {
		v := item.GetResponse().GetVerification()
		if v == nil {
			t.Fatalf("item %d: %v", i, item)
		}
		ids[v.GetId()] = true
		if !v.GetReused() {
			fresh++
		}
	}
	if len(ids) != 2 || fresh != 2 || asked.Load() != 2 {
		t.Errorf("%d verifications, %d of them fresh, source asked %d times; want two of each", len(ids), fresh, asked.Load())
	}
}

func TestAWithheldItemNamesTheRecordThatWithheldIt(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	accepted(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致")))
	w.script.during(func(*source.Query) {
		_, err := w.store.WithdrawEvidence(t.Context(), verifier.EvidenceKey(w.Keys, "acme", marked+"agr"), "onboarding-v3", start)
		must(t, err)
	})
	items := accepted(t, run(w, acme, service.BatchVerify, batchOf(verifyRequest(2, "测试一致")))).GetItems()
	info := infoOf(t, items[0].GetStatus())
	if r := w.recordAt(info.GetMetadata()["log_entry"]); info.GetReason() != "CONSENT_WITHDRAWN" || r.Event != record.VerificationVoided {
		t.Errorf("got %v, its record %+v", info, r)
	}
}

func TestABatchWithoutTheLogFailsAsAWhole(t *testing.T) {
	for name, request := range map[string]func(*heyanv1.VerifyRequest){
		"answered":  func(*heyanv1.VerifyRequest) {},
		"refused":   func(r *heyanv1.VerifyRequest) { r.Product = "" },
		"validated": func(r *heyanv1.VerifyRequest) { r.ValidateOnly = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one := verifyRequest(1, "测试一致")
			request(one)
			w.script.during(func(*source.Query) { _ = w.Log.Close() })
			if name != "answered" {
				must(t, w.Log.Close())
			}
			refusedFor(t, run(w, w.client("acme"), NewVerification(w.Deps).BatchVerify, batchOf(one)).refused, fault.LogUnavailable)
		})
	}
}

// A log that is full for one record only may take the next one; the call fails all the same.
func TestABatchFailsAsAWholeWhereTheLogRefusedOneRecord(t *testing.T) {
	w := newWorld(t)
	w.Journal = journal.New(&busyOnce{Log: w.Log}, w.Now, func() record.Clock { return record.Clock{} }, journal.Hooks{})
	refusedFor(t, run(w, w.client("acme"), NewVerification(w.Deps).BatchVerify, batchOf(verifyRequest(1, "测试一致"))).refused, fault.LogUnavailable)
}

// busyOnce refuses the first record.
type busyOnce struct {
	*netlog.Log
	begun atomic.Bool
}

func (l *busyOnce) Append(leaf []byte) (netlog.Ticket, error) {
	if l.begun.CompareAndSwap(false, true) {
		return netlog.Ticket{}, netlog.ErrBusy
	}
	return l.Log.Append(leaf)
}

func TestABatchStopsAtItsDeadlineAndWhenItsCallerLeaves(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	requests := make([]*heyanv1.VerifyRequest, maxBatch)
	for i := range requests {
		requests[i] = verifyRequest(i, "测试一致")
	}
	ctx, leave := context.WithCancel(t.Context())
	w.script.during(func(*source.Query) { leave() })
	end := runIn(w, ctx, acme, service.BatchVerify, batchOf(requests...))
	refusedFor(t, end.refused, fault.CallerCancelled)
	w.script.during(nil)
	rows := value(w.store.Usage(t.Context(), "acme", workday.DateOf(start), workday.DateOf(start)))(t)
	if len(rows) > 0 && rows[0].Verdicts[product.Match] > 2*batchWorkers {
		t.Errorf("%d requests were answered after the caller had left", rows[0].Verdicts[product.Match])
	}

	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	refusedFor(t, runIn(w, ctx, acme, service.BatchVerify, batchOf(verifyRequest(5000, "测试一致"))).refused, fault.DeadlineReached)
}

// A source that gives up because the call's time is over has not failed: its item's record says so.
func TestAnItemThatRunsOutOfTimeSaysSo(t *testing.T) {
	w := newWorld(t)
	w.Verifier = verifier.New(verifier.Config{
		Catalogue: w.Catalogue, Keys: w.Keys, Directory: func() verifier.Directory { return w.Directory.Now() }, Ledger: w.store, Consents: w.store,
		Sources: source.NewRouter(map[product.ID][]source.Source{"id2": {patient{}}}, patient{}), Now: w.Now, Random: rand.Reader})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	end := runIn(w, ctx, w.client("acme"), NewVerification(w.Deps).BatchVerify, batchOf(verifyRequest(1, "测试一致"), verifyRequest(2, "测试一致")))
	for i, item := range accepted(t, end).GetItems() {
		info := infoOf(t, item.GetStatus())
		if r := w.recordAt(info.GetMetadata()["log_entry"]); info.GetReason() != "DEADLINE_REACHED" || r.Outcome.Reason != "DEADLINE_REACHED" {
			t.Errorf("item %d: %v, its record %+v", i, info, r.Outcome)
		}
	}
}

// patient is a source that waits until nobody does.
type patient struct{}

func (patient) Name() string      { return "registry" }
func (patient) Recipient() string { return "" }
func (patient) Check(ctx context.Context, _ *source.Query) (source.Answer, error) {
	<-ctx.Done()
	return source.Answer{}, fmt.Errorf("no answer: %w", ctx.Err())
}

// An item that was answered and could not be told so has a record of that: not the one that says it was answered.
func TestAFailingReplyHasARecordOfItsOwn(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	accepted(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致")))
	w.Deps.Store = uncountable{w.Deps.Store}
	items := accepted(t, run(w, acme, service.BatchVerify, batchOf(verifyRequest(1, "测试一致")))).GetItems()
	info := infoOf(t, items[0].GetStatus())
	if r := w.recordAt(info.GetMetadata()["log_entry"]); info.GetReason() != "STORE_UNAVAILABLE" || r.Outcome.Kind != record.Failed || r.Outcome.Reason != info.GetReason() {
		t.Errorf("got %v, its record %+v", info, r.Outcome)
	}
}

// uncountable is a store that counts no replay.
type uncountable struct{ store.Store }

func (uncountable) CountReplay(context.Context, usage.Key) error {
	return errors.New("injected: no count")
}

// A panic in a worker must not end the process, and what it says, which may quote a value, must not be kept.
func TestAPanicInABatchIsOpaque(t *testing.T) {
	w := newWorld(t)
	w.script.during(func(*source.Query) { panic(adultID) })
	refused := run(w, w.client("acme"), NewVerification(w.Deps).BatchVerify, batchOf(verifyRequest(1, "测试一致"))).refused
	refusedFor(t, refused, fault.InternalError)
	if cause := refused.Cause.Error(); !strings.Contains(cause, "panic of type string") || strings.Contains(cause, adultID) {
		t.Errorf("its cause is %s", cause)
	}
}

func BenchmarkBatchVerify(b *testing.B) {
	w := newWorld(b)
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Revision: 1, Quota: product.Unlimited})
	service, acme := NewVerification(w.Deps), w.client("acme")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		requests := make([]*heyanv1.VerifyRequest, maxBatch)
		for i := range requests {
			n++
			requests[i] = verifyRequest(n, "测试一致")
		}
		accepted(b, run(w, acme, service.BatchVerify, batchOf(requests...)))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "verifications/s")
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Revision: 1, Quota: product.Unlimited})
	service, acme := NewVerification(w.Deps), w.client("acme")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		accepted(b, run(w, acme, service.Verify, verifyRequest(n, "测试一致")))
	}
}
