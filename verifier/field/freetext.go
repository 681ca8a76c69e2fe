package field

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CarriesValue reports whether text meant for people (a reason, a note, a title) holds a whole valid
// value of a field. It is read like a field: invisible characters count as absent, full-width
// characters as ASCII. There is no limit of length; the cost grows in line with it.
//
// Found, where no ASCII letter or digit touches either end (Chinese text may):
//
//   - an id_number in any form that Parse takes, also split by separators at any place;
//   - a mobile number with or without a prefix that Parse takes, also split by separators into groups
//     of three digits or more (138-0013-8000, +86 138 0013 8000, (0)13800138000);
//   - a card number that passes Luhn or is exempt, also split by separators other than dots into
//     groups of four digits or more, the last of any length;
//   - a driver's licence number that is an id_number;
//   - a plate that has a Han character and a digit, also with separators. Embassy and consular plates
//     count only where no Han character touches the side of 使 or 领 that is an end of the plate, so
//     that 202405使用 is none.
//
// Separators are one to three of: space, hyphens and dashes, dot, parentheses, plus sign; in plates
// space, hyphen, · and •.
//
// Not found: names; driver's licence numbers of foreign documents, which look like any word; plates of
// letters and digits alone (armed forces, and armed police without a province), which look like any
// reference; values that touch ASCII letters or digits, are masked, encoded, spelled in words, spread
// over lines, or split otherwise. It also reports what merely looks like a value: one number of 12 to
// 19 digits in ten passes Luhn. A true answer asks the writer for other words; a false one is no proof.
func (r *Rules) CarriesValue(text string, now time.Time) bool {
	text = foldText(text)
	if !strings.ContainsAny(text, "0123456789") {
		return false
	}
	return r.carriesNumber(text, now) || carriesPlate(text)
}

// foldText folds a text as fold does a value, without trimming or refusing anything. Invalid UTF-8
// and control characters stay as characters that end a token.
func foldText(text string) string {
	if isASCII(text) {
		return strings.ReplaceAll(text, "\t", " ")
	}
	folded := make([]byte, 0, len(text)+8)
	for _, r := range text {
		if !isInvisible(r) && !isVariationSelector(r) {
			folded = utf8.AppendRune(folded, foldRune(r))
		}
	}
	return string(norm.NFC.Bytes(folded))
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool { return isDigit(c) || isUpper(upper(c)) }

// group is a run of letters and digits, text[start:end].
type group struct {
	start, end int
	dotted     bool // a dot is among the separators before it
}

// maxGroups is how many groups one value can have: each holds a character of an id_number at least.
const maxGroups = longID

// maxGap is how many separators may stand between two groups of one value.
const maxGap = 3

// carriesNumber looks at every run of groups that only separators part.
func (r *Rules) carriesNumber(text string, now time.Time) bool {
	var space [32]group
	chain := space[:0]
	for at := 0; at < len(text); {
		if !isAlphanumeric(text[at]) {
			at++
			continue
		}
		end := at + 1
		for end < len(text) && isAlphanumeric(text[end]) {
			end++
		}
		joined, dotted := false, false
		if len(chain) > 0 {
			joined, dotted = isGap(text[chain[len(chain)-1].end:at])
		}
		if !joined {
			chain = chain[:0]
		}
		chain = append(chain, group{start: at, end: end, dotted: dotted})
		if len(chain) > maxGroups {
			copy(chain, chain[1:])
			chain = chain[:maxGroups]
		}
		if r.endsInNumber(text, chain, now) {
			return true
		}
		at = end
	}
	return false
}

// isGap reports whether between is one to three separators, and whether a dot is among them.
func isGap(between string) (ok, dotted bool) {
	n := 0
	for _, c := range between {
		if c != '+' && !isPhoneSeparator(c) {
			return false, false
		}
		dotted = dotted || c == '.'
		if n++; n > maxGap {
			return false, false
		}
	}
	return n > 0, dotted
}

// endsInNumber looks at the values that end with the last group of chain, from the shortest on.
func (r *Rules) endsInNumber(text string, chain []group, now time.Time) bool {
	var space [maxCard]byte
	first := len(space) // of the characters collected, right-aligned
	w := window{digits: true, card: true, phone: true}
	for i := len(chain) - 1; i >= 0; i-- {
		part := text[chain[i].start:chain[i].end]
		if first < len(part) {
			return false
		}
		first -= len(part)
		for j := range len(part) {
			space[first+j] = upper(part[j])
		}
		if i < len(chain)-1 {
			w.card = w.card && len(part) >= 4 && !chain[i+1].dotted
			w.phone = w.phone && len(part) >= 3 && w.shortest >= 3
		}
		if w.shortest == 0 || len(part) < w.shortest {
			w.shortest = len(part)
		}
		w.digits = w.digits && allDigits(part)
		if r.isNumber(string(space[first:]), w, now) {
			return true
		}
	}
	return false
}

// window is what endsInNumber knows of the groups that it has joined.
type window struct {
	digits      bool // no letters
	card, phone bool // the groups are as long as those of a card or phone number
	shortest    int  // the length of the shortest group
}

func (r *Rules) isNumber(joined string, w window, now time.Time) bool {
	if len(joined) == shortID || len(joined) == longID {
		if _, cause := readCompactID(joined, now); cause == 0 {
			return true
		}
	}
	if !w.digits || len(joined) < phoneDigits {
		return false
	}
	if w.phone {
		if _, cause := readPhone(joined); cause == 0 {
			return true
		}
	}
	if w.card && len(joined) >= minCard {
		_, cause := r.readBankCard(joined)
		return cause == 0
	}
	return false
}

// carriesPlate tries every place where a plate can start.
func carriesPlate(text string) bool {
	previous := rune(0)
	for at, r := range text {
		starts := r >= utf8.RuneSelf
		if !starts {
			starts = isAlphanumeric(byte(r)) && (previous >= utf8.RuneSelf || !isAlphanumeric(byte(previous)))
		}
		if starts && startsPlate(text[at:], previous) {
			return true
		}
		previous = r
	}
	return false
}

// startsPlate reports whether text starts with a plate; previous is the character before it.
func startsPlate(text string, previous rune) bool {
	var space [8]rune
	n, gap := 0, 0
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		at += size
		if isPlateSeparator(r) {
			if gap++; n == 0 || gap > maxGap {
				return false
			}
			continue
		}
		r = foldPlateRune(r)
		if r == 0 || n == len(space) || n == 0 && !isPlateStart(r) {
			return false
		}
		space[n], gap = r, 0
		n++
		next, _ := utf8.DecodeRuneInString(text[at:])
		if n >= minPlate && standsAlone(space[:n], previous, next) {
			return true
		}
	}
	return false
}

func isPlateStart(r rune) bool {
	return r < utf8.RuneSelf || r == '使' || r == '民' || isProvince(r)
}

// standsAlone reports whether characters are a plate that free text is searched for, between its
// neighbours (RuneError at the end of the text).
func standsAlone(plate []rune, previous, next rune) bool {
	if next < utf8.RuneSelf && isAlphanumeric(byte(next)) {
		return false
	}
	han, digit := false, false
	for _, r := range plate {
		han = han || r >= utf8.RuneSelf
		digit = digit || r < 'A'
	}
	if !han || !digit || !isPlate(plate) {
		return false
	}
	first, last := plate[0], plate[len(plate)-1]
	if first == '使' && isHan(previous) || (last == '使' || last == '领') && isHan(next) {
		return false
	}
	return true
}
