//go:build !race

package record

import "testing"

// TestParseAllocations: one string, what the record points to, and the list of its field names.
func TestParseAllocations(t *testing.T) {
	leaf := mustAppend(t, verify())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Parse(leaf); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}
