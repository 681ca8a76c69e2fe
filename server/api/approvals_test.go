package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// basisRequest asks for a legal basis that needs two persons.
func basisRequest(id, approval string) *heyanv1.CreateLegalBasisRequest {
	return &heyanv1.CreateLegalBasisRequest{Approval: approval, LegalBasis: &heyanv1.LegalBasis{
		Id: id, Kind: heyanv1.LegalBasis_KIND_CRIMINAL_JUSTICE, Citation: "公安机关调取证据通知书", DailyCap: 5,
		Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_LEGAL_OBLIGATION}, ExpireTime: inYears(1),
	}}
}

func (o *office) createBasis(by string, request *heyanv1.CreateLegalBasisRequest) outcome[*heyanv1.LegalBasis] {
	o.t.Helper()
	return does(o, by, "AccessService/CreateLegalBasis", record.LegalBasisCreated, o.access.CreateLegalBasis, request)
}

func (o *office) reject(by, id string) outcome[*heyanv1.Approval] {
	o.t.Helper()
	return does(o, by, "ComplianceService/Reject", record.ApprovalRejected, o.compliance.Reject, &heyanv1.RejectRequest{Id: id, Reason: "not now"})
}

func TestTwoPersonAct(t *testing.T) {
	o := newOffice(t)
	from := o.Log.Size()
	asked := o.createBasis("bo", basisRequest("police", ""))
	refusedFor(t, asked.refused, fault.ApprovalRequired)
	id := asked.refused.Metadata["approval"]
	if again := o.createBasis("bo", basisRequest("police", "")); again.refused.Metadata["approval"] != id {
		t.Error("asked twice for the same, another approval was made")
	}
	if len(o.Directory.Now().LegalBases) != 1 { // the world's own
		t.Error("done without approval")
	}
	approved := o.approve("anna", id)
	statement := accepted(t, approved)
	if at, _ := approved.call.At(); statement.GetLogEntry().GetIndex() != at.Index || statement.GetLogEntry().GetOrigin() != at.Origin {
		t.Errorf("the approval names %v, its statement stands at %v", statement.GetLogEntry(), at)
	}
	if r := approved.record; r.Event != record.ApprovalApproved || r.Object.ID != id || r.Actor.ID != "anna" || len(r.Change.Digests) != 1 {
		t.Errorf("the statement says %+v", r)
	}
	basis := accepted(t, o.createBasis("bo", basisRequest("police", id)))
	if basis.GetCreatedBy() != "bo" || basis.GetApprovedBy() != "anna" {
		t.Errorf("created by %q, approved by %q", basis.GetCreatedBy(), basis.GetApprovedBy())
	}
	events := map[record.Event]int{}
	for _, r := range o.records(from) {
		events[r.Event]++
	}
	if events[record.ApprovalRequested] != 1 || events[record.ApprovalApproved] != 1 || events[record.LegalBasisCreated] != 3 {
		t.Errorf("the log holds %v", events)
	}
	// Once only: the id is taken now, so try another with the used approval.
	refusedFor(t, o.createBasis("bo", basisRequest("police-2", id)).refused, fault.ApprovalRequired, "approval OTHER_CONTENT")
	if o.Directory.Now().Approvals[id].Value.State != role.Done {
		t.Error("a used approval is not done")
	}
}

func TestAnApprovalIsForOneActOfOneOperator(t *testing.T) {
	o := newOffice(t)
	o.bind("dan", role.Binding{Person: "dan", Roles: role.Of(role.SecurityAdmin)})
	id := agree(o, o.createBasis("bo", basisRequest("police", "")), "anna")
	other := basisRequest("police", id)
	other.LegalBasis.DailyCap = 5_000_000
	refusedFor(t, o.createBasis("bo", other).refused, fault.ApprovalRequired, "approval OTHER_CONTENT")
	refusedFor(t, o.createBasis("dan", basisRequest("police", id)).refused, fault.ApprovalRequired, "approval OTHER_CONTENT")
	refusedFor(t, o.createBasis("bo", basisRequest("police", "no-such-approval")).refused, fault.ResourceNotFound, "approval UNKNOWN")
	o.pass(role.ApprovalLife)
	refusedFor(t, o.createBasis("bo", basisRequest("police", id)).refused, fault.ApprovalRequired, "approval LAPSED")
}

