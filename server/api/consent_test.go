package api

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/role"
	"github.com/heyan-project/heyan/verifier/subject"
)

// consentRequest is a consent that nothing refuses. ref makes it a consent of its own.
func consentRequest(ref string) *heyanv1.CreateConsentRequest {
	return &heyanv1.CreateConsentRequest{
		Notice: "onboarding-v3", ObtainTime: timestamppb.New(start.Add(-time.Hour)), EvidenceRef: marked + ref,
		Subject: &heyanv1.Fields{Name: proto.String("测试一致"), IdNumber: proto.String(adultID)},
	}
}

// agreed puts a consent on file.
func agreed(w *world, p authn.Principal, request *heyanv1.CreateConsentRequest) *heyanv1.Consent {
	w.t.Helper()
	return accepted(w.t, run(w, p, NewConsent(w.Deps).CreateConsent, request))
}

func TestAConsentIsKeptOnceAndServesAVerification(t *testing.T) {
	w := newWorld(t)
	service, acme := NewConsent(w.Deps), w.client("acme")
	end := run(w, acme, service.CreateConsent, consentRequest("agr"))
	got := accepted(t, end)
	want := &heyanv1.Consent{
		Id: got.GetId(), Client: "acme", Notice: "onboarding-v3", ObtainTime: timestamppb.New(start.Add(-time.Hour)),
		ExpireTime: timestamppb.New(start.Add(-time.Hour).AddDate(0, 0, 365)), State: heyanv1.Consent_STATE_ACTIVE, Revision: 1, CreateTime: timestamppb.New(start)}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if end.record.Object.Type != "consent" || end.record.Object.ID != got.GetId() || end.record.Actor.OnBehalfOf != "" {
		t.Errorf("record %+v", end.record)
	}
	w.pass(time.Minute)
	if again := agreed(w, acme, consentRequest("agr")); !proto.Equal(again, got) {
		t.Errorf("again: %v", again)
	}
	request := verifyRequest(1, "测试一致")
	request.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: got.GetId()}
	if v := made(w, acme, request); v.GetConsent() != got.GetId() {
		t.Errorf("a verification under %q", v.GetConsent())
	}
	if v := made(w, acme, verifyRequest(2, "测试一致")); v.GetConsent() != got.GetId() { // the same, inline
		t.Errorf("a verification under %q", v.GetConsent())
	}
	other := consentRequest("agr") // MV-1.3-consent: one evidence serves one person
	other.Subject.IdNumber = proto.String(identity("11010519800101001"))
	refusedFor(t, run(w, acme, service.CreateConsent, other).refused, fault.ConsentSubjectMismatch)
}

