package field

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"iter"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/*.txt data/*.tsv
var files embed.FS

// The embedded files, in the order in which Version hashes them.
const (
	filePrefixes  = "data/division_prefixes_4.txt"
	fileDivisions = "data/division_codes_6.txt"
	fileCountries = "data/iso3166.tsv"
	fileMobile    = "data/mobile_ranges.txt"
	filePUA       = "data/gb18030_pua.tsv"
	fileRadicals  = "data/radicals.tsv"
)

// tableSet is the embedded data, ready for look-up.
type tableSet struct {
	prefixes      bitset     // four-digit division prefixes
	provinces     bitset     // their first two digits
	divisions     bitset     // six-digit division codes
	countryNumber bitset     // ISO 3166-1 numeric
	countryLetter bitset     // ISO 3166-1 alpha-3, as a number in base 26
	mobile        bitset     // four leading digits of allocated number ranges
	privateUse    runeFolder // GB 18030 private use → standard code point
	radicals      runeFolder // radical → the ideograph that it is
}

var tables = sync.OnceValue(loadTables)

// loadTables panics when the program was built with a damaged table: no value can be read then.
func loadTables() *tableSet {
	t := &tableSet{
		prefixes: newBitset(1e4), provinces: newBitset(1e2), divisions: newBitset(1e6),
		countryNumber: newBitset(1e3), countryLetter: newBitset(26 * 26 * 26), mobile: newBitset(1e4),
		privateUse: newRuneFolder(0xE815, 0xE864), radicals: newRuneFolder(0x2E80, 0x2FDF),
	}
	for line, cells := range rows(filePrefixes, 1) {
		prefix := number(filePrefixes, line, cells[0], 4)
		t.prefixes.add(prefix)
		t.provinces.add(prefix / 100)
	}
	for line, cells := range rows(fileDivisions, 1) {
		t.divisions.add(number(fileDivisions, line, cells[0], 6))
	}
	for line, cells := range rows(fileCountries, 2) {
		if !allUpper(cells[0]) || len(cells[0]) != 3 {
			panic(damaged(fileCountries, line))
		}
		t.countryLetter.add(alpha3(cells[0]))
		t.countryNumber.add(number(fileCountries, line, cells[1], 3))
	}
	for line, cells := range rows(fileMobile, 1) {
		t.addMobileRange(line, cells[0])
	}
	for line, cells := range rows(filePUA, 3) {
		t.privateUse.add(codePoint(filePUA, line, cells[0]), codePoint(filePUA, line, cells[1]))
	}
	for line, cells := range rows(fileRadicals, 2) {
		t.radicals.add(codePoint(fileRadicals, line, cells[0]), codePoint(fileRadicals, line, cells[1]))
	}
	return t
}

// addMobileRange adds three digits as the ten ranges of four digits that they are.
func (t *tableSet) addMobileRange(line int, prefix string) {
	if len(prefix) == 4 {
		t.mobile.add(number(fileMobile, line, prefix, 4))
		return
	}
	first := number(fileMobile, line, prefix, 3) * 10
	for last := range 10 {
		t.mobile.add(first + last)
	}
}

// alpha3 numbers three capital letters in base 26.
func alpha3(letters string) int {
	return int(letters[0]-'A')*26*26 + int(letters[1]-'A')*26 + int(letters[2]-'A')
}

func allUpper(s string) bool {
	for i := range len(s) {
		if !isUpper(s[i]) {
			return false
		}
	}
	return true
}

// rows yields the lines of an embedded file that are not comments, split at TAB into width cells.
func rows(file string, width int) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		line := 0
		for text := range strings.Lines(content(file)) {
			line++
			text = strings.TrimSuffix(text, "\n")
			if text == "" || text[0] == '#' {
				continue
			}
			cells := strings.Split(text, "\t")
			if len(cells) != width {
				panic(damaged(file, line))
			}
			if !yield(line, cells) {
				return
			}
		}
	}
}

func content(file string) string {
	data, err := files.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func number(file string, line int, cell string, digits int) int {
	n, err := strconv.ParseUint(cell, 10, 32)
	if err != nil || len(cell) != digits {
		panic(damaged(file, line))
	}
	return int(n)
}

func codePoint(file string, line int, cell string) rune {
	hexadecimal, ok := strings.CutPrefix(cell, "U+")
	n, err := strconv.ParseUint(hexadecimal, 16, 21)
	if !ok || err != nil {
		panic(damaged(file, line))
	}
	return rune(n)
}

func damaged(file string, line int) string {
	return "field: embedded table " + file + " is damaged in line " + strconv.Itoa(line)
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (b bitset) add(n int) { b[n/64] |= 1 << (n % 64) }

func (b bitset) has(n int) bool { return b[n/64]&(1<<(n%64)) != 0 }

// runeFolder maps a short range of code points; 0 where it has no target.
type runeFolder struct {
	first rune
	to    []rune
}

func newRuneFolder(first, last rune) runeFolder {
	return runeFolder{first: first, to: make([]rune, last-first+1)}
}

func (f runeFolder) add(from, to rune) { f.to[from-f.first] = to }

func (f runeFolder) covers(r rune) bool { return r >= f.first && r < f.first+rune(len(f.to)) }

func (f runeFolder) fold(r rune) rune { return f.to[r-f.first] }

// Version returns the SHA-256, in lower-case hexadecimal, of every table that decides how values are
// read: the embedded files, the Han ranges, the plate shapes and the form numbers. Two programs with
// the same Version accept from the same tables; it goes into the log's configuration record.
func Version() string { return version() }

var version = sync.OnceValue(func() string {
	h := sha256.New()
	for _, file := range []string{filePrefixes, fileDivisions, fileCountries, fileMobile, filePUA, fileRadicals} {
		part(h, file)
		part(h, content(file))
	}
	for _, span := range hanSpans {
		part(h, string([]rune{span.first, span.last}))
	}
	for _, shape := range plateShapes {
		part(h, shape)
	}
	for _, kind := range Kinds() {
		part(h, kind.String())
		part(h, string([]byte{byte(kind.Form())}))
	}
	return hex.EncodeToString(h.Sum(nil))
})

// part hashes text behind its length, so that no two lists of parts hash the same bytes.
func part(h hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	h.Write(length[:])
	h.Write([]byte(text))
}
