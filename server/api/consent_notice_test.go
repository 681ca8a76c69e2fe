package api

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

func noticeRequest(id string) *heyanv1.CreateNoticeRequest {
	return &heyanv1.CreateNoticeRequest{Notice: &heyanv1.Notice{
		Id: id, TextSha256: bytes.Repeat([]byte{7}, 32), Version: "第3版", Fields: []heyanv1.Field{heyanv1.Field_FIELD_BANK_CARD_NUMBER, heyanv1.Field_FIELD_NAME},
		Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_PAYMENT}, Recipients: []string{"bank-network", "bank-network"},
		SeparateConsents: []heyanv1.SeparateConsent{2, 1}, LifetimeDays: 30, AgeGate: true,
	}}
}

func TestANoticeIsImmutable(t *testing.T) {
	w := newWorld(t)
	service, acme := NewConsent(w.Deps), w.client("acme")
	sent := noticeRequest("cards-v1")
	sent.Notice.Client, sent.Notice.CreateTime = "other", timestamppb.New(start.AddDate(-1, 0, 0)) // output only
	end := run(w, acme, service.CreateNotice, sent)
	got := accepted(t, end)
	want := proto.Clone(sent.GetNotice()).(*heyanv1.Notice)
	want.Client, want.CreateTime, want.Recipients = "acme", timestamppb.New(start), []string{"bank-network"}
	want.Fields, want.SeparateConsents = []heyanv1.Field{1, 4}, []heyanv1.SeparateConsent{1, 2}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if end.record.Object.Type != "notice" || end.record.Object.ID != "cards-v1" {
		t.Errorf("object %+v", end.record.Object)
	}
	w.pass(time.Hour)
	var twins sync.WaitGroup
	for range 4 {
		twins.Go(func() {
			if end := run(w, acme, service.CreateNotice, noticeRequest("cards-v1")); end.refused != nil || !proto.Equal(end.reply, got) {
				t.Errorf("again: %v, %v", end.reply, end.refused)
			}
			if end := run(w, acme, service.CreateNotice, noticeRequest("twin")); end.refused != nil {
				t.Errorf("twin: %v", end.refused)
			}
		})
	}
	twins.Wait()
	other := noticeRequest("cards-v1")
	other.Notice.LifetimeDays = 31
	refusedFor(t, run(w, acme, service.CreateNotice, other).refused, fault.ResourceExists, "notice.id OTHER_CONTENT")
	accepted(t, run(w, w.client("other"), service.CreateNotice, other)) // its own
}

func TestANoticeIsRefused(t *testing.T) {
	w := newWorld(t)
	service, acme := NewConsent(w.Deps), w.client("acme")
	for name, c := range map[string]struct {
		change     func(*heyanv1.CreateNoticeRequest)
		reason     fault.Reason
		violations []string
	}{
		"nothing": {func(r *heyanv1.CreateNoticeRequest) { r.Notice = nil }, fault.FieldMissing, []string{"notice"}},
		"no id":   {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Id = "" }, fault.FieldMissing, []string{"notice.id"}},
		"no slug": {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Id = "Onboarding" }, fault.RequestMalformed, []string{"notice.id SLUG"}},
		// MV-1.1-ceiling
		"a number as id":      {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Id = "n-" + unknownRange }, fault.FreeTextCarriesPII, []string{"notice.id"}},
		"a number as version": {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Version = "用于" + adultID }, fault.FreeTextCarriesPII, []string{"notice.version"}},
		"a long version":      {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Version = strings.Repeat("v", 501) }, fault.RequestMalformed, []string{"notice.version TEXT_OF_500_BYTES"}},
		"empty": {func(r *heyanv1.CreateNoticeRequest) { r.Notice = &heyanv1.Notice{Id: "x"} }, fault.FieldMissing,
			[]string{"notice.text_sha256", "notice.fields", "notice.purposes", "notice.lifetime_days"}},
		"short digest":      {func(r *heyanv1.CreateNoticeRequest) { r.Notice.TextSha256 = make([]byte, 31) }, fault.RequestMalformed, []string{"notice.text_sha256 32_BYTES"}},
		"long digest":       {func(r *heyanv1.CreateNoticeRequest) { r.Notice.TextSha256 = make([]byte, 64) }, fault.RequestMalformed, []string{"notice.text_sha256 32_BYTES"}},
		"negative lifetime": {func(r *heyanv1.CreateNoticeRequest) { r.Notice.LifetimeDays = -1 }, fault.RequestMalformed, []string{"notice.lifetime_days 1_TO_3650"}},
		"long lifetime":     {func(r *heyanv1.CreateNoticeRequest) { r.Notice.LifetimeDays = 3651 }, fault.RequestMalformed, []string{"notice.lifetime_days 1_TO_3650"}},
		"no field":          {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Fields = []heyanv1.Field{1, 0} }, fault.RequestMalformed, []string{"notice.fields UNSPECIFIED"}},
		"no purpose":        {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Purposes = []heyanv1.Purpose{0} }, fault.RequestMalformed, []string{"notice.purposes UNSPECIFIED"}},
		"no separate consent": {func(r *heyanv1.CreateNoticeRequest) { r.Notice.SeparateConsents = []heyanv1.SeparateConsent{0} }, fault.RequestMalformed,
			[]string{"notice.separate_consents UNSPECIFIED"}},
		"unknown recipient": {func(r *heyanv1.CreateNoticeRequest) { r.Notice.Recipients = []string{"bank-network", marked} }, fault.ResourceNotFound,
			[]string{"notice.recipients NOT_ON_FILE"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := noticeRequest("cards-v1")
			c.change(request)
			end := run(w, acme, service.CreateNotice, request)
			refusedFor(t, end.refused, c.reason, c.violations...)
			if end.record.Object.ID != "" {
				t.Errorf("object %+v", end.record.Object)
			}
			if (c.reason == fault.FreeTextCarriesPII) != (end.record.Event == record.TextCarriesPII) {
				t.Errorf("event %v", end.record.Event)
			}
		})
	}
	if w.Directory.Now().Notice("acme", "cards-v1") != nil {
		t.Error("on file all the same")
	}
}

