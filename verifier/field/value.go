package field

import (
	"time"

	"github.com/heyan-project/heyan/verifier/secret"
)

// Value is one accepted value. Only [Rules.Parse] makes one; the zero Value is invalid. A Value may
// be copied and read by several goroutines. It prints as numbers and "[redacted]".
type Value struct {
	canonical secret.Text
	birth     date
	kind      Kind
	warnings  warningSet
	isID      bool // the canonical string is a valid id_number
}

// Valid reports whether v was made by Parse.
func (v Value) Valid() bool { return v.kind.Valid() }

// Kind returns the field that v was parsed as.
func (v Value) Kind() Kind { return v.kind }

// Form returns the form of v's canonical string.
func (v Value) Form() Form { return v.kind.Form() }

// Canonical returns the canonical string, which is what is hashed.
func (v Value) Canonical() secret.Text { return v.canonical }

// Warnings returns what is worth knowing about v, in the order of the constants; nil when nothing is.
func (v Value) Warnings() []Warning { return v.warnings.list() }

// BirthDate returns the date that an id_number, or a driver's licence number that is one, encodes.
// The 15-character number of an old foreign permanent resident card has a year of two digits; the
// younger person is assumed as long as the date is not in the future at the time of Parse, because
// what depends on age protects the young.
func (v Value) BirthDate() (year int, month time.Month, day int, ok bool) {
	if v.birth == 0 {
		return 0, 0, 0, false
	}
	return int(v.birth / 10000), time.Month(v.birth / 100 % 100), int(v.birth % 100), true
}

// IDNumber returns v as an id_number: v itself if it is one, or the holder's id_number if v is a
// driver's licence number that is one.
func (v Value) IDNumber() (Value, bool) {
	if !v.isID {
		return Value{}, false
	}
	v.kind = IDNumber
	return v, true
}
