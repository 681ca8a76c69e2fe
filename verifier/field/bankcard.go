package field

// A bank_card_number (ISO/IEC 7812-1) is 12 to 19 digits, the first not 0, the last a check digit by
// Luhn; spaces and hyphens may stand between them, nothing else. Some old UnionPay cards fail Luhn:
// the operator's list of prefixes exempts them (see [NewRules]).

const (
	minCard = 12
	maxCard = 19
)

func (r *Rules) readBankCard(text string) (reading, Cause) {
	card, cause := compactCard(text)
	if cause != 0 {
		return reading{}, cause
	}
	switch {
	case len(card) < minCard || len(card) > maxCard:
		return reading{}, Length
	case card[0] == '0':
		return reading{}, Prefix
	case passesLuhn(card):
		return reading{canonical: card}, 0
	case r.exempts(card):
		return reading{canonical: card, warnings: warningSet(0).with(CheckDigitExempt)}, 0
	}
	return reading{}, CheckDigit
}

func compactCard(text string) (string, Cause) {
	if allDigits(text) {
		return text, 0
	}
	var space [MaxBytes]byte
	kept := space[:0]
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			kept = append(kept, byte(r))
		case r != ' ' && !isHyphen(r):
			return "", Charset
		}
	}
	return string(kept), 0
}

// passesLuhn reports whether a string of digits has the check digit of ISO/IEC 7812-1, annex B.
func passesLuhn(digits string) bool {
	sum, double := 0, false
	for i := len(digits) - 1; i >= 0; i-- {
		value := int(digits[i] - '0')
		if double {
			value *= 2
			if value > 9 {
				value -= 9
			}
		}
		sum += value
		double = !double
	}
	return sum%10 == 0
}
