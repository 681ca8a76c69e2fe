package tree

import (
	"errors"
	"io"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A batch inclusion proof shows of many leaves at once that they stand in a tree: the hashes, from left to right, of the
// subtrees that hold none of them. A tree is divided as RFC 6962, section 2.1, divides it: n leaves into the largest power
// of two below n, and the rest. A subtree without a shown leaf is one hash, however large it is; one with shown leaves
// only is none. So there is one proof for a tree and a set of indexes, and that of a single leaf has the hashes of its
// RFC 6962 audit path, of no leaf the root, of all leaves none.

// ErrOrder is a leaf whose index is not above the one before, or not in the tree.
var ErrOrder = errors.New("tree: leaves of a batch proof are not in order")

// Batch builds or checks a batch inclusion proof. Leaves come in ascending order of their indexes, hashes come or go from
// left to right, and neither is kept: it needs memory for twice the height of the tree. An error is final.
type Batch struct {
	work   []subtree // from the right: what is still to be done
	values []Hash    // roots of what is done and not yet joined
	fill   func(first, end uint64) (Hash, error)
	after  uint64 // one more than the newest index
	size   uint64
	err    error
}

// subtree is one that is still to be done; end zero stands for joining the last two that were.
type subtree struct{ first, end uint64 }

// NewBatchProof returns a Batch that builds the proof of a tree of the given size, whose stored hashes r reads. It
// gives each hash of the proof to emit.
func NewBatchProof(size uint64, r tlog.HashReader, emit func(Hash) error) *Batch {
	return newBatch(size, func(first, end uint64) (Hash, error) {
		h, err := rangeHash(first, end, r)
		if err != nil {
			return h, err
		}
		return h, emit(h)
	})
}

// NewBatchCheck returns a Batch that checks a proof. next returns its hashes, one after the other, and io.EOF behind the
// last one.
func NewBatchCheck(size uint64, next func() (Hash, error)) *Batch {
	return newBatch(size, func(uint64, uint64) (Hash, error) {
		h, err := next()
		if errors.Is(err, io.EOF) {
			err = ErrProof
		}
		return h, err
	})
}

func newBatch(size uint64, fill func(first, end uint64) (Hash, error)) *Batch {
	b := &Batch{fill: fill, size: size}
	if size > 0 {
		b.work = append(b.work, subtree{0, size})
	}
	return b
}

// Add adds the leaf at index, by its hash. Errors: [ErrOrder], [ErrProof] where a proof ends too early, or that of the
// reader of hashes.
func (b *Batch) Add(index uint64, leaf Hash) error {
	if b.err == nil && (index < b.after || index >= b.size) {
		b.err = ErrOrder
	}
	for b.err == nil {
		top := b.pop()
		switch {
		case top.end <= index:
			b.outside(top)
			continue
		case top.end-top.first > 1:
			b.split(top)
			continue
		}
		b.after = index + 1
		b.done(leaf)
		return nil
	}
	return b.err
}

// Finish ends the proof behind the last leaf and compares it with the root of the tree. A Batch that builds checks its
// own answer that way, so that damaged stored hashes give an error and never a wrong proof; whoever checks MUST see to it
// that no hash is left over. Error: [ErrProof], or that of the reader of hashes.
func (b *Batch) Finish(root Hash) error {
	for b.err == nil && len(b.work) > 0 {
		b.outside(b.pop())
	}
	switch {
	case b.err != nil:
		return b.err
	case b.size == 0:
		var empty Frontier
		b.values = append(b.values, empty.Root())
	}
	if b.values[0] != root {
		b.err = ErrProof
	}
	return b.err
}

func (b *Batch) pop() subtree {
	top := b.work[len(b.work)-1]
	b.work = b.work[:len(b.work)-1]
	return top
}

// split puts off a subtree: first its left part, then its right one, then both as one.
func (b *Batch) split(s subtree) {
	middle := s.first + uint64(1)<<(bits.Len64(s.end-s.first-1)-1)
	b.work = append(b.work, subtree{}, subtree{middle, s.end}, subtree{s.first, middle})
}

// outside does a subtree that holds no leaf of the set.
func (b *Batch) outside(s subtree) {
	h, err := b.fill(s.first, s.end)
	if err != nil {
		b.err = err
		return
	}
	b.done(h)
}

// done takes the root of the subtree that was on top of the work, and joins what can be joined.
func (b *Batch) done(h Hash) {
	for len(b.work) > 0 && b.work[len(b.work)-1].end == 0 {
		b.pop()
		left := len(b.values) - 1
		h = tlog.NodeHash(b.values[left], h)
		b.values = b.values[:left]
	}
	b.values = append(b.values, h)
}

// rangeHash returns the root of the leaves [first, end), which are a subtree as RFC 6962 divides a tree: complete, or the
// right edge. The right edge is made of complete ones, the largest first.
func rangeHash(first, end uint64, r tlog.HashReader) (Hash, error) {
	var indexes []int64
	for at := first; at < end; {
		level := bits.Len64(end-at) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, int64(at>>level)))
		at += uint64(1) << level
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return Hash{}, err
	}
	h := hashes[len(hashes)-1]
	for i := len(hashes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(hashes[i], h)
	}
	return h, nil
}
