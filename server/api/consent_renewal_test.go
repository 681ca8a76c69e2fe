package api

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/fault"
)

// MV-8-reconsent: a version that requires consents anew changes nothing until it applies. From then on each consent from
// before it is refused, by id, inline, and for a replay, and says so itself; a new one is served.
func TestConsentsAreRenewedAfterAMaterialChange(t *testing.T) {
	w := newWorld(t)
	consents, service, acme := NewConsent(w.Deps), NewVerification(w.Deps), w.client("acme")
	effective := start.Add(time.Hour)
	publish(w, "2026-12", effective, true)
	old := agreed(w, acme, consentRequest("agr"))
	byID := verifyRequest(1, "测试一致")
	byID.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: old.GetId()}
	inline := verifyRequest(2, "测试一致")
	made(w, acme, byID)
	made(w, acme, inline)
	state := func(want heyanv1.Consent_State) {
		t.Helper()
		if got := accepted(t, run(w, acme, consents.GetConsent, &heyanv1.GetConsentRequest{Id: old.GetId()})); got.GetState() != want {
			t.Errorf("state %v, want %v", got.GetState(), want)
		}
		list := accepted(t, run(w, acme, consents.ListConsents, &heyanv1.ListConsentsRequest{State: want}))
		if len(list.GetConsents()) != 1 || list.GetConsents()[0].GetId() != old.GetId() || list.GetConsents()[0].GetState() != want {
			t.Errorf("listed as %v: %v", want, list)
		}
	}
	state(heyanv1.Consent_STATE_ACTIVE)

	w.pass(time.Hour)
	state(heyanv1.Consent_STATE_NEEDS_RENEWAL)
	again := verifyRequest(3, "测试一致")
	again.Ground = byID.Ground
	const before = "consent.obtain_time BEFORE_MATERIAL_CHANGE"
	refusedFor(t, run(w, acme, service.Verify, byID).refused, fault.ConsentRenewalRequired) // a replay
	refusedFor(t, run(w, acme, service.Verify, again).refused, fault.ConsentRenewalRequired)
	refusedFor(t, run(w, acme, service.Verify, inline).refused, fault.ConsentRenewalRequired, before) // a replay
	refusedFor(t, run(w, acme, service.Verify, verifyRequest(4, "测试一致")).refused, fault.ConsentRenewalRequired, before)
	refusedFor(t, run(w, acme, consents.CreateConsent, consentRequest("late")).refused, fault.ConsentRenewalRequired, "obtain_time BEFORE_MATERIAL_CHANGE")

	// The reference of the old consent stands for the old consent, whatever time is stated with it.
	renewed := verifyRequest(5, "测试一致")
	renewed.GetConsent().ObtainTime = timestamppb.New(effective)
	refusedFor(t, run(w, acme, service.Verify, renewed).refused, fault.ConsentRenewalRequired)
	renewed.GetConsent().EvidenceRef = marked + "anew"
	made(w, acme, renewed)

	publish(w, "2027-01", effective.Add(time.Minute), false)
	w.pass(time.Minute)
	made(w, acme, renewed) // a version that requires nothing changes nothing, and renews nothing
	state(heyanv1.Consent_STATE_NEEDS_RENEWAL)
}

// publish puts a policy on file.
func publish(w *world, version string, effective time.Time, reconsent bool) {
	w.t.Helper()
	accepted(w.t, run(w, w.client("acme"), NewCompliance(w.Deps).PublishPolicy, &heyanv1.PublishPolicyRequest{Policy: &heyanv1.Policy{
		Version: version, Title: "隐私政策", Text: "text", EffectiveTime: timestamppb.New(effective), ChangeSummary: []string{"change"},
		RequiresReconsent: reconsent, Contact: "privacy desk", Language: "zh-CN"}}))
}
