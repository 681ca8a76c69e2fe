package field

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxBytes is the longest input of any field, in bytes of UTF-8, before anything is stripped.
const MaxBytes = 256

// fold runs the steps that all fields share (see the package documentation), up to the field's own
// rule. The result is in NFC, without invisible characters, full-width ASCII or spaces other than
// U+0020, trimmed and not empty. It is a part of input where nothing had to change.
func fold(input string, kind Kind) (string, Cause) {
	if len(input) > MaxBytes {
		return "", Length
	}
	text := strings.Trim(input, " \t\r\n")
	if !isSettled(text) {
		return foldSlowly(text, kind)
	}
	if text == "" {
		return "", Empty
	}
	return text, 0
}

// isSettled reports whether text has only characters that stay as they are whatever stands beside
// them: nothing folds printable ASCII, the middle dot and Han characters, and NFC, which costs about a
// microsecond, leaves strings of them alone.
func isSettled(text string) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < 0x20 {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r != middleDot && !isHan(r) {
			return false
		}
		i += size
	}
	return true
}

func foldSlowly(text string, kind Kind) (string, Cause) {
	if !utf8.ValidString(text) {
		return "", Charset
	}
	var space [MaxBytes]byte // folding never lengthens
	folded := space[:0]
	for _, r := range text {
		// A variation selector between a letter and its accent would stop NFC from composing them,
		// so it has to go before NFC, not after.
		if isInvisible(r) || kind == Name && isVariationSelector(r) {
			continue
		}
		folded = utf8.AppendRune(folded, foldRune(r))
	}
	folded = trim(folded)
	if len(folded) == 0 {
		return "", Empty
	}
	for _, c := range folded {
		if c < 0x20 {
			return "", Charset
		}
	}
	if string(folded) != text {
		text = string(folded)
	}
	if !isSettled(text) && !norm.NFC.IsNormalString(text) {
		text = norm.NFC.String(text)
	}
	return text, 0
}

func trim(text []byte) []byte {
	isEdge := func(c byte) bool { return c == ' ' || c == '\r' || c == '\n' }
	for len(text) > 0 && isEdge(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isEdge(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// isInvisible: what keyboards, word processors and web pages leave in a copied text unseen.
func isInvisible(r rune) bool {
	switch {
	case r < 0xAD:
		return false
	case r >= 0x200B && r <= 0x200F, // zero width, directional marks
		r >= 0x202A && r <= 0x202E, // bidirectional embedding
		r >= 0x2060 && r <= 0x2064, // word joiner, invisible operators
		r >= 0x2066 && r <= 0x2069: // bidirectional isolates
		return true
	}
	return r == 0xFEFF || r == 0xAD || r == 0x061C || r == 0x180E
}

func isVariationSelector(r rune) bool {
	return r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0100 && r <= 0xE01EF
}

// foldRune folds full-width ASCII to ASCII, and every space and TAB to U+0020.
func foldRune(r rune) rune {
	switch {
	case r >= 0xFF01 && r <= 0xFF5E:
		return r - 0xFF01 + '!'
	case r == '\t', r >= 0xA0 && unicode.Is(unicode.Zs, r):
		return ' '
	}
	return r
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isUpper(c byte) bool { return c-'A' < 26 }

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// upper returns the upper-case letter of an ASCII letter, and any other byte as it is.
func upper(c byte) byte {
	if c-'a' < 26 {
		return c - 'a' + 'A'
	}
	return c
}
