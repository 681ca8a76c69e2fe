package netlog

import (
	"errors"
	"fmt"
	"iter"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// target is what one piece of outside evidence says about the log.
type target struct {
	checkpoint tree.Checkpoint
	receipt    bool
	index      uint64
	leaf       tree.Hash
	seen       bool // the tree reached its size
	wrong      bool
}

// weigh opens the outside evidence. What is not signed by the log's key says nothing about the log.
func (v *verification) weigh(outside []Evidence) {
	for i, e := range outside {
		t, err := v.open(e)
		if err != nil {
			v.find(Unverifiable, 0, 0, 0, fmt.Sprintf("outside evidence %d: %v", i+1, err))
			continue
		}
		v.targets = append(v.targets, t)
		v.weighAt(0, tree.Hash{})
	}
}

func (v *verification) open(e Evidence) (*target, error) {
	if e.Proof == nil {
		c, err := v.r.verifier.Open(e.Checkpoint)
		return &target{checkpoint: c}, err
	}
	p, err := tree.ParseProof(e.Proof)
	if err != nil {
		return nil, err
	}
	c, err := p.Verify(e.Leaf, v.r.verifier)
	return &target{checkpoint: c, receipt: true, index: p.Index, leaf: tree.LeafHash(e.Leaf)}, err
}

// weighAt compares the evidence with the tree, which has just reached size by the record with hash leaf.
func (v *verification) weighAt(size uint64, leaf tree.Hash) {
	for _, t := range v.targets {
		if t.receipt && size == t.index+1 && leaf != t.leaf {
			v.find(Tampered, t.index, t.index+1, 0, "another record than an outside receipt shows")
			t.wrong = true
		}
		if size == t.checkpoint.Size && !t.seen {
			t.seen = true
			if v.frontier.Root() != t.checkpoint.Root {
				v.find(Tampered, 0, size, 0, "an outside checkpoint shows another history")
				t.wrong = true
			}
		}
	}
}

// conclude judges the evidence that the log never reached.
func (v *verification) conclude() {
	for _, t := range v.targets {
		switch {
		case t.seen && !t.wrong:
			v.report.Anchors++
		case t.seen:
		case t.checkpoint.Size > v.next:
			v.find(Missing, v.next, t.checkpoint.Size, 0, "an outside checkpoint shows a longer log")
		default:
			v.find(Unverifiable, 0, t.checkpoint.Size, 0, "an outside checkpoint falls into what cannot be verified")
		}
	}
}

// VerifyLeaves verifies that leaves are the records 0, 1, … of the signed checkpoint: all of them, unchanged, in this
// order. Errors: tree.ErrProof when they are not, or those of tree.Verifier.Open.
func VerifyLeaves(leaves iter.Seq[[]byte], signed []byte, key string) (tree.Checkpoint, error) {
	verifier, err := tree.NewVerifier(key)
	if err != nil {
		return tree.Checkpoint{}, err
	}
	c, err := verifier.Open(signed)
	if err != nil {
		return tree.Checkpoint{}, err
	}
	var f tree.Frontier
	var stored []tree.Hash
	for leaf := range leaves {
		stored = f.Append(tree.LeafHash(leaf), stored[:0])
	}
	if f.Size() != c.Size || f.Root() != c.Root {
		return tree.Checkpoint{}, fmt.Errorf("%w: %d records do not give the root of %d", tree.ErrProof, f.Size(), c.Size)
	}
	return c, nil
}

// Receipt is a verified receipt: the record, its place, and the checkpoint that covers it.
type Receipt struct {
	Record     record.Record
	Index      uint64
	Checkpoint tree.Checkpoint
}

// VerifyReceipt verifies a receipt, a record's bytes and its C2SP tlog-proof, with the origin's verifier key. Errors:
// tree.ErrMalformedProof, tree.ErrProof, those of tree.Verifier.Open, or record.ErrInvalid.
func VerifyReceipt(leaf, proof []byte, key string) (Receipt, error) {
	verifier, err := tree.NewVerifier(key)
	if err != nil {
		return Receipt{}, err
	}
	p, err := tree.ParseProof(proof)
	if err != nil {
		return Receipt{}, err
	}
	c, err := p.Verify(leaf, verifier)
	if err != nil {
		return Receipt{}, err
	}
	rec, err := record.Parse(leaf)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{rec, p.Index, c}, nil
}

// ErrOpening means that an opening and a content are not those of a record.
var ErrOpening = errors.New("netlog: opening and values are not this record's")

// VerifyOpening verifies that the record is about the committed content (record.Committed), given the opening that came
// with the answer: [ErrOpening] if not, or if the record commits to nothing.
func VerifyOpening(leaf, opening, content []byte) error {
	rec, err := record.Parse(leaf)
	if err != nil {
		return err
	}
	if !record.Opens(rec.Commitment, opening, content) {
		return ErrOpening
	}
	return nil
}
