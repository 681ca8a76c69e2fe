package consent

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/workday"
)

// AgeDeclaration is what a person declares where no value encodes a birth date. Numbers are those of
// heyan.v1.AgeDeclaration.
type AgeDeclaration uint8

// The declarations. The zero AgeDeclaration is none.
const (
	FourteenOrOver AgeDeclaration = iota + 1
	UnderFourteen
)

// GuardianRelation is what a guardian is to the child. Numbers are those of heyan.v1.GuardianRelation.
type GuardianRelation uint8

// The relations. The zero GuardianRelation is invalid.
const (
	Parent GuardianRelation = iota + 1
	AdoptiveParent
	AppointedGuardian
	lastRelation
)

// Guardian is how the guardian of a child agreed.
type Guardian struct {
	Relation    GuardianRelation
	EvidenceRef string // as sent; not kept
	ObtainTime  time.Time
}

// check refuses an incomplete guardian block, and an agreement that does not stand: what ends a person's own consent ends a
// guardian's, too. birth is the latest date of birth that the values tell; the zero Date is none. notice may be nil.
func (g *Guardian) check(notice *Notice, birth workday.Date, now, renewal time.Time) *fault.Fault {
	f := fault.New(fault.Under14WithoutGuardian)
	switch {
	case g.Relation == 0 || g.Relation >= lastRelation:
		return f.WithField("guardian.relation", "MISSING")
	case g.EvidenceRef == "":
		return f.WithField("guardian.evidence_ref", "MISSING")
	case g.ObtainTime.IsZero():
		return f.WithField("guardian.obtain_time", "MISSING")
	case g.ObtainTime.After(now.Add(clockDifference)):
		return f.WithField("guardian.obtain_time", "IN_THE_FUTURE")
	case !birth.IsZero() && g.ObtainTime.Before(birth.Start()):
		return f.WithField("guardian.obtain_time", "BEFORE_BIRTH")
	case notice != nil && !now.Before(notice.Expire(g.ObtainTime)):
		return fault.New(fault.ConsentExpired).WithField("guardian.obtain_time", "LIFETIME_OVER")
	case g.ObtainTime.Before(renewal):
		return fault.New(fault.ConsentRenewalRequired).WithField("guardian.obtain_time", "BEFORE_MATERIAL_CHANGE")
	}
	return nil
}

// CheckAge is the rule for children (MV-6-child-review, MV-6-age14, MV-6-age-unknown; PIPL art. 31).
//
// A person under 14 by any value that encodes a birth date, through the whole 14th birthday at +08:00,
// needs a guardian's consent. Where no value encodes one, the call declares the age, unless the notice
// has an age gate. child reports whether the person is or says to be under 14. notice may be nil. A guardian's consent from
// before renewal counts no more than a person's own.
func CheckAge(values []field.Value, declared AgeDeclaration, notice *Notice, guardian *Guardian, now, renewal time.Time) (child bool, refused *fault.Fault) {
	known := false
	var latest workday.Date
	today := workday.DateOf(now)
	for _, v := range values {
		year, month, day, ok := v.BirthDate()
		if !ok {
			continue
		}
		known = true
		birth, err := workday.NewDate(year, month, day)
		if err == nil && birth.After(latest) {
			latest = birth
		}
		if err != nil || workday.UnderFourteen(birth, today) {
			child = true
		}
	}
	if !known {
		switch {
		case declared == UnderFourteen:
			child = true
		case declared == 0 && (notice == nil || !notice.AgeGate):
			return false, fault.New(fault.FieldMissing).WithField("age_declaration", "")
		}
	}
	if !child {
		return false, nil
	}
	if guardian == nil {
		return true, fault.New(fault.Under14WithoutGuardian)
	}
	return true, guardian.check(notice, latest, now, renewal)
}
