package field

import "time"

// A driver_license_number is the number of the holder's identity document (Ministry of Public
// Security Order 162, article 12): an id_number, in its canonical form, or for foreigners the number
// of another document: 6 to 12 capital letters and digits with at least one letter, taken as it
// stands, with a warning. Twelve digits are the file number, which is refused as such.

const (
	minDocument = 6
	maxDocument = 12
	fileNumber  = 12
)

func readDriverLicense(text string, now time.Time) (reading, Cause) {
	var space [longID]byte
	number, cause := compactID(text, &space)
	if cause != 0 {
		return reading{}, cause
	}
	length, digitsOnly := len(number), allDigits(number)
	switch {
	case length == longID || length == shortID:
		return readCompactID(number, now)
	case length < minDocument || length > maxDocument:
		return reading{}, Length
	case digitsOnly && length == fileNumber:
		return reading{}, FileNumber
	case digitsOnly:
		return reading{}, Format
	}
	return reading{canonical: number, warnings: warningSet(0).with(ForeignDocument)}, 0
}
