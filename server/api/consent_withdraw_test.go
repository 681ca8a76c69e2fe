package api

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// withdrawRequest names the target of a withdrawal.
func withdrawRequest(target any, client string) *heyanv1.WithdrawConsentRequest {
	m := &heyanv1.WithdrawConsentRequest{Client: client}
	switch target := target.(type) {
	case string:
		m.Target = &heyanv1.WithdrawConsentRequest_Id{Id: target}
	case *heyanv1.Evidence:
		m.Target = &heyanv1.WithdrawConsentRequest_Evidence{Evidence: target}
	case *heyanv1.Fields:
		m.Target = &heyanv1.WithdrawConsentRequest_Subject{Subject: target}
	}
	return m
}

func evidenceOf(ref, client string) *heyanv1.Evidence {
	return &heyanv1.Evidence{Notice: "onboarding-v3", EvidenceRef: marked + ref, Client: client}
}

// MV-5.4-withdraw: effective before the reply, idempotent.
func TestAWithdrawnConsentServesNobody(t *testing.T) {
	w := newWorld(t)
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	withdraw := func(p authn.Principal, m *heyanv1.WithdrawConsentRequest) outcome[*heyanv1.WithdrawConsentResponse] {
		return run(w, p, service.WithdrawConsent, m)
	}
	for name, c := range map[string]struct {
		caller authn.Principal
		target func(*heyanv1.Consent) any
		client string
		behalf string
	}{
		"id":          {acme, func(c *heyanv1.Consent) any { return c.GetId() }, "", ""},
		"evidence":    {acme, func(*heyanv1.Consent) any { return evidenceOf("evidence", "") }, "", ""},
		"subject":     {acme, func(*heyanv1.Consent) any { return consentRequest("").Subject }, "acme", ""},
		"by-officer":  {officer, func(c *heyanv1.Consent) any { return c.GetId() }, "", "acme"},
		"by-officer2": {officer, func(*heyanv1.Consent) any { return evidenceOf("by-officer2", "acme") }, "", "acme"},
	} {
		t.Run(name, func(t *testing.T) {
			person := consentRequest(name)
			if name != "subject" {
				person.Subject.IdNumber = proto.String(identity("11010519800101" + fmt.Sprintf("%03d", len(name))))
			}
			consent := agreed(w, acme, person)
			at := w.Now()
			end := withdraw(c.caller, withdrawRequest(c.target(consent), c.client))
			got := accepted(t, end)
			if !slices.Equal(got.GetConsents(), []string{consent.GetId()}) || !got.GetWithdrawTime().AsTime().Equal(at) {
				t.Errorf("got %v", got)
			}
			if end.record.Object.ID != consent.GetId() || end.record.Actor.OnBehalfOf != c.behalf {
				t.Errorf("record %+v", end.record)
			}
			w.pass(time.Minute)
			if again := accepted(t, withdraw(c.caller, withdrawRequest(c.target(consent), c.client))); !proto.Equal(again, got) {
				t.Errorf("again: %v, first %v", again, got)
			}
			refusedFor(t, run(w, acme, service.CreateConsent, person).refused, fault.ConsentWithdrawn)
			request := verifyRequest(len(name), "测试一致")
			request.Fields.IdNumber = person.Subject.IdNumber
			request.GetConsent().EvidenceRef = person.EvidenceRef
			refusedFor(t, run(w, acme, NewVerification(w.Deps).Verify, request).refused, fault.ConsentWithdrawn)
		})
	}
}

func TestAWithdrawalBySubjectReachesEveryClientForTheOfficerOnly(t *testing.T) {
	w := newWorld(t)
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	one, two := agreed(w, acme, consentRequest("a")), agreed(w, acme, consentRequest("b"))
	elsewhere := agreed(w, w.client("other"), consentRequest("a"))
	person := consentRequest("").Subject
	end := run(w, acme, service.WithdrawConsent, withdrawRequest(person, ""))
	got := accepted(t, end).GetConsents()
	slices.Sort(got)
	want := []string{one.GetId(), two.GetId()}
	slices.Sort(want)
	if !slices.Equal(got, want) || end.record.Object.ID != "" {
		t.Errorf("got %v, want %v, object %+v", got, want, end.record.Object)
	}
	if c := accepted(t, run(w, officer, service.GetConsent, &heyanv1.GetConsentRequest{Id: elsewhere.GetId()})); c.GetState() != heyanv1.Consent_STATE_ACTIVE {
		t.Errorf("a client withdrew another's: %v", c)
	}
	end = run(w, officer, service.WithdrawConsent, withdrawRequest(person, ""))
	if got := accepted(t, end).GetConsents(); len(got) != 3 || !slices.Contains(got, elsewhere.GetId()) || end.record.Actor.OnBehalfOf != "" {
		t.Errorf("got %v, record %+v", got, end.record)
	}
	end = run(w, officer, service.WithdrawConsent, withdrawRequest(person, "other"))
	if got := accepted(t, end).GetConsents(); !slices.Equal(got, []string{elsewhere.GetId()}) || end.record.Actor.OnBehalfOf != "other" {
		t.Errorf("got %v, record %+v", got, end.record)
	}
	stranger := &heyanv1.Fields{Name: proto.String("测试无人"), PhoneNumber: proto.String(unknownRange)}
	if got := accepted(t, run(w, acme, service.WithdrawConsent, withdrawRequest(stranger, ""))); len(got.GetConsents()) != 0 || got.GetWithdrawTime() != nil {
		t.Errorf("of a person not on file, of whom no mark is left: %v", got)
	}
}

