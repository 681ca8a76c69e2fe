package netlog

import (
	"errors"
	"fmt"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// raisedAbove tells that the minimum index is higher by now.
func (r *Reader) raisedAbove(first uint64) bool {
	m, err := readMinimum(r.dir, r.verifier)
	return err == nil && m.index > first
}

// beginAtMinimum takes the tree of the records that were purged for verified: the log's key signed it. A file that is
// damaged or gone does not make a log that is open forget what it knows.
func (v *verification) beginAtMinimum() error {
	err := v.r.loadMinimum()
	if err != nil && !isDamage(err) {
		return err
	}
	on, readErr := readMinimum(v.r.dir, v.r.verifier)
	v.r.mu.RLock()
	v.minimum = v.r.minimum
	v.r.mu.RUnlock()
	m := &v.minimum
	v.file = minimumFile
	var damage *segmentError
	switch {
	case errors.As(readErr, &damage):
		v.find(Tampered, 0, m.index, 0, damage.reason)
	case readErr != nil:
		return readErr
	case on.index < m.index:
		v.find(Missing, 0, m.index, 0, "the minimum index is gone, or a lower one stands in its place")
	}
	if v.file = ""; m.index == 0 {
		return nil
	}
	v.find(Purged, 0, m.index, 0, fmt.Sprintf("their time was over; the log begins with record %d", m.index))
	v.report.First = m.index
	v.next, v.known, v.sealed, v.frontier = m.index, m.index, m.index, m.frontier
	if v.r.sealedRoot(m.index) != m.frontier.Root() {
		v.file = "tile"
		v.find(Tampered, 0, m.index, 0, "tiles do not give the tree of the records that were purged")
		v.file = ""
	}
	v.weighPurged()
	v.weighAt(m.index, tree.Hash{})
	return nil
}

// weighPurged compares the evidence whose tree ends among the purged records. Where hashes were kept of it, the tree at
// the minimum index is proven to go on from it, or not to.
func (v *verification) weighPurged() {
	count := 0
	m := &v.minimum
	v.r.mu.RLock()
	kept := v.r.edges
	v.r.mu.RUnlock()
	for _, t := range v.targets {
		size := t.checkpoint.Size
		if size == 0 || size >= m.index {
			continue
		}
		t.seen = true
		if !kept.keeps(size) {
			t.purged = true
			count++
			continue
		}
		proof, err := tree.ProveConsistency(size, m.index, m.frontier.Root(), v.r)
		switch {
		case err != nil:
			t.wrong = true
			v.find(Unverifiable, 0, size, 0, "what was kept of the purged records is damaged: an outside checkpoint cannot be compared")
		case tree.CheckConsistency(proof, size, t.checkpoint.Root, m.index, m.frontier.Root()) != nil:
			t.wrong = true
			if !v.forked {
				v.find(Tampered, 0, size, 0, "an outside checkpoint shows another history")
			}
			v.forked = true
		}
	}
	if count > 0 {
		v.find(Purged, 0, m.index, 0, fmt.Sprintf("outside evidence is of the records that were purged: %d checkpoints or receipts", count))
	}
}

// minimumRecord finds the record that raised the minimum index, which stands behind it.
func (v *verification) minimumRecord() {
	m := &v.minimum
	if m.index == 0 {
		return
	}
	v.file = minimumFile
	defer func() { v.file = "" }()
	if m.record >= v.next {
		v.find(Missing, v.next, m.record+1, 0, "the record that raised the minimum index is not there")
		return
	}
	r := v.r
	if m.record >= r.Size() { // it was opened before
		fresh, err := OpenReader(ReaderOptions{Dir: r.dir, Key: r.Key(), SealKey: r.sealKey})
		if err != nil {
			v.find(Unverifiable, m.record, m.record+1, 0, "the record that raised the minimum index cannot be read")
			return
		}
		defer fresh.Close()
		r = fresh
	}
	err := r.checkMinimum()
	var damage *segmentError
	switch {
	case err == nil:
	case errors.As(err, &damage) && damage.file == minimumFile:
		v.find(Tampered, m.record, m.record+1, 0, damage.reason)
	default:
		v.find(Unverifiable, m.record, m.record+1, 0, "the record that raised the minimum index cannot be read")
	}
}
