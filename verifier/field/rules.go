package field

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/secret"
)

// Rules is how values are read: the built-in rules and the operator's list of card prefixes. A nil
// *Rules has the built-in rules alone. Rules are immutable and safe for concurrent use.
type Rules struct {
	cardPrefixes []string // sorted
	anyCard      bool
}

// AnyCard returns rules under which no bank card needs to pass the Luhn check: those of whoever does not know the
// operator's list, and leaves the refusal to who does.
func AnyCard() *Rules { return &Rules{anyCard: true} }

// A prefix identifies an issuer's series of cards (ISO/IEC 7812 BIN). Old UnionPay series have from
// four digits; anything shorter would switch the check off for every card of a scheme.
const (
	minCardPrefix = 4
	maxCardPrefix = 12
)

// NewRules returns rules under which bank cards that start with one of cardPrefixes need not pass the
// Luhn check. A prefix has 4 to 12 digits, the first not 0. The error names the position of a prefix
// that is none.
func NewRules(cardPrefixes []string) (*Rules, error) {
	for i, prefix := range cardPrefixes {
		if len(prefix) < minCardPrefix || len(prefix) > maxCardPrefix || prefix[0] == '0' || !allDigits(prefix) {
			return nil, fmt.Errorf("field: card prefix %d must have %d to %d digits, the first not 0", i, minCardPrefix, maxCardPrefix)
		}
	}
	prefixes := slices.Clone(cardPrefixes)
	slices.Sort(prefixes)
	return &Rules{cardPrefixes: slices.Compact(prefixes)}, nil
}

// exempts reports whether a card number starts with a prefix of the operator's list.
func (r *Rules) exempts(card string) bool {
	if r == nil {
		return false
	}
	return r.anyCard || slices.ContainsFunc(r.cardPrefixes, func(prefix string) bool { return strings.HasPrefix(card, prefix) })
}

// reading is what the rule of a field makes of a folded input.
type reading struct {
	canonical string
	birth     date
	warnings  warningSet
	isID      bool
}

var errInvalidKind = errors.New("field: Parse of an invalid kind")

// Parse reads input as a value of kind. now is the time of the call; it decides which birth dates lie
// in the future.
//
// A refusal is a [*fault.Fault] with reason FIELD_MALFORMED and one violation, "fields." and the
// field's name with the [Cause]; its hint, if there is one, is a constant. An invalid kind is a
// defect of the caller: the fault is INTERNAL.
func (r *Rules) Parse(kind Kind, input string, now time.Time) (Value, error) {
	if !kind.Valid() {
		return Value{}, fault.New(fault.InternalError).WithCause(errInvalidKind)
	}
	got, cause := r.read(kind, input, now)
	if cause != 0 {
		return Value{}, refuse(kind, cause)
	}
	return Value{
		canonical: secret.New(got.canonical), birth: got.birth, kind: kind, warnings: got.warnings, isID: got.isID,
	}, nil
}

func (r *Rules) read(kind Kind, input string, now time.Time) (reading, Cause) {
	text, cause := fold(input, kind)
	if cause != 0 {
		return reading{}, cause
	}
	switch kind {
	case Name:
		return readName(text)
	case IDNumber:
		return readIDNumber(text, now)
	case PhoneNumber:
		return readPhone(text)
	case BankCardNumber:
		return r.readBankCard(text)
	case LicensePlateNumber:
		return readPlate(text)
	}
	return readDriverLicense(text, now)
}
