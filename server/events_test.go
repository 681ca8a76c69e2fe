package server_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/role"
)

// beside are the events that a server writes beside those of its methods.
var beside = []record.Event{
	record.OriginBorn, record.ConfigLoaded, record.SystemStarted, record.SystemStopped, record.SystemHeartbeat, record.SystemTotals,
	record.SystemRecovered, record.SystemClockStepped,
	record.SessionOpened, record.SessionClosed, record.StreamOpened,
	record.AuthFailed, record.AuthLocked, record.TLSHandshakeFailed, record.TLSPlaintextDial,
	record.RPCDenied, record.RPCMalformed, record.RPCOversized, record.RPCUnknownField, record.RPCUnknownMethod,
	record.TextCarriesPII, record.RateLimited, record.RefusalBulk, record.AccessBulk, record.BudgetExhausted,
	record.VerificationBatchItem, record.VerificationVoided, record.VerificationRecovered, record.VerificationReconciled,
	record.VerificationLost, record.StoreRollbackAccepted,
	record.ClientSuspended, record.ClientResumed, record.ApprovalRequested, record.ConsentTombstoned, record.LogFollowed,
	record.DatasetRewritten, record.LogSealed, record.DiskWatermarkReached, record.DiskWatermarkCleared,
	record.RetentionRefused, record.HoldAssessed, record.LogMinimumRaised, record.LogPurged,
}

// elsewhere are events of programs around the server (of first starts and refused configurations), and of methods
// that leave no record.
var elsewhere = []record.Event{record.KeyCreated, record.ConfigRefused, record.HealthChecked}

// TestEvents: every event that the server can write is written by something that a caller, an operator or a stop
// does, and nothing else is.
func TestEvents(t *testing.T) {
	var room atomic.Uint64
	room.Store(1000)
	w, authority := withAuthority(t, servertest.Options{Room: &room})
	want := map[record.Event]bool{}
	for _, e := range beside {
		want[e] = true
	}
	w.everyMethod(t, want)
	w.clients(t)
	w.misuse(t)
	w.verifications(t, authority)
	w.deleted(1)
	w.pass(5 * time.Hour)
	w.Rewriter()()
	w.sealed(t)
	for _, free := range []uint64{199, 1000} {
		room.Store(free)
		w.LookAtSpace()
	}
	w.kept(t)
	seen := map[record.Event]bool{}
	for _, r := range w.Records(0) {
		seen[r.Event] = true
	}
	w.recovered(t)
	w.rolledBack()
	for _, r := range w.Records(0) {
		seen[r.Event] = true
	}
	w.purged(t)
	for _, r := range w.Records(w.Log.First()) {
		seen[r.Event] = true
	}
	for _, e := range slices.Sorted(maps.Keys(want)) {
		if !seen[e] {
			t.Errorf("%v was not written", e)
		}
	}
	for _, e := range slices.Sorted(maps.Keys(seen)) {
		if !want[e] {
			t.Errorf("%v was written, and stands in no list", e)
		}
	}
}

// sealed makes a segment, and waits for its record.
func (w *world) sealed(t *testing.T) {
	t.Helper()
	for w.Log.Size() < 300 {
		must(t, w.Heartbeat())
	}
	must(t, w.Log.Seal(t.Context()))
	last := w.Records(w.Log.Size() - 1)[0]
	if last.Event != record.LogSealed || !strings.HasPrefix(last.Object.ID, "0-") || !strings.HasPrefix(last.Change.After, "sha256:") {
		t.Errorf("the record of a sealing is %+v", last)
	}
}

