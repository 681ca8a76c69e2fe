package field

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A name is written in Han characters or in Latin letters, not in both.
//
// A Han name has 2 to 60 characters of the table in han.go, counting the dots between its parts.
// Spaces inside it are removed. Traditional and simplified characters, and variants, stay apart: they
// are different registered names. The dot is U+00B7; the other dots that keyboards and systems produce
// are folded to it, the full stop only between two Han characters.
//
// A Latin name has at least two characters: letters with their accents in their order, single spaces,
// apostrophes and hyphens, in upper case. ß becomes ẞ, not SS, so that two spellings stay apart.

// middleDot stands between the parts of a name.
const middleDot = '·'

const (
	minName = 2
	maxName = 60 // Han
)

func readName(text string) (reading, Cause) {
	if isPlainHan(text) {
		return reading{canonical: text}, 0
	}
	if isPlainLatin(text) {
		return readLatinName(strings.ToUpper(text))
	}
	return readOtherName(text)
}

// isPlainHan: the common case, in which nothing has to be folded. It accepts what readHanName would
// return unchanged.
func isPlainHan(text string) bool {
	n, afterDot := 0, true
	for _, r := range text {
		if r == middleDot {
			if afterDot {
				return false
			}
		} else if !isHan(r) {
			return false
		}
		afterDot = r == middleDot
		n++
	}
	return !afterDot && n >= minName && n <= maxName
}

func isPlainLatin(text string) bool {
	letter := false
	for i := range len(text) {
		c := upper(text[i])
		if !isUpper(c) && c != ' ' && c != '-' && c != '\'' {
			return false
		}
		letter = letter || isUpper(c)
	}
	return letter
}

// script is which kinds of characters a name has.
type script struct{ han, latin, latinMark, stop bool }

// readOtherName folds character by character. It works on decomposed text where a letter and its
// accents have to be seen apart; Han characters have no decomposition left after NFC.
func readOtherName(text string) (reading, Cause) {
	apart := hasAccentsApart(text)
	if apart {
		text = norm.NFD.String(text)
	}
	var found script
	var space [MaxBytes]rune
	folded, previous := space[:0], rune(0)
	for _, r := range text {
		r = found.fold(r, previous)
		if r == 0 {
			return reading{}, Charset
		}
		folded, previous = append(folded, r), r
	}
	switch {
	case found.han && found.latin:
		return reading{}, MixedScript
	case found.han && found.latinMark, found.latin && found.stop:
		return reading{}, Charset
	case found.han:
		return readHanName(folded)
	case found.latin && apart:
		return readLatinName(norm.NFC.String(string(folded)))
	case found.latin:
		return readLatinName(string(folded))
	}
	return reading{}, Format // dots, hyphens, apostrophes alone
}

// hasAccentsApart reports whether text has a combining accent, or a small letter whose capital exists
// only as a letter with such an accent (ǰ, ẖ). Any other letter is raised as it stands: its capital
// decomposes into the capital of its base and the same accents.
func hasAccentsApart(text string) bool {
	for _, r := range text {
		if isAccent(r) || r >= utf8.RuneSelf && unicode.IsLower(r) && latinCapital(r) == 0 {
			return true
		}
	}
	return false
}

// fold returns the character as names have it, or 0, and notes its script. previous is the folded
// character before it: a combining accent stands only after a letter or another accent.
func (f *script) fold(r, previous rune) rune {
	r = foldHan(r)
	switch {
	case r == ' ', isNameDot(r):
		return foldNameDot(r)
	case r == '.':
		f.stop = true
		return r
	case isApostrophe(r):
		f.latinMark = true
		return '\''
	case isHyphen(r) || isDash(r):
		f.latinMark = true
		return '-'
	case isHan(r):
		f.han = true
		return r
	case isAccent(r):
		f.latinMark = true
		if isAccent(previous) || isLatinCapital(previous) {
			return r
		}
		return 0
	}
	capital := latinCapital(r)
	f.latin = f.latin || capital != 0
	return capital
}

// readHanName removes spaces and takes a full stop for a dot.
func readHanName(folded []rune) (reading, Cause) {
	kept := folded[:0]
	for _, r := range folded {
		switch r {
		case ' ':
			continue
		case '.':
			r = middleDot
		}
		kept = append(kept, r)
	}
	canonical := string(kept)
	if hasStrayDot(canonical) {
		return reading{}, Format
	}
	if len(kept) < minName || len(kept) > maxName {
		return reading{}, Length
	}
	return reading{canonical: canonical}, 0
}

// readLatinName takes text in upper case and NFC.
func readLatinName(text string) (reading, Cause) {
	text = singleSpaced(text)
	if hasStrayDot(text) {
		return reading{}, Format
	}
	// The canonical string must itself be short enough to be parsed: ẞ is longer than ß.
	if utf8.RuneCountInString(text) < minName || len(text) > MaxBytes {
		return reading{}, Length
	}
	return reading{canonical: text}, 0
}

// singleSpaced makes one space of several, and none of those beside a dot. text is trimmed.
func singleSpaced(text string) string {
	if strings.Contains(text, "  ") {
		text = strings.Join(strings.Fields(text), " ")
	}
	if strings.Contains(text, " ·") || strings.Contains(text, "· ") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, " ·", "·"), "· ", "·")
	}
	return text
}

// hasStrayDot reports a dot that leads, trails or is doubled.
func hasStrayDot(name string) bool {
	return strings.HasPrefix(name, "·") || strings.HasSuffix(name, "·") || strings.Contains(name, "··")
}

// isNameDot: bullets, dot operators and the dots of other scripts that are typed for U+00B7. (U+0387
// is U+00B7 after NFC.)
func isNameDot(r rune) bool {
	switch r {
	case middleDot, 0x2022, 0x2027, 0x30FB, 0xFF65, 0x22C5, 0x2219, 0x0387, 0x2E31, 0xA78F, 0x318D, 0x1427:
		return true
	}
	return false
}

func foldNameDot(r rune) rune {
	if r == ' ' {
		return r
	}
	return middleDot
}

// isApostrophe: also quotation marks, accents that stand alone and modifier letters typed for it.
func isApostrophe(r rune) bool {
	switch r {
	case '\'', '`', 0x00B4, 0x02B9, 0x02BB, 0x02BC, 0x2018, 0x2019, 0x2032:
		return true
	}
	return false
}

// isAccent reports whether r is a combining mark of Latin letters. Not among them: U+0345, which has a
// Greek capital, U+034F, which is invisible, and the combining letters from U+0363.
func isAccent(r rune) bool {
	return r >= 0x0300 && r <= 0x0362 && r != 0x0345 && r != 0x034F
}

// latinCapital returns the capital of a Latin letter, or 0 if r is none or has none.
func latinCapital(r rune) rune {
	switch r {
	case 'ß':
		return 'ẞ'
	case 'ſ', 'ẛ': // long s has the capital S, and is not s
		return 0
	}
	if capital := unicode.ToUpper(r); isLatinCapital(capital) {
		return capital
	}
	return 0
}

// isLatinCapital: capital letters of the blocks Basic Latin to Latin Extended-B and Latin Extended
// Additional. Not among them: letters made of two (Ĳ, Ǆ, Ǳ), and Ŀ, which are spelled out in names.
func isLatinCapital(r rune) bool {
	switch r {
	case 0x0132, 0x013F, 0x01C4, 0x01C7, 0x01CA, 0x01F1:
		return false
	}
	return (r <= 0x024F || r >= 0x1E00 && r <= 0x1EFF) && unicode.IsUpper(r)
}
