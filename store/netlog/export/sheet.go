package export

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Format is how rows are written.
type Format string

// The formats.
const (
	JSONL Format = "jsonl" // JSON Lines: an object a row, without the cells that have no value
	CSV   Format = "csv"   // RFC 4180, with a heading
)

// Lang is the language of the heading of CSV. JSON always has the English names.
type Lang string

// The languages.
const (
	English Lang = "en"
	Chinese Lang = "zh"
)

// Layout is how the rows of an export look.
type Layout struct {
	Format  Format
	Lang    Lang
	BOM     bool     // CSV begins with a byte order mark, by which Excel knows UTF-8
	Columns []string // names, in order; nil = all that this version knows
}

// ErrLayout is a layout that this version does not write or read.
var ErrLayout = errors.New("export: unknown format, language or column")

const (
	byteOrderMark = "\ufeff"
	// maxLine bounds a row in bytes. A record is at most record.MaxSize; the longest cell, the diff, at most grows
	// tenfold by its escapes, and the leaf by a third.
	maxLine = 16 * record.MaxSize
)

// sheet writes rows in one layout. A row depends on index, leaf, amendment and layout only: the verifier makes each
// anew from its leaf, and one that differs in a byte is not what was written.
type sheet struct {
	Layout
	columns []column
	cell    []byte // to be used again
}

func newSheet(l Layout) (*sheet, error) {
	s := &sheet{Layout: l}
	if l.Columns == nil {
		s.Columns, s.columns = columnNames(), columns
	}
	for _, name := range l.Columns {
		i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
		if i < 0 {
			return nil, ErrLayout
		}
		s.columns = append(s.columns, columns[i])
	}
	// The verifier finds a row's index at its beginning, and its leaf and amendment at its end.
	n := len(s.columns)
	if l.Format != JSONL && l.Format != CSV || l.Lang != English && l.Lang != Chinese || l.BOM && l.Format != CSV || n < 3 ||
		s.columns[0].name != indexColumn || s.columns[n-2].name != leafColumn || s.columns[n-1].name != amendedColumn {
		return nil, ErrLayout
	}
	return s, nil
}

// heading returns what stands in front of the rows.
func (s *sheet) heading() []byte {
	if s.Format == JSONL {
		return nil
	}
	var b []byte
	if s.BOM {
		b = append(b, byteOrderMark...)
	}
	for i, c := range s.columns {
		if i > 0 {
			b = append(b, ',')
		}
		name := c.name
		if s.Lang == Chinese {
			name = c.zh
		}
		b = appendCSV(b, []byte(name), false)
	}
	return append(b, "\r\n"...)
}

// end is how a row ends.
func (s *sheet) end() string {
	if s.Format == CSV {
		return "\r\n"
	}
	return "\n"
}

// line appends a row with its end.
func (s *sheet) line(b []byte, r *row) []byte {
	if s.Format == JSONL {
		b = append(b, '{')
	}
	for i := range s.columns {
		c := &s.columns[i]
		s.cell = c.value(s.cell[:0], r)
		switch {
		case s.Format == JSONL:
			b = s.member(b, i, c)
			continue
		case i > 0:
			b = append(b, ',')
		}
		b = appendCSV(b, s.cell, c.kind == text)
	}
	if s.Format == JSONL {
		b = append(b, '}')
	}
	return append(b, s.end()...)
}

// member appends the cell as a member of an object, unless it is empty.
func (s *sheet) member(b []byte, i int, c *column) []byte {
	if len(s.cell) == 0 {
		return b
	}
	if i > 0 {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), c.name...), `":`...)
	if c.kind == text {
		return appendJSON(b, s.cell)
	}
	return append(b, s.cell...)
}

// hidden tells that a character may not stand in a file as it is: it would control a terminal, change the direction of
// what follows, or not be seen. The list is fixed; that of package unicode grows, and a row must not change by that.
func hidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r == 0xad || r == 0x61c || r == 0x180e || r >= 0x200b && r <= 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb ||
		r >= 0xe0000 && r <= 0xe0fff || r == utf8.RuneError
}

// bare tells that a cell can be copied as it is, as most can: it is ASCII that means nothing in either format.
func bare(cell []byte) bool {
	for _, c := range cell {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == ',' || c == ';' {
			return false
		}
	}
	return true
}

