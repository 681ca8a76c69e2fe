package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// File is an open segment. It is safe for concurrent use.
type File struct {
	name   string
	f      *os.File
	header Header
	blocks *blocks
	footer *Footer
	size   int64
	start  int64 // of the first frame
}

// Open opens a segment and reads its footer. Errors: [ErrDamaged], [ErrVersion], [atrest.ErrNoKey], [atrest.ErrKey],
// those of package os.
func Open(name string, sealKey []byte) (*File, error) {
	src, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, f: src}
	if err := f.open(sealKey); err != nil {
		src.Close()
		if d, ok := err.(*DamageError); ok {
			d.File, d.First, d.End = filepath.Base(name), f.header.First, f.header.End
			return nil, d
		}
		return nil, fmt.Errorf("%w: %s", err, filepath.Base(name))
	}
	return f, nil
}

func (f *File) open(sealKey []byte) error {
	stat, err := f.f.Stat()
	if err != nil {
		return err
	}
	f.size = stat.Size()
	var raw []byte
	if f.header, raw, err = readHeader(f.f); err != nil {
		return err
	}
	f.start = int64(len(raw))
	if f.blocks, err = newBlocks(sealKey, &f.header, raw); err != nil {
		return err
	}
	t, err := readTrailer(f.f, f.size)
	if err != nil {
		return err
	}
	packed, err := f.block(kindFooter, 0, int64(t.offset), int(t.size))
	if err != nil {
		return err
	}
	decoder, err := newDecoder()
	if err != nil {
		return err
	}
	defer decoder.Close()
	plain, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return f.damage(kindFooter, 0, "does not unpack")
	}
	footer, end, err := parseFooter(plain, &f.header, f.start)
	if err != nil || end != int64(t.offset) {
		return f.damage(kindFooter, 0, "not a footer of this file")
	}
	f.footer = footer
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Header returns the header, Footer the footer. Do not change it.
func (f *File) Header() Header  { return f.header }
func (f *File) Footer() *Footer { return f.footer }

// Frames returns how many frames there are.
func (f *File) Frames() int { return f.header.Frames() }

// Size returns the file's size in bytes.
func (f *File) Size() int64 { return f.size }

// damage describes damage to a block.
func (f *File) damage(kind uint32, number int, reason string) *DamageError {
	d := &DamageError{File: filepath.Base(f.name), First: f.header.First, End: f.header.End, Reason: reason}
	switch kind {
	case kindFrame:
		d.Part = fmt.Sprintf("frame %d", number)
		d.First += uint64(number) * FrameRecords
		d.End = d.First + FrameRecords
	case kindIndex:
		d.Part = fmt.Sprintf("index block %d", number)
	default:
		d.Part = "footer"
	}
	return d
}

// block reads and opens one block.
func (f *File) block(kind uint32, number int, offset int64, size int) ([]byte, error) {
	return f.blockIn(make([]byte, size), kind, number, offset)
}

func (f *File) blockIn(stored []byte, kind uint32, number int, offset int64) ([]byte, error) {
	if _, err := f.f.ReadAt(stored, offset); err != nil {
		if stat, statErr := f.f.Stat(); statErr == nil && stat.Size() < offset+int64(len(stored)) {
			return nil, f.damage(kind, number, "file ends before it")
		}
		return nil, err
	}
	plain, ok := f.blocks.open(stored, kind, number)
	if !ok {
		return nil, f.damage(kind, number, "not what was written")
	}
	return plain, nil
}

// Buffer is memory for reading frames, one after the other. The zero Buffer is ready. Release it.
type Buffer struct {
	stored, bundle []byte
	leaves         [][]byte
	hashes         []tree.Hash
	decoder        *zstd.Decoder
}

// Release gives back what the buffer holds.
func (b *Buffer) Release() {
	if b.decoder != nil {
		b.decoder.Close()
		b.decoder = nil
	}
}

// Frame returns the 256 leaves of a frame, the first of which has index First + 256 × i. They are valid until the next
// use of the buffer.
func (f *File) Frame(i int, b *Buffer) ([][]byte, error) {
	if i < 0 || i >= f.Frames() {
		return nil, ErrNotFound
	}
	if b.decoder == nil {
		var err error
		if b.decoder, err = newDecoder(); err != nil {
			return nil, err
		}
	}
	frame := &f.footer.Frames[i]
	b.stored = slices.Grow(b.stored[:0], frame.size)[:frame.size]
	packed, err := f.blockIn(b.stored, kindFrame, i, frame.offset)
	if err != nil {
		return nil, err
	}
	if b.bundle, err = b.decoder.DecodeAll(packed, b.bundle[:0]); err != nil {
		return nil, f.damage(kindFrame, i, "does not unpack")
	}
	if b.leaves, err = splitBundle(b.leaves[:0], b.bundle); err != nil {
		return nil, f.damage(kindFrame, i, err.Error())
	}
	return b.leaves, nil
}

