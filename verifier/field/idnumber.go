package field

import "time"

// An id_number is one of
//
//   - the 18 characters of GB 11643-1999: 6 of division, 8 of birth date, 3 of order, 1 check
//     character by ISO 7064 MOD 11-2; spaces may stand between them, x is X;
//   - the 15 digits of its predecessor GB 11643-1989, which become the 18 of the same person;
//   - the number of a residence permit of a Hong Kong, Macao or Taiwan resident: the same 18
//     characters with division 810000, 820000 or 830000;
//   - the number of a foreign permanent resident card in the form of 2023: 9, 2 of province, 3 of
//     nationality (ISO 3166-1 numeric), 8 of birth date, 3 of order, 1 check character as above;
//   - or in the older form: 3 letters of nationality (ISO 3166-1 alpha-3), 4 digits of issuing
//     division, YYMMDD, 1 of order, 1 check digit by the weights 7-3-1 of ICAO Doc 9303. The two
//     forms of one person cannot be derived from each other and stay two values.
//
// The division is that of registration when the number was issued, not of birth: any four-digit
// prefix of any year since 1981 is taken, and six digits unknown to the table only warn.

const (
	longID  = 18
	shortID = 15
)

func readIDNumber(text string, now time.Time) (reading, Cause) {
	var space [longID]byte
	id, cause := compactID(text, &space)
	if cause != 0 {
		return reading{}, cause
	}
	return readCompactID(id, now)
}

// compactID removes spaces and raises letters. More than 18 characters are LENGTH, unless one of them
// is no letter or digit. The result is text itself where nothing changed.
func compactID(text string, space *[longID]byte) (string, Cause) {
	n, changed := 0, false
	for i := range len(text) {
		c := upper(text[i])
		if c == ' ' {
			changed = true
			continue
		}
		if !isDigit(c) && !isUpper(c) {
			return "", Charset
		}
		changed = changed || c != text[i]
		if n < len(space) {
			space[n] = c
		}
		n++
	}
	if n > len(space) {
		return "", Length
	}
	if !changed {
		return text, 0
	}
	return string(space[:n]), 0
}

// readCompactID reads what compactID returned.
func readCompactID(id string, now time.Time) (reading, Cause) {
	if len(id) == shortID && isUpper(id[0]) {
		return readOldPermanentResident(id, now)
	}
	last := id[len(id)-1]
	if !allDigits(id[:len(id)-1]) || !isDigit(last) && (last != 'X' || len(id) == shortID) {
		return reading{}, Charset
	}
	switch {
	case len(id) == shortID:
		return readShortResident(id)
	case len(id) != longID:
		return reading{}, Length
	case id[0] == '9':
		return readPermanentResident(id, now)
	}
	return readResident(id, now)
}

func readResident(id string, now time.Time) (reading, Cause) {
	warnings, cause := readDivision(id[:6], true)
	if cause != 0 {
		return reading{}, cause
	}
	birth := bornBy(decimal(id[6:10]), decimal(id[10:12]), decimal(id[12:14]), today(now))
	if birth == 0 {
		return reading{}, BirthDate
	}
	if checkCharacter(id) != id[17] {
		return reading{}, CheckDigit
	}
	return reading{canonical: id, birth: birth, warnings: warnings, isID: true}, 0
}

// readShortResident reads 15 digits. Residence permits never had this form: they began in 2018.
func readShortResident(id string) (reading, Cause) {
	warnings, cause := readDivision(id[:6], false)
	if cause != 0 {
		return reading{}, cause
	}
	birth := bornBy(1900+decimal(id[6:8]), decimal(id[8:10]), decimal(id[10:12]), 1999_12_31)
	if birth == 0 {
		return reading{}, BirthDate
	}
	// 996–999 were kept for persons over a hundred years old, so the century is not 19.
	if decimal(id[12:]) >= 996 {
		return reading{}, OrderCode
	}
	var long [longID]byte
	copy(long[:], id[:6])
	copy(long[6:], "19")
	copy(long[8:], id[6:])
	long[17] = checkCharacter(string(long[:17]))
	return reading{canonical: string(long[:]), birth: birth, warnings: warnings, isID: true}, 0
}

// readDivision checks six digits of division. permits says whether the three codes of residence
// permits are meant too.
func readDivision(code string, permits bool) (warningSet, Cause) {
	if permits && (code == "810000" || code == "820000" || code == "830000") {
		return 0, 0
	}
	t, all := tables(), decimal(code)
	if !t.prefixes.has(all / 100) {
		return 0, Division
	}
	if !t.divisions.has(all) {
		return warningSet(0).with(DivisionUnknown), 0
	}
	return 0, 0
}

func readPermanentResident(id string, now time.Time) (reading, Cause) {
	t := tables()
	if !t.provinces.has(decimal(id[1:3])) {
		return reading{}, Division
	}
	if !t.countryNumber.has(decimal(id[3:6])) {
		return reading{}, Nationality
	}
	birth := bornBy(decimal(id[6:10]), decimal(id[10:12]), decimal(id[12:14]), today(now))
	if birth == 0 {
		return reading{}, BirthDate
	}
	if checkCharacter(id) != id[17] {
		return reading{}, CheckDigit
	}
	return reading{canonical: id, birth: birth, isID: true}, 0
}

func readOldPermanentResident(id string, now time.Time) (reading, Cause) {
	if !allUpper(id[:3]) || !allDigits(id[3:]) {
		return reading{}, Charset
	}
	t := tables()
	if !t.countryLetter.has(alpha3(id)) {
		return reading{}, Nationality
	}
	if !t.provinces.has(decimal(id[3:5])) {
		return reading{}, Division
	}
	var warnings warningSet
	if !t.prefixes.has(decimal(id[3:7])) {
		warnings = warnings.with(DivisionUnknown)
	}
	year, month, day, last := decimal(id[7:9]), decimal(id[9:11]), decimal(id[11:13]), today(now)
	birth := bornBy(2000+year, month, day, last)
	if birth == 0 {
		birth = bornBy(1900+year, month, day, last)
	}
	if birth == 0 {
		return reading{}, BirthDate
	}
	if travelCheckDigit(id[:14]) != id[14] {
		return reading{}, CheckDigit
	}
	return reading{canonical: id, birth: birth, warnings: warnings, isID: true}, 0
}

// checkCharacter computes ISO 7064 MOD 11-2 over the first 17 digits.
func checkCharacter(id string) byte {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, weight := range weights {
		sum += weight * int(id[i]-'0')
	}
	return "10X98765432"[sum%11]
}

// travelCheckDigit computes the check digit of ICAO Doc 9303 part 3, 4.9: letters count from A = 10.
func travelCheckDigit(text string) byte {
	weights := [3]int{7, 3, 1}
	sum := 0
	for i := range len(text) {
		value := int(text[i] - '0')
		if isUpper(text[i]) {
			value = int(text[i]-'A') + 10
		}
		sum += weights[i%3] * value
	}
	return byte('0' + sum%10)
}

// decimal is the number that a string of digits means.
func decimal(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}
