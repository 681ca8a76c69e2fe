package output

import (
	"bytes"
	"strings"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"":           0,
		"abc":        3,
		"核验":         4,
		"ＡＢ":         4,
		"买买提·吐尔逊":    13,
		"e\u0301":    1,
		"a\u200bb":   2,
		"\U00020BB7": 2, // 𠮷, outside the basic plane
	} {
		if got := Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestTableAlignsWideCharacters(t *testing.T) {
	table := NewTable("PRODUCT", "中文", "LAST")
	table.Row("id2", "身份证二要素", "x")
	table.Row("phone3", "三要素")
	var out bytes.Buffer
	if _, err := table.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	first := Width(lines[0][:strings.Index(lines[0], "LAST")])
	second := Width(lines[1][:strings.LastIndex(lines[1], "x")])
	if first != second {
		t.Errorf("third column begins at %d and %d:\n%s", first, second, out.String())
	}
	for _, line := range lines {
		if strings.HasSuffix(line, " ") {
			t.Errorf("line %q ends with a space", line)
		}
	}
}

func TestCleanLeavesNothingThatSteersATerminal(t *testing.T) {
	got := Clean("a\x1b[31mb\u202ec\nd\x9be\xff")
	for _, r := range got {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x202e {
			t.Errorf("%q still holds %U", got, r)
		}
	}
	if want := "核验 · ok"; Clean(want) != want {
		t.Errorf("Clean(%q) = %q", want, Clean(want))
	}
}

func TestMarshal(t *testing.T) {
	empty, err := Marshal(&heyanv1.ListClientsResponse{})
	if err != nil || string(empty) != `{"clients":[],"next_page_token":""}` {
		t.Errorf("empty list = %s, %v", empty, err)
	}
	position, err := Marshal(&heyanv1.LogPosition{Origin: "a"})
	if err != nil || string(position) != `{"origin":"a","index":"0"}` {
		t.Errorf("position = %s, %v", position, err)
	}
	full, err := Sparse(&heyanv1.Client{Id: "acme", DisplayName: "<Acme> & 公司"})
	if err != nil || string(full) != `{"id":"acme","display_name":"<Acme> & 公司"}` {
		t.Errorf("client = %s, %v", full, err)
	}
}

func TestProgressLine(t *testing.T) {
	start := time.Unix(0, 0)
	bar := &Progress{label: "import", unit: Bytes, total: 4096, done: 1024, started: start}
	got := bar.line(start.Add(time.Second))
	if want := "import [#######.......................]  25% 1.0 KiB/s, 3s left"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	open := &Progress{label: "read", unit: Count, done: 12345, started: start}
	if got, want := open.line(start.Add(time.Second)), "read 12,345, 12,345/s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

func TestNoBarWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	bar := NewProgress(&out, time.Now, "import", 10, Bytes)
	bar.Add(5)
	bar.Set(10)
	bar.Done()
	if out.Len() != 0 {
		t.Errorf("drew %q on what is no terminal", out.String())
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
