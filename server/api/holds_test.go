package api

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// holdRequest asks for a hold of a court on the whole log.
func holdRequest(id string) *heyanv1.CreateHoldRequest {
	return &heyanv1.CreateHoldRequest{Hold: &heyanv1.Hold{Id: id, Cause: heyanv1.Hold_CAUSE_COURT, Reference: "(2026)京0105民初17号", LogRange: &heyanv1.Hold_LogRange{}}}
}

func (o *office) hold(request *heyanv1.CreateHoldRequest) outcome[*heyanv1.Hold] {
	o.t.Helper()
	return does(o, "anna", "ComplianceService/CreateHold", record.HoldCreated, o.compliance.CreateHold, request)
}

func (o *office) release(by string, request *heyanv1.ReleaseHoldRequest) outcome[*heyanv1.Hold] {
	o.t.Helper()
	return does(o, by, "ComplianceService/ReleaseHold", record.HoldReleased, o.compliance.ReleaseHold, request)
}

func (o *office) holds(state heyanv1.Hold_State) []*heyanv1.Hold {
	o.t.Helper()
	return accepted(o.t, does(o, "cai", "ComplianceService/ListHolds", record.HoldListed, o.compliance.ListHolds,
		&heyanv1.ListHoldsRequest{State: state})).GetHolds()
}

// seal fills the live part up to a whole frame and makes a segment of it.
func (o *office) seal() netlog.Manifest {
	o.t.Helper()
	missing := 256 - int(o.Log.Size()%256)
	var writers sync.WaitGroup
	for range 8 { // their flushes are shared
		writers.Go(func() { o.note(missing/8, record.VerificationVerify, "acme") })
	}
	writers.Wait()
	o.note(missing%8, record.VerificationVerify, "acme")
	must(o.t, o.Log.Seal(o.t.Context()))
	all := o.Log.Segments()
	return all[len(all)-1]
}

func TestCreateHoldRefuses(t *testing.T) {
	o := newOffice(t)
	tests := []struct {
		name   string
		change func(*heyanv1.Hold)
		want   wants
	}{
		{"nothing", func(h *heyanv1.Hold) { proto.Reset(h) }, refusal(fault.FieldMissing, "hold.id")},
		{"no slug", func(h *heyanv1.Hold) { h.Id = "Court 17" }, refusal(fault.RequestMalformed, "hold.id SLUG")},
		{"PII as id", func(h *heyanv1.Hold) { h.Id = "13800138000" }, refusal(fault.FreeTextCarriesPII, "hold.id")},
		{"PII in the reference", func(h *heyanv1.Hold) { h.Reference = "of 13800138000" }, refusal(fault.FreeTextCarriesPII, "hold.reference")},
		{"PII in the reason", func(h *heyanv1.Hold) { h.Reason = "case of " + adultID }, refusal(fault.FreeTextCarriesPII, "hold.reason")},
		{"too long", func(h *heyanv1.Hold) { h.Reason = strings.Repeat("x", 501) }, refusal(fault.RequestMalformed, "hold.reason TEXT_OF_500_BYTES")},
		{"no range", func(h *heyanv1.Hold) { h.LogRange = nil }, refusal(fault.FieldMissing, "hold.log_range")},
		{"MV-3.2-hold-2-court: no document", func(h *heyanv1.Hold) { h.Reference = "" }, refusal(fault.FieldMissing, "hold.reference")},
		{"no cause", func(h *heyanv1.Hold) { h.Cause = 0 }, refusal(fault.FieldMissing, "hold.cause")},
		{"MV-3.2-hold-4-finance", func(h *heyanv1.Hold) { h.Cause = heyanv1.Hold_CAUSE_FINANCE_AUDIT }, refusal(fault.FieldMissing, "hold.expire_time")},
		{"MV-3.2-hold-5-dispute", func(h *heyanv1.Hold) { h.Cause = heyanv1.Hold_CAUSE_DISPUTE }, refusal(fault.FieldMissing, "hold.expire_time")},
		{"over already", func(h *heyanv1.Hold) { h.ExpireTime = timestamppb.New(start) }, refusal(fault.RequestMalformed, "hold.expire_time NOT_IN_THE_FUTURE")},
		{"reversed", func(h *heyanv1.Hold) { h.LogRange.StartTime, h.LogRange.EndTime = inYears(1), timestamppb.New(start) },
			refusal(fault.RequestMalformed, "hold.log_range.end_time NOT_AFTER_START_TIME")},
		{"no time", func(h *heyanv1.Hold) { h.LogRange.StartTime = &timestamppb.Timestamp{Nanos: -1} }, refusal(fault.RequestMalformed, "hold.log_range.start_time TIMESTAMP")},
		{"over nothing", func(h *heyanv1.Hold) { h.LogRange.EndTime = timestamppb.New(start) }, refusal(fault.RequestMalformed, "hold.log_range.end_time BEFORE_FIRST_RECORD")},
		{"of the first instant", func(h *heyanv1.Hold) { h.LogRange.EndTime = timestamppb.New(start.Add(1)) }, wants{}},
		{"MV-3.2-hold-3-authority: of what is to come", func(h *heyanv1.Hold) {
			h.Id, h.Cause, h.LogRange.StartTime = "authority", heyanv1.Hold_CAUSE_AUTHORITY, inYears(1)
		}, wants{}},
		{"there already", func(h *heyanv1.Hold) { h.Id = "authority" }, refusal(fault.ResourceExists, "hold.id")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := holdRequest("court-17")
			test.change(request.Hold)
			end := o.hold(request)
			ends(t, end, test.want)
			if want := (record.Object{}); end.refused != nil && end.record.Object != want {
				t.Errorf("the record of a refusal names %+v", end.record.Object)
			}
		})
	}
	if all := o.holds(0); len(all) != 2 {
		t.Errorf("on file: %v", all)
	}
}

