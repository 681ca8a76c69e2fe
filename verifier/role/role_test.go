package role_test

import (
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// Every set of the five roles: one person holds at most one administrator, privacy officer goes with system and
// security administrator only, client with nothing.
func TestWhatOnePersonMayHold(t *testing.T) {
	allowed := map[role.Set]bool{}
	for _, s := range []role.Set{
		role.Of(role.SystemAdmin), role.Of(role.SecurityAdmin), role.Of(role.AuditAdmin), role.Of(role.PrivacyOfficer),
		role.Of(role.SystemAdmin, role.PrivacyOfficer), role.Of(role.SecurityAdmin, role.PrivacyOfficer),
	} {
		allowed[s] = true
	}
	for s := role.Set(0); s < 1<<6; s += 2 {
		if got := s.CheckOperator() == nil; got != allowed[s] {
			t.Errorf("%q: allowed %v, want %v", s, got, allowed[s])
		}
	}
}

func TestNames(t *testing.T) {
	if got := role.Of(role.PrivacyOfficer, role.SystemAdmin).String(); got != "system_admin+privacy_officer" {
		t.Error(got)
	}
	if role.Role(0).String() != "unspecified" || role.Role(9).String() != "unspecified" {
		t.Error("a number outside the list has a name")
	}
}

func TestTwoPersons(t *testing.T) {
	day := 24 * time.Hour
	a := role.Binding{Person: "a"}
	for name, c := range map[string]struct {
		a, b role.Binding
		want bool
	}{
		"of the first start":                 {a, role.Binding{Person: "b"}, true},
		"one person with two bindings":       {a, role.Binding{Person: "a"}, false},
		"nobody":                             {role.Binding{}, role.Binding{Person: "b"}, false},
		"bound by the other":                 {a, role.Binding{Person: "b", BoundBy: "a", BoundAt: now.Add(-29 * day)}, false},
		"bound by the other 30 days ago":     {a, role.Binding{Person: "b", BoundBy: "a", BoundAt: now.Add(-30 * day)}, true},
		"bound by the other, third approved": {a, role.Binding{Person: "b", BoundBy: "a", ApprovedBy: "c", BoundAt: now}, true},
		"approved by themselves":             {a, role.Binding{Person: "b", BoundBy: "a", ApprovedBy: "b", BoundAt: now}, false},
		"approved by who bound":              {a, role.Binding{Person: "b", BoundBy: "a", ApprovedBy: "a", BoundAt: now}, false},
		"bound by a third":                   {a, role.Binding{Person: "b", BoundBy: "c", BoundAt: now}, true},
	} {
		if got := role.CountAsTwo(c.a, c.b, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := role.CountAsTwo(c.b, c.a, now); got != c.want {
			t.Errorf("%s, the other way round: %v", name, got)
		}
	}
}

func TestOperatorState(t *testing.T) {
	o := role.Operator{State: role.Active, ExpireTime: now}
	if o.Check(now.Add(-1)) != nil || o.Check(now).Reason != fault.CredentialExpired {
		t.Error("a binding ends at its time")
	}
	o.State = role.Revoked
	if o.Check(now.Add(-1)).Reason != fault.CredentialInvalid {
		t.Error("a revoked binding works")
	}
	o = role.Operator{State: role.Active}
	if o.Check(now.AddDate(100, 0, 0)) != nil {
		t.Error("a binding without an end ends")
	}
	o.Roles = role.Of(role.SystemAdmin)
	if !o.AddsRole(role.Of(role.SystemAdmin, role.PrivacyOfficer)) || o.AddsRole(role.Of(role.SystemAdmin)) || !(*role.Operator)(nil).AddsRole(1) {
		t.Error("AddsRole")
	}
}

func TestApproval(t *testing.T) {
	request := [32]byte{1}
	base := role.Approval{ID: "x", Method: "/m", RequestSHA256: request, RequestedBy: "op-a", RequesterPerson: "a", State: role.Waiting, CreateTime: now}
	a, b := role.Binding{Person: "a"}, role.Binding{Person: "b"}
	check := func(name string, f *fault.Fault, want fault.Reason) {
		t.Helper()
		if want == 0 && f != nil || want != 0 && (f == nil || f.Reason != want) {
			t.Errorf("%s: %v, want %v", name, f, want)
		}
	}
	waiting := base
	check("second person", waiting.CheckDecider(a, b, now), 0)
	check("the requester", waiting.CheckDecider(a, a, now), fault.SeparationOfDuties)
	check("lapsed", waiting.CheckDecider(a, b, now.Add(role.ApprovalLife)), fault.DeadlinePassed)
	own := base
	own.Concerns, own.AddsRole = "b", true
	check("a role of one's own", own.CheckDecider(a, b, now), fault.SeparationOfDuties)
	own.AddsRole = false
	check("a change of one's own that adds none", own.CheckDecider(a, b, now), 0)

	use := func(name string, a role.Approval, operator, method string, request [32]byte, at time.Time, want string) {
		t.Helper()
		f := a.CheckUse(operator, method, request, at)
		switch {
		case want == "" && f != nil, want != "" && (f == nil || f.Reason != fault.ApprovalRequired ||
			!slices.Equal(f.Violations, []fault.Violation{{Field: "approval", Cause: want}})):
			t.Errorf("%s: %v, want approval %s", name, f, want)
		case want != "" && (f.Metadata["approval"] != "") != (want == role.CauseWaiting):
			t.Errorf("%s: metadata %v", name, f.Metadata)
		}
	}
	use("not decided", waiting, "op-a", "/m", request, now, role.CauseWaiting)
	approved := base
	approved.State = role.Approved
	use("approved", approved, "op-a", "/m", request, now, "")
	use("another method", approved, "op-a", "/n", request, now, role.CauseOtherContent)
	use("another request", approved, "op-a", "/m", [32]byte{2}, now, role.CauseOtherContent)
	use("another operator", approved, "op-b", "/m", request, now, role.CauseOtherContent)
	use("too late", approved, "op-a", "/m", request, now.Add(role.ApprovalLife), role.CauseLapsed)
	for state, want := range map[role.ApprovalState]string{role.Done: role.CauseUsed, role.Rejected: role.CauseRejected} {
		used := base
		used.State = state
		use("used or rejected", used, "op-a", "/m", request, now, want)
		check("decided again", used.CheckDecider(a, b, now), fault.DeadlinePassed)
	}
}