func TestAConsentIsRefused(t *testing.T) {
	w := newWorld(t)
	w.notice(consent.Notice{ID: "names-only", Client: "acme", Fields: field.SetOf(field.Name, field.PhoneNumber)})
	w.notice(consent.Notice{ID: "gated", Client: "acme", AgeGate: true})
	service, acme := NewConsent(w.Deps), w.client("acme")
	child, gone := identity("11010520200101001"), identity("11010519900101001")
	gonePerson := []field.Value{value(w.Rules.Parse(field.IDNumber, gone, start))(t)}
	must(t, w.store.Restrict(t.Context(), subject.Restrictions(w.Keys, gonePerson), store.Denied, time.Time{}))
	for name, c := range map[string]struct {
		change     func(*heyanv1.CreateConsentRequest)
		reason     fault.Reason
		violations []string
	}{
		"no evidence":    {func(r *heyanv1.CreateConsentRequest) { r.EvidenceRef = "" }, fault.FieldMissing, []string{"evidence_ref"}},
		"evidence form":  {func(r *heyanv1.CreateConsentRequest) { r.EvidenceRef = marked + "合同" }, fault.RequestMalformed, []string{"evidence_ref REFERENCE"}},
		"no notice":      {func(r *heyanv1.CreateConsentRequest) { r.Notice = "" }, fault.FieldMissing, []string{"notice"}},
		"unknown notice": {func(r *heyanv1.CreateConsentRequest) { r.Notice = marked + "n" }, fault.ConsentMissing, []string{"notice NOT_ON_FILE"}},
		"no time":        {func(r *heyanv1.CreateConsentRequest) { r.ObtainTime = nil }, fault.ConsentMissing, []string{"obtain_time MISSING"}},
		"no such time":   {func(r *heyanv1.CreateConsentRequest) { r.ObtainTime.Nanos = -1 }, fault.RequestMalformed, []string{"obtain_time TIMESTAMP"}},
		"future":         {func(r *heyanv1.CreateConsentRequest) { r.ObtainTime = timestamppb.New(start.Add(2 * time.Minute)) }, fault.ConsentMissing, []string{"obtain_time IN_THE_FUTURE"}},
		"long ago":       {func(r *heyanv1.CreateConsentRequest) { r.ObtainTime = timestamppb.New(start.AddDate(-1, 0, -1)) }, fault.ConsentExpired, []string{"obtain_time LIFETIME_OVER"}},
		"nobody":         {func(r *heyanv1.CreateConsentRequest) { r.Subject = nil }, fault.FieldMissing, []string{"subject.name", "subject A_NUMBER"}},
		"a name alone":   {func(r *heyanv1.CreateConsentRequest) { r.Subject.IdNumber = nil }, fault.FieldMissing, []string{"subject A_NUMBER"}},
		"no name":        {func(r *heyanv1.CreateConsentRequest) { r.Subject.Name = nil }, fault.FieldMissing, []string{"subject.name"}},
		"empty number":   {func(r *heyanv1.CreateConsentRequest) { r.Subject.IdNumber = new(string) }, fault.FieldMissing, []string{"subject.id_number EMPTY"}},
		"outside the notice": {func(r *heyanv1.CreateConsentRequest) {
			r.Notice = "names-only"
			r.Subject.BankCardNumber = proto.String(cardNumber)
		}, fault.ConsentScope,
			[]string{"subject.id_number NOT_IN_NOTICE", "subject.bank_card_number NOT_IN_NOTICE"}},
		"malformed": {func(r *heyanv1.CreateConsentRequest) {
			r.Subject.IdNumber, r.Subject.PhoneNumber = proto.String("110105194912310021"), proto.String("1")
		}, fault.FieldMalformed,
			[]string{"subject.id_number CHECK_DIGIT", "subject.phone_number LENGTH"}},
		"child": {func(r *heyanv1.CreateConsentRequest) { r.Subject.IdNumber = &child }, fault.Under14WithoutGuardian, nil},
		"guardian's evidence": {func(r *heyanv1.CreateConsentRequest) {
			r.Subject.IdNumber, r.Guardian = &child, &heyanv1.Guardian{EvidenceRef: marked + "监护"}
		}, fault.RequestMalformed, []string{"guardian.evidence_ref REFERENCE"}},
		"guardian's time": {func(r *heyanv1.CreateConsentRequest) {
			r.Guardian = &heyanv1.Guardian{ObtainTime: &timestamppb.Timestamp{Nanos: -1}}
		}, fault.RequestMalformed, []string{"guardian.obtain_time TIMESTAMP"}},
		"guardian's gap": {func(r *heyanv1.CreateConsentRequest) {
			r.Subject.IdNumber, r.Guardian = &child, &heyanv1.Guardian{Relation: heyanv1.GuardianRelation_GUARDIAN_RELATION_PARENT}
		}, fault.Under14WithoutGuardian, []string{"guardian.evidence_ref MISSING"}},
		// MV-6-age-unknown
		"age not known": {func(r *heyanv1.CreateConsentRequest) {
			r.Notice = "names-only"
			r.Subject.IdNumber, r.Subject.PhoneNumber = nil, proto.String(unknownRange)
		}, fault.FieldMissing, []string{"age_declaration"}},
		"declared a child": {func(r *heyanv1.CreateConsentRequest) {
			r.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_UNDER_FOURTEEN
			r.Subject.IdNumber, r.Subject.PhoneNumber = nil, proto.String(unknownRange)
		}, fault.Under14WithoutGuardian, nil},
		"person not to be processed": {func(r *heyanv1.CreateConsentRequest) { r.Subject.IdNumber = &gone }, fault.SubjectUnavailable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			request := consentRequest("refused")
			c.change(request)
			end := run(w, acme, service.CreateConsent, request)
			refusedFor(t, end.refused, c.reason, c.violations...)
			if end.record.Object.ID != "" {
				t.Errorf("object %+v", end.record.Object)
			}
		})
	}
	if list := accepted(t, run(w, acme, service.ListConsents, &heyanv1.ListConsentsRequest{})).GetConsents(); len(list) != 0 {
		t.Errorf("on file all the same: %v", list)
	}

	byPhone := consentRequest("gated")
	byPhone.Notice, byPhone.Subject.IdNumber, byPhone.Subject.PhoneNumber = "gated", nil, proto.String(unknownRange)
	if c := agreed(w, acme, byPhone); c.GetGuardian() {
		t.Errorf("behind an age gate: %v", c)
	}
	guarded := consentRequest("guarded")
	guarded.Subject.IdNumber = &child
	guarded.Guardian = &heyanv1.Guardian{Relation: heyanv1.GuardianRelation_GUARDIAN_RELATION_APPOINTED, EvidenceRef: marked + "g", ObtainTime: timestamppb.New(start)}
	if c := agreed(w, acme, guarded); !c.GetGuardian() {
		t.Errorf("with a guardian: %v", c)
	}
}

