package api

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/subject"
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

// What only the store knows is told as Verify tells it, and telling it takes nothing.
func TestValidateOnlyTellsWhatIsOnFile(t *testing.T) {
	for name, c := range map[string]struct {
		want    fault.Reason
		arrange func(*world, authn.Principal, *heyanv1.VerifyRequest)
	}{
		"restriction": {fault.SubjectUnavailable, func(w *world, _ authn.Principal, _ *heyanv1.VerifyRequest) {
			person := []field.Value{value(w.Rules.Parse(field.IDNumber, adultID, start))(w.t)}
			must(w.t, w.store.Restrict(w.t.Context(), subject.Restrictions(w.Keys, person), store.Denied, time.Time{}))
		}},
		"withdrawn, inline": {fault.ConsentWithdrawn, func(w *world, p authn.Principal, _ *heyanv1.VerifyRequest) {
			c := agreed(w, p, consentRequest("agr"))
			accepted(w.t, run(w, p, NewConsent(w.Deps).WithdrawConsent, withdrawRequest(c.GetId(), "")))
		}},
		"withdrawn, by id": {fault.ConsentWithdrawn, func(w *world, p authn.Principal, r *heyanv1.VerifyRequest) {
			c := agreed(w, p, consentRequest("agr"))
			r.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: c.GetId()}
			accepted(w.t, run(w, p, NewConsent(w.Deps).WithdrawConsent, withdrawRequest(c.GetId(), "")))
		}},
		"withdrawn before it was on file": {fault.ConsentWithdrawn, func(w *world, p authn.Principal, _ *heyanv1.VerifyRequest) {
			evidence := &heyanv1.Evidence{Notice: "onboarding-v3", EvidenceRef: marked + "agr"}
			accepted(w.t, run(w, p, NewConsent(w.Deps).WithdrawConsent, withdrawRequest(evidence, "")))
		}},
		"another person's": {fault.ConsentSubjectMismatch, func(w *world, p authn.Principal, _ *heyanv1.VerifyRequest) {
			other := consentRequest("agr")
			other.Subject.IdNumber = proto.String(identity("11010519800101001"))
			agreed(w, p, other)
		}},
		"expired": {fault.ConsentExpired, func(w *world, p authn.Principal, r *heyanv1.VerifyRequest) {
			old := consentRequest("agr")
			old.ObtainTime = timestamppb.New(start.AddDate(0, 0, -364))
			agreed(w, p, old)
			w.pass(24 * time.Hour)
		}},
		"request_id": {fault.RequestIDReused, func(w *world, p authn.Principal, _ *heyanv1.VerifyRequest) {
			made(w, p, verifyRequest(1, "测试不一致"))
		}},
		"quota": {fault.QuotaExceeded, func(w *world, p authn.Principal, _ *heyanv1.VerifyRequest) {
			w.entitle(product.Entitlement{Client: "acme", Product: "id2", Quota: product.Quota{Limit: 1, Period: product.Daily}, Revision: 1})
			made(w, p, verifyRequest(2, "测试一致"))
		}},
		"daily cap": {fault.LegalBasisUnsupported, func(w *world, p authn.Principal, r *heyanv1.VerifyRequest) {
			basis := w.Directory.Now().LegalBases["aml-kyc"].Value
			basis.DailyCap = 1
			value(w.Directory.PutLegalBasis(w.t.Context(), basis, 1))(w.t)
			r.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: "aml-kyc"}
			first := verifyRequest(2, "测试一致")
			first.Ground = r.Ground
			made(w, p, first)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			service, acme, request := NewVerification(w.Deps), w.client("acme"), verifyRequest(1, "测试一致")
			c.arrange(w, acme, request)
			look := proto.Clone(request).(*heyanv1.VerifyRequest)
			look.ValidateOnly = true
			got := accepted(t, run(w, acme, service.Verify, look)).GetValidation()
			if reasons := reasonsOf(t, got.GetViolations()...); got.GetValid() || !slices.Equal(reasons, []string{c.want.String()}) {
				t.Errorf("valid %v, violations %v, want %v", got.GetValid(), reasons, c.want)
			}
			refusedFor(t, run(w, acme, service.Verify, request).refused, c.want)
		})
	}
}

// Looking takes no unit and claims no request_id; a request that was answered stays valid when its quota is used up.
func TestValidateOnlyTakesNothing(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Quota: product.Quota{Limit: 1, Period: product.Daily}, Revision: 1})
	request := verifyRequest(1, "测试一致")
	look := verifyRequest(1, "测试一致")
	look.ValidateOnly = true
	valid := func() {
		t.Helper()
		if got := accepted(t, run(w, acme, service.Verify, look)).GetValidation(); !got.GetValid() {
			t.Errorf("violations %v", reasonsOf(t, got.GetViolations()...))
		}
	}
	valid()
	valid()
	first := made(w, acme, request)
	valid()
	if again := made(w, acme, request); !again.GetReused() || again.GetId() != first.GetId() {
		t.Error("no replay")
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
