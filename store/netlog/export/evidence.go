package export

import (
	"fmt"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// target is what one piece of outside evidence says about the log.
type target struct {
	number     int // from 1, as it was given
	checkpoint tree.Checkpoint
	receipt    bool
	index      uint64
	leaf       tree.Hash
	agreed     bool // something of the export agrees with it
	wrong      bool
}

const otherHistory = "shows another history"

// weigh opens the outside evidence, and compares it with the signed tree where the manifest shows how.
func (v *verification) weigh(m *Manifest) {
	v.file, v.row = "", 0
	for i, e := range v.Outside {
		t, err := v.openEvidence(e)
		if err != nil {
			v.find(netlog.Unverifiable, "", fmt.Sprintf("outside evidence %d: %v", i+1, err))
			continue
		}
		t.number = i + 1
		v.targets = append(v.targets, t)
		v.consistent(t, m)
	}
}

func (v *verification) openEvidence(e netlog.Evidence) (*target, error) {
	if e.Proof == nil {
		c, err := v.Key.Open(e.Checkpoint)
		return &target{checkpoint: c}, err
	}
	p, err := tree.ParseProof(e.Proof)
	if err != nil {
		return nil, err
	}
	c, err := p.Verify(e.Leaf, v.Key)
	return &target{checkpoint: c, receipt: true, index: p.Index, leaf: tree.LeafHash(e.Leaf)}, err
}

// consistent compares an outside checkpoint with the signed one: by the root where they are of one size, else by the
// consistency proof.
func (v *verification) consistent(t *target, m *Manifest) {
	signed := v.report.Signed
	if t.checkpoint.Size == signed.Size {
		v.judge(t, t.checkpoint.Root == signed.Root, otherHistory)
		return
	}
	for _, c := range m.Consistency {
		if c.Size != t.checkpoint.Size || c.Size == 0 || c.Size > signed.Size {
			continue
		}
		proof := make([]tree.Hash, 0, len(c.Hashes))
		for _, h := range c.Hashes {
			if len(h) != len(tree.Hash{}) {
				v.find(netlog.Tampered, "", "a consistency proof is malformed")
				return
			}
			proof = append(proof, tree.Hash(h))
		}
		v.judge(t, tree.CheckConsistency(proof, c.Size, t.checkpoint.Root, signed.Size, signed.Root) == nil,
			otherHistory+", or the manifest's consistency proof was changed")
		return
	}
}

func (v *verification) judge(t *target, agrees bool, otherwise string) {
	if agrees {
		t.agreed = true
		return
	}
	t.wrong = true
	v.find(netlog.Tampered, "", fmt.Sprintf("outside evidence %d %s", t.number, otherwise))
}

// compare compares a row with the receipts that are of its index.
func (v *verification) compare(index uint64, leaf tree.Hash) {
	for _, t := range v.targets {
		switch {
		case !t.receipt || t.index != index:
		case t.leaf == leaf:
			t.agreed = true
		default:
			t.wrong = true
			v.find(netlog.Tampered, "", fmt.Sprintf("another record than outside evidence %d shows", t.number))
		}
	}
}

// reached compares the tree of the first rows with the outside checkpoints of its size.
func (v *verification) reached(size uint64, root func() tree.Hash) {
	for _, t := range v.targets {
		if t.checkpoint.Size == size && !t.agreed && !t.wrong {
			v.judge(t, root() == t.checkpoint.Root, otherHistory)
		}
	}
}

// anchor counts the evidence that agrees. Of an export that is not proven nothing is anchored.
func (v *verification) anchor() {
	v.file, v.row = "", 0
	if !v.report.Members {
		return
	}
	for _, t := range v.targets {
		switch {
		case t.wrong:
		case t.agreed:
			v.report.Anchors++
		case t.checkpoint.Size > v.report.Signed.Size:
			v.find(netlog.Unverifiable, "", fmt.Sprintf("outside evidence %d is of a later tree than the export: %d records, the export's has %d",
				t.number, t.checkpoint.Size, v.report.Signed.Size))
		default:
			v.find(netlog.Unverifiable, "", fmt.Sprintf("outside evidence %d: the export has no consistency proof from a tree of %d records", t.number, t.checkpoint.Size))
		}
	}
}
