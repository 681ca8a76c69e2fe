package tree

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// batchOf builds the proof of a set.
func batchOf(t testing.TB, size uint64, hashes stored, root Hash, set []uint64) []Hash {
	t.Helper()
	var proof []Hash
	b := NewBatchProof(size, hashes, func(h Hash) error {
		proof = append(proof, h)
		return nil
	})
	for _, index := range set {
		if err := b.Add(index, LeafHash(leafOf(int(index)))); err != nil {
			t.Fatalf("size %d, set %v: %v", size, set, err)
		}
	}
	if err := b.Finish(root); err != nil {
		t.Fatalf("size %d, set %v: %v", size, set, err)
	}
	return proof
}

// member is one leaf as a checker is given it.
type member struct {
	index uint64
	hash  Hash
}

func members(set []uint64) []member {
	all := make([]member, len(set))
	for i, index := range set {
		all[i] = member{index, LeafHash(leafOf(int(index)))}
	}
	return all
}

// checkBatch is what a verifier does: every leaf, the root, and no hash left over.
func checkBatch(size uint64, root Hash, proof []Hash, shown []member) error {
	rest := proof
	b := NewBatchCheck(size, func() (Hash, error) {
		if len(rest) == 0 {
			return Hash{}, io.EOF
		}
		h := rest[0]
		rest = rest[1:]
		return h, nil
	})
	for _, m := range shown {
		if err := b.Add(m.index, m.hash); err != nil {
			return err
		}
	}
	if err := b.Finish(root); err != nil {
		return err
	}
	if len(rest) > 0 {
		return ErrProof
	}
	return nil
}