// kept asks what a hold would cost, and to keep less than the law asks for.
func (w *world) kept(t *testing.T) {
	t.Helper()
	compliance := heyanv1.NewComplianceServiceClient(w.security)
	hold := &heyanv1.Hold{Id: "court-17", Cause: heyanv1.Hold_CAUSE_COURT, Reference: "17", LogRange: &heyanv1.Hold_LogRange{}}
	judged, err := compliance.CreateHold(t.Context(), &heyanv1.CreateHoldRequest{Hold: hold, ValidateOnly: true})
	must(t, err)
	if judged.GetCost().GetSegments() != 1 {
		t.Errorf("a hold on the whole log costs %v", judged.GetCost())
	}
	_, err = compliance.UpdateRetentionPolicy(t.Context(), &heyanv1.UpdateRetentionPolicyRequest{
		RetentionPolicy: &heyanv1.RetentionPolicy{Log: &heyanv1.LogPeriod{Period: "P5M"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"log"}}})
	if refusal(err) != "FailedPrecondition RETENTION_BELOW_FLOOR" {
		t.Errorf("five months: %v", err)
	}
}

// everyMethod calls each method as somebody who may.
func (w *world) everyMethod(t *testing.T, want map[record.Event]bool) {
	t.Helper()
	conns := map[role.Role]*grpc.ClientConn{role.Client: w.bank.Conn, role.SystemAdmin: w.system, role.SecurityAdmin: w.security,
		role.AuditAdmin: w.audit, role.PrivacyOfficer: w.security}
	for method, rule := range server.Policy() {
		if !slices.Contains(elsewhere, rule.Event) {
			want[rule.Event] = true
		}
		invoke(conns[rule.Roles.Roles()[0]], method, rule.Stream)
	}
}

// clients changes one client, and asks for what needs a second person.
func (w *world) clients(t *testing.T) {
	t.Helper()
	ctx, admin := context.Background(), heyanv1.NewAdminServiceClient(w.system)
	w.Furnish("shop")
	set := func(mask string, c *heyanv1.Client) {
		t.Helper()
		c.Id = "shop"
		_, err := admin.UpdateClient(ctx, &heyanv1.UpdateClientRequest{Client: c, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{mask}}, Reason: "test"})
		must(t, err)
	}
	set("state", &heyanv1.Client{State: heyanv1.Client_STATE_SUSPENDED})
	set("state", &heyanv1.Client{State: heyanv1.Client_STATE_ACTIVE})
	set("display_name", &heyanv1.Client{DisplayName: "Shop"})
	set("rate_per_second", &heyanv1.Client{RatePerSecond: 1})
	issue := &heyanv1.IssueCredentialRequest{Client: "shop", Kind: heyanv1.Credential_KIND_API_KEY, AllowedSources: []string{"203.0.113.0/24"}}
	_, err := admin.IssueCredential(ctx, issue)
	if refusal(err) != "FailedPrecondition APPROVAL_REQUIRED" {
		t.Errorf("a second credential: %v", err)
	}
	issue.Label = "of " + servertest.Person(1).GetPhoneNumber()
	if _, err := admin.IssueCredential(ctx, issue); refusal(err) != "InvalidArgument FREE_TEXT_CARRIES_PII" {
		t.Errorf("a phone number in a label: %v", err)
	}
}

