// Package output prints what heyan answers: a table for people, JSON for programs.
//
//   - [Table] aligns columns by their width on a terminal, so that Chinese and Latin text stand in line, and lets
//     no text of a server control the terminal ([Clean]).
//   - [JSON] writes a protobuf message as indented proto JSON with the names of the .proto files (snake_case);
//     [Line] writes it on one line. Both are stable: equal messages give equal bytes.
//   - [Progress] draws a bar on standard error, and only where that is a terminal.
//
// Not guaranteed: that a terminal's font agrees with UAX #11 on ambiguous characters, which count as narrow.
package output

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// gap stands between two columns.
const gap = "  "

// Table is rows of text under a heading. The zero Table prints nothing.
type Table struct {
	heading []string
	rows    [][]string
}

// NewTable begins a table. Without heading it prints rows only.
func NewTable(heading ...string) *Table { return &Table{heading: heading} }

// Row adds a row. A row may be shorter than the heading.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// WriteTo implements [io.WriterTo]. The last column is not padded.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	all := t.rows
	if len(t.heading) > 0 {
		all = append([][]string{t.heading}, t.rows...)
	}
	cleaned := make([][]string, len(all))
	var widths []int
	for i, row := range all {
		cleaned[i] = make([]string, len(row))
		for j, cell := range row {
			cleaned[i][j] = Clean(cell)
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], Width(cleaned[i][j]))
		}
	}
	var buffer bytes.Buffer
	for _, row := range cleaned {
		var line strings.Builder
		for j, cell := range row {
			line.WriteString(cell)
			if j < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[j]-Width(cell)))
				line.WriteString(gap)
			}
		}
		buffer.WriteString(strings.TrimRight(line.String(), " "))
		buffer.WriteByte('\n')
	}
	return buffer.WriteTo(w)
}

// JSON writes m, indented, with a newline.
func JSON(w io.Writer, m proto.Message) error {
	raw, err := Marshal(m)
	if err != nil {
		return err
	}
	var buffer bytes.Buffer
	if err := json.Indent(&buffer, raw, "", "  "); err != nil {
		return err
	}
	buffer.WriteByte('\n')
	_, err = buffer.WriteTo(w)
	return err
}

// Line writes m on one line, with a newline.
func Line(w io.Writer, m proto.Message) error {
	raw, err := Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// Marshal returns m as compact proto JSON. Members without a value are there with their default, but for messages and
// optional ones: a program finds "reused":false, "index":"0" and "clients":[].
func Marshal(m proto.Message) ([]byte, error) {
	return compact(protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}, m)
}

// Sparse is Marshal without the members that have no value.
func Sparse(m proto.Message) ([]byte, error) {
	return compact(protojson.MarshalOptions{UseProtoNames: true}, m)
}

// compact removes white space, which protojson varies from build to build on purpose.
func compact(options protojson.MarshalOptions, m proto.Message) ([]byte, error) {
	raw, err := options.Marshal(m)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	if err := json.Compact(&buffer, raw); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// Value writes v as indented JSON, with a newline. Characters of HTML stay as they are.
func Value(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// ValueLine writes v as one line of JSON. Characters of HTML stay as they are.
func ValueLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
