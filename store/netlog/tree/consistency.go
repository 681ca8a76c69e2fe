package tree

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ProveConsistency returns the RFC 6962 consistency proof from the tree of the older size to that of size and root. It
// checks its own answer, so that damaged stored hashes give an error, and never a proof that accuses the log.
func ProveConsistency(older, size uint64, root Hash, r tlog.HashReader) ([]Hash, error) {
	if older == 0 || older > size {
		return nil, fmt.Errorf("tree: no consistency proof from a tree of %d to one of %d", older, size)
	}
	proof, err := tlog.ProveTree(int64(size), int64(older), r)
	if err != nil {
		return nil, err
	}
	before, err := rangeHash(0, older, r)
	if err != nil {
		return nil, err
	}
	if err := CheckConsistency(proof, older, before, size, root); err != nil {
		return nil, fmt.Errorf("%w: stored hashes do not give the signed root", ErrProof)
	}
	return proof, nil
}

// CheckConsistency checks that the tree of size and root goes on where the older one ended. Error: [ErrProof].
func CheckConsistency(proof []Hash, older uint64, before Hash, size uint64, root Hash) error {
	if older == 0 || older > size || tlog.CheckTree(proof, int64(size), root, int64(older), before) != nil {
		return ErrProof
	}
	return nil
}
