package rows

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

const (
	goodID = "11010519491231002X"
	badID  = "110105194912310021"
)

// verdicts reads a text and returns for each row its problems as "field reason", "ok" where there are none.
func verdicts(t *testing.T, text string, format Format) []string {
	t.Helper()
	reader, err := NewReader(strings.NewReader(text), format)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for {
		row, problem, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		problems := []Problem{}
		if problem != nil {
			problems = append(problems, *problem)
		} else {
			problems = row.Check(now)
		}
		var texts []string
		for _, p := range problems {
			texts = append(texts, strings.TrimSpace(p.Field+" "+p.Reason))
		}
		if len(texts) == 0 {
			texts = []string{"ok"}
		}
		all = append(all, strings.Join(texts, ", "))
	}
}

func TestCSV(t *testing.T) {
	text := "\ufeffid_number, name ,license_plate_number,plate_kind\r\n" +
		goodID + ",张三,,\r\n" +
		badID + ",张三,,\r\n" +
		badID + ",张3,,\r\n" +
		goodID + ",张三\r\n" +
		"a\"b,张三,,\r\n" +
		",,,\r\n" +
		",张三,京A12345,02\r\n" +
		",张三,京A12345,2\r\n" +
		",张三,,02\r\n" +
		"\"" + goodID + "\",\"张三\",,\r\n"
	want := []string{"ok", "id_number CHECK_DIGIT", "name CHARSET, id_number CHECK_DIGIT", Columns, Syntax, NoAnchor, "ok",
		"plate_kind PLATE_KIND", "plate_kind PLATE_KIND", "ok"}
	if got := verdicts(t, text, CSV); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestJSONLines(t *testing.T) {
	text := `{"name":"张三","id_number":"` + goodID + `"}` + "\n\n" +
		`{"name":"张三","id_number":"` + badID + `"}` + "\n" +
		`{"name":"张三","email":"x"}` + "\n" +
		`{"name":3}` + "\n" +
		`{"name":"张三"} {}` + "\n" +
		`{"name":""}` + "\n" +
		"{\"name\":\"\xd5\xc5\"}\n" +
		`{"name":"张三","license_plate_number":"京A12345","plate_kind":"02"}`
	want := []string{"ok", "id_number CHECK_DIGIT", Ceiling, Syntax, Syntax, NoAnchor, Syntax, "ok"}
	if got := verdicts(t, text, JSONLines); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestHeaderErrorsHoldNothingOfTheFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"no header": "张三," + goodID + "\n",
		"twice":     "name,name\n",
		"gbk":       "name,\xd0\xd5\xc3\xfb\n",
		"quote":     "na\"me\n",
	} {
		_, err := NewReader(strings.NewReader(text), CSV)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if strings.Contains(err.Error(), goodID) || strings.Contains(err.Error(), "张三") {
			t.Errorf("%s: error %q repeats the file", name, err)
		}
	}
}

// What `heyan dataset sample` writes is read without a reject.
func TestReadsSamples(t *testing.T) {
	var file bytes.Buffer
	if err := people.WriteCSV(&file, 2000, 7, nil); err != nil {
		t.Fatal(err)
	}
	got := verdicts(t, file.String(), CSV)
	if len(got) < 2000 {
		t.Fatalf("%d rows", len(got))
	}
	for i, verdict := range got {
		if verdict != "ok" {
			t.Fatalf("row %d: %s", i+1, verdict)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("name,id_number\n张三,x\n", true)
	f.Add(`{"name":"张三"}`, false)
	f.Fuzz(func(t *testing.T, text string, asCSV bool) {
		format := JSONLines
		if asCSV {
			format = CSV
		}
		reader, err := NewReader(strings.NewReader(text), format)
		if err != nil {
			return
		}
		for range 1 + len(text) {
			row, problem, err := reader.Next()
			if err != nil {
				return
			}
			if problem == nil {
				row.Check(now)
			}
		}
		t.Error("more rows than bytes")
	})
}

func BenchmarkReadCheck(b *testing.B) {
	var file bytes.Buffer
	if err := people.WriteCSV(&file, 1000, 7, nil); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		reader, err := NewReader(bytes.NewReader(file.Bytes()), CSV)
		if err != nil {
			b.Fatal(err)
		}
		for {
			row, _, err := reader.Next()
			if err != nil {
				break
			}
			row.Check(now)
		}
	}
}

// TestStrayQuotes: a quote that is not closed on its line costs that row, and no other.
func TestStrayQuotes(t *testing.T) {
	good := goodID + ",张三\r\n"
	text := "id_number,name\n" + strings.Repeat(good, 3) + `"` + good + good + goodID + `,张"三` + "\n" + `"` + goodID + `","张三"` + "\n" +
		goodID + "," + strings.Repeat("三", maxLine) + "\n" + good + `"` + goodID
	want := []string{"ok", "ok", "ok", "SYNTAX", "ok", "SYNTAX", "ok", "SYNTAX", "ok", "SYNTAX"}
	if got := verdicts(t, text, CSV); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCardsAreTheServersToJudge: whether a card need not pass the Luhn check is in the server's configuration.
func TestCardsAreTheServersToJudge(t *testing.T) {
	text := "name,bank_card_number\n张三,6228480000000000001\n张三,62284800000000x\n"
	if got := verdicts(t, text, CSV); len(got) != 2 || got[0] != "ok" || got[1] == "ok" {
		t.Errorf("%q", got)
	}
}
