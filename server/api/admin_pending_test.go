package api

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/workday"
)

func (o *office) listPending(request *heyanv1.ListPendingRequest) outcome[*heyanv1.ListPendingResponse] {
	o.t.Helper()
	return does(o, "anna", "AdminService/ListPending", record.PendingListed, o.admin.ListPending, request)
}

func (o *office) resolve(request *heyanv1.ResolvePendingRequest) outcome[*heyanv1.Verification] {
	o.t.Helper()
	return does(o, "anna", "AdminService/ResolvePending", record.PendingResolved, o.admin.ResolvePending, request)
}

// pend makes a verification whose outcome is not known, and returns its id.
func (o *office) pend(n int) string {
	o.t.Helper()
	v := NewVerification(o.Deps)
	reply := accepted(o.t, run(o.world, o.client("acme"), v.Verify, verifyRequest(n, "测试未知")))
	if reply.GetVerification().GetState() != heyanv1.Verification_STATE_PENDING {
		o.t.Fatalf("not pending: %v", reply)
	}
	return reply.GetVerification().GetId()
}

func (o *office) quota() string {
	o.t.Helper()
	e := o.Directory.Now().Entitlement("acme", "id2")
	used, reserved, err := o.Store.Counter(o.t.Context(), verifier.QuotaKey("acme", "id2", false, e.Quota, o.Now()))
	must(o.t, err)
	rows := value(o.Store.Usage(o.t.Context(), "acme", workday.DateOf(o.Now()), workday.DateOf(o.Now())))(o.t)
	counts := "none"
	if len(rows) == 1 {
		counts = fmt.Sprint(rows[0].Verdicts, rows[0].Billed, rows[0].AmountFen)
	}
	return fmt.Sprintf("used %d, reserved %d, usage %s", used, reserved, counts)
}

func TestResolvePending(t *testing.T) {
	o := newOffice(t)
	matched := o.pend(1)
	o.pass(time.Millisecond) // ids sort by the millisecond
	never := o.pend(2)
	if got := o.quota(); got != "used 0, reserved 2, usage [2 0 0 0 0 0] 0 0" {
		t.Fatalf("before: %s", got)
	}
	first := accepted(t, o.listPending(&heyanv1.ListPendingRequest{PageSize: 1}))
	second := accepted(t, o.listPending(&heyanv1.ListPendingRequest{PageSize: 1, PageToken: first.GetNextPageToken()}))
	if first.GetPending()[0].GetVerification() != matched || second.GetPending()[0].GetVerification() != never || second.GetNextPageToken() != "" {
		t.Errorf("listed %v, then %v", first, second)
	}
	refusedFor(t, o.listPending(&heyanv1.ListPendingRequest{Client: "nobody"}).refused, fault.ResourceNotFound)

	before := o.Log.Size()
	end := o.resolve(&heyanv1.ResolvePendingRequest{Verification: matched, Verdict: heyanv1.Verdict_VERDICT_MATCH, Billing: heyanv1.Billing_BILLING_BILLED})
	if v := accepted(t, end); v.GetVerdict() != heyanv1.Verdict_VERDICT_MATCH || v.GetState() != heyanv1.Verification_STATE_ACTIVE || v.GetReconcileBy() != nil {
		t.Errorf("resolved: %v", v)
	}
	reconciled := o.records(before)[0]
	if reconciled.Event != record.VerificationReconciled || reconciled.Object.ID != matched || reconciled.Processing.Verdict != product.Match.String() ||
		reconciled.Processing.Billing != "BILLED" || end.record.Event != record.PendingResolved {
		t.Errorf("recorded %+v", reconciled)
	}
	receipt := accepted(t, run(o.world, o.client("acme"), NewVerification(o.Deps).GetReceipt, &heyanv1.GetReceiptRequest{Id: matched}))
	if r := value(record.Parse(receipt.GetResolutionLeaf()))(t); r.Event != record.VerificationReconciled {
		t.Errorf("its receipt holds %v", r.Event)
	}
	if got := o.quota(); got != "used 1, reserved 1, usage [1 1 0 0 0 0] 1 50" {
		t.Errorf("after a verdict: %s", got)
	}
	accepted(t, o.resolve(&heyanv1.ResolvePendingRequest{Verification: never}))
	if got := o.quota(); got != "used 1, reserved 0, usage [0 1 0 0 0 0] 1 50" {
		t.Errorf("after a call that never happened: %s", got)
	}
	if left := accepted(t, o.listPending(&heyanv1.ListPendingRequest{})); len(left.GetPending()) != 0 {
		t.Errorf("left: %v", left)
	}
	refusedFor(t, o.resolve(&heyanv1.ResolvePendingRequest{Verification: matched, Billing: heyanv1.Billing_BILLING_FREE}).refused, fault.ResourceNotFound)
}

