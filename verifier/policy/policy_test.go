package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func good() policy.Version {
	return policy.Version{ID: "2026-11", Title: "t", Text: "x", Contact: "c", Language: "zh-CN", ChangeSummary: []string{"first"}, PublishTime: now, EffectiveTime: now}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*policy.Version)
		want fault.Reason
		lint []string
	}{
		"complete":                            {func(*policy.Version) {}, 0, nil},
		"MGV-9-history: no summary":           {func(v *policy.Version) { v.ChangeSummary = nil }, fault.FieldMissing, nil},
		"no contact":                          {func(v *policy.Version) { v.Contact = "" }, fault.FieldMissing, nil},
		"no text":                             {func(v *policy.Version) { v.Text = "" }, fault.FieldMissing, nil},
		"effective before publication":        {func(v *policy.Version) { v.EffectiveTime = now.Add(-1) }, fault.RequestMalformed, nil},
		"a version that is no slug":           {func(v *policy.Version) { v.ID = "November 2026" }, fault.RequestMalformed, nil},
		"effective 90 days later":             {func(v *policy.Version) { v.EffectiveTime = now.Add(90 * 24 * time.Hour) }, 0, nil},
		"effective a year later, as MV's is":  {func(v *policy.Version) { v.EffectiveTime = now.AddDate(1, 0, 0) }, 0, []string{policy.LintLongAfter}},
		"MV-8-nonreduction without reconsent": {func(v *policy.Version) { v.ReducesRights = true }, 0, []string{policy.LintSilent}},
		"with it":                             {func(v *policy.Version) { v.ReducesRights, v.RequiresReconsent = true, true }, 0, nil},
	} {
		v := good()
		c.edit(&v)
		f := v.Check()
		if c.want == 0 && f != nil || c.want != 0 && (f == nil || f.Reason != c.want) {
			t.Errorf("%s: %v", name, f)
		}
		if c.want == 0 && !slices.Equal(v.Lint, c.lint) {
			t.Errorf("%s: lint %v", name, v.Lint)
		}
	}
}

func TestInForce(t *testing.T) {
	old := &policy.Version{ID: "old", EffectiveTime: now.Add(-2), PublishTime: now.Add(-10)}
	current := &policy.Version{ID: "current", EffectiveTime: now.Add(-1), PublishTime: now.Add(-9)}
	corrected := &policy.Version{ID: "corrected", EffectiveTime: now.Add(-1), PublishTime: now.Add(-8)}
	future := &policy.Version{ID: "future", EffectiveTime: now.Add(1), PublishTime: now.Add(-7)}
	all := []*policy.Version{future, corrected, old, current}
	for at, want := range map[time.Time]string{now.Add(-3): "", now.Add(-2): "old", now: "corrected", now.Add(1): "future"} {
		got := ""
		if v := policy.InForce(all, at); v != nil {
			got = v.ID
		}
		if got != want {
			t.Errorf("at %v: %q, want %q", at.Sub(now), got, want)
		}
	}
}

// MV-8-reconsent: from the effective time on, and still after a version that asks nothing.
func TestRenewal(t *testing.T) {
	first := &policy.Version{EffectiveTime: now.Add(-3), RequiresReconsent: true}
	second := &policy.Version{EffectiveTime: now.Add(-1), RequiresReconsent: true}
	silent := &policy.Version{EffectiveTime: now}
	all := []*policy.Version{silent, second, first}
	for at, want := range map[time.Time]time.Time{now.Add(-4): {}, now.Add(-3): now.Add(-3), now.Add(-2): now.Add(-3), now.Add(-1): now.Add(-1), now: now.Add(-1)} {
		if got := policy.Renewal(all, at); !got.Equal(want) {
			t.Errorf("at %v: %v, want %v", at.Sub(now), got, want)
		}
	}
}

func TestMaterialChanges(t *testing.T) {
	if policy.MaterialChange(0).Valid() || !policy.ServiceModel.Valid() || !policy.HighRisk.Valid() || (policy.HighRisk + 1).Valid() {
		t.Error("the six of MV §8")
	}
}
