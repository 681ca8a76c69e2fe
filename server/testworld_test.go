package server_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
)

// Test credentials live in a world of their own: under one request_id and one evidence_ref a live call is never
// answered by the simulator, nor the other way round, and neither sees what the other did.
func TestTestAndLiveCallsShareNothing(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	bank := s.Furnish("bank", "id2")
	s.Publish(3)
	live, test := heyanv1.NewVerificationServiceClient(bank.Conn), heyanv1.NewVerificationServiceClient(testCredential(t, s, "bank"))
	name := "测试一致"
	r := s.Request("r-1", 1)
	r.Fields.Name = &name
	a, err := test.Verify(t.Context(), r)
	if err != nil || !a.GetVerification().GetTest() {
		t.Fatal(a, err)
	}
	b, err := live.Verify(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if v := b.GetVerification(); v.GetTest() || v.GetReused() || v.GetSource() != "registry" || v.GetVerdict() != heyanv1.Verdict_VERDICT_MISMATCH {
		t.Errorf("the live call was answered %v", v)
	}
	for who, c := range map[string]struct {
		client heyanv1.VerificationServiceClient
		theirs string
	}{"live": {live, a.GetVerification().GetId()}, "test": {test, b.GetVerification().GetId()}} {
		list, err := c.client.ListVerifications(t.Context(), &heyanv1.ListVerificationsRequest{RequestId: "r-1"})
		if err != nil || len(list.GetVerifications()) != 1 || list.GetVerifications()[0].GetTest() != (who == "test") {
			t.Errorf("%s lists %v, %v", who, list, err)
		}
		if _, err := c.client.GetVerification(t.Context(), &heyanv1.GetVerificationRequest{Id: c.theirs}); status.Code(err) != codes.NotFound {
			t.Errorf("%s reads the other's: %v", who, err)
		}
	}
}

// testCredential issues a test credential to a client that has one already, which takes two persons.
func testCredential(t *testing.T, s *servertest.Server, client string) *grpc.ClientConn {
	t.Helper()
	ctx, admin, compliance := t.Context(), heyanv1.NewAdminServiceClient(s.As(servertest.System)), heyanv1.NewComplianceServiceClient(s.As(servertest.Security))
	issue := &heyanv1.IssueCredentialRequest{Client: client, Kind: heyanv1.Credential_KIND_API_KEY, Test: true, Label: "test"}
	if _, err := admin.IssueCredential(ctx, issue); status.Code(err) != codes.FailedPrecondition {
		t.Fatal("issued by one person", err)
	}
	waiting, err := compliance.ListApprovals(ctx, &heyanv1.ListApprovalsRequest{State: heyanv1.Approval_STATE_WAITING})
	if err != nil || len(waiting.GetApprovals()) != 1 {
		t.Fatal(waiting, err)
	}
	approval := waiting.GetApprovals()[0]
	if _, err := compliance.Approve(ctx, &heyanv1.ApproveRequest{Id: approval.GetId(), RequestSha256: approval.GetRequestSha256()}); err != nil {
		t.Fatal(err)
	}
	issue.Approval = approval.GetId()
	issued, err := admin.IssueCredential(ctx, issue)
	if err != nil {
		t.Fatal(err)
	}
	return s.WithKey(issued.GetApiKey())
}
