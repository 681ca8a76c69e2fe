package field

import "strings"

// A phone_number is an 11-digit mobile number of mainland China, ^1[3-9]\d{9}$. Before it may stand
// +86, 0086, 86 (13 digits in all), one trunk 0, or +86 and a trunk 0; between the digits spaces,
// hyphens and dashes, dots and parentheses. The canonical string is the 11 digits.

const phoneDigits = 11

func readPhone(text string) (reading, Cause) {
	if len(text) == phoneDigits && allDigits(text) {
		return classifyPhone(text)
	}
	digits, plus, cause := compactPhone(text)
	if cause != 0 {
		return reading{}, cause
	}
	number, cause := nationalNumber(digits, plus)
	if cause != 0 {
		return reading{}, cause
	}
	return classifyPhone(number)
}

// compactPhone removes separators. plus says whether a plus sign stood before the first digit.
func compactPhone(text string) (digits string, plus bool, cause Cause) {
	var space [MaxBytes]byte
	kept := space[:0]
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			kept = append(kept, byte(r))
		case r == '+' && len(kept) == 0 && !plus:
			plus = true
		case !isPhoneSeparator(r):
			return "", false, Charset
		}
	}
	return string(kept), plus, 0
}

func isPhoneSeparator(r rune) bool {
	return r == ' ' || r == '.' || r == '(' || r == ')' || isHyphen(r) || isDash(r)
}

// isHyphen: hyphen-minus, hyphen, non-breaking hyphen, small hyphen-minus.
func isHyphen(r rune) bool { return r == '-' || r == 0x2010 || r == 0x2011 || r == 0xFE63 }

// isDash: figure dash, en dash, em dash, horizontal bar, minus sign, small em dash.
func isDash(r rune) bool { return r >= 0x2012 && r <= 0x2015 || r == 0x2212 || r == 0xFE58 }

// nationalNumber removes the country code and one trunk 0.
func nationalNumber(digits string, plus bool) (string, Cause) {
	number := digits
	switch {
	case plus:
		home, ok := strings.CutPrefix(digits, "86")
		if !ok && digits != "" {
			return "", Country
		}
		number = home
	case strings.HasPrefix(digits, "0086"):
		number = digits[4:]
	case strings.HasPrefix(digits, "00"):
		return "", Country
	case strings.HasPrefix(digits, "86") && len(digits) == 2+phoneDigits:
		number = digits[2:]
	}
	if len(number) == 1+phoneDigits && number[0] == '0' {
		number = number[1:]
	}
	return number, 0
}

func classifyPhone(number string) (reading, Cause) {
	isMobile := len(number) >= 2 && number[0] == '1' && number[1] >= '3'
	switch {
	case len(number) == 13 && isIoT(number):
		return reading{}, IOTNumber
	case !isMobile && len(number) >= 7 && len(number) <= 12: // landline, 400, 800, foreign without +
		return reading{}, Prefix
	case len(number) != phoneDigits:
		return reading{}, Length
	}
	got := reading{canonical: number}
	if !tables().mobile.has(decimal(number[:4])) {
		got.warnings = got.warnings.with(NumberRangeUnknown)
	}
	return got, 0
}

// isIoT: the 13-digit ranges that the numbering plan gives to machines.
func isIoT(number string) bool {
	prefix := decimal(number[:5])
	return prefix >= 14000 && prefix <= 14499 || prefix >= 10646 && prefix <= 10649
}
