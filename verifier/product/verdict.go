package product

import "github.com/heyan-project/heyan/verifier/field"

// Verdict is what an authority says of the values together. Numbers are those of heyan.v1.Verdict.
type Verdict uint8

// The verdicts. The zero Verdict is none: the verification is pending.
const (
	Match             Verdict = iota + 1 // one record of the authority holds all the values
	Mismatch                             // the anchor is known, and some value differs
	NoRecord                             // the anchor is not known
	NotVerifiable                        // the authority cannot judge this
	InstrumentBlocked                    // lost, blocked or cancelled
	lastVerdict
)

var verdictNames = [lastVerdict]string{"", "MATCH", "MISMATCH", "NO_RECORD", "NOT_VERIFIABLE", "INSTRUMENT_BLOCKED"}

// String returns the name, e.g. "NO_RECORD"; empty for none.
func (v Verdict) String() string {
	if v >= lastVerdict {
		return ""
	}
	return verdictNames[v]
}

// ParseVerdict reads what String prints; the empty name is none.
func ParseVerdict(name string) (Verdict, bool) {
	for v, known := range verdictNames {
		if known == name {
			return Verdict(v), true
		}
	}
	return 0, false
}

// Valid reports whether v is a verdict.
func (v Verdict) Valid() bool { return v > 0 && v < lastVerdict }

// FieldVerdict is what the authority says of one field. Numbers are those of heyan.v1.FieldVerdict.
type FieldVerdict uint8

// The field verdicts. The zero FieldVerdict says nothing.
const (
	FieldMatch       FieldVerdict = iota + 1 // belongs to the record
	FieldMismatch                            // differs from every record of the anchor
	FieldNotCompared                         // was not compared
)

// FieldVerdicts holds one answer a field, by [field.Kind].
type FieldVerdicts [7]FieldVerdict

// Set notes the answer for one field.
func (v *FieldVerdicts) Set(kind field.Kind, verdict FieldVerdict) { v[kind] = verdict }

// Billing is whether the client pays. Numbers are those of heyan.v1.Billing.
type Billing uint8

// The billings. The zero Billing is invalid.
const (
	Billed         Billing = iota + 1 // counts on the statement
	Free                              // does not
	BillingUnknown                    // not reconciled yet
)

// String returns the name; empty for none.
func (b Billing) String() string {
	switch b {
	case Billed:
		return "BILLED"
	case Free:
		return "FREE"
	case BillingUnknown:
		return "UNKNOWN"
	}
	return ""
}

// ParseBilling reads what String prints.
func ParseBilling(name string) (Billing, bool) {
	for _, b := range []Billing{Billed, Free, BillingUnknown} {
		if b.String() == name {
			return b, true
		}
	}
	return 0, false
}

// Purpose is what a person was told their data is for. Numbers are those of heyan.v1.Purpose.
type Purpose uint8

// The purposes: a closed list, none of them marketing, scoring or enrichment (SO-1.2-pii-only-for-identity).
const (
	AccountOpening Purpose = iota + 1
	AccountSecurity
	CustomerDueDiligence
	Payment
	Contract
	VehicleService
	Employment
	FraudPrevention
	LegalObligation
	lastPurpose
)

var purposeNames = [lastPurpose]string{"", "ACCOUNT_OPENING", "ACCOUNT_SECURITY", "CUSTOMER_DUE_DILIGENCE",
	"PAYMENT", "CONTRACT", "VEHICLE_SERVICE", "EMPLOYMENT", "FRAUD_PREVENTION", "LEGAL_OBLIGATION"}

// String returns the name, e.g. "ACCOUNT_OPENING"; empty for none.
func (p Purpose) String() string {
	if p >= lastPurpose {
		return ""
	}
	return purposeNames[p]
}

// Valid reports whether p is a purpose.
func (p Purpose) Valid() bool { return p > 0 && p < lastPurpose }

// Purposes is a set of purposes.
type Purposes uint16

// PurposesOf makes a set.
func PurposesOf(purposes ...Purpose) Purposes {
	var s Purposes
	for _, p := range purposes {
		s |= 1 << p
	}
	return s
}

// Has reports whether p is in s.
func (s Purposes) Has(p Purpose) bool { return p.Valid() && s&(1<<p) != 0 }

// Both returns what s and t have in common.
func (s Purposes) Both(t Purposes) Purposes { return s & t }

// Only returns the single purpose of s, if there is exactly one.
func (s Purposes) Only() (Purpose, bool) {
	list := s.List()
	if len(list) != 1 {
		return 0, false
	}
	return list[0], true
}

// List returns the purposes in the order of their numbers.
func (s Purposes) List() []Purpose {
	var list []Purpose
	for p := AccountOpening; p < lastPurpose; p++ {
		if s.Has(p) {
			list = append(list, p)
		}
	}
	return list
}
