//go:build !race

package datafile_test

import (
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/datafile"
)

// Under the race detector sync.Pool forgets on purpose, so these are built without it only.

func TestLookupAllocatesNothing(t *testing.T) {
	rows := randomRows(5000, 1)
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	r := open(t, path)
	dst := make([]byte, 0, 1<<12)
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		a := rows[i%len(rows)].anchor
		i++
		if _, found, err := r.Lookup(a, dst); !found || err != nil {
			t.Fatal(found, err)
		}
		a[30] ^= 1
		if _, found, err := r.Lookup(a, dst); found || err != nil {
			t.Fatal(found, err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for a hit and a miss", n)
	}
}