// sets are subsets of the indexes below n: all of them for a small tree, else the special ones and random ones.
func sets(n int) [][]uint64 {
	var all [][]uint64
	if n <= 9 {
		for mask := range 1 << n {
			var set []uint64
			for i := range n {
				if mask>>i&1 == 1 {
					set = append(set, uint64(i))
				}
			}
			all = append(all, set)
		}
		return all
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for _, share := range []int{1, 3, 10, 50, 97, 100} {
		var set []uint64
		for i := range n {
			if random.IntN(100) < share {
				set = append(set, uint64(i))
			}
		}
		all = append(all, set)
	}
	from := random.IntN(n)
	var run []uint64
	for i := from; i < min(n, from+n/3+1); i++ {
		run = append(run, uint64(i))
	}
	return append(all, nil, run, []uint64{0}, []uint64{uint64(n - 1)}, []uint64{0, uint64(n - 1)})
}

var batchSizes = []int{0, 1, 2, 3, 5, 6, 7, 8, 9, 16, 31, 100, 255, 256, 257, 600}

// A batch proof verifies, and is what the proofs of its single leaves hold: a hash of theirs stands in it unless it is
// that of a subtree with a leaf of the set, and it has no other.
func TestBatchAgainstSingleProofs(t *testing.T) {
	for _, n := range batchSizes {
		f, hashes := grow(n)
		for _, set := range sets(n) {
			proof := batchOf(t, uint64(n), hashes, f.Root(), set)
			if err := checkBatch(uint64(n), f.Root(), proof, members(set)); err != nil {
				t.Fatalf("size %d, set %v: %v", n, set, err)
			}
			var singles []Hash
			for _, index := range set {
				path, err := tlog.ProveRecord(int64(n), int64(index), hashes)
				if err != nil {
					t.Fatal(err)
				}
				singles = append(singles, path...)
			}
			for _, h := range proof {
				if len(set) > 0 && !slices.Contains(singles, h) {
					t.Errorf("size %d, set %v: a hash of no single proof", n, set)
				}
			}
			if len(set) == 1 && len(proof) != len(singles) {
				t.Errorf("size %d, leaf %d: %d hashes, its audit path has %d", n, set[0], len(proof), len(singles))
			}
			if most := (len(set) + 1) * (bits.Len(uint(n)) + 1); len(proof) > most {
				t.Errorf("size %d, %d leaves: %d hashes", n, len(set), len(proof))
			}
		}
	}
	f, hashes := grow(100)
	if proof := batchOf(t, 100, hashes, f.Root(), nil); len(proof) != 1 || proof[0] != f.Root() {
		t.Errorf("the proof of no leaf: %v", proof)
	}
}

// Whatever is dropped, doubled, swapped or altered in leaves or hashes, it does not verify.
func TestBatchFindsEveryChange(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, n := range batchSizes[1:] {
		f, hashes := grow(n)
		check := func(what string, proof []Hash, shown []member) {
			t.Helper()
			if err := checkBatch(uint64(n), f.Root(), proof, shown); !errors.Is(err, ErrProof) && !errors.Is(err, ErrOrder) {
				t.Fatalf("size %d: %s: %v", n, what, err)
			}
		}
		for _, set := range sets(n) {
			if len(set) > 20 {
				continue // the changes are tried one by one
			}
			proof, shown := batchOf(t, uint64(n), hashes, f.Root(), set), members(set)
			for i := range shown {
				check("a leaf less", proof, slices.Delete(slices.Clone(shown), i, i+1))
				check("a leaf twice", proof, slices.Insert(slices.Clone(shown), i, shown[i]))
				altered := slices.Clone(shown)
				altered[i].hash[random.IntN(32)] ^= 1 << random.IntN(8)
				check("a leaf altered", proof, altered)
				for j := range i {
					swapped := slices.Clone(shown)
					swapped[i], swapped[j] = swapped[j], swapped[i]
					check("leaves swapped", proof, swapped)
					swapped[i].index, swapped[j].index = swapped[j].index, swapped[i].index
					check("leaves in each other's place", proof, swapped)
				}
			}
			for i := range proof {
				check("a hash less", slices.Delete(slices.Clone(proof), i, i+1), shown)
				check("a hash twice", slices.Insert(slices.Clone(proof), i, proof[i]), shown)
				altered := slices.Clone(proof)
				altered[i][random.IntN(32)] ^= 1 << random.IntN(8)
				check("a hash altered", altered, shown)
				for j := range i {
					swapped := slices.Clone(proof)
					swapped[i], swapped[j] = swapped[j], swapped[i]
					check("hashes swapped", swapped, shown)
				}
			}
			check("another size", proof, append(slices.Clone(shown), member{uint64(n), Hash{1}}))
		}
	}
}

// A builder does not give out a proof that damaged hashes made, and says so when they cannot be read.
func TestBatchOfDamagedHashes(t *testing.T) {
	f, hashes := grow(100)
	hashes[tlog.StoredHashIndex(3, 1)][0] ^= 1
	b := NewBatchProof(100, hashes, func(Hash) error { return nil })
	if err := errors.Join(b.Add(0, LeafHash(leafOf(0))), b.Finish(f.Root())); !errors.Is(err, ErrProof) {
		t.Errorf("damaged: %v", err)
	}
	broken := errors.New("broken")
	for name, b := range map[string]*Batch{
		"short":  NewBatchProof(100, hashes[:50], func(Hash) error { return nil }),
		"broken": NewBatchProof(100, hashes, func(Hash) error { return broken }),
	} {
		err := errors.Join(b.Add(7, LeafHash(leafOf(7))), b.Finish(f.Root()))
		if err == nil || errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
		if b.Add(8, Hash{}) == nil || b.Finish(f.Root()) == nil {
			t.Errorf("%s: an error is not final", name)
		}
	}
}

// FuzzBatchCheck: whatever leaves and hashes are given, a checker ends without panic and takes no false leaf.
func FuzzBatchCheck(f *testing.F) {
	const n = 37
	edge, hashes := grow(n)
	root := edge.Root()
	for _, set := range sets(n) {
		proof := batchOf(f, n, hashes, root, set)
		var text []byte
		for _, h := range proof {
			text = append(text, h[:]...)
		}
		var shown []byte
		for _, index := range set {
			shown = binary.AppendUvarint(shown, index)
		}
		f.Add(uint64(n), shown, text)
	}
	f.Fuzz(func(t *testing.T, size uint64, shown, text []byte) {
		var asked []member
		for len(shown) > 0 {
			index, length := binary.Uvarint(shown)
			if length <= 0 {
				break
			}
			shown = shown[length:]
			asked = append(asked, member{index, LeafHash(leafOf(int(index % n)))})
		}
		var proof []Hash
		for ; len(text) >= 32; text = text[32:] {
			proof = append(proof, Hash(text[:32]))
		}
		if size%(1<<62) != n {
			_ = checkBatch(size%(1<<62), root, proof, asked) // ends
			return
		}
		if checkBatch(n, root, proof, asked) != nil {
			return
		}
		var set []uint64
		for _, m := range asked {
			set = append(set, m.index)
		}
		if want := batchOf(t, n, hashes, root, set); !slices.Equal(proof, want) {
			t.Errorf("another proof of %v verifies", set)
		}
	})
}
