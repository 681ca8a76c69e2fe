package tree

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A consistency proof shows that an older tree is the beginning of a newer one, and damaged hashes give none.
func TestConsistency(t *testing.T) {
	roots := []Hash{{}}
	for size := uint64(1); size <= 40; size++ {
		f, hashes := grow(int(size))
		roots = append(roots, f.Root())
		for older := uint64(1); older <= size; older++ {
			proof, err := ProveConsistency(older, size, f.Root(), hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckConsistency(proof, older, roots[older], size, f.Root()); err != nil {
				t.Errorf("%d to %d: %v", older, size, err)
			}
			if !errors.Is(CheckConsistency(proof, older, Hash{1}, size, f.Root()), ErrProof) {
				t.Errorf("%d to %d: another tree is taken", older, size)
			}
		}
		for _, older := range []uint64{0, size + 1} {
			if _, err := ProveConsistency(older, size, f.Root(), hashes); err == nil || CheckConsistency(nil, older, f.Root(), size, f.Root()) == nil {
				t.Errorf("%d to %d: proven", older, size)
			}
		}
		if size == 40 {
			hashes[tlog.StoredHashIndex(2, 4)][0] ^= 1
			if _, err := ProveConsistency(20, size, f.Root(), hashes); !errors.Is(err, ErrProof) {
				t.Errorf("damaged hashes: %v", err)
			}
		}
	}
}