func TestConsentsAreReadByIDEvidenceAndRevision(t *testing.T) {
	w := newWorld(t)
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	c := agreed(w, acme, consentRequest("agr"))
	get := func(p authn.Principal, m *heyanv1.GetConsentRequest) outcome[*heyanv1.Consent] {
		return run(w, p, service.GetConsent, m)
	}
	evidence := func(client string) *heyanv1.GetConsentRequest {
		return &heyanv1.GetConsentRequest{Evidence: &heyanv1.Evidence{Notice: "onboarding-v3", EvidenceRef: marked + "agr", Client: client}}
	}
	for name, ask := range map[string]struct {
		caller  authn.Principal
		request *heyanv1.GetConsentRequest
		behalf  string
	}{
		"own by id":                {acme, &heyanv1.GetConsentRequest{Id: c.GetId()}, ""},
		"own by evidence":          {acme, evidence(""), ""},
		"own by evidence and name": {acme, evidence("acme"), ""},
		"officer by id":            {officer, &heyanv1.GetConsentRequest{Id: c.GetId()}, "acme"},
		"officer by evidence":      {officer, evidence("acme"), "acme"},
	} {
		end := get(ask.caller, ask.request)
		if got := accepted(t, end); !proto.Equal(got, c) || end.record.Object.ID != c.GetId() || end.record.Actor.OnBehalfOf != ask.behalf {
			t.Errorf("%s: %v, record %+v", name, got, end.record)
		}
	}
	accepted(t, run(w, acme, service.WithdrawConsent, &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Id{Id: c.GetId()}}))
	if got := accepted(t, get(acme, &heyanv1.GetConsentRequest{Id: c.GetId()})); got.GetState() != heyanv1.Consent_STATE_WITHDRAWN || got.GetRevision() != 2 || got.GetWithdrawTime() == nil {
		t.Errorf("newest: %v", got)
	}
	older := evidence("")
	older.Revision = 1
	if got := accepted(t, get(acme, older)); got.GetState() != heyanv1.Consent_STATE_ACTIVE || got.GetRevision() != 1 {
		t.Errorf("older: %v", got)
	}
	both := evidence("")
	both.Id = c.GetId()
	noRef := evidence("")
	noRef.Evidence.EvidenceRef = ""
	noNotice := evidence("")
	noNotice.Evidence.Notice = ""
	unknownNotice := evidence("")
	unknownNotice.Evidence.Notice = marked + "n"
	unknownRef := evidence("")
	unknownRef.Evidence.EvidenceRef = marked + "none"
	for name, ask := range map[string]struct {
		caller    authn.Principal
		request   *heyanv1.GetConsentRequest
		reason    fault.Reason
		violation []string
	}{
		"nothing":               {acme, &heyanv1.GetConsentRequest{}, fault.FieldMissing, []string{"id"}},
		"both":                  {acme, both, fault.RequestMalformed, []string{"evidence BESIDE_ID"}},
		"revision":              {acme, &heyanv1.GetConsentRequest{Id: c.GetId(), Revision: -1}, fault.RequestMalformed, []string{"revision NEGATIVE"}},
		"revision to come":      {acme, &heyanv1.GetConsentRequest{Id: c.GetId(), Revision: 9}, fault.ResourceNotFound, nil},
		"no id":                 {acme, &heyanv1.GetConsentRequest{Id: marked}, fault.ResourceNotFound, nil},
		"unknown id":            {acme, &heyanv1.GetConsentRequest{Id: unknownID}, fault.ResourceNotFound, nil},
		"no reference":          {acme, noRef, fault.FieldMissing, []string{"evidence.evidence_ref"}},
		"no notice":             {acme, noNotice, fault.FieldMissing, []string{"evidence.notice"}},
		"unknown notice":        {acme, unknownNotice, fault.ResourceNotFound, []string{"evidence.notice NOT_ON_FILE"}},
		"unknown reference":     {acme, unknownRef, fault.ResourceNotFound, nil},
		"another's id":          {w.client("other"), &heyanv1.GetConsentRequest{Id: c.GetId()}, fault.ResourceNotFound, nil},
		"another's evidence":    {w.client("other"), evidence("acme"), fault.ResourceNotFound, nil},
		"same words elsewhere":  {w.client("other"), evidence(""), fault.ResourceNotFound, nil},
		"officer names nobody":  {officer, evidence(""), fault.FieldMissing, []string{"evidence.client"}},
		"officer names unknown": {officer, evidence(marked), fault.ResourceNotFound, []string{"evidence.client NOT_ON_FILE"}},
	} {
		end := get(ask.caller, ask.request)
		refusedFor(t, end.refused, ask.reason, ask.violation...)
		if end.record.Object.ID != "" {
			t.Errorf("%s: object %+v", name, end.record.Object)
		}
	}
}

