package netlog

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tile"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// edgesFile is the name of the file of hashes that a purge leaves.
const edgesFile = "edges"

// edges is what is kept of purged records: for some older sizes of the tree the hashes below tile level by which the tree
// of now is proven to go on from that one. Nothing in it is trusted: a proof is checked against a signed root before it is
// given out. The zero edges keeps nothing.
type edges struct {
	sizes  map[uint64]bool
	hashes map[int64]tree.Hash // by package tlog's numbers
}

// edgeNodes returns package tlog's numbers of the hashes below tile level that a proof from a tree of that size needs
// (RFC 6962, section 2.1.2): those beside the path to its right edge in the frame that it cuts, at most nine. A size that
// cuts no frame needs none.
func edgeNodes(size uint64) (nodes []int64) {
	at := size / segment.FrameRecords * segment.FrameRecords
	node := func(level int, first uint64) {
		nodes = append(nodes, tlog.StoredHashIndex(level, int64(first>>level)))
	}
	for level := tile.Height - 1; at < size; level-- {
		middle := at + 1<<level
		switch {
		case size > middle:
			node(level, at)
			at = middle
		case size < middle:
			node(level, middle)
		default:
			node(level, at)
			node(level, middle)
			return nodes
		}
	}
	return nodes
}

// with returns edges that keep a size more, whose hashes r reads.
func (e edges) with(size uint64, r tlog.HashReader) error {
	nodes := edgeNodes(size)
	hashes, err := r.ReadHashes(nodes)
	if err != nil {
		return err
	}
	for i, x := range nodes {
		e.hashes[x] = hashes[i]
	}
	e.sizes[size] = true
	return nil
}

// clone returns edges that may be changed.
func (e edges) clone() edges {
	c := edges{maps.Clone(e.sizes), maps.Clone(e.hashes)}
	if c.sizes == nil {
		c = edges{map[uint64]bool{}, map[int64]tree.Hash{}}
	}
	return c
}

// keeps tells that the tree of now can be proven to go on from one of that size, which was purged.
func (e edges) keeps(size uint64) bool { return size%segment.FrameRecords == 0 || e.sizes[size] }

// The file has a line that says what it is, and one for each size: the size, and its hashes in the order of [edgeNodes].
func edgesHeading(origin string) string { return "heyan/edges 1 " + origin + "\n" }

func (e edges) write(fsys disk.FS, dir, origin string) error {
	var b strings.Builder
	b.WriteString(edgesHeading(origin))
	for _, size := range slices.Sorted(maps.Keys(e.sizes)) {
		fmt.Fprint(&b, size)
		for _, x := range edgeNodes(size) {
			b.WriteString(" " + e.hashes[x].String())
		}
		b.WriteString("\n")
	}
	return disk.WriteFile(fsys, filepath.Join(dir, edgesFile), []byte(b.String()))
}

// readEdges reads the file; where there is none, it keeps nothing. What is wrong with it matches wal.ErrCorrupt.
func readEdges(dir, origin string) (edges, error) {
	e := edges{}.clone()
	b, err := os.ReadFile(filepath.Join(dir, edgesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	rest, ok := strings.CutPrefix(string(b), edgesHeading(origin))
	for line := range strings.Lines(rest) {
		ok = ok && strings.HasSuffix(line, "\n") && e.parse(strings.Fields(line))
	}
	if !ok {
		return edges{}.clone(), &segmentError{edgesFile, "not the hashes that a purge of this log left"}
	}
	return e, nil
}

func (e edges) parse(fields []string) bool {
	if len(fields) == 0 {
		return false
	}
	var size uint64
	n, err := fmt.Sscan(fields[0], &size)
	nodes := edgeNodes(size)
	if n != 1 || err != nil || len(nodes) == 0 || len(nodes) != len(fields)-1 {
		return false
	}
	for i, x := range nodes {
		h, ok := tree.ParseHash(fields[i+1])
		if !ok {
			return false
		}
		e.hashes[x] = h
	}
	e.sizes[size] = true
	return true
}

// purgedHash returns a tree hash all of whose leaves were purged; ok is false where not all of them were. Error:
// [ErrPurged] below tile level, where no edge has it.
func (r *Reader) purgedHash(level int, n, sealed uint64) (h tree.Hash, ok bool, err error) {
	r.mu.RLock()
	m, e := r.minimum, r.edges
	r.mu.RUnlock()
	if (n+1)<<level > m.index {
		return h, false, nil
	}
	if level < tile.Height {
		if h, ok = e.hashes[tlog.StoredHashIndex(level, int64(n))]; !ok {
			err = fmt.Errorf("%w: so were the hashes of records %d to %d", ErrPurged, n<<level, (n+1)<<level-1)
		}
		return h, ok, err
	}
	if h, ok = m.frontier.Subtree(level, n); ok {
		return h, true, nil
	}
	h, err = r.tiles.Hash(level, n, sealed/segment.FrameRecords)
	return h, err == nil, err
}
