package api

import (
	"context"
	"errors"
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/workday"
)

// reasonsOf lists the reasons of statuses.
func reasonsOf(t *testing.T, statuses ...*spb.Status) []string {
	t.Helper()
	var reasons []string
	for _, s := range statuses {
		reasons = append(reasons, infoOf(t, s).GetReason())
	}
	return reasons
}

func infoOf(t *testing.T, s *spb.Status) *errdetails.ErrorInfo {
	t.Helper()
	for _, detail := range status.FromProto(s).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	t.Fatalf("no ErrorInfo in %v", codes.Code(s.GetCode()))
	return nil
}

func TestValidateOnlyTellsAllAndDoesNothing(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	w.script.during(func(*source.Query) { t.Error("a source was asked") })
	request := verifyRequest(1, "测试一致")
	request.ValidateOnly = true
	end := run(w, acme, service.Verify, request)
	got := accepted(t, end)
	if got.GetVerification() != nil || !got.GetValidation().GetValid() || got.GetValidation().GetPurpose() != heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING {
		t.Errorf("got %v", got)
	}
	if end.record.Processing.Product != "id2" || end.record.Processing.Verdict != "" || end.record.Object.ID != "" {
		t.Errorf("record %+v", end.record)
	}
	request.Purpose, request.RequestId = heyanv1.Purpose_PURPOSE_PAYMENT, ""
	request.Fields.IdNumber, request.GetConsent().Notice = proto.String("1"), marked
	got = accepted(t, run(w, acme, service.Verify, request))
	reasons := reasonsOf(t, got.GetValidation().GetViolations()...)
	for _, want := range []string{"PURPOSE_NOT_ENTITLED", "FIELD_MALFORMED", "FIELD_MISSING", "CONSENT_MISSING"} {
		if !slices.Contains(reasons, want) {
			t.Errorf("%s is not among %v", want, reasons)
		}
	}
	if got.GetValidation().GetValid() {
		t.Error("valid")
	}
	w.leaks([]byte(got.String()), "the validation")
	if rows := value(w.store.Usage(t.Context(), "", workday.DateOf(start), workday.DateOf(start)))(t); len(rows) != 0 {
		t.Errorf("usage %+v", rows)
	}
}

// A part of Heyan that cannot work is no fault of the request.
func TestValidateOnlyFailsWhereTheStoreDoes(t *testing.T) {
	w := newWorld(t)
	w.Verifier.Consents = brokenConsents{w.store}
	request := verifyRequest(1, "测试一致")
	request.ValidateOnly, request.Ground = true, &heyanv1.VerifyRequest_ConsentId{ConsentId: "0190b1a0-0000-7000-8000-000000000001"}
	refusedFor(t, run(w, w.client("acme"), NewVerification(w.Deps).Verify, request).refused, fault.StoreUnavailable)
}

type brokenConsents struct{ verifier.Consents }

func (brokenConsents) Consent(context.Context, string, ledger.ID, int64) (*consent.Consent, error) {
	return nil, fault.New(fault.StoreUnavailable).WithCause(errors.New("broken"))
}
