// Package tree is the Merkle tree over the log's records (RFC 6962, section 2.1), its signed checkpoints and its proofs.
//
// The arithmetic is that of golang.org/x/mod/sumdb/tlog, the signatures those of golang.org/x/mod/sumdb/note. The
// formats are C2SP's: tlog-checkpoint (a signed note) and tlog-proof, so that other people's tools verify ours.
//
// What a proof shows: that a record with these bytes stands at this index of a tree whose root the holder of the key
// signed. What it does not show: that the holder signed only one tree. Two checkpoints of one origin that contradict
// each other show that; so keep the checkpoints and receipts you were given.
package tree

import (
	"crypto/sha256"
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash of a leaf or node.
type Hash = tlog.Hash

// ErrProof is a proof, receipt or checkpoint that does not hold.
var ErrProof = errors.New("tree: proof does not hold")

// LeafHash returns SHA-256(0x00 || leaf). It does not allocate for leaves up to 1 KiB.
func LeafHash(leaf []byte) Hash {
	var buf [1025]byte
	if len(leaf) >= len(buf) {
		return tlog.RecordHash(leaf)
	}
	return sha256.Sum256(buf[:1+copy(buf[1:], leaf)])
}

// Frontier is the right edge of a growing tree: the roots of its largest complete subtrees, one for each bit of the
// size. Appending costs two hashes on average and no memory. The zero Frontier is the empty tree.
type Frontier struct {
	size uint64
	edge [64]Hash // edge[l]: the complete subtree of 2^l leaves, if bit l of size is set
}

// Size returns the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Append adds a leaf's hash and appends to stored the hashes that package tlog stores for it: the leaf's, then those
// of the subtrees that it completes, from the bottom.
func (f *Frontier) Append(leaf Hash, stored []Hash) []Hash {
	h := leaf
	stored = append(stored, h)
	level := 0
	for ; f.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(f.edge[level], h)
		stored = append(stored, h)
	}
	f.edge[level] = h
	f.size++
	return stored
}

// Root returns the tree's hash; that of the empty tree is SHA-256 of nothing.
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(f.size)
	h := f.edge[level]
	for rest := f.size &^ (1 << level); rest != 0; rest &= rest - 1 {
		h = tlog.NodeHash(f.edge[bits.TrailingZeros64(rest)], h)
	}
	return h
}

// Load sets f to the right edge of the tree of the given size, whose stored hashes r reads.
func Load(size uint64, r tlog.HashReader) (Frontier, error) {
	f := Frontier{size: size}
	var levels []int
	var indexes []int64
	for level := bits.Len64(size) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			levels = append(levels, level)
			// The last complete subtree of this level starts at size with the bits up to level cleared.
			indexes = append(indexes, tlog.StoredHashIndex(level, int64(size>>(level+1)<<1)))
		}
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return Frontier{}, err
	}
	for i, level := range levels {
		f.edge[level] = hashes[i]
	}
	return f, nil
}