// Candidates returns the frames that may hold a record with all of the tokens, in order; of each row of tokens one is
// enough. No row asks for every frame.
func (f *File) Candidates(all [][]Token) ([]int, error) {
	var frames []int
	for i, row := range all {
		var some []int
		for _, t := range row {
			found, err := f.candidates(t)
			if err != nil {
				return nil, err
			}
			some = append(some, found...)
		}
		slices.Sort(some)
		some = slices.Compact(some)
		if i > 0 {
			some = slices.DeleteFunc(some, func(n int) bool { _, ok := slices.BinarySearch(frames, n); return !ok })
		}
		if frames = some; len(frames) == 0 {
			return nil, nil
		}
	}
	if len(all) == 0 {
		frames = make([]int, f.Frames())
		for i := range frames {
			frames[i] = i
		}
	}
	return frames, nil
}

// Within reports whether a frame may hold a record of [from, to). A zero bound is open.
func (f *File) Within(i int, from, to time.Time) bool {
	frame := &f.footer.Frames[i]
	return (to.IsZero() || frame.Oldest.Before(to)) && (from.IsZero() || !frame.Latest.Before(from))
}

// Verify reads the whole file and recomputes every hash: leaves to frame roots, those to the root of the tree at the end,
// that to the checkpoint, which verifier must know. each, if any, is called with every leaf's hash and the tree that it
// completes; the hashes of a damaged frame are not known, and passed over. What is damaged is all named; err is the
// context's or the file system's.
func (f *File) Verify(ctx context.Context, verifier tree.Verifier, each func(leaf tree.Hash, grown *tree.Frontier)) (damage []*DamageError, err error) {
	frontier, ok := tree.FromEdge(f.header.First, f.footer.Edge)
	if !ok {
		return append(damage, f.damage(kindFooter, 0, "edge is not that of a tree of its size")), nil
	}
	var b Buffer
	defer b.Release()
	for i := range f.footer.Frames {
		if err := ctx.Err(); err != nil {
			return damage, err
		}
		broken, err := f.verifyFrame(i, &b, &frontier, each)
		if err != nil {
			return damage, err
		}
		if broken != nil {
			damage = append(damage, broken)
		}
	}
	c, err := verifier.Open(f.footer.Checkpoint)
	switch {
	case frontier.Root() != f.footer.Root:
		damage = append(damage, f.damage(kindFooter, 0, "frames do not give the root"))
	case err != nil || c.Origin != f.header.Origin || c.Size != f.header.End || c.Root != f.footer.Root:
		damage = append(damage, f.damage(kindFooter, 0, "checkpoint is not the log's for this root"))
	}
	broken, err := f.verifyIndex()
	return append(damage, broken...), err
}

// verifyFrame adds a frame to the tree: by its records, or where it is damaged by the root that the footer shows, which
// the checkpoint covers.
func (f *File) verifyFrame(i int, b *Buffer, frontier *tree.Frontier, each func(tree.Hash, *tree.Frontier)) (*DamageError, error) {
	root, before := f.footer.Frames[i].Root, *frontier
	leaves, err := f.Frame(i, b)
	var broken *DamageError
	if err != nil && !errors.As(err, &broken) {
		return nil, err
	}
	for _, leaf := range leaves {
		h := tree.LeafHash(leaf)
		b.hashes = frontier.Append(h, b.hashes[:0])
		if each != nil {
			each(h, frontier)
		}
	}
	if broken == nil && b.hashes[8] != root {
		broken = f.damage(kindFrame, i, "records do not give the root in the footer")
	}
	if broken != nil {
		*frontier = before
		frontier.AppendSubtree(8, root, nil)
	}
	return broken, nil
}

// verifyIndex reads every index block.
func (f *File) verifyIndex() (damage []*DamageError, err error) {
	for i, x := range f.footer.Index {
		block, err := f.block(kindIndex, i, x.offset, x.size)
		var broken *DamageError
		if errors.As(err, &broken) {
			damage = append(damage, broken)
			continue
		}
		if err != nil {
			return damage, err
		}
		begin, good := true, true
		whole := scanBlock(block, func(p pair) bool {
			good = good && int(p.frame) < f.Frames() && (!begin || p.token == x.First)
			begin = false
			return true
		})
		if !whole || !good || begin {
			damage = append(damage, f.damage(kindIndex, i, "not pairs of tokens and frames"))
		}
	}
	return damage, nil
}
