package figure

import (
	"strings"
	"testing"
)

func TestFigure(t *testing.T) {
	f := New("speed", "×", "≥ 2", []float64{3, 1, 2, 10})
	if f.Median != 2.5 || f.Min != 1 || f.Max != 10 {
		t.Errorf("figure %+v", f)
	}
	nothing := New("nothing", "", "", nil)
	if nothing.Median != 0 || len(nothing.Values) != 0 {
		t.Errorf("figure of nothing %+v", nothing)
	}
	table := Table([]Figure{f, nothing, New("once", "ms", "", []float64{7})})
	for _, want := range []string{"2.50 ×", "1.00–10.00", "≥ 2", "–", "7.00 ms"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is not in\n%s", want, table)
		}
	}
}
