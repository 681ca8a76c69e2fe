package consent

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

// BasisKind is one of the twelve exemptions of the policy (MV-1.3-exempt-01 … -12). Numbers are those of
// heyan.v1.LegalBasis.Kind.
type BasisKind uint8

// The kinds. The zero BasisKind is invalid.
const (
	BasisLegalObligation BasisKind = iota + 1
	BasisNationalSecurity
	BasisPublicSafetyHealth
	BasisCriminalJustice
	BasisVitalInterest
	BasisSelfPublished
	BasisContract
	BasisLawfullyDisclosed
	BasisServiceSafety
	BasisNewsPublicInterest
	BasisAcademic
	BasisOtherLaw
	lastBasis
)

// Each kind: its name, the item of PIPL art. 13(1) that it corresponds to, and whether two persons are
// needed, which is where that item is missing or only reached through another law.
var basisKinds = [lastBasis]struct {
	name       string
	pipl       string
	twoPersons bool
}{
	BasisLegalObligation:    {"LEGAL_OBLIGATION", "13(1)(3)", false},
	BasisNationalSecurity:   {"NATIONAL_SECURITY", "13(1)(7)", true},
	BasisPublicSafetyHealth: {"PUBLIC_SAFETY_HEALTH", "13(1)(4)", true},
	BasisCriminalJustice:    {"CRIMINAL_JUSTICE", "13(1)(7)", true},
	BasisVitalInterest:      {"VITAL_INTEREST", "13(1)(4)", false},
	BasisSelfPublished:      {"SELF_PUBLISHED", "13(1)(6)", false},
	BasisContract:           {"CONTRACT", "13(1)(2)", false},
	BasisLawfullyDisclosed:  {"LAWFULLY_DISCLOSED", "13(1)(6)", false},
	BasisServiceSafety:      {"SERVICE_SAFETY", "", false},
	BasisNewsPublicInterest: {"NEWS_PUBLIC_INTEREST", "13(1)(5)", false},
	BasisAcademic:           {"ACADEMIC", "", true},
	BasisOtherLaw:           {"OTHER_LAW", "13(1)(7)", true},
}

// Valid reports whether k is one of the twelve.
func (k BasisKind) Valid() bool { return k > 0 && k < lastBasis }

// String returns the name; empty for none.
func (k BasisKind) String() string {
	if !k.Valid() {
		return ""
	}
	return basisKinds[k].name
}

// PIPLItem returns the item of PIPL art. 13(1); empty where there is none.
func (k BasisKind) PIPLItem() string {
	if !k.Valid() {
		return ""
	}
	return basisKinds[k].pipl
}

// TwoPersons reports whether registering it needs a second person.
func (k BasisKind) TwoPersons() bool { return k.Valid() && basisKinds[k].twoPersons }

// LegalBasis is a ground other than consent, registered once.
type LegalBasis struct {
	ID             string
	Kind           BasisKind
	Citation       string // statute and article, or authority and document number
	DocumentSHA256 []byte
	Client         string // empty = any client whose entitlement names it
	Products       []string
	Purposes       product.Purposes
	Expire         time.Time
	DailyCap       int64
	CreatedBy      string // person
	ApprovedBy     string // person
	CreateTime     time.Time
}

// CheckRegistration is what a basis needs before it is put on file.
func (b *LegalBasis) CheckRegistration(now time.Time) *fault.Fault {
	unsupported := fault.New(fault.LegalBasisUnsupported)
	missing := fault.New(fault.FieldMissing)
	switch {
	case !b.Kind.Valid():
		return missing.WithField("legal_basis.kind", "")
	case b.Kind == BasisServiceSafety:
		return unsupported.WithField("legal_basis.kind", "NEVER_A_CLIENTS").
			WithHint("SERVICE_SAFETY has no counterpart in PIPL art. 13 and only serves the service's own fault handling.")
	case b.Citation == "":
		return missing.WithField("legal_basis.citation", "")
	case len(b.Purposes.List()) == 0:
		return missing.WithField("legal_basis.purposes", "")
	case !b.Expire.After(now):
		return fault.New(fault.RequestMalformed).WithField("legal_basis.expire_time", "NOT_IN_THE_FUTURE")
	case b.DailyCap < 1:
		return missing.WithField("legal_basis.daily_cap", "")
	}
	return nil
}

// CheckUse is the gate of a call that names a basis: on file, named by the entitlement, in scope, not over.
// The daily cap is reserved with the quota. b may be nil.
func (b *LegalBasis) CheckUse(e *product.Entitlement, purpose product.Purpose, now time.Time) *fault.Fault {
	unsupported := fault.New(fault.LegalBasisUnsupported)
	switch {
	case b == nil || b.Kind == BasisServiceSafety || b.Kind.TwoPersons() && b.ApprovedBy == "":
		return unsupported
	case !e.HasLegalBasis(b.ID) || b.Client != "" && b.Client != e.Client:
		return unsupported.WithHint("The client's entitlement does not name it.")
	case !now.Before(b.Expire):
		return unsupported.WithHint("It has expired.")
	case !b.Purposes.Has(purpose):
		return unsupported.WithField("purpose", "NOT_COVERED")
	case len(b.Products) > 0 && !contains(b.Products, string(e.Product)):
		return unsupported.WithField("product", "NOT_COVERED")
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