// A withdrawal may come before the consent that it withdraws.
func TestAWithdrawalLeavesAMark(t *testing.T) {
	w := newWorld(t)
	service, acme := NewConsent(w.Deps), w.client("acme")
	end := run(w, acme, service.WithdrawConsent, withdrawRequest(evidenceOf("agr", ""), ""))
	got := accepted(t, end)
	if len(got.GetConsents()) != 0 || !got.GetWithdrawTime().AsTime().Equal(start) {
		t.Errorf("got %v", got)
	}
	if end.record.Event != record.ConsentTombstoned || end.record.Object.Type != "notice" || end.record.Object.ID != "onboarding-v3" {
		t.Errorf("record %+v", end.record)
	}
	refusedFor(t, run(w, acme, service.CreateConsent, consentRequest("agr")).refused, fault.ConsentWithdrawn)
	refusedFor(t, run(w, acme, NewVerification(w.Deps).Verify, verifyRequest(1, "测试一致")).refused, fault.ConsentWithdrawn)
	agreed(w, w.client("other"), consentRequest("agr")) // another client's reference is another one
}

func TestAWithdrawalIsRefused(t *testing.T) {
	w := newWorld(t)
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	on := agreed(w, acme, consentRequest("agr"))
	unknownNotice := evidenceOf("agr", "")
	unknownNotice.Notice = marked + "n"
	for name, c := range map[string]struct {
		caller    authn.Principal
		target    any
		client    string
		reason    fault.Reason
		violation []string
	}{
		"nothing":               {acme, nil, "", fault.FieldMissing, []string{"target"}},
		"no id":                 {acme, "", "", fault.FieldMissing, []string{"id"}},
		"not an id":             {acme, marked, "", fault.ResourceNotFound, nil},
		"unknown id":            {acme, unknownID, "", fault.ResourceNotFound, nil},
		"another's id":          {w.client("other"), on.GetId(), "", fault.ResourceNotFound, nil},
		"client with id":        {acme, on.GetId(), "acme", fault.RequestMalformed, []string{"client ONLY_WITH_SUBJECT"}},
		"unknown notice":        {acme, unknownNotice, "", fault.ResourceNotFound, []string{"evidence.notice NOT_ON_FILE"}},
		"reference":             {acme, evidenceOf("合同", ""), "", fault.RequestMalformed, []string{"evidence.evidence_ref REFERENCE"}},
		"another's evidence":    {acme, evidenceOf("agr", "other"), "", fault.ResourceNotFound, nil},
		"officer names nobody":  {officer, evidenceOf("agr", ""), "", fault.FieldMissing, []string{"evidence.client"}},
		"another's subject":     {acme, consentRequest("").Subject, "other", fault.ResourceNotFound, nil},
		"officer names unknown": {officer, consentRequest("").Subject, marked, fault.ResourceNotFound, []string{"client NOT_ON_FILE"}},
		"a name alone":          {acme, &heyanv1.Fields{Name: proto.String("测试一致")}, "", fault.FieldMissing, []string{"subject A_NUMBER"}},
		"malformed": {acme, &heyanv1.Fields{Name: proto.String("测试一致"), IdNumber: proto.String("1")}, "", fault.FieldMalformed,
			[]string{"subject.id_number LENGTH"}},
	} {
		t.Run(name, func(t *testing.T) {
			end := run(w, c.caller, service.WithdrawConsent, withdrawRequest(c.target, c.client))
			refusedFor(t, end.refused, c.reason, c.violation...)
			if end.record.Object.ID != "" {
				t.Errorf("object %+v", end.record.Object)
			}
		})
	}
	if c := accepted(t, run(w, acme, service.GetConsent, &heyanv1.GetConsentRequest{Id: on.GetId()})); c.GetState() != heyanv1.Consent_STATE_ACTIVE {
		t.Errorf("a refused withdrawal withdrew: %v", c)
	}
}
