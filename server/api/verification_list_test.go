package api

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/verifier/fault"
)

const unknownID = "0190b1a0-0000-7000-8000-00000000ffff"

// made makes one verification and returns it.
func made(w *world, p authn.Principal, request *heyanv1.VerifyRequest) *heyanv1.Verification {
	w.t.Helper()
	return accepted(w.t, run(w, p, NewVerification(w.Deps).Verify, request)).GetVerification()
}

func TestAVerificationIsReadByItsClientAlone(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	request := verifyRequest(1, "测试一致")
	request.ClientReference = marked + "case"
	v := made(w, acme, request)
	get := func(p authn.Principal, id string) outcome[*heyanv1.Verification] {
		return run(w, p, service.GetVerification, &heyanv1.GetVerificationRequest{Id: id})
	}
	for _, id := range []string{v.GetId(), v.GetName()} {
		end := get(acme, id)
		got := accepted(t, end)
		want := proto.Clone(v).(*heyanv1.Verification)
		want.Opening, want.ClientReference = nil, "" // in the reply to Verify only
		if !proto.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		if end.record.Object.Type != "verification" || end.record.Object.ID != v.GetId() {
			t.Errorf("the record's object is %+v", end.record.Object)
		}
	}
	refusedFor(t, get(acme, "").refused, fault.FieldMissing, "id")
	for _, id := range []string{unknownID, marked, "verifications/", "verifications/verifications/" + v.GetId(), strings.ToUpper(v.GetId()), v.GetId() + " "} {
		end := get(acme, id)
		refusedFor(t, end.refused, fault.ResourceNotFound)
		if end.record.Object.ID != "" {
			t.Errorf("%q is on the record: %+v", id, end.record.Object)
		}
	}
	// MV-1.1-feedback: neither a sign that it exists.
	end := get(w.client("other"), v.GetId())
	refusedFor(t, end.refused, fault.ResourceNotFound)
	if end.record.Object.ID != "" {
		t.Errorf("another client's verification is on the record: %+v", end.record.Object)
	}
	w.pass(30 * 24 * time.Hour)
	refusedFor(t, get(acme, v.GetId()).refused, fault.ResourceNotFound)
	refusedFor(t, run(w, acme, service.GetReceipt, &heyanv1.GetReceiptRequest{Id: v.GetId()}).refused, fault.ResourceNotFound)
	refusedFor(t, run(w, acme, service.DeleteVerification, &heyanv1.DeleteVerificationRequest{Id: v.GetId()}).refused, fault.ResourceNotFound)
}