func TestConsentsAreListedNewestFirst(t *testing.T) {
	w := newWorld(t)
	w.notice(consent.Notice{ID: "other-notice", Client: "acme"})
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	agreed(w, w.client("other"), consentRequest("agr"))
	var all []string
	for i := range 5 {
		request := consentRequest(fmt.Sprint("agr-", i))
		if i == 2 {
			request.Notice = "other-notice"
		}
		all = append([]string{agreed(w, acme, request).GetId()}, all...)
		w.pass(time.Minute)
	}
	accepted(t, run(w, acme, service.WithdrawConsent, &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Id{Id: all[0]}}))
	list := func(p authn.Principal, m *heyanv1.ListConsentsRequest) (ids []string, behalf string) {
		t.Helper()
		for {
			end := run(w, p, service.ListConsents, m)
			page := accepted(t, end)
			for _, c := range page.GetConsents() {
				ids = append(ids, c.GetId())
			}
			if m.PageToken = page.GetNextPageToken(); m.PageToken == "" {
				return ids, end.record.Actor.OnBehalfOf
			}
		}
	}
	for name, c := range map[string]struct {
		caller  authn.Principal
		request *heyanv1.ListConsentsRequest
		want    []string
		behalf  string
	}{
		"all":       {acme, &heyanv1.ListConsentsRequest{PageSize: 2}, all, ""},
		"notice":    {acme, &heyanv1.ListConsentsRequest{Notice: "other-notice"}, all[2:3], ""},
		"withdrawn": {acme, &heyanv1.ListConsentsRequest{State: heyanv1.Consent_STATE_WITHDRAWN}, all[:1], ""},
		"active":    {acme, &heyanv1.ListConsentsRequest{PageSize: 1, State: heyanv1.Consent_STATE_ACTIVE}, all[1:], ""},
		"officer":   {officer, &heyanv1.ListConsentsRequest{PageSize: 3, Client: "acme"}, all, "acme"},
	} {
		if ids, behalf := list(c.caller, c.request); !slices.Equal(ids, c.want) || behalf != c.behalf {
			t.Errorf("%s: got %v on behalf of %q, want %v", name, ids, behalf, c.want)
		}
	}
	token := accepted(t, run(w, acme, service.ListConsents, &heyanv1.ListConsentsRequest{PageSize: 1})).GetNextPageToken()
	for name, c := range map[string]struct {
		caller    authn.Principal
		request   *heyanv1.ListConsentsRequest
		reason    fault.Reason
		violation []string
	}{
		"size":                  {acme, &heyanv1.ListConsentsRequest{PageSize: 1001}, fault.RequestMalformed, []string{"page_size 1_TO_1000"}},
		"token":                 {acme, &heyanv1.ListConsentsRequest{PageToken: token, Notice: "other-notice"}, fault.RequestMalformed, []string{"page_token NOT_OF_THIS_LIST"}},
		"officer's token":       {officer, &heyanv1.ListConsentsRequest{PageToken: token, Client: "acme"}, fault.RequestMalformed, []string{"page_token NOT_OF_THIS_LIST"}},
		"notice's form":         {acme, &heyanv1.ListConsentsRequest{Notice: "测试"}, fault.RequestMalformed, []string{"notice SLUG"}},
		"another client":        {acme, &heyanv1.ListConsentsRequest{Client: "other"}, fault.ResourceNotFound, nil},
		"officer names nobody":  {officer, &heyanv1.ListConsentsRequest{}, fault.FieldMissing, []string{"client"}},
		"officer names unknown": {officer, &heyanv1.ListConsentsRequest{Client: marked}, fault.ResourceNotFound, []string{"client NOT_ON_FILE"}},
	} {
		t.Run(name, func(t *testing.T) {
			refusedFor(t, run(w, c.caller, service.ListConsents, c.request).refused, c.reason, c.violation...)
		})
	}
	w.pass(366 * 24 * time.Hour)
	if ids, _ := list(acme, &heyanv1.ListConsentsRequest{State: heyanv1.Consent_STATE_EXPIRED}); !slices.Equal(ids, all[1:]) {
		t.Errorf("expired: %v", ids)
	}
}