// A second use is told what it is: neither a deadline, nor a call to wait for somebody who has decided already.
func TestAUsedApproval(t *testing.T) {
	o := newOffice(t)
	request := &heyanv1.IssueCredentialRequest{Client: "acme", Kind: heyanv1.Credential_KIND_API_KEY}
	id := o.issue("anna", request).refused.Metadata["approval"]
	request.Approval = id
	undecided := o.issue("anna", request).refused
	refusedFor(t, undecided, fault.ApprovalRequired, "approval WAITING")
	if undecided.Metadata["approval"] != id {
		t.Errorf("who waits is told to have %q approved", undecided.Metadata["approval"])
	}
	accepted(t, o.approve("bo", id))
	accepted(t, o.issue("anna", request))
	used := o.issue("anna", request).refused
	refusedFor(t, used, fault.ApprovalRequired, "approval USED")
	if used.Metadata["approval"] != "" {
		t.Error("a used approval is named as if somebody had to decide on it")
	}
}

func TestApprovalUsedByManyActsOnce(t *testing.T) {
	o := newOffice(t)
	id := agree(o, o.issue("anna", &heyanv1.IssueCredentialRequest{Client: "acme", Kind: heyanv1.Credential_KIND_API_KEY}), "bo")
	before := len(o.Directory.Now().Credentials)
	// Two servers share no mutex, so the approval alone has to hold.
	admins := []*Admin{NewAdmin(o.Deps), NewAdmin(o.Deps), NewAdmin(o.Deps), NewAdmin(o.Deps)}
	var group sync.WaitGroup
	for _, admin := range admins {
		group.Go(func() {
			call := &journal.Call{Journal: o.Journal, Principal: o.person("anna"), Method: "/heyan.v1.AdminService/IssueCredential"}
			_, _ = admin.IssueCredential(journal.With(context.Background(), call),
				&heyanv1.IssueCredentialRequest{Client: "acme", Kind: heyanv1.Credential_KIND_API_KEY, Approval: id})
		})
	}
	group.Wait()
	if issued := len(o.Directory.Now().Credentials) - before; issued != 1 {
		t.Errorf("%d credentials by one approval", issued)
	}
}

func TestWhoMayDecide(t *testing.T) {
	tests := []struct {
		name    string
		decider string
		days    int
		want    wants
	}{
		{"the one who asked", "bo", 0, refusal(fault.SeparationOfDuties)},
		{"the same human being under another id", "bo-2", 0, refusal(fault.SeparationOfDuties)},
		{"bound by who asked, young", "eve", 6, refusal(fault.SeparationOfDuties)},
		{"bound by who asked, approved by a third", "fay", 0, wants{}},
		{"another person", "anna", 0, wants{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice(t)
			privacy := role.Of(role.PrivacyOfficer)
			o.bind("bo-2", role.Binding{Person: "bo", Roles: privacy})
			o.bind("eve", role.Binding{Person: "eve", Roles: privacy, BoundBy: "bo", ApprovedBy: "eve"})
			o.bind("fay", role.Binding{Person: "fay", Roles: privacy, BoundBy: "bo", ApprovedBy: "anna"})
			id := o.createBasis("bo", basisRequest("police", "")).refused.Metadata["approval"]
			o.pass(day * 6)
			ends(t, o.approve(test.decider, id), test.want)
		})
	}
}

// Who was bound by the requester counts from the 30th day on.
func TestThirtyDays(t *testing.T) {
	o := newOffice(t)
	o.bind("eve", role.Binding{Person: "eve", Roles: role.Of(role.PrivacyOfficer), BoundBy: "bo"})
	o.pass(30*day - 1)
	id := o.createBasis("bo", basisRequest("police", "")).refused.Metadata["approval"]
	refusedFor(t, o.approve("eve", id).refused, fault.SeparationOfDuties)
	o.pass(1)
	accepted(t, o.approve("eve", id))
}

func TestApproveNothingUnseen(t *testing.T) {
	o := newOffice(t)
	id := o.createBasis("bo", basisRequest("police", "")).refused.Metadata["approval"]
	for _, sum := range [][]byte{nil, make([]byte, 32)} {
		end := does(o, "anna", "ComplianceService/Approve", record.ApprovalApproved, o.compliance.Approve, &heyanv1.ApproveRequest{Id: id, RequestSha256: sum})
		refusedFor(t, end.refused, fault.RequestMalformed, "request_sha256 NOT_OF_THIS_APPROVAL")
	}
	refusedFor(t, does(o, "anna", "ComplianceService/Approve", record.ApprovalApproved, o.compliance.Approve,
		&heyanv1.ApproveRequest{Id: "0190b1a0-0000-7000-8000-000000000001"}).refused, fault.ResourceNotFound)
	// Who asked was revoked meanwhile.
	entry := o.Directory.Now().Operators["bo"]
	gone := entry.Value
	gone.State = role.Revoked
	_, err := o.Directory.PutOperator(t.Context(), gone, entry.Revision)
	must(t, err)
	refusedFor(t, o.approve("anna", id).refused, fault.DeadlinePassed)
}