func TestResolvePendingRefuses(t *testing.T) {
	match := heyanv1.Verdict_VERDICT_MATCH
	tests := []struct {
		name    string
		request *heyanv1.ResolvePendingRequest
		want    wants
	}{
		{"no billing", &heyanv1.ResolvePendingRequest{Verdict: match}, refusal(fault.RequestMalformed, "billing BILLED_OR_FREE")},
		{"unknown billing", &heyanv1.ResolvePendingRequest{Verdict: match, Billing: heyanv1.Billing_BILLING_UNKNOWN}, refusal(fault.RequestMalformed, "billing BILLED_OR_FREE")},
		{"never happened, but billed", &heyanv1.ResolvePendingRequest{Billing: heyanv1.Billing_BILLING_BILLED}, refusal(fault.RequestMalformed, "billing ONLY_FREE")},
		{"PII in the reason", &heyanv1.ResolvePendingRequest{Verdict: match, Billing: heyanv1.Billing_BILLING_FREE, Reason: "13800138000"}, refusal(fault.FreeTextCarriesPII, "reason")},
		{"no id", &heyanv1.ResolvePendingRequest{Verification: "x", Verdict: match, Billing: heyanv1.Billing_BILLING_FREE}, refusal(fault.ResourceNotFound)},
	}
	o := newOffice(t)
	id := o.pend(1)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.request.Verification == "" {
				test.request.Verification = id
			}
			ends(t, o.resolve(test.request), test.want)
		})
	}
	if got := o.quota(); got != "used 0, reserved 1, usage [1 0 0 0 0 0] 0 0" {
		t.Errorf("a refusal changed %s", got)
	}
}

// Of two who settle one verification, one does: the log says one outcome, and it is the row's.
func TestResolvePendingOnce(t *testing.T) {
	o := newOffice(t)
	id, from := o.pend(1), o.Log.Size()
	var group sync.WaitGroup
	for _, verdict := range []heyanv1.Verdict{heyanv1.Verdict_VERDICT_MATCH, heyanv1.Verdict_VERDICT_MISMATCH, heyanv1.Verdict_VERDICT_NO_RECORD, heyanv1.Verdict_VERDICT_MATCH} {
		group.Go(func() {
			call := &journal.Call{Journal: o.Journal, Principal: o.person("anna"), Method: "/heyan.v1.AdminService/ResolvePending"}
			_, _ = o.admin.ResolvePending(journal.With(context.Background(), call),
				&heyanv1.ResolvePendingRequest{Verification: id, Verdict: verdict, Billing: heyanv1.Billing_BILLING_FREE})
		})
	}
	group.Wait()
	var said []string
	for _, r := range o.records(from) {
		if r.Event == record.VerificationReconciled {
			said = append(said, r.Processing.Verdict)
		}
	}
	v := value(o.Store.Verification(t.Context(), "acme", value(ledger.ParseID(id))(t)))(t)
	if len(said) != 1 || said[0] != v.Verdict.String() {
		t.Errorf("the log says %v, the row %v", said, v.Verdict)
	}
}
