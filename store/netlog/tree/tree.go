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
	return f.AppendSubtree(0, leaf, stored)
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

// Edge returns the roots of the complete subtrees that make up the tree, from the largest.
func (f *Frontier) Edge() []Hash {
	var edge []Hash
	for level := bits.Len64(f.size) - 1; level >= 0; level-- {
		if f.size>>level&1 == 1 {
			edge = append(edge, f.edge[level])
		}
	}
	return edge
}

// FromEdge returns the frontier with that [Frontier.Edge]. ok is false where a tree of the size has another number of
// subtrees.
func FromEdge(size uint64, edge []Hash) (f Frontier, ok bool) {
	if bits.OnesCount64(size) != len(edge) {
		return f, false
	}
	f.size = size
	for level := bits.Len64(size) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			f.edge[level], edge = edge[0], edge[1:]
		}
	}
	return f, true
}

// AppendSubtree adds a complete subtree of 2^level leaves by its root, and appends to stored its root and those of the
// subtrees that it completes. The size MUST be a multiple of 2^level.
func (f *Frontier) AppendSubtree(level int, root Hash, stored []Hash) []Hash {
	h := root
	stored = append(stored, h)
	at := level
	for ; f.size>>at&1 == 1; at++ {
		h = tlog.NodeHash(f.edge[at], h)
		stored = append(stored, h)
	}
	f.edge[at] = h
	f.size += 1 << level
	return stored
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
