// Package rows reads authority data: CSV or JSON Lines whose columns are the six fields and plate_kind.
//
// CSV has a header of column names, in any order, commas, RFC 4180 quoting, UTF-8 with or without a byte order mark. An
// empty cell is an absent value. JSON Lines has an object of strings a line. Rows are numbered from 1, the header not
// counted.
//
// A [Reader] gives every row of the file: one that cannot be read comes with a [Problem] instead of values, so that
// numbers stay right. [Check] says what is wrong with the values of a row, as the server would.
//
// No error and no Problem holds anything that stands in the file: not even a name in the header, which may be the first
// person of a file without one.
package rows

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/field"
)

// Reasons of this package; all others are the causes of package field.
const (
	Columns   = "COLUMNS"               // another number of cells than the header has
	Syntax    = "SYNTAX"                // no CSV record, or no JSON object of strings
	Ceiling   = "FIELD_OUTSIDE_CEILING" // a member that is neither one of the six fields nor plate_kind
	PlateKind = "PLATE_KIND"            // a kind of plate that is not two digits, or one without a plate
	NoAnchor  = "NO_ANCHOR"             // no value at all
)

// Format is how a file is written.
type Format string

// The formats.
const (
	CSV       Format = "csv"
	JSONLines Format = "jsonl"
)

// FormatOf tells a format by a file's name.
func FormatOf(name string) (Format, bool) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV, true
	case ".jsonl", ".ndjson":
		return JSONLines, true
	}
	return "", false
}

// Row is one row.
type Row struct {
	Fields    *heyanv1.Fields
	PlateKind string
}

// Problem is what is wrong with a row. Field is "" where it is about the whole row.
type Problem struct {
	Field  string
	Reason string
}

// ErrNotUTF8 says that a file has another encoding.
var ErrNotUTF8 = errors.New("the file is not UTF-8; convert it, e.g.: iconv -f GB18030 -t UTF-8")

// Reader reads the rows of one file.
type Reader struct {
	next func() (Row, *Problem, error)
}

// Next returns the next row, or a problem in place of it. The error is io.EOF at the end.
func (r *Reader) Next() (Row, *Problem, error) { return r.next() }

// NewReader begins to read. For CSV it reads the header.
func NewReader(in io.Reader, format Format) (*Reader, error) {
	buffered := bufio.NewReaderSize(in, 256<<10)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(len(mark))
	}
	if format == JSONLines {
		return &Reader{jsonLines(buffered)}, nil
	}
	return csvRows(buffered)
}

// column says where a cell goes.
type column struct {
	kind      field.Kind // invalid for plate_kind
	plateKind bool
}

func csvRows(in *bufio.Reader) (*Reader, error) {
	reader := csv.NewReader(&wholeLines{in: in})
	reader.ReuseRecord = true
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: it needs a header of field names")
	}
	if err != nil {
		return nil, errors.New("the header cannot be read")
	}
	columns := make([]column, len(header))
	seen := map[string]bool{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !utf8.ValidString(name) {
			return nil, ErrNotUTF8
		}
		kind, ok := field.KindByName(name)
		if !ok && name != "plate_kind" {
			return nil, fmt.Errorf("column %d of the header is not one of name, id_number, phone_number, bank_card_number, "+
				"license_plate_number, driver_license_number, plate_kind", i+1)
		}
		if seen[name] {
			return nil, fmt.Errorf("column %d of the header stands there twice", i+1)
		}
		seen[name] = true
		columns[i] = column{kind, !ok}
	}
	return &Reader{func() (Row, *Problem, error) {
		cells, err := reader.Read()
		switch {
		case errors.Is(err, csv.ErrFieldCount):
			return Row{}, &Problem{Reason: Columns}, nil
		case errors.Is(err, csv.ErrQuote), errors.Is(err, csv.ErrBareQuote):
			return Row{}, &Problem{Reason: Syntax}, nil
		case err != nil:
			return Row{}, nil, err
		}
		row := Row{Fields: &heyanv1.Fields{}}
		for i, cell := range cells {
			switch {
			case cell == "":
			case columns[i].plateKind:
				row.PlateKind = cell
			default:
				set(row.Fields, columns[i].kind, cell)
			}
		}
		return row, nil, nil
	}}, nil
}

// line is a row of JSON Lines.
type line struct {
	Name    *string `json:"name"`
	ID      *string `json:"id_number"`
	Phone   *string `json:"phone_number"`
	Card    *string `json:"bank_card_number"`
	Plate   *string `json:"license_plate_number"`
	Licence *string `json:"driver_license_number"`
	Kind    string  `json:"plate_kind"`
}

func jsonLines(in *bufio.Reader) func() (Row, *Problem, error) {
	return func() (Row, *Problem, error) {
		for {
			raw, err := in.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return Row{}, nil, err
			}
			text := bytes.TrimSpace(raw)
			if len(text) > 0 {
				row, problem := parseLine(text)
				return row, problem, nil
			}
			if err != nil {
				return Row{}, nil, io.EOF
			}
		}
	}
}

func parseLine(text []byte) (Row, *Problem) {
	if !utf8.Valid(text) { // encoding/json would put U+FFFD in its place
		return Row{}, &Problem{Reason: Syntax}
	}
	var strict, lax line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&strict); err != nil {
		if json.Unmarshal(text, &lax) == nil {
			return Row{}, &Problem{Reason: Ceiling}
		}
		return Row{}, &Problem{Reason: Syntax}
	}
	if decoder.InputOffset() != int64(len(text)) {
		return Row{}, &Problem{Reason: Syntax}
	}
	fields := &heyanv1.Fields{
		Name: strict.Name, IdNumber: strict.ID, PhoneNumber: strict.Phone, BankCardNumber: strict.Card,
		LicensePlateNumber: strict.Plate, DriverLicenseNumber: strict.Licence,
	}
	for _, value := range members(fields) {
		if *value != nil && **value == "" {
			*value = nil
		}
	}
	return Row{fields, strict.Kind}, nil
}

// Check reads every value as the server does and returns what is wrong, in the order of the fields.
func (r Row) Check(now time.Time) []Problem {
	var problems []Problem
	rules := field.AnyCard() // which cards need not pass the Luhn check, the server's configuration says
	some := false
	for i, value := range members(r.Fields) {
		if *value == nil {
			continue
		}
		some = true
		kind := field.Kinds()[i]
		if _, err := rules.Parse(kind, **value, now); err != nil {
			cause, _ := field.CauseOf(err)
			problems = append(problems, Problem{kind.String(), cause.String()})
		}
	}
	if !some {
		return []Problem{{Reason: NoAnchor}}
	}
	if r.PlateKind != "" && (!twoDigits(r.PlateKind) || r.Fields.LicensePlateNumber == nil) {
		problems = append(problems, Problem{"plate_kind", PlateKind})
	}
	return problems
}

func twoDigits(s string) bool {
	return len(s) == 2 && s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9'
}

// members returns the six members in the order of [field.Kinds].
func members(f *heyanv1.Fields) [6]**string {
	return [6]**string{&f.Name, &f.IdNumber, &f.PhoneNumber, &f.BankCardNumber, &f.LicensePlateNumber, &f.DriverLicenseNumber}
}

func set(f *heyanv1.Fields, kind field.Kind, value string) { *members(f)[kind-1] = &value }
