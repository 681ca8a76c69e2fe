package netlog

import (
	"fmt"

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
	purged     bool // what it is of was
}

// weigh opens the outside evidence. What is not signed by the log's key says nothing about the log. There may be as much
// of it as a checkpoint a minute gives in months, so what concerns a size of the tree is found by that size.
func (v *verification) weigh(outside []Evidence) {
	v.bySize = make(map[uint64][]*target)
	for i, e := range outside {
		t, err := v.open(e)
		if err != nil {
			v.find(Unverifiable, 0, 0, 0, fmt.Sprintf("outside evidence %d: %v", i+1, err))
			continue
		}
		v.targets = append(v.targets, t)
		v.bySize[t.checkpoint.Size] = append(v.bySize[t.checkpoint.Size], t)
		if t.receipt && t.index+1 != t.checkpoint.Size {
			v.bySize[t.index+1] = append(v.bySize[t.index+1], t)
		}
	}
	v.weighAt(0, tree.Hash{})
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
	for _, t := range v.bySize[size] {
		if t.receipt && size == t.index+1 && size > v.minimum.index && leaf != t.leaf {
			v.find(Tampered, t.index, t.index+1, 0, "another record than an outside receipt shows")
			t.wrong = true
		}
		if size == t.checkpoint.Size && !t.seen {
			t.seen = true
			if v.frontier.Root() != t.checkpoint.Root {
				t.wrong = true
				if !v.forked { // every later one would say so again
					v.find(Tampered, 0, size, 0, "an outside checkpoint shows another history")
				}
				v.forked = true
			}
		}
	}
}

// conclude judges the evidence that the log never reached.
func (v *verification) conclude() {
	longest := uint64(0)
	for _, t := range v.targets {
		switch {
		case t.purged:
		case t.seen && !t.wrong:
			v.report.Anchors++
		case t.seen:
		case t.checkpoint.Size > v.next:
			longest = max(longest, t.checkpoint.Size)
		default:
			v.find(Unverifiable, 0, t.checkpoint.Size, 0, "an outside checkpoint falls into what cannot be verified")
		}
	}
	if longest > 0 {
		v.find(Missing, v.next, longest, 0, "an outside checkpoint shows a longer log")
	}
}