// misuse is what nobody should do.
func (w *world) misuse(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	for _, body := range [][]byte{broken, seventh, oversized} {
		send(w.bank.Conn, unary, body)
	}
	send(w.bank.Conn, "/no.Such/Method", nil)
	invoke(w.bank.Conn, tail, true) // a role that may not
	verify(w.anonymous, w.Request("a", 1))
	policies(w)
	plaintext(t, w)
	foreign(t, w)
	must(t, w.Flush())
	must(t, errors.Join(w.Heartbeat(), w.StepClock(time.Hour)))

	_, err := heyanv1.NewAdminServiceClient(w.system).CreateClient(ctx, &heyanv1.CreateClientRequest{
		Client: &heyanv1.Client{Id: "far", DisplayName: "Far", Establishment: "CN", RatePerSecond: 1}})
	must(t, err)
	issued, err := heyanv1.NewAdminServiceClient(w.system).IssueCredential(ctx, &heyanv1.IssueCredentialRequest{Client: "far", Kind: heyanv1.Credential_KIND_API_KEY})
	must(t, err)
	far := w.WithKey(issued.GetApiKey())
	limited := false
	for range 50 {
		limited = limited || invoke(far, heyanv1.CatalogService_GetAccount_FullMethodName, false).Reason == "RATE_LIMITED"
	}
	if !limited {
		t.Error("50 calls at once of a client with one a second pass")
	}
	_, err = heyanv1.NewAdminServiceClient(w.system).UpdateClient(ctx, &heyanv1.UpdateClientRequest{
		Client: &heyanv1.Client{Id: "far", AllowedSources: []string{"203.0.113.0/24"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"allowed_sources"}}, Reason: "test"})
	must(t, err)
	for range 11 {
		invoke(far, heyanv1.CatalogService_GetAccount_FullMethodName, false)
	}
	thaw := w.Clock.Freeze()
	defer thaw()
	for range 520 {
		verify(w.bank.Conn, groundless(w, "f"))
	}
}

// verifications are those that do not simply succeed, and the consents and lists around them.
func (w *world) verifications(t *testing.T, a *authority) {
	t.Helper()
	ctx := context.Background()
	batch(w.bank.Conn, w.Request("b", 1))
	atCommit(verifyAs(bank, "c"))(w)
	a.pending.Store(true)
	answered, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(ctx, w.Request("p", 2))
	must(t, err)
	a.pending.Store(false)
	_, err = heyanv1.NewAdminServiceClient(w.system).ResolvePending(ctx, &heyanv1.ResolvePendingRequest{
		Verification: answered.GetVerification().GetId(), Verdict: heyanv1.Verdict_VERDICT_MATCH, Billing: heyanv1.Billing_BILLING_BILLED, Reason: "statement"})
	must(t, err)
	_, err = heyanv1.NewConsentServiceClient(w.bank.Conn).WithdrawConsent(ctx, &heyanv1.WithdrawConsentRequest{
		Target: &heyanv1.WithdrawConsentRequest_Evidence{Evidence: &heyanv1.Evidence{Notice: servertest.Notice, EvidenceRef: "never-seen"}}})
	must(t, err)
	following, stop := context.WithCancel(ctx)
	stream, err := heyanv1.NewLogServiceClient(w.audit).ListLogEntries(following, &heyanv1.ListLogEntriesRequest{Follow: true})
	must(t, err)
	_, err = stream.Recv()
	must(t, err)
	from := w.Log.Size()
	stop()
	eventually(t, w, from, "log.followed CANCELLED CALLER_CANCELLED")
}

// recovered stops and starts the server, and then starts it with the log as it stood before an answer and a stop:
// it lost both.
func (w *world) recovered(t *testing.T) {
	t.Helper()
	older := filepath.Join(t.TempDir(), "log")
	w.restart(nil) // which writes what is still counted
	w.noMark()
	must(t, os.CopyFS(older, os.DirFS(filepath.Join(w.Dir, "log"))))
	w.answer("lost", 3)
	w.restart(func() {
		must(t, os.RemoveAll(filepath.Join(w.Dir, "log")))
		must(t, os.CopyFS(filepath.Join(w.Dir, "log"), os.DirFS(older)))
	})
}

// rolledBack puts an older store back, and goes on with it.
func (w *world) rolledBack() {
	var putBack func()
	w.restart(func() { putBack = w.keep("store") })
	w.answer("given-up", 4)
	w.Stop()
	putBack()
	w.accept(w.refused(0))
}

// purged has the time of the log's first records end.
func (w *world) purged(t *testing.T) {
	seal(t, w.Server)
	_, err := w.Mark()
	must(t, err)
	w.pass(2 * 365 * 24 * time.Hour)
	w.Purger(nil)(t.Context())
	if w.Log.First() == 0 {
		t.Error("nothing was purged")
	}
}