// Another log that the store knows may still hold what this one does not.
func TestAHoldBeforeThisLogWhereAnotherWas(t *testing.T) {
	o := newOffice(t)
	other := OriginRow{Node: "node0", Key: value(tree.NewSigner("node0-0123456789abcdef", newKey(t)))(t).Key(), FirstTime: start.AddDate(-1, 0, 0)}
	must(t, failure(store.TableOf[OriginRow](o.Store, store.Origins).Put(t.Context(), "node0-0123456789abcdef", other, 0)))
	request := holdRequest("court-17")
	request.Hold.LogRange.EndTime = timestamppb.New(other.FirstTime)
	refusedFor(t, o.hold(request).refused, fault.RequestMalformed, "hold.log_range.end_time BEFORE_FIRST_RECORD")
	request.Hold.LogRange.EndTime = timestamppb.New(start.AddDate(0, -1, 0))
	accepted(t, o.hold(request))
}

// TestHold (MV-3.2-hold-2-court): what it costs is shown first; it binds at once on one signature, and is released by two
// persons.
func TestHold(t *testing.T) {
	o := newOffice(t)
	sealed := o.seal()
	o.pass(300 * day)
	request := holdRequest("court-17")
	request.Hold.Reason, request.Hold.LogRange.EndTime, request.ValidateOnly = "keep", timestamppb.New(start.Add(time.Hour)), true
	judged := o.hold(request)
	cost := accepted(t, judged).GetCost()
	// Six months after 2026-11-22 and 15 days of grace more: until the end of 2027-06-06 at +08:00.
	first := time.Date(2027, 6, 6, 16, 0, 0, 0, time.UTC)
	want := &heyanv1.HoldCost{Segments: 1, Records: 256, Bytes: sealed.Bytes, FirstTime: timestamppb.New(first), Days: int32(o.Now().Sub(first) / day), DailyBytes: sealed.Bytes}
	if !proto.Equal(cost, want) || judged.reply.GetRevision() != 0 || judged.record.Event != record.HoldAssessed || judged.record.Object.ID != "" {
		t.Errorf("it would cost %v, want %v; recorded %v %v", cost, want, judged.record.Event, judged.record.Object)
	}
	if all := o.holds(0); len(all) != 0 {
		t.Errorf("a hold that was only judged is on file: %v", all)
	}
	request.ValidateOnly = false
	created := o.hold(request)
	h := accepted(t, created)
	if !proto.Equal(h.GetCost(), want) || h.GetRevision() != 1 || h.GetState() != heyanv1.Hold_STATE_ACTIVE || h.GetCreatedBy() != "anna" || h.GetCreatorPerson() != "anna" ||
		!h.GetCreateTime().AsTime().Equal(o.Now()) || h.GetReference() != request.GetHold().GetReference() {
		t.Errorf("created %v", h)
	}
	if r := created.record; r.Event != record.HoldCreated || r.Object != (record.Object{Type: "hold", ID: "court-17"}) || r.Change == nil || r.Change.After == "" {
		t.Errorf("recorded %+v", r)
	}
	plan := value(o.Keeper.Plan(t.Context(), o.Log.Segments()))(t)
	if plan[0].Hold != "court-17" {
		t.Errorf("planned %+v", plan)
	}
	o.checkRelease(t)
	if plan := value(o.Keeper.Plan(t.Context(), o.Log.Segments()))(t); plan[0].Why != 0 {
		t.Errorf("planned after the release: %+v", plan)
	}
}

