package api

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

// Reasons are kept beside what they explain, in the business store, and shown with it; the log has a digest of the
// change and never the text.

// because is a reason that no other text of these tests holds.
func because(n int) string { return fmt.Sprintf("because of ticket %d", 4711+n) }

// reloaded reads what is on file anew, and wants no reason to be in the log.
func (o *office) reloaded() {
	o.t.Helper()
	must(o.t, o.Directory.Reload(o.t.Context()))
	must(o.t, o.Log.Read(o.t.Context(), 0, o.Log.Size(), func(_ uint64, leaf []byte) error {
		if bytes.Contains(leaf, []byte("because of")) {
			o.t.Errorf("a record holds a reason: %q", leaf)
		}
		return nil
	}))
}

func TestReasonOfRevokingAnEntitlement(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	accepted(t, o.sell(offer(func(*heyanv1.Entitlement) {})))
	listed := func() string {
		o.reloaded()
		list := accepted(t, does(o, "cai", "AccessService/ListEntitlements", record.EntitlementListed, o.access.ListEntitlements, &heyanv1.ListEntitlementsRequest{Client: "novel"}))
		return list.GetEntitlements()[0].GetReason()
	}
	for n, by := range []string{"cai", "anna"} { // the second time is the same
		end := does(o, by, "AccessService/RevokeEntitlement", record.EntitlementRevoked, o.access.RevokeEntitlement,
			&heyanv1.RevokeEntitlementRequest{Client: "novel", Product: "id2", Reason: because(n)})
		if got := accepted(t, end).GetReason(); got != because(0) || listed() != because(0) {
			t.Errorf("revoked by %s: %q, listed %q", by, got, listed())
		}
		if c := end.record.Change; (c.Before != c.After) != (n == 0) {
			t.Errorf("the change of the record is %+v", c)
		}
	}
	accepted(t, o.sell(offer(func(e *heyanv1.Entitlement) { e.Reason = "because of nothing" }))) // output only
	if got := listed(); got != "" {
		t.Errorf("sold again, and listed with %q", got)
	}
}

func TestReasonsOfACredential(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	id := accepted(t, o.issue("anna", certificateRequest("novel", "one.novel.example"))).GetCredential().GetId()
	listed := func() string {
		o.reloaded()
		list := accepted(t, does(o, "anna", "AdminService/ListCredentials", record.CredentialListed, o.admin.ListCredentials, &heyanv1.ListCredentialsRequest{Client: "novel"}))
		return list.GetCredentials()[0].GetReason()
	}
	entry := o.Directory.Now().Credentials[id]
	locked := entry.Value
	locked.State, locked.Reason = account.CredentialLocked, "used from a wrong address"
	_, err := o.Directory.PutCredential(t.Context(), locked, entry.Revision)
	must(t, err)
	if got := listed(); got != locked.Reason {
		t.Errorf("locked, and listed with %q", got)
	}
	for n := range 2 { // what is not locked stays as it is
		end := does(o, "bo", "AccessService/UnlockCredential", record.CredentialUnlocked, o.access.UnlockCredential,
			&heyanv1.UnlockCredentialRequest{Id: id, Reason: because(n)})
		if got := accepted(t, end).GetReason(); got != because(0) || listed() != because(0) {
			t.Errorf("unlocked: %q, listed %q", got, listed())
		}
	}
	end := does(o, "anna", "AdminService/RevokeCredential", record.CredentialRevoked, o.admin.RevokeCredential,
		&heyanv1.RevokeCredentialRequest{Id: id, Reason: because(7)})
	if got := accepted(t, end).GetReason(); got != because(7) || listed() != because(7) {
		t.Errorf("revoked: %q, listed %q", got, listed())
	}
}

