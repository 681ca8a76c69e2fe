package retention_test

import (
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/retention"
)

var now = time.Date(2026, 11, 27, 4, 0, 0, 0, time.UTC)

func hold(change func(*retention.Hold)) *retention.Hold {
	h := &retention.Hold{ID: "h", Cause: retention.Court, Reference: "(2026) 17", CreateTime: now}
	change(h)
	return h
}

// TestCheck (MV-3.2-hold-2-court, MV-3.2-hold-3-authority, MV-3.2-hold-4-finance, MV-3.2-hold-5-dispute): a court and an
// authority may hold without an end, nobody else; every hold says by what document.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*retention.Hold)
		want   string
	}{
		"court":                {func(*retention.Hold) {}, ""},
		"authority":            {func(h *retention.Hold) { h.Cause = retention.Authority }, ""},
		"finance with end":     {func(h *retention.Hold) { h.Cause, h.Until = retention.FinanceAudit, now.Add(1) }, ""},
		"finance without end":  {func(h *retention.Hold) { h.Cause = retention.FinanceAudit }, "FIELD_MISSING: hold.expire_time"},
		"dispute without end":  {func(h *retention.Hold) { h.Cause = retention.Dispute }, "FIELD_MISSING: hold.expire_time"},
		"no cause":             {func(h *retention.Hold) { h.Cause = 0 }, "FIELD_MISSING: hold.cause"},
		"a cause out of range": {func(h *retention.Hold) { h.Cause = 5 }, "FIELD_MISSING: hold.cause"},
		"no reference":         {func(h *retention.Hold) { h.Reference = "" }, "FIELD_MISSING: hold.reference"},
		"over already":         {func(h *retention.Hold) { h.Until = now }, "REQUEST_MALFORMED: hold.expire_time NOT_IN_THE_FUTURE"},
		"range reversed":       {func(h *retention.Hold) { h.From, h.To = now, now.Add(-1) }, "REQUEST_MALFORMED: hold.log_range.end_time NOT_AFTER_START_TIME"},
		"range empty":          {func(h *retention.Hold) { h.From, h.To = now, now }, "REQUEST_MALFORMED: hold.log_range.end_time NOT_AFTER_START_TIME"},
		"from on":              {func(h *retention.Hold) { h.From = now }, ""},
		"up to":                {func(h *retention.Hold) { h.To = now }, ""},
	} {
		got := ""
		if f := hold(c.change).Check(); f != nil {
			got = (*fault.Fault).Error(f)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestStates: a hold ends in its moment, and is released for good.
func TestStates(t *testing.T) {
	ends := hold(func(h *retention.Hold) { h.Until = now.Add(time.Hour) })
	for at, want := range map[time.Duration]retention.State{0: retention.Active, time.Hour - 1: retention.Active, time.Hour: retention.Ended} {
		if got := ends.StateAt(now.Add(at)); got != want {
			t.Errorf("%v later: %v, want %v", at, got, want)
		}
	}
	ends.ReleaseTime = now
	if ends.StateAt(now) != retention.Released || ends.StateAt(now.Add(2*time.Hour)) != retention.Released {
		t.Error("a released hold is not released")
	}
	if got := hold(func(*retention.Hold) {}).StateAt(now.AddDate(50, 0, 0)); got != retention.Active {
		t.Errorf("without an end: %v after 50 years", got)
	}
	for c, want := range []string{"UNSPECIFIED", "COURT", "AUTHORITY", "FINANCE_AUDIT", "DISPUTE", "UNSPECIFIED"} {
		if got := retention.Cause(c).String(); got != want {
			t.Errorf("cause %d is %s, want %s", c, got, want)
		}
	}
}
