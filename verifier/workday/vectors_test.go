package workday

import (
	"os"
	"strings"
	"testing"
	"time"
)

// rows reads a vector file: lines of n tab-separated cells, # comments.
func rows(t *testing.T, name string, n int) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != n {
			t.Fatalf("%s: %q has %d cells, not %d", name, line, len(cells), n)
		}
		out = append(out, cells)
	}
	if len(out) == 0 {
		t.Fatalf("%s: empty", name)
	}
	return out
}

func date(t *testing.T, s string) Date {
	t.Helper()
	d, err := ParseDate(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return d
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// chance turns a cell of two possible words into a bool; any other word fails.
func chance(t *testing.T, cell, yes, no string) bool {
	t.Helper()
	if cell != yes && cell != no {
		t.Fatalf("cell %q is neither %q nor %q", cell, yes, no)
	}
	return cell == yes
}