func (o *office) checkRelease(t *testing.T) {
	let := func(approval string) *heyanv1.ReleaseHoldRequest {
		return &heyanv1.ReleaseHoldRequest{Id: "court-17", Reason: "the case is closed", Revision: 1, Approval: approval}
	}
	refusedFor(t, o.release("anna", &heyanv1.ReleaseHoldRequest{Id: "court-18", Reason: "x"}).refused, fault.ResourceNotFound)
	refusedFor(t, o.release("anna", &heyanv1.ReleaseHoldRequest{Id: "court-17"}).refused, fault.FieldMissing, "reason")
	refusedFor(t, o.release("anna", &heyanv1.ReleaseHoldRequest{Id: "court-17", Reason: "of " + adultID}).refused, fault.FreeTextCarriesPII, "reason")
	refusedFor(t, o.release("anna", &heyanv1.ReleaseHoldRequest{Id: "court-17", Reason: "x", Revision: 2}).refused, fault.RevisionConflict)
	asked := o.release("anna", let(""))
	refusedFor(t, asked.refused, fault.ApprovalRequired)
	refusedFor(t, o.approve("anna", asked.refused.Metadata["approval"]).refused, fault.SeparationOfDuties)
	if active := o.holds(heyanv1.Hold_STATE_ACTIVE); len(active) != 1 {
		t.Fatalf("released by one person: %v", active)
	}
	for _, line := range o.Directory.Now().Approvals[asked.refused.Metadata["approval"]].Value.Summary {
		if strings.Contains(line, "(2026)") || strings.Contains(line, "closed") {
			t.Errorf("the summary holds free text: %q", line)
		}
	}
	released := o.release("anna", let(agree(o, asked, "bo")))
	h := accepted(t, released)
	if h.GetState() != heyanv1.Hold_STATE_RELEASED || h.GetReleasedBy() != "anna" || h.GetReleaseApprovedBy() != "bo" || h.GetRevision() != 2 ||
		h.GetReleaseReason() != "the case is closed" || !h.GetReleaseTime().AsTime().Equal(o.Now()) || h.GetCost() != nil {
		t.Errorf("released %v", h)
	}
	if r := released.record; r.Event != record.HoldReleased || r.Object.ID != "court-17" || r.Change.Before == "" {
		t.Errorf("recorded %+v", r)
	}
	refusedFor(t, o.release("anna", let("")).refused, fault.DeadlinePassed)
}

// TestListHolds: pages by id, and a state that follows from the time.
func TestListHolds(t *testing.T) {
	o := newOffice(t)
	for i, id := range []string{"c", "a", "b"} {
		request := holdRequest(id)
		request.Hold.ExpireTime = timestamppb.New(start.Add(time.Duration(i+1) * time.Hour))
		accepted(t, o.hold(request))
	}
	o.pass(2 * time.Hour)
	list := func(request *heyanv1.ListHoldsRequest) outcome[*heyanv1.ListHoldsResponse] {
		return does(o, "cai", "ComplianceService/ListHolds", record.HoldListed, o.compliance.ListHolds, request)
	}
	first := accepted(t, list(&heyanv1.ListHoldsRequest{PageSize: 2}))
	second := accepted(t, list(&heyanv1.ListHoldsRequest{PageSize: 2, PageToken: first.GetNextPageToken()}))
	var got []string
	for _, h := range append(first.GetHolds(), second.GetHolds()...) {
		got = append(got, h.GetId()+" "+strings.TrimPrefix(h.GetState().String(), "STATE_"))
		if (h.GetCost() != nil) != (h.GetState() == heyanv1.Hold_STATE_ACTIVE) {
			t.Errorf("the cost of %v", h)
		}
	}
	if want := []string{"a ENDED", "b ACTIVE", "c ENDED"}; !slices.Equal(got, want) || second.GetNextPageToken() != "" {
		t.Errorf("listed %v, want %v", got, want)
	}
	if ended := o.holds(heyanv1.Hold_STATE_ENDED); len(ended) != 2 {
		t.Errorf("%d have ended", len(ended))
	}
	refusedFor(t, list(&heyanv1.ListHoldsRequest{PageToken: first.GetNextPageToken(), State: heyanv1.Hold_STATE_ACTIVE}).refused,
		fault.RequestMalformed, "page_token NOT_OF_THIS_LIST")
	refusedFor(t, o.release("anna", &heyanv1.ReleaseHoldRequest{Id: "a", Reason: "x"}).refused, fault.DeadlinePassed)
}
