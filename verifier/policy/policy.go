// Package policy is the published privacy policy: immutable versions, which one is in force, and what the
// publishing check remarks.
//
// A version has a time of publication and a time from which it applies, because the two differ: a version
// applies to calls from its effective time on, never before (MV-8-publish, MV-8-archive).
package policy

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

// MaterialChange is a significant change that people and clients are told of. Numbers are those of
// heyan.v1.MaterialChange.
type MaterialChange uint8

// The changes of MV §8. The zero MaterialChange is invalid.
const (
	ServiceModel MaterialChange = iota + 1
	Organisation
	Recipients
	Rights
	Contact
	HighRisk
	lastChange
)

// Valid reports whether m is one of the six.
func (m MaterialChange) Valid() bool { return m > 0 && m < lastChange }

// Version is one version.
type Version struct {
	ID                string
	Title             string
	Text              string
	TextSHA256        [32]byte
	PublishTime       time.Time
	EffectiveTime     time.Time
	ChangeSummary     []string
	ReducesRights     bool
	RequiresReconsent bool // see Renewal
	MaterialChanges   []MaterialChange
	Contact           string
	Language          string
	Lint              []string
}

// Remarks of the publishing check.
const (
	LintLongAfter = "EFFECTIVE_LONG_AFTER_PUBLISH" // more than 90 days: a typo, most likely
	LintSilent    = "REDUCES_RIGHTS_WITHOUT_RECONSENT"
)

// Check is what a version needs to be published. It fills v.Lint.
func (v *Version) Check() *fault.Fault {
	missing := fault.New(fault.FieldMissing)
	for _, m := range []struct {
		name  string
		empty bool
	}{
		{"policy.title", v.Title == ""}, {"policy.text", v.Text == ""}, {"policy.contact", v.Contact == ""},
		{"policy.language", v.Language == ""}, {"policy.effective_time", v.EffectiveTime.IsZero()},
		{"policy.change_summary", len(v.ChangeSummary) == 0},
	} {
		if m.empty {
			missing.WithField(m.name, "")
		}
	}
	if len(missing.Violations) > 0 {
		return missing
	}
	malformed := fault.New(fault.RequestMalformed)
	if !product.ValidSlug(v.ID) {
		return malformed.WithField("policy.version", "SLUG")
	}
	if v.EffectiveTime.Before(v.PublishTime) {
		return malformed.WithField("policy.effective_time", "BEFORE_PUBLISH_TIME")
	}
	v.Lint = nil
	if v.EffectiveTime.Sub(v.PublishTime) > 90*24*time.Hour {
		v.Lint = append(v.Lint, LintLongAfter)
	}
	if v.ReducesRights && !v.RequiresReconsent {
		v.Lint = append(v.Lint, LintSilent)
	}
	return nil
}

// InForce returns the version that applies at a time: of those effective by then, the one with the latest
// effective time, and of equals the one published last. It returns nil where there is none.
func InForce(versions []*Version, now time.Time) *Version {
	var best *Version
	for _, v := range versions {
		if now.Before(v.EffectiveTime) {
			continue
		}
		if best == nil || v.EffectiveTime.After(best.EffectiveTime) ||
			v.EffectiveTime.Equal(best.EffectiveTime) && v.PublishTime.After(best.PublishTime) {
			best = v
		}
	}
	return best
}

// Renewal returns from when on a person must have agreed, for the consent to hold at a time: when the newest version
// that requires consents anew became effective (MV-8-reconsent). A later version that does not require it changes
// nothing. It returns the zero Time where none requires it.
func Renewal(versions []*Version, now time.Time) time.Time {
	var newest time.Time
	for _, v := range versions {
		if v.RequiresReconsent && !now.Before(v.EffectiveTime) && v.EffectiveTime.After(newest) {
			newest = v.EffectiveTime
		}
	}
	return newest
}
