package segment

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Footer says what a file holds and what proves it.
type Footer struct {
	Frames     []Frame
	TokenBits  int
	Index      []IndexBlock
	Edge       []tree.Hash // the roots of the complete subtrees before First, from the largest
	Root       tree.Hash   // of the tree at End
	Checkpoint []byte      // signed, of the tree at End
	Events     []uint64    // records by event number, as package record numbers them
}

// Frame is one frame's row.
type Frame struct {
	Oldest, Latest time.Time // of its records
	Root           tree.Hash // of its 256 leaves: one hash of tile level 1
	offset         int64
	size           int
}

// Span returns the times of the oldest and the latest record.
func (f *Footer) Span() (oldest, latest time.Time) {
	for i := range f.Frames {
		frame := &f.Frames[i]
		if i == 0 || frame.Oldest.Before(oldest) {
			oldest = frame.Oldest
		}
		if i == 0 || frame.Latest.After(latest) {
			latest = frame.Latest
		}
	}
	return oldest, latest
}

// Roots returns the frames' roots, which are hashes of tile level 1.
func (f *Footer) Roots() []tree.Hash {
	roots := make([]tree.Hash, len(f.Frames))
	for i := range roots {
		roots[i] = f.Frames[i].Root
	}
	return roots
}

// IndexBlock is one index block's row.
type IndexBlock struct {
	First  uint64 // its first token
	offset int64
	size   int
}

func (f *Footer) marshal() []byte {
	b := binary.AppendUvarint(nil, uint64(len(f.Frames)))
	last := int64(0)
	for i := range f.Frames {
		frame := &f.Frames[i]
		b = binary.AppendUvarint(b, uint64(frame.size))
		b = binary.AppendVarint(b, frame.Oldest.UnixNano()-last)
		b = binary.AppendUvarint(b, uint64(frame.Latest.Sub(frame.Oldest)))
		b = append(b, frame.Root[:]...)
		last = frame.Oldest.UnixNano()
	}
	b = binary.AppendUvarint(b, uint64(f.TokenBits))
	b = binary.AppendUvarint(b, uint64(len(f.Index)))
	for _, x := range f.Index {
		b = binary.AppendUvarint(b, uint64(x.size))
		b = binary.BigEndian.AppendUint64(b, x.First)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Edge)))
	for _, h := range f.Edge {
		b = append(b, h[:]...)
	}
	b = append(b, f.Root[:]...)
	b = binary.AppendUvarint(b, uint64(len(f.Checkpoint)))
	b = append(b, f.Checkpoint...)
	b = binary.AppendUvarint(b, uint64(len(f.Events)))
	for _, n := range f.Events {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

var errFooter = errors.New("not a footer")

// cursor reads a footer. After the first fault it gives zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint(most uint64) uint64 {
	v, n := binary.Uvarint(c.b)
	if c.bad = c.bad || n <= 0 || v > most; c.bad {
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.b)
	if c.bad = c.bad || n <= 0; c.bad {
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n int) []byte {
	if c.bad = c.bad || n > len(c.b); c.bad {
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) hash() (h tree.Hash) {
	copy(h[:], c.bytes(len(h)))
	return h
}

// parseFooter reads a footer of a file with that header, whose frames begin at offset.
func parseFooter(b []byte, h *Header, offset int64) (*Footer, int64, error) {
	c, f := cursor{b: b}, new(Footer)
	frames := int(c.uint(MaxFrames))
	if frames != h.Frames() {
		return nil, 0, errFooter
	}
	last := int64(0)
	for range frames {
		var frame Frame
		frame.offset, frame.size = offset, int(c.uint(maxBlock))
		last += c.int()
		frame.Oldest = time.Unix(0, last).UTC()
		frame.Latest = frame.Oldest.Add(time.Duration(c.uint(1<<63 - 1)))
		frame.Root = c.hash()
		offset += int64(frame.size)
		f.Frames = append(f.Frames, frame)
	}
	f.TokenBits = int(c.uint(64))
	for range c.uint(uint64(len(b))) {
		x := IndexBlock{offset: offset, size: int(c.uint(maxBlock))}
		if first := c.bytes(8); first != nil {
			x.First = binary.BigEndian.Uint64(first)
		}
		offset += int64(x.size)
		f.Index = append(f.Index, x)
	}
	for range c.uint(64) {
		f.Edge = append(f.Edge, c.hash())
	}
	f.Root = c.hash()
	f.Checkpoint = c.bytes(int(c.uint(uint64(len(b)))))
	for range c.uint(1 << 10) {
		f.Events = append(f.Events, c.uint(MaxFrames*FrameRecords))
	}
	if c.bad || len(c.b) > 0 {
		return nil, 0, errFooter
	}
	return f, offset, nil
}
