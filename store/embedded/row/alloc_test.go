//go:build !race

package row_test

import "testing"

// Under the race detector sync.Pool forgets on purpose, so this is built without it only.

func TestSealingAllocatesNothing(t *testing.T) {
	r := rows(t, 1, "s")
	key, value, buffer := make([]byte, 32), make([]byte, 100), make([]byte, 0, 200)
	if n := testing.AllocsPerRun(1000, func() {
		stored := r.Seal(buffer, key, value)
		if _, err := r.Open(key, stored); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for Seal and Open", n)
	}
}