func TestNoticesAreListedByIDAndBounded(t *testing.T) {
	w := newWorld(t)
	service, acme, officer := NewConsent(w.Deps), w.client("acme"), operator(role.PrivacyOfficer)
	var want []string
	for i := range maxNotices - 1 {
		id := fmt.Sprintf("n-%04d", i)
		want = append(want, id)
		w.notice(consent.Notice{ID: id, Client: "acme"})
	}
	want = append(want, "onboarding-v3")
	refused := run(w, acme, service.CreateNotice, noticeRequest("one-more")).refused
	refusedFor(t, refused, fault.QuotaExceeded)
	if refused.Quota == "" {
		t.Error("it does not say which limit")
	}
	accepted(t, run(w, w.client("other"), service.CreateNotice, noticeRequest("one-more")))
	for _, p := range []authn.Principal{acme, officer} {
		request := &heyanv1.ListNoticesRequest{PageSize: 400}
		if p.Kind == authn.Operator {
			request.Client = "acme"
		}
		var got []string
		for {
			end := run(w, p, service.ListNotices, request)
			page := accepted(t, end)
			for _, n := range page.GetNotices() {
				got = append(got, n.GetId())
			}
			if end.record.Actor.OnBehalfOf != request.GetClient() {
				t.Errorf("record %+v", end.record)
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %d notices, want %d in order", p.ID, len(got), len(want))
		}
	}
	for name, c := range map[string]struct {
		caller    authn.Principal
		request   *heyanv1.ListNoticesRequest
		reason    fault.Reason
		violation []string
	}{
		"size":                  {acme, &heyanv1.ListNoticesRequest{PageSize: -1}, fault.RequestMalformed, []string{"page_size 1_TO_1000"}},
		"token":                 {acme, &heyanv1.ListNoticesRequest{PageToken: "AAAA"}, fault.RequestMalformed, []string{"page_token NOT_OF_THIS_LIST"}},
		"another client":        {acme, &heyanv1.ListNoticesRequest{Client: "other"}, fault.ResourceNotFound, nil},
		"officer names nobody":  {officer, &heyanv1.ListNoticesRequest{}, fault.FieldMissing, []string{"client"}},
		"officer names unknown": {officer, &heyanv1.ListNoticesRequest{Client: marked}, fault.ResourceNotFound, []string{"client NOT_ON_FILE"}},
	} {
		t.Run(name, func(t *testing.T) {
			refusedFor(t, run(w, c.caller, service.ListNotices, c.request).refused, c.reason, c.violation...)
		})
	}
}
