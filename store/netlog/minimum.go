package netlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// minimumFile is the name of the minimum index's file in a log's directory.
const minimumFile = "minimum"

// minimum is the index that a log begins with since what stood before was purged. The zero minimum is that of a log of
// which nothing was.
//
// Its file is a signed checkpoint of the tree of the purged records (C2SP tlog-checkpoint), so that it says nothing which
// is not so, with extension lines that no other checkpoint of ours has: the index of the record that raised it, and the
// right edge of that tree, by which proofs of what is left can be made without what is gone.
type minimum struct {
	index    uint64
	record   uint64
	frontier tree.Frontier // of the tree of the purged records
}

const (
	minimumLine = "heyan/minimum-index raised by record "
	edgeLine    = "heyan/edge "
)

// lines returns the extension lines.
func (m *minimum) lines() string {
	var b strings.Builder
	b.WriteString(minimumLine + strconv.FormatUint(m.record, 10) + "\n")
	for _, h := range m.frontier.Edge() {
		b.WriteString(edgeLine + h.String() + "\n")
	}
	return b.String()
}

// parseMinimum reads the extension lines of a checkpoint that the log's key signed.
func parseMinimum(c tree.Checkpoint, lines string) (m minimum, ok bool) {
	m.index = c.Size
	first, rest, _ := strings.Cut(lines, "\n")
	number, named := strings.CutPrefix(first, minimumLine)
	var err error
	m.record, err = strconv.ParseUint(number, 10, 62)
	var edge []tree.Hash
	for line := range strings.Lines(rest) {
		text, _ := strings.CutPrefix(strings.TrimSuffix(line, "\n"), edgeLine)
		h, known := tree.ParseHash(text)
		named = named && known
		edge = append(edge, h)
	}
	m.frontier, ok = tree.FromEdge(m.index, edge)
	ok = ok && named && err == nil && m.index > 0 && m.index%segment.FrameRecords == 0 && m.record >= m.index
	return m, ok && m.frontier.Root() == c.Root && m.lines() == lines
}

// readMinimum reads the file of the minimum index; where there is none, it is zero. What is wrong with the file matches
// wal.ErrCorrupt.
func readMinimum(dir string, verifier tree.Verifier) (minimum, error) {
	signed, err := os.ReadFile(filepath.Join(dir, minimumFile))
	if errors.Is(err, fs.ErrNotExist) {
		return minimum{}, nil
	}
	if err != nil {
		return minimum{}, err
	}
	c, lines, err := verifier.OpenExtended(signed)
	if err != nil {
		return minimum{}, &segmentError{minimumFile, "not signed by this log"}
	}
	m, ok := parseMinimum(c, lines)
	if !ok {
		return minimum{}, &segmentError{minimumFile, "signed, but states no minimum index"}
	}
	return m, nil
}

// write makes the minimum index durable.
func (m *minimum) write(fsys disk.FS, dir string, signer *tree.Signer) error {
	signed, err := signer.SignExtended(m.index, m.frontier.Root(), m.lines())
	if err != nil {
		return err
	}
	return disk.WriteFile(fsys, filepath.Join(dir, minimumFile), signed)
}

// First returns the log's minimum index: 0, or that of the oldest record that was not purged.
func (r *Reader) First() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.minimum.index
}

// setMinimum takes a higher minimum index: what stands before it is not read any more.
func (r *Reader) setMinimum(m minimum, e edges) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.index <= r.minimum.index {
		return
	}
	r.minimum, r.edges, r.size = m, e, max(r.size, m.index)
	n := sort.Search(len(r.sealed), func(i int) bool { return r.sealed[i].First >= m.index })
	r.sealed = r.sealed[n:]
}

// loadMinimum takes the minimum index that the directory states, if it is higher than the one known. Edges that cannot be
// read are none: only proofs from older trees need them.
func (r *Reader) loadMinimum() error {
	m, err := readMinimum(r.dir, r.verifier)
	if err != nil || m.index <= r.First() {
		return err
	}
	e, err := readEdges(r.dir, r.Origin())
	if err != nil && !isDamage(err) {
		return err
	}
	r.setMinimum(m, e)
	return nil
}

// purged returns [ErrPurged] for a record that was, also by another process since the directory was read.
func (r *Reader) purged(index uint64) error {
	if first := r.First(); index < first {
		return fmt.Errorf("%w: record %d; the log begins with %d", ErrPurged, index, first)
	}
	return nil
}

// goneTo tells what became of a file that is gone: its records are found elsewhere now, or they were purged, which is the
// error.
func (r *Reader) goneTo(index uint64) (found bool, err error) {
	if err := r.loadMinimum(); err != nil && !isDamage(err) {
		return false, err
	}
	if err := r.purged(index); err != nil {
		return false, err
	}
	return r.loadSegments(nil) == nil && r.findSealed(index) != nil, nil
}

// checkMinimum holds the minimum index against the record that raised it, which the log has to have: it was durable
// before.
func (r *Reader) checkMinimum() error {
	r.mu.RLock()
	m := r.minimum
	r.mu.RUnlock()
	if m.index == 0 {
		return nil
	}
	leaf, err := r.Get(context.Background(), m.record)
	if errors.Is(err, ErrNotFound) {
		return &segmentError{minimumFile, fmt.Sprintf("record %d, which raised the index, is not there", m.record)}
	}
	if err != nil {
		return fmt.Errorf("netlog: reading the record that raised the minimum index: %w", err)
	}
	if rec, err := record.Parse(leaf); err != nil || !raises(&rec, m.index) {
		return &segmentError{minimumFile, fmt.Sprintf("record %d does not raise the index to %d", m.record, m.index)}
	}
	return nil
}

// raises tells that a record raises the minimum index to that one.
func raises(r *record.Record, to uint64) bool {
	return r.Event == record.LogMinimumRaised && r.Purge != nil && r.Purge.To == to
}
