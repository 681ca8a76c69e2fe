package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// filler gives every member of a record a value of its own.
type filler struct{ n uint64 }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = began.Add(time.Duration(f.n) * time.Minute)
		return
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, 0, 0, byte(f.n)})
		return
	case *record.Event:
		*x = record.VerificationVerify
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0))
	case reflect.Array:
		v.Index(0).SetUint(f.n)
	case reflect.String:
		v.SetString("text" + strconv.FormatUint(f.n, 10))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8: // an enumeration, or bits
		v.SetUint(1)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.n)
	case reflect.Int64:
		v.SetInt(int64(f.n))
	}
}

// eachMember calls change with every member of a record that holds no other.
func eachMember(v reflect.Value, path string, change func(path string, v reflect.Value)) {
	switch _, whole := v.Addr().Interface().(*netip.Addr); {
	case whole, v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachMember(v.Field(i), path+"."+v.Type().Field(i).Name, change)
		}
		return
	case v.Kind() == reflect.Pointer:
		eachMember(v.Elem(), path, change)
		return
	case v.Kind() == reflect.Slice:
		eachMember(v.Index(0), path, change)
		return
	}
	change(path, v)
}

// Every member of a record is shown: a row without it is another row.
func TestEveryMemberIsShown(t *testing.T) {
	s, err := newSheet(Layout{Format: JSONL, Lang: English})
	must(t, err)
	r := row{leaf: []byte("the same")}
	new(filler).fill(reflect.ValueOf(&r.record).Elem())
	full := string(s.line(nil, &r))
	n := 0
	eachMember(reflect.ValueOf(&r.record).Elem(), "Record", func(path string, v reflect.Value) {
		n++
		kept := reflect.New(v.Type()).Elem()
		kept.Set(v)
		v.SetZero()
		if string(s.line(nil, &r)) == full {
			t.Errorf("%s is not shown", path)
		}
		v.Set(kept)
	})
	if n < 90 {
		t.Errorf("only %d members", n)
	}
	for i := range columns {
		if empty := columns[i].value(nil, &r); len(empty) == 0 && columns[i].name != amendedColumn {
			t.Errorf("column %s shows nothing", columns[i].name)
		}
	}
	names, zh := map[string]bool{}, map[string]bool{}
	for _, c := range columns {
		if names[c.name] || zh[c.zh] || c.zh == "" {
			t.Errorf("column %s has no name of its own", c.name)
		}
		names[c.name], zh[c.zh] = true, true
	}
}

// plain undoes what appendCSV does, after a reader of CSV did its part.
func plain(cell string) string {
	cell = strings.TrimPrefix(cell, "'")
	var out strings.Builder
	for len(cell) > 0 {
		if cell[0] != '\\' {
			out.WriteByte(cell[0])
			cell = cell[1:]
			continue
		}
		switch cell[1] {
		case 'u':
			digits, rest, _ := strings.Cut(cell[3:], "}")
			r, _ := strconv.ParseInt(digits, 16, 32)
			out.WriteRune(rune(r))
			cell = rest
			continue
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		default:
			out.WriteByte(cell[1])
		}
		cell = cell[2:]
	}
	return out.String()
}

// FuzzCell: any text can be had back from its cell, and does no harm there.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"", "plain", "=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "'=1", "''", `\`, `\n`, "\x1b[31mred", "a\u009b1m", "\u202eevil", `say "no"`, "a,b;c",
		" lead", "＝1+1", "－1", "名字", "\U000e0041", "a\r\nb", "\\u{1b}", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
			return
		}
		line := append(appendCSV(nil, []byte(s), true), ",x\r\n"...)
		cells, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil || len(cells) != 2 {
			t.Fatalf("%q: %q, %v", line, cells, err)
		}
		if got := plain(cells[0]); got != s {
			t.Errorf("%q is written %q and read %q", s, line, got)
		}
		if strings.ContainsAny(cells[0][:min(1, len(cells[0]))], "=+-@\t\r") {
			t.Errorf("%q begins as a formula does", cells[0])
		}
		quoted := appendJSON(nil, []byte(s))
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != s {
			t.Errorf("%q is written %q and read %q: %v", s, quoted, back, err)
		}
		for _, text := range []string{cells[0], string(quoted)} {
			if strings.ContainsFunc(text, hidden) {
				t.Errorf("%q holds what may not stand there", text)
			}
		}
	})
}
