package field

import "math/bits"

// Kind is one of the six fields. The zero Kind is invalid. The numbers are part of what is stored
// and hashed: they never change.
type Kind uint8

// The six fields. There is no seventh.
const (
	Name                Kind = 1
	IDNumber            Kind = 2
	PhoneNumber         Kind = 3
	BankCardNumber      Kind = 4
	LicensePlateNumber  Kind = 5
	DriverLicenseNumber Kind = 6
)

const kindCount = 6

var kindNames = [kindCount + 1]string{
	"invalid", "name", "id_number", "phone_number", "bank_card_number", "license_plate_number", "driver_license_number",
}

// String returns the field's name in the API, for example "id_number", or "invalid".
func (k Kind) String() string {
	if !k.Valid() {
		return kindNames[0]
	}
	return kindNames[k]
}

// Valid reports whether k is one of the six.
func (k Kind) Valid() bool { return k >= 1 && k <= kindCount }

// KindByName returns the kind that [Kind.String] names so.
func KindByName(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// Kinds returns the six in the order of their numbers.
func Kinds() [kindCount]Kind {
	return [kindCount]Kind{Name, IDNumber, PhoneNumber, BankCardNumber, LicensePlateNumber, DriverLicenseNumber}
}

// Form is the number of a field's canonical form. It is hashed together with the canonical string,
// and is raised only when a value that was already accepted would get another canonical string.
type Form uint8

// Form returns the form that [Rules.Parse] gives to values of k: 1 for every field so far, 0 for an
// invalid kind.
func (k Kind) Form() Form {
	if !k.Valid() {
		return 0
	}
	return 1
}

// Set is a set of kinds. The zero Set is empty. Sets compare with ==.
type Set uint8

// SetOf returns the set of the given kinds.
func SetOf(kinds ...Kind) Set {
	var s Set
	for _, k := range kinds {
		s = s.With(k)
	}
	return s
}

func (k Kind) bit() Set {
	if !k.Valid() {
		return 0
	}
	return 1 << (k - 1)
}

// Has reports whether k is in s. An invalid kind is in no set.
func (s Set) Has(k Kind) bool { return s&k.bit() != 0 }

// With returns s and k. An invalid kind adds nothing.
func (s Set) With(k Kind) Set { return s | k.bit() }

// Union returns the kinds that are in s or in other.
func (s Set) Union(other Set) Set { return s | other }

// Minus returns the kinds of s that are not in other.
func (s Set) Minus(other Set) Set { return s &^ other }

// SubsetOf reports whether every kind of s is in other.
func (s Set) SubsetOf(other Set) bool { return s&^other == 0 }

// Len returns the number of kinds in s.
func (s Set) Len() int { return bits.OnesCount8(uint8(s)) }

// Kinds returns the kinds of s in the order of their numbers.
func (s Set) Kinds() []Kind {
	kinds := make([]Kind, 0, s.Len())
	for _, k := range Kinds() {
		if s.Has(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Names returns the names of the kinds of s, in the order of their numbers.
func (s Set) Names() []string {
	names := make([]string, 0, s.Len())
	for _, k := range s.Kinds() {
		names = append(names, k.String())
	}
	return names
}
