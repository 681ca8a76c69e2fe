package api

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

func (o *office) setRetention(revision int64, period string, grace int32, mask ...string) outcome[*heyanv1.RetentionPolicy] {
	o.t.Helper()
	return does(o, "anna", "ComplianceService/UpdateRetentionPolicy", record.RetentionUpdated, o.compliance.UpdateRetentionPolicy,
		&heyanv1.UpdateRetentionPolicyRequest{RetentionPolicy: &heyanv1.RetentionPolicy{Log: &heyanv1.LogPeriod{Period: period, GraceDays: grace}, Revision: revision},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
}

func (o *office) retention() *heyanv1.RetentionPolicy {
	o.t.Helper()
	return accepted(o.t, does(o, "cai", "ComplianceService/GetRetentionPolicy", record.RetentionRead, o.compliance.GetRetentionPolicy, &heyanv1.GetRetentionPolicyRequest{}))
}

// TestRetentionBelowFloor (MV-3.2-hold-1-logs): every attempt to keep less than six calendar months is refused, and the log
// says that somebody tried.
func TestRetentionBelowFloor(t *testing.T) {
	o := newOffice(t)
	const period, grace = "retention_policy.log.period", "retention_policy.log.grace_days"
	for _, test := range []struct {
		period string
		grace  int32
		mask   string
		reason fault.Reason
		where  string
	}{
		{"P5M", 0, "log.period", fault.RetentionBelowFloor, period + " P6M_AT_LEAST"},
		{"P0M", 0, "log.period", fault.RetentionBelowFloor, period + " P6M_AT_LEAST"},
		{"180 days", 0, "log.period", fault.RetentionBelowFloor, period + " CALENDAR_MONTHS"},
		{"P180D", 0, "log.period", fault.RetentionBelowFloor, period + " CALENDAR_MONTHS"},
		{"183 days", 0, "log.period", fault.RetentionBelowFloor, period + " CALENDAR_MONTHS"},
		{"P183D", 0, "log", fault.RetentionBelowFloor, period + " CALENDAR_MONTHS"},
		{"P6M", -1, "log.grace_days", fault.RetentionBelowFloor, grace + " NEGATIVE"},
		{"P6M", -1, "log", fault.RetentionBelowFloor, grace + " NEGATIVE"},
		{"P185D", 0, "log.period", fault.RequestMalformed, period + " CALENDAR_MONTHS"},
		{"", 0, "log.period", fault.RequestMalformed, period + " CALENDAR_MONTHS"},
		{"six months", 0, "log.period", fault.RequestMalformed, period + " CALENDAR_MONTHS"},
		{"P11Y", 0, "log.period", fault.RequestMalformed, period + " AT_MOST_10_YEARS"},
		{"P6M", 3654, "log.grace_days", fault.RequestMalformed, grace + " 0_TO_3653"},
		{"P6M", 0, "log.floor", fault.RequestMalformed, "update_mask UNKNOWN_PATH"},
		{"P6M", 0, "", fault.FieldMissing, "update_mask"},
	} {
		t.Run(test.period+" "+test.mask, func(t *testing.T) {
			mask := []string{test.mask}
			if test.mask == "" {
				mask = nil
			}
			// The revision is wrong too: what is below the floor is refused as such all the same.
			end := o.setRetention(7, test.period, test.grace, mask...)
			refusedFor(t, end.refused, test.reason, test.where)
			want := record.RetentionUpdated
			if test.reason == fault.RetentionBelowFloor {
				want = record.RetentionRefused
			}
			if r := end.record; r.Event != want || r.Outcome.Kind != record.Denied || r.Outcome.Reason != test.reason.String() || r.Actor.ID != "anna" {
				t.Errorf("recorded %v %+v of %q", r.Event, r.Outcome, r.Actor.ID)
			}
		})
	}
	if p := o.retention(); p.GetRevision() != 0 || p.GetLog() != nil {
		t.Errorf("a refused change is on file: %v", p)
	}
}

// TestRetention: what is set counts where it is longer, each change by its revision.
func TestRetention(t *testing.T) {
	o := newOffice(t)
	text := func(p *heyanv1.LogPeriod) string { return p.GetPeriod() + "+" + number(int64(p.GetGraceDays())) }
	is := func(p *heyanv1.RetentionPolicy, revision int64, want ...string) {
		t.Helper()
		got := []string{text(p.GetLog()), text(p.GetLogConfigured()), text(p.GetLogEffective()), p.GetLogFloor()}
		if strings.Join(got, " ") != strings.Join(want, " ") || p.GetRevision() != revision {
			t.Errorf("revision %d: %v, want %v", p.GetRevision(), got, want)
		}
	}
	is(o.retention(), 0, "+0", "P6M+15", "P6M+15", "P6M")
	first := o.setRetention(0, "P1Y", 0, "log.period")
	is(accepted(t, first), 1, "P12M+15", "P6M+15", "P12M+15", "P6M")
	if r := first.record; r.Event != record.RetentionUpdated || r.Object != (record.Object{Type: "retention", ID: "log"}) || r.Change == nil || r.Change.Before != "" {
		t.Errorf("recorded %+v", r)
	}
	o.pass(day)
	refusedFor(t, o.setRetention(2, "P2Y", 0, "log").refused, fault.RevisionConflict)
	second := o.setRetention(1, "P6M", 0, "log")
	is(accepted(t, second), 2, "P6M+0", "P6M+15", "P6M+15", "P6M")
	if r := second.record; r.Change.Before == "" || r.Change.Diff != "Grace Months Time" {
		t.Errorf("recorded %+v", r.Change)
	}
	third := accepted(t, o.setRetention(0, "P5M", 30, "log.grace_days")) // the period is not in the mask
	is(third, 3, "P6M+30", "P6M+15", "P6M+30", "P6M")
	if third.GetSetBy() != "anna" || third.GetSetterPerson() != "anna" || !third.GetUpdateTime().AsTime().Equal(o.Now()) {
		t.Errorf("set by %v", third)
	}
	is(o.retention(), 3, "P6M+30", "P6M+15", "P6M+30", "P6M")
}

// TestRetentionStatement: it says what is in force, not what was compiled in.
func TestRetentionStatement(t *testing.T) {
	o := newOffice(t)
	statement := func() string {
		return accepted(t, does(o, "cai", "LogService/GetLogCoverage", record.LogCoverageRead, o.log.GetLogCoverage, &heyanv1.GetLogCoverageRequest{})).GetRetentionStatement()
	}
	if s := statement(); !strings.Contains(s, "that is 6 calendar months after their own, and 15 days more") || !strings.Contains(s, "Active holds: 0.") {
		t.Errorf("at first: %s", s)
	}
	accepted(t, o.setRetention(0, "P1Y6M", 3, "log"))
	accepted(t, o.hold(holdRequest("court-17")))
	if s := statement(); !strings.Contains(s, "that is 18 calendar months after their own, and 15 days more") || !strings.Contains(s, "Active holds: 1.") {
		t.Errorf("then: %s", s)
	}
}
