package field

import (
	"errors"

	"github.com/heyan-project/heyan/verifier/fault"
)

// Cause is why a value was refused: the second half of a [fault.Violation]. The list is closed. The
// zero Cause is invalid.
type Cause uint8

// The causes.
const (
	Empty       Cause = iota + 1 // nothing is left after trimming
	Length                       // too short or too long for the field, or over MaxBytes
	Charset                      // a character that the field never has, or invalid UTF-8
	Prefix                       // a phone number that is no mobile number, a card number that starts with 0
	Country                      // a phone number of another country or region
	IOTNumber                    // a 13-digit number of a machine
	Division                     // the first digits are no administrative division
	Nationality                  // no country code of ISO 3166-1
	BirthDate                    // no real date, before 1850, or in the future
	OrderCode                    // 15 digits with order 996–999, whose century is unknown
	CheckDigit                   // the check digit or character does not fit
	Format                       // right characters, but no shape that the field has
	FileNumber                   // the file number of a driver's licence (档案编号) instead of its number
	MixedScript                  // Han and Latin letters in one name
)

var causeNames = [...]string{
	"INVALID", "EMPTY", "LENGTH", "CHARSET", "PREFIX", "COUNTRY", "IOT_NUMBER", "DIVISION", "NATIONALITY",
	"BIRTH_DATE", "ORDER_CODE", "CHECK_DIGIT", "FORMAT", "FILE_NUMBER", "MIXED_SCRIPT",
}

// String returns the cause as it stands in a violation, for example "CHECK_DIGIT", or "INVALID".
func (c Cause) String() string {
	if int(c) >= len(causeNames) {
		c = 0
	}
	return causeNames[c]
}

// CauseOf returns the cause that an error of [Rules.Parse] carries, also through wrapping.
func CauseOf(err error) (Cause, bool) {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Reason != fault.FieldMalformed || len(f.Violations) == 0 {
		return 0, false
	}
	for c := Empty; c <= MixedScript; c++ {
		if causeNames[c] == f.Violations[0].Cause {
			return c, true
		}
	}
	return 0, false
}

// refuse is the only place where a refusal becomes an error, so that none can hold an input.
func refuse(kind Kind, cause Cause) error {
	f := fault.New(fault.FieldMalformed).WithField("fields."+kind.String(), cause.String())
	if text := hint(kind, cause); text != "" {
		f.WithHint(text)
	}
	return f
}

// hint is one sentence for the mistakes that are made often. It is "" where the cause says it all.
func hint(kind Kind, cause Cause) string {
	switch kind {
	case Name:
		return nameHint(cause)
	case IDNumber:
		switch cause {
		case Length, Charset:
			return "Give the 18 or 15 characters of a resident identity card, a residence permit or a foreign permanent resident card. A passport, HKID or travel permit number is none of these."
		case OrderCode:
			return "The 15-character number of a person born before 1900 does not tell the century; give the 18-character number."
		}
	case PhoneNumber:
		switch cause {
		case Prefix, Country, IOTNumber:
			return "Give an 11-digit mobile number of mainland China. Landline, 400 and 800 numbers, numbers of machines and those of other countries and regions are not verified."
		}
	case BankCardNumber:
		switch cause {
		case Length, Charset:
			return "Give the 12 to 19 digits on the card, unmasked; spaces and hyphens may stand between them."
		}
	case LicensePlateNumber:
		switch cause {
		case Format:
			return "Give the plate as it is written, province character first. Temporary and superseded plates are not verified; the letter I is never used, and O only after the province."
		}
	case DriverLicenseNumber:
		switch cause {
		case FileNumber:
			return "This is the file number (档案编号). Give the number of the licence (证号), which is that of the holder's identity document."
		case Length, Charset, Format:
			return "The number of a driver's licence (证号) is that of the holder's identity document."
		}
	}
	return ""
}

func nameHint(cause Cause) string {
	switch cause {
	case MixedScript:
		return "Give the name either in Han characters or in Latin letters, as the document has it."
	case Charset:
		return "A name has Han characters and the dot U+00B7, or Latin letters, spaces, hyphens and apostrophes; no digits, brackets, titles or symbols."
	case Format:
		return "The dot stands between two parts of a name, once, never first or last."
	case Length:
		return "A name has at least two characters, and in Han characters at most 60."
	}
	return ""
}

// Warning is something to know about an accepted value. It never changes the canonical string.
type Warning uint8

// The warnings. The zero Warning is invalid.
const (
	DivisionUnknown    Warning = iota + 1 // the division code is in no table; it may be newer than the table
	NumberRangeUnknown                    // no operator was allocated this number range when the table was made
	ForeignDocument                       // the number of a document that has no rule here, taken as it stands
	CheckDigitExempt                      // the card fails Luhn and is exempt by the operator's list
)

var warningNames = [...]string{"INVALID", "DIVISION_UNKNOWN", "NUMBER_RANGE_UNKNOWN", "FOREIGN_DOCUMENT", "CHECK_DIGIT_EXEMPT"}

// String returns the warning's name, for example "DIVISION_UNKNOWN", or "INVALID".
func (w Warning) String() string {
	if int(w) >= len(warningNames) {
		w = 0
	}
	return warningNames[w]
}

// warningSet has bit w set for each Warning w.
type warningSet uint8

func (s warningSet) with(w Warning) warningSet { return s | 1<<w }

func (s warningSet) list() []Warning {
	if s == 0 {
		return nil
	}
	var list []Warning
	for w := DivisionUnknown; w <= CheckDigitExempt; w++ {
		if s&(1<<w) != 0 {
			list = append(list, w)
		}
	}
	return list
}
