package datafile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"slices"
)

const (
	partBits = 8
	parts    = 1 << partBits
	minChunk = 4 << 10
	maxChunk = 64 << 10
	rowCost  = 16 // bytes of a row beside its encoding
)

// part holds, in memory, the rows whose anchors begin with one byte.
type part struct {
	chunks [][]byte // encoded rows
	rows   []row
}

// row points at one encoded row: anchor ‖ uvarint length ‖ payload.
type row struct {
	prefix uint64 // first eight bytes of the anchor
	chunk  uint32
	offset uint32
}

// add appends a row and returns how many bytes more the part holds.
func (p *part) add(prefix uint64, anchor *[AnchorSize]byte, payload []byte, chunks *chunks) (held int) {
	size := AnchorSize + binary.MaxVarintLen32 + len(payload)
	last := len(p.chunks) - 1
	if last < 0 || cap(p.chunks[last])-len(p.chunks[last]) < size {
		p.chunks = append(p.chunks, chunks.get(size))
		last++
		held = cap(p.chunks[last])
	}
	p.rows = append(p.rows, row{prefix, uint32(last), uint32(len(p.chunks[last]))})
	p.chunks[last] = appendItem(append(p.chunks[last], anchor[:]...), payload)
	return held + rowCost
}

// encoded returns the anchor and payload of a row.
func (p *part) encoded(r row) (anchor, payload []byte) {
	from := p.chunks[r.chunk][r.offset:]
	n, k := binary.Uvarint(from[AnchorSize:])
	return from[:AnchorSize], from[AnchorSize+k:][:n]
}

// sort puts the rows into order: by anchor, then by payload.
func (p *part) sort() {
	slices.SortFunc(p.rows, func(a, b row) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		anchorA, payloadA := p.encoded(a)
		anchorB, payloadB := p.encoded(b)
		return compareRows(anchorA, payloadA, anchorB, payloadB)
	})
}

// reset empties the part and gives its chunks back.
func (p *part) reset(chunks *chunks) {
	chunks.put(p.chunks)
	p.chunks, p.rows = nil, p.rows[:0]
}

// chunks keeps emptied chunks for the next run: fresh memory costs as much as filling it.
type chunks struct {
	size int // of a chunk, unless a row needs more
	free [][]byte
}

func (c *chunks) get(atLeast int) []byte {
	if n := len(c.free); n > 0 && atLeast <= c.size {
		chunk := c.free[n-1]
		c.free = c.free[:n-1]
		return chunk
	}
	return make([]byte, 0, max(atLeast, c.size))
}

func (c *chunks) put(used [][]byte) {
	for _, chunk := range used {
		if cap(chunk) == c.size {
			c.free = append(c.free, chunk[:0])
		}
	}
}

func compareRows(anchorA, payloadA, anchorB, payloadB []byte) int {
	if c := bytes.Compare(anchorA, anchorB); c != 0 {
		return c
	}
	return bytes.Compare(payloadA, payloadB)
}

// partSource reads a sorted part.
type partSource struct {
	part *part
	next int
}

func (s *partSource) read() (anchor, payload []byte, err error) {
	if s.next == len(s.part.rows) {
		return nil, nil, io.EOF
	}
	anchor, payload = s.part.encoded(s.part.rows[s.next])
	s.next++
	return anchor, payload, nil
}

// sketch estimates how many distinct prefixes it was given: it keeps those below a bound, and halves
// the bound when there are too many. Up to maxKept the number is exact; beyond, the standard error is
// about 1/√(maxKept/2), two or three in a hundred. It only sets how full buckets are.
type sketch struct {
	kept  map[uint64]struct{}
	shift uint
}

const maxKept = 1 << 12

func (s *sketch) add(prefix uint64) {
	if prefix>>(64-s.shift) != 0 { // a shift by 64 gives 0
		return
	}
	if s.kept == nil {
		s.kept = make(map[uint64]struct{})
	}
	s.kept[prefix] = struct{}{}
	for len(s.kept) > maxKept && s.shift < 64 {
		s.shift++
		for p := range s.kept {
			if p>>(64-s.shift) != 0 {
				delete(s.kept, p)
			}
		}
	}
}

func (s *sketch) estimate() uint64 { return uint64(len(s.kept)) << s.shift }