// appendJSON writes a JSON string.
func appendJSON(b, cell []byte) []byte {
	b = append(b, '"')
	if bare(cell) {
		return append(append(b, cell...), '"')
	}
	for len(cell) > 0 {
		r, n := utf8.DecodeRune(cell)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case hidden(r):
			b = appendHidden(b, r)
		default:
			b = append(b, cell[:n]...)
		}
		cell = cell[n:]
	}
	return append(b, '"')
}

// appendHidden writes a character by its number, as JSON does.
func appendHidden(b []byte, r rune) []byte {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// formula tells that a spreadsheet may take a cell that begins with this for a formula. The wide forms are there
// because some programs narrow them.
func formula(cell []byte) bool {
	r, _ := utf8.DecodeRune(cell)
	switch r {
	case '=', '+', '-', '@', '\t', '\r', '\'', '＝', '＋', '－', '＠':
		return true
	}
	return false
}

// appendCSV writes a cell. Text that a spreadsheet could take for a formula, and text that begins with an apostrophe, gets
// an apostrophe in front; what may not stand there as it is, a form after a backslash, which is itself doubled. So a
// cell's text can always be had back: without the first apostrophe, and with the escapes undone.
func appendCSV(b, cell []byte, guard bool) []byte {
	if bare(cell) && !(guard && formula(cell)) {
		return append(b, cell...)
	}
	quoted := bytes.ContainsAny(cell, "\",; ")
	if quoted {
		b = append(b, '"')
	}
	if guard && formula(cell) {
		b = append(b, '\'')
	}
	for len(cell) > 0 {
		r, n := utf8.DecodeRune(cell)
		switch {
		case r == '"':
			b = append(b, `""`...)
		case r == '\\':
			b = append(b, `\\`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case hidden(r):
			b = fmt.Appendf(b, `\u{%x}`, r)
		default:
			b = append(b, cell[:n]...)
		}
		cell = cell[n:]
	}
	if quoted {
		b = append(b, '"')
	}
	return b
}

var errRow = errors.New("export: not a row")

// parse reads index, leaf and amendment from a row, without its end. What else it shows is not looked at, and neither is
// whether it is written as a row is: the caller compares it with what it makes of these three.
func (s *sheet) parse(line []byte, r *row) error {
	var digits, leaf []byte
	var ok bool
	if s.Format == JSONL {
		digits, leaf, r.amended, ok = cutJSON(line)
	} else {
		digits, leaf, r.amended, ok = cutCSV(line)
	}
	if !ok {
		return errRow
	}
	var err error
	if r.index, err = strconv.ParseUint(string(digits), 10, 62); err != nil {
		return errRow
	}
	if r.leaf, err = base64.StdEncoding.Strict().AppendDecode(r.leaf[:0], leaf); err != nil || len(r.leaf) == 0 || len(r.leaf) > record.MaxSize {
		return errRow
	}
	return nil
}

func cutJSON(line []byte) (index, leaf []byte, amended string, ok bool) {
	const before, behind = `"leaf":"`, `,"amended_by":"`
	rest, ok := bytes.CutPrefix(line, []byte(`{"index":`))
	at := bytes.LastIndex(rest, []byte(before))
	if !ok || at < 0 {
		return nil, nil, "", false
	}
	index, _, ok = bytes.Cut(rest, []byte(","))
	leaf, tail, found := bytes.Cut(rest[at+len(before):], []byte(`"`))
	if mark, cut := bytes.CutPrefix(tail, []byte(behind)); cut {
		mark, _, found = bytes.Cut(mark, []byte(`"`))
		amended = string(mark)
	}
	return index, leaf, amended, ok && found
}

func cutCSV(line []byte) (index, leaf []byte, amended string, ok bool) {
	index, rest, ok := bytes.Cut(line, []byte(","))
	at := bytes.LastIndexByte(rest, ',')
	if !ok || at < 0 {
		return nil, nil, "", false
	}
	amended, rest = string(rest[at+1:]), rest[:at]
	return index, rest[bytes.LastIndexByte(rest, ',')+1:], amended, true
}
