package api

import (
	"testing"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// TestConsentsOfTwoWorlds: the live and the test credentials of one client, with the same person and the same
// reference, never meet each other's consents: in lists, by id, by reference, by the person's values, in a verification.
// The privacy officer meets both, and sees which is which.
func TestConsentsOfTwoWorlds(t *testing.T) {
	w := newWorld(t)
	service, officer := NewConsent(w.Deps), operator(role.PrivacyOfficer)
	live, test := w.client("acme"), w.client("acme")
	test.Test = true
	worlds := map[string]struct{ own, other authn.Principal }{"live": {live, test}, "test": {test, live}}
	consents := map[string]*heyanv1.Consent{}
	for name, world := range worlds {
		c := agreed(w, world.own, consentRequest("agr"))
		if c.GetTest() != world.own.Test {
			t.Errorf("%s: test = %v", name, c.GetTest())
		}
		consents[name] = c
	}
	if consents["live"].GetId() == consents["test"].GetId() {
		t.Fatal("one consent serves both")
	}
	refused := func(end *fault.Fault, want fault.Reason) {
		t.Helper()
		if !fault.Is(end, want) {
			t.Errorf("refused with %v, want %v", end, want)
		}
	}
	listed := func(p authn.Principal, client string) (ids []string) {
		list := accepted(t, run(w, p, service.ListConsents, &heyanv1.ListConsentsRequest{Client: client}))
		for _, c := range list.GetConsents() {
			ids = append(ids, c.GetId())
		}
		return ids
	}
	for name, world := range worlds {
		c := consents[name]
		if got := listed(world.own, ""); len(got) != 1 || got[0] != c.GetId() {
			t.Errorf("%s: listed %v", name, got)
		}
		refused(run(w, world.other, service.GetConsent, &heyanv1.GetConsentRequest{Id: c.GetId()}).refused, fault.ResourceNotFound)
		refused(run(w, world.other, service.WithdrawConsent, withdrawRequest(c.GetId(), "")).refused, fault.ResourceNotFound)
		request := verifyRequest(1, "测试一致")
		request.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: c.GetId()}
		refused(run(w, world.other, NewVerification(w.Deps).Verify, request).refused, fault.ConsentMissing)
	}
	if got := listed(officer, "acme"); len(got) != 2 {
		t.Errorf("the officer lists %v", got)
	}
	active := func(name string) bool {
		c := accepted(t, run(w, officer, service.GetConsent, &heyanv1.GetConsentRequest{Id: consents[name].GetId()}))
		if c.GetTest() != (name == "test") {
			t.Errorf("the officer sees %s as test = %v", name, c.GetTest())
		}
		return c.GetState() == heyanv1.Consent_STATE_ACTIVE
	}
	person := consentRequest("").Subject
	for _, target := range []any{proto.Clone(person), evidenceOf("agr", "")} {
		accepted(t, run(w, test, service.WithdrawConsent, withdrawRequest(target, "")))
		if !active("live") || active("test") {
			t.Errorf("after a withdrawal by a test credential: live %v, test %v", active("live"), active("test"))
		}
	}
	consents["test"] = agreed(w, test, consentRequest("another"))
	accepted(t, run(w, live, service.WithdrawConsent, withdrawRequest(proto.Clone(person), "")))
	if active("live") || !active("test") {
		t.Errorf("after a withdrawal by a live credential: live %v, test %v", active("live"), active("test"))
	}
	found := accepted(t, run(w, officer, service.GetConsent, &heyanv1.GetConsentRequest{Evidence: evidenceOf("another", "acme")}))
	if found.GetId() != consents["test"].GetId() {
		t.Errorf("the officer finds %v by evidence", found)
	}
	withdrawn := accepted(t, run(w, officer, service.WithdrawConsent, withdrawRequest(evidenceOf("another", "acme"), "")))
	if active("test") || len(withdrawn.GetConsents()) != 1 {
		t.Errorf("the officer withdrew %v by evidence", withdrawn.GetConsents())
	}
	consents["test"] = agreed(w, test, consentRequest("third"))
	got := accepted(t, run(w, officer, service.WithdrawConsent, withdrawRequest(proto.Clone(person), "acme")))
	if active("test") || len(got.GetConsents()) != 4 {
		t.Errorf("the officer withdrew %v", got.GetConsents())
	}
}