func TestReasonsOfADataset(t *testing.T) {
	o := newOffice(t)
	for n := range 3 {
		o.importOf("people", personRow(1), personRow(2), personRow(3+n))
	}
	accepted(t, o.activate("bo", "people", 1))
	accepted(t, o.activate("bo", "people", 2))
	listed := func() []*heyanv1.Dataset_Generation {
		o.reloaded()
		list := accepted(t, does(o, "cai", "AdminService/ListDatasets", record.DatasetListed, o.admin.ListDatasets, &heyanv1.ListDatasetsRequest{}))
		return list.GetDatasets()[0].GetGenerations()
	}
	for n := range 4 {
		person := personRow(n%3 + 1).GetFields() // of the third there is none, and of the first no more
		accepted(t, does(o, "anna", "AdminService/DeleteRecords", record.DatasetRecordsDeleted, o.admin.DeleteRecords,
			&heyanv1.DeleteRecordsRequest{Dataset: "people", Subjects: []*heyanv1.Fields{person}, Reason: because(n)}))
		o.pass(time.Minute)
	}
	g := listed()[1]
	if len(g.GetDeletions()) != 2 || g.GetDeletedRecords() != g.GetDeletions()[0].GetRecords()+g.GetDeletions()[1].GetRecords() {
		t.Fatalf("listed %v", g)
	}
	for n, d := range g.GetDeletions() {
		if d.GetReason() != because(n) || d.GetDeletedBy() != "anna" || d.GetRecords() != 5 || !d.GetTime().AsTime().Equal(start.Add(time.Duration(n)*time.Minute)) {
			t.Errorf("deletion %d is listed as %v", n, d)
		}
	}
	for _, c := range []struct {
		generation int64
		n          int
	}{{3, 10}, {3, 11}, {0, 12}, {0, 13}} {
		accepted(t, does(o, "anna", "AdminService/DeleteDataset", record.DatasetDeleted, o.admin.DeleteDataset,
			&heyanv1.DeleteDatasetRequest{Dataset: "people", Generation: c.generation, Reason: because(c.n)}))
	}
	for i, want := range []string{"", because(12), because(10)} { // the first was replaced by the second
		if got := listed()[i]; got.GetReason() != want || got.GetState() != heyanv1.Dataset_STATE_REPLACED {
			t.Errorf("generation %d is listed as %v", i+1, got)
		}
	}
}

// A generation remembers its newest deletions only, and counts them all.
func TestDeletionsAreBounded(t *testing.T) {
	o := newOffice(t)
	o.importOf("people", personRow(1))
	before, revision := o.dataset("people")
	for n := range dataset.MaxDeletions {
		before.Generations[0].Delete(dataset.Deletion{Records: 1, Reason: because(n)})
	}
	_, err := o.Directory.PutDataset(t.Context(), before, revision)
	must(t, err)
	accepted(t, o.activate("bo", "people", 1))
	accepted(t, does(o, "anna", "AdminService/DeleteRecords", record.DatasetRecordsDeleted, o.admin.DeleteRecords,
		&heyanv1.DeleteRecordsRequest{Dataset: "people", Subjects: []*heyanv1.Fields{personRow(1).GetFields()}, Reason: "the newest"}))
	g := o.generation("people", 1)
	if len(g.Deletions) != dataset.MaxDeletions || g.Deletions[0].Reason != because(1) || g.Deletions[dataset.MaxDeletions-1].Reason != "the newest" || g.Deleted != dataset.MaxDeletions+5 {
		t.Errorf("%d deletions are remembered, from %+v on, and %d counted", len(g.Deletions), g.Deletions[0], g.Deleted)
	}
}

// The reason of an outcome stands with the verification, for its client too, and goes with it.
func TestReasonOfResolvingAPending(t *testing.T) {
	o := newOffice(t)
	id := o.pend(1)
	end := o.resolve(&heyanv1.ResolvePendingRequest{Verification: id, Verdict: heyanv1.Verdict_VERDICT_MATCH, Billing: heyanv1.Billing_BILLING_BILLED, Reason: because(1)})
	v := NewVerification(o.Deps)
	read := accepted(t, run(o.world, o.client("acme"), v.GetVerification, &heyanv1.GetVerificationRequest{Id: id}))
	list := accepted(t, run(o.world, o.client("acme"), v.ListVerifications, &heyanv1.ListVerificationsRequest{}))
	for where, got := range map[string]string{"the reply": accepted(t, end).GetResolutionReason(), "GetVerification": read.GetResolutionReason(),
		"ListVerifications": list.GetVerifications()[0].GetResolutionReason()} {
		if got != because(1) {
			t.Errorf("%s says %q", where, got)
		}
	}
	if c := end.record.Change; c == nil || c.Before == c.After {
		t.Errorf("the change of the record is %+v", c)
	}
	accepted(t, run(o.world, o.client("acme"), v.DeleteVerification, &heyanv1.DeleteVerificationRequest{Id: id}))
	o.pass(time.Millisecond)
	never := o.pend(2)
	accepted(t, o.resolve(&heyanv1.ResolvePendingRequest{Verification: never, Reason: because(2)}))
	for _, id := range []string{id, never} {
		left := value(o.Store.Verification(t.Context(), "acme", value(ledger.ParseID(id))(t)))(t)
		if left.ResolutionReason != "" || left.State != ledger.Deleted || left.Product != product.ID("id2") {
			t.Errorf("left of it: %+v", left)
		}
	}
	o.reloaded()
}