func TestReject(t *testing.T) {
	for _, by := range []string{"bo", "anna"} { // who asked takes it back, another one refuses
		o := newOffice(t)
		id := agree(o, o.createBasis("bo", basisRequest("police", "")), "anna")
		rejected := accepted(t, o.reject(by, id))
		if rejected.GetState() != heyanv1.Approval_STATE_REJECTED || rejected.GetDecidedBy() != by || rejected.GetReason() != "not now" {
			t.Errorf("rejected as %v", rejected)
		}
		refusedFor(t, o.reject(by, id).refused, fault.DeadlinePassed)
		refusedFor(t, o.approve("anna", id).refused, fault.DeadlinePassed)
		refusedFor(t, o.createBasis("bo", basisRequest("police", id)).refused, fault.ApprovalRequired, "approval REJECTED")
	}
}

func TestListApprovals(t *testing.T) {
	o := newOffice(t)
	var ids []string
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, o.createBasis("bo", basisRequest(name, "")).refused.Metadata["approval"])
		o.pass(1_000_000)
	}
	slices.Reverse(ids)
	accepted(t, o.approve("anna", ids[0]))
	list := func(request *heyanv1.ListApprovalsRequest) outcome[*heyanv1.ListApprovalsResponse] {
		return does(o, "anna", "ComplianceService/ListApprovals", record.ApprovalListed, o.compliance.ListApprovals, request)
	}
	first := accepted(t, list(&heyanv1.ListApprovalsRequest{PageSize: 2}))
	second := accepted(t, list(&heyanv1.ListApprovalsRequest{PageSize: 2, PageToken: first.GetNextPageToken()}))
	var got []string
	for _, a := range append(first.GetApprovals(), second.GetApprovals()...) {
		got = append(got, a.GetId())
	}
	if !slices.Equal(got, ids) || second.GetNextPageToken() != "" {
		t.Errorf("listed %v, want %v newest first", got, ids)
	}
	if waiting := accepted(t, list(&heyanv1.ListApprovalsRequest{State: heyanv1.Approval_STATE_WAITING})); len(waiting.GetApprovals()) != 2 {
		t.Errorf("%d wait", len(waiting.GetApprovals()))
	}
	refusedFor(t, list(&heyanv1.ListApprovalsRequest{PageSize: 1001}).refused, fault.RequestMalformed, "page_size 1_TO_1000")
	refusedFor(t, list(&heyanv1.ListApprovalsRequest{PageToken: first.GetNextPageToken(), State: heyanv1.Approval_STATE_WAITING}).refused,
		fault.RequestMalformed, "page_token NOT_OF_THIS_LIST")
	o.pass(role.ApprovalLife)
	if lapsed := accepted(t, list(&heyanv1.ListApprovalsRequest{State: heyanv1.Approval_STATE_EXPIRED})); len(lapsed.GetApprovals()) != 3 {
		t.Errorf("%d lapsed", len(lapsed.GetApprovals()))
	}
}

func TestSummaryHoldsNoFreeText(t *testing.T) {
	o := newOffice(t)
	request := basisRequest("police", "")
	id := o.createBasis("bo", request).refused.Metadata["approval"]
	for _, line := range o.Directory.Now().Approvals[id].Value.Summary {
		if strings.Contains(line, request.GetLegalBasis().GetCitation()) {
			t.Errorf("line %q", line)
		}
	}
}

// An approval is worth no more than its approver is, on the day that it is used.
func TestAnApprovalDoesNotOutliveItsApprover(t *testing.T) {
	o := newOffice(t)
	id := agree(o, o.createBasis("bo", basisRequest("police", "")), "anna")
	anna := o.Directory.Now().Operators["anna"]
	revoked := anna.Value
	revoked.State = role.Revoked
	must(t, failure(o.Directory.PutOperator(t.Context(), revoked, anna.Revision)))
	refusedFor(t, o.createBasis("bo", basisRequest("police", id)).refused, fault.ApprovalRequired, "approval LAPSED")
	if o.Directory.Now().Approvals[id].Value.State != role.Approved {
		t.Error("a refused use took the approval")
	}
}

// failure drops the value beside an error.
func failure[T any](_ T, err error) error { return err }