func TestADeletedVerificationIsGoneAndItsRequestIDStaysUsed(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	v := made(w, acme, verifyRequest(1, "测试一致"))
	remove := func(p authn.Principal) outcome[*heyanv1.DeleteVerificationResponse] {
		return run(w, p, service.DeleteVerification, &heyanv1.DeleteVerificationRequest{Id: v.GetName()})
	}
	refusedFor(t, remove(w.client("other")).refused, fault.ResourceNotFound)
	for range 2 { // deleting twice is the same
		end := remove(acme)
		accepted(t, end)
		if end.record.Object.ID != v.GetId() {
			t.Errorf("object %+v", end.record.Object)
		}
	}
	refusedFor(t, run(w, acme, service.GetVerification, &heyanv1.GetVerificationRequest{Id: v.GetId()}).refused, fault.ResourceNotFound)
	refusedFor(t, run(w, acme, service.GetReceipt, &heyanv1.GetReceiptRequest{Id: v.GetId()}).refused, fault.ResourceNotFound)
	refusedFor(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致")).refused, fault.RequestIDReused)
	if list := accepted(t, run(w, acme, service.ListVerifications, &heyanv1.ListVerificationsRequest{})); len(list.GetVerifications()) != 0 {
		t.Errorf("listed: %v", list)
	}
	for _, name := range []string{"", unknownID, marked} {
		if got := run(w, acme, service.DeleteVerification, &heyanv1.DeleteVerificationRequest{Id: name}).refused; got == nil {
			t.Errorf("%q was deleted", name)
		}
	}
	pending := made(w, acme, verifyRequest(2, "测试未知"))
	waiting := run(w, acme, service.DeleteVerification, &heyanv1.DeleteVerificationRequest{Id: pending.GetId()}).refused
	refusedFor(t, waiting, fault.RevisionConflict)
	if !strings.Contains(waiting.Hint, "PENDING") {
		t.Errorf("it does not say why: %q", waiting.Hint)
	}
}

func TestVerificationsAreListedNewestFirstByPageAndFilter(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	made(w, w.client("other"), verifyRequest(1, "测试一致"))
	var all []string
	for i := range 7 {
		name := "测试一致"
		if i == 3 {
			name = "测试未知"
		}
		request := verifyRequest(i, name)
		if i%2 == 0 {
			request.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: "aml-kyc"}
			request.ClientReference = marked + "even"
		}
		all = append([]string{made(w, acme, request).GetId()}, all...) // newest first
		w.pass(time.Minute)
	}
	list := func(m *heyanv1.ListVerificationsRequest) []string {
		t.Helper()
		var ids []string
		for pages := 0; ; pages++ {
			page := accepted(t, run(w, acme, service.ListVerifications, m))
			for _, v := range page.GetVerifications() {
				ids = append(ids, v.GetId())
				if len(v.GetOpening()) != 0 || v.GetReused() || v.GetReceipt() != nil || v.GetClientReference() != "" {
					t.Errorf("a list shows %v", v)
				}
			}
			if m.PageToken = page.GetNextPageToken(); m.PageToken == "" {
				return ids
			}
			if pages > 20 {
				t.Fatal("pages without end")
			}
		}
	}
	at := func(minute int) *timestamppb.Timestamp {
		return timestamppb.New(start.Add(time.Duration(minute) * time.Minute))
	}
	for name, c := range map[string]struct {
		request *heyanv1.ListVerificationsRequest
		want    []string
	}{
		"all":        {&heyanv1.ListVerificationsRequest{}, all},
		"two a page": {&heyanv1.ListVerificationsRequest{PageSize: 2}, all},
		// MV-1.3-exempt-01
		"legal basis":      {&heyanv1.ListVerificationsRequest{PageSize: 3, LegalBasis: "aml-kyc"}, []string{all[0], all[2], all[4], all[6]}},
		"times":            {&heyanv1.ListVerificationsRequest{StartTime: at(2), EndTime: at(4)}, []string{all[3], all[4]}},
		"product":          {&heyanv1.ListVerificationsRequest{Product: "phone2"}, nil},
		"own product":      {&heyanv1.ListVerificationsRequest{Product: "id2"}, all},
		"pending":          {&heyanv1.ListVerificationsRequest{State: heyanv1.Verification_STATE_PENDING}, []string{all[3]}},
		"client_reference": {&heyanv1.ListVerificationsRequest{PageSize: 1, ClientReference: marked + "even"}, []string{all[0], all[2], all[4], all[6]}},
		"other reference":  {&heyanv1.ListVerificationsRequest{ClientReference: marked + "Even"}, nil},
		"request_id":       {&heyanv1.ListVerificationsRequest{RequestId: marked + "order-5"}, []string{all[1]}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := list(c.request); strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
	w.pass(30*24*time.Hour - 4*time.Minute) // the first four are over
	if got := list(&heyanv1.ListVerificationsRequest{PageSize: 2}); strings.Join(got, " ") != strings.Join(all[:3], " ") {
		t.Errorf("expired ones are listed: %v", got)
	}
}

func TestAListRefuses(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	for i := range 3 {
		made(w, acme, verifyRequest(i, "测试一致"))
		made(w, w.client("other"), verifyRequest(i, "测试一致"))
		w.pass(time.Millisecond)
	}
	first := accepted(t, run(w, acme, service.ListVerifications, &heyanv1.ListVerificationsRequest{PageSize: 1, Product: "id2"}))
	token := first.GetNextPageToken()
	if token == "" {
		t.Fatal("no next page")
	}
	// Other page sizes go on; anything else is another list.
	accepted(t, run(w, acme, service.ListVerifications, &heyanv1.ListVerificationsRequest{PageSize: 2, Product: "id2", PageToken: token}))
	const notOurs = "page_token NOT_OF_THIS_LIST"
	for name, c := range map[string]struct {
		client  string
		request *heyanv1.ListVerificationsRequest
		want    string
	}{
		"token of another filter":    {"acme", &heyanv1.ListVerificationsRequest{PageToken: token}, notOurs},
		"token of another client":    {"other", &heyanv1.ListVerificationsRequest{Product: "id2", PageToken: token}, notOurs},
		"token with a time":          {"acme", &heyanv1.ListVerificationsRequest{Product: "id2", StartTime: timestamppb.New(start), PageToken: token}, notOurs},
		"token cut":                  {"acme", &heyanv1.ListVerificationsRequest{Product: "id2", PageToken: token[:len(token)-2]}, notOurs},
		"token made up":              {"acme", &heyanv1.ListVerificationsRequest{PageToken: marked}, notOurs},
		"token of an id":             {"acme", &heyanv1.ListVerificationsRequest{PageToken: unknownID}, notOurs},
		"page_size negative":         {"acme", &heyanv1.ListVerificationsRequest{PageSize: -1}, "page_size 1_TO_1000"},
		"page_size above":            {"acme", &heyanv1.ListVerificationsRequest{PageSize: 1001}, "page_size 1_TO_1000"},
		"start_time":                 {"acme", &heyanv1.ListVerificationsRequest{StartTime: &timestamppb.Timestamp{Nanos: -1}}, "start_time TIMESTAMP"},
		"end_time":                   {"acme", &heyanv1.ListVerificationsRequest{EndTime: &timestamppb.Timestamp{Nanos: -1}}, "end_time TIMESTAMP"},
		"times the wrong way":        {"acme", &heyanv1.ListVerificationsRequest{StartTime: timestamppb.New(start), EndTime: timestamppb.New(start.Add(-1))}, "end_time BEFORE_START_TIME"},
		"product that is no slug":    {"acme", &heyanv1.ListVerificationsRequest{Product: "测试"}, "product SLUG"},
		"basis that is no slug":      {"acme", &heyanv1.ListVerificationsRequest{LegalBasis: "A"}, "legal_basis SLUG"},
		"reference that is none":     {"acme", &heyanv1.ListVerificationsRequest{ClientReference: "测试"}, "client_reference REFERENCE"},
		"request_id that is no such": {"acme", &heyanv1.ListVerificationsRequest{RequestId: marked + "/"}, "request_id REFERENCE"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedFor(t, run(w, w.client(c.client), service.ListVerifications, c.request).refused, fault.RequestMalformed, c.want)
		})
	}
}
