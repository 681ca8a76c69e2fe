package segment

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Writer writes one file. After an error it MUST be aborted. It is not safe for concurrent use.
type Writer struct {
	header   Header
	raw      []byte
	blocks   *blocks
	pending  *disk.Pending
	out      *bufio.Writer
	sum      hash.Hash // SHA-256 of the file
	offset   int64
	flushed  int64
	encoder  *zstd.Encoder
	frontier tree.Frontier
	footer   Footer
	index    indexBuilder
	stored   []tree.Hash

	// Of the frame that is being filled.
	bundle         []byte
	n              int
	oldest, latest time.Time
	packed, closed []byte
}

// Sealed is what a finished file is.
type Sealed struct {
	Header Header
	Footer *Footer
	SHA256 [32]byte // of the whole file
	Bytes  int64
}

// Create begins the file name for the records [before.Size(), end): before is the tree without them. It is sealed if
// there is a seal key. Nothing is under name before [Writer.Seal] has returned.
func Create(fsys disk.FS, name, origin string, before tree.Frontier, end uint64, sealKey []byte, rand io.Reader) (*Writer, error) {
	h := Header{Origin: origin, First: before.Size(), End: end}
	if !h.valid() {
		return nil, fmt.Errorf("segment: no segment of %q can hold the records %d to %d", origin, h.First, end)
	}
	var err error
	if h.stamp, err = atrest.NewStamp(rand, sealKey, atrest.Segment, origin); err != nil {
		return nil, err
	}
	w := &Writer{header: h, raw: h.marshal(), sum: sha256.New(), frontier: before, footer: Footer{Edge: before.Edge()}}
	if w.blocks, err = newBlocks(sealKey, &h, w.raw); err != nil {
		return nil, err
	}
	if w.encoder, err = newEncoder(); err != nil {
		return nil, err
	}
	if w.pending, err = disk.Replace(fsys, name); err != nil {
		return nil, err
	}
	w.out = bufio.NewWriterSize(w.pending, 1<<20)
	return w, w.write(w.raw)
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	w.offset += int64(len(b))
	_, err := w.out.Write(b)
	return err
}

// Next returns the index of the record that comes next.
func (w *Writer) Next() uint64 { return w.frontier.Size() }

// Add appends a record: its bytes, its time, its event's number, and what it may be searched by.
func (w *Writer) Add(leaf []byte, at time.Time, event int, tokens []Token) error {
	if w.Next() >= w.header.End {
		return errors.New("segment: more records than the segment was begun for")
	}
	w.bundle = appendEntry(w.bundle, leaf)
	w.stored = w.frontier.Append(tree.LeafHash(leaf), w.stored[:0])
	for len(w.footer.Events) <= event {
		w.footer.Events = append(w.footer.Events, 0)
	}
	w.footer.Events[event]++
	if w.n == 0 || at.Before(w.oldest) {
		w.oldest = at
	}
	if w.n == 0 || at.After(w.latest) {
		w.latest = at
	}
	for _, t := range tokens {
		w.index.add(len(w.footer.Frames), t)
	}
	if w.n++; w.n == FrameRecords {
		return w.frame()
	}
	return nil
}

// frame writes the frame that is full. Its last record has completed a subtree of 256 leaves.
func (w *Writer) frame() error {
	number := len(w.footer.Frames)
	w.packed = w.encoder.EncodeAll(w.bundle, w.packed[:0])
	w.closed = w.blocks.close(w.closed[:0], kindFrame, number, w.packed)
	w.footer.Frames = append(w.footer.Frames, Frame{
		Oldest: w.oldest.UTC(), Latest: w.latest.UTC(), Root: w.stored[8], offset: w.offset, size: len(w.closed)})
	w.bundle, w.n = w.bundle[:0], 0
	w.index.frameDone()
	return w.write(w.closed)
}

// paceBytes is how much may wait for a flush: a large one would hold up those of the live log.
const paceBytes = 4 << 20

// Pace makes durable what was added, now and then.
func (w *Writer) Pace() error {
	if w.offset-w.flushed < paceBytes {
		return nil
	}
	w.flushed = w.offset
	return errors.Join(w.out.Flush(), w.pending.Flush())
}

// Seal finishes the file: index, footer, flush; then everything is read back from the disk and compared, and only what
// is whole gets its name. sign signs the tree at the end of the file. The key is needed to read back.
func (w *Writer) Seal(sealKey []byte, sign func(size uint64, root tree.Hash) ([]byte, error), verifier tree.Verifier) (Sealed, error) {
	sealed, err := w.finish(sign)
	if err == nil {
		err = w.readBack(sealKey, verifier)
	}
	if err != nil {
		return sealed, err
	}
	return sealed, w.pending.Commit()
}

func (w *Writer) finish(sign func(size uint64, root tree.Hash) ([]byte, error)) (s Sealed, err error) {
	if w.Next() != w.header.End {
		return s, fmt.Errorf("segment: ends with record %d, begun for %d", w.Next(), w.header.End)
	}
	w.footer.Root = w.frontier.Root()
	if w.footer.Checkpoint, err = sign(w.header.End, w.footer.Root); err != nil {
		return s, err
	}
	w.footer.TokenBits, err = w.index.build(func(first uint64, block []byte) error {
		w.closed = w.blocks.close(w.closed[:0], kindIndex, len(w.footer.Index), block)
		w.footer.Index = append(w.footer.Index, IndexBlock{First: first, offset: w.offset, size: len(w.closed)})
		return w.write(w.closed)
	})
	if err != nil {
		return s, err
	}
	footer := w.blocks.close(nil, kindFooter, 0, w.encoder.EncodeAll(w.footer.marshal(), nil))
	if len(footer) > maxBlock {
		return s, errors.New("segment: footer is too long")
	}
	at := w.offset
	if err := errors.Join(w.write(footer), w.write(trailer{uint64(at), uint32(len(footer))}.marshal()), w.out.Flush(), w.pending.Flush()); err != nil {
		return s, err
	}
	s = Sealed{Header: w.header, Footer: &w.footer, Bytes: w.offset}
	w.sum.Sum(s.SHA256[:0])
	return s, nil
}

// readBack reads what the disk has under the temporary name.
func (w *Writer) readBack(sealKey []byte, verifier tree.Verifier) error {
	f, err := Open(w.pending.Temporary(), sealKey)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.header != w.header || f.footer.Root != w.footer.Root {
		return &DamageError{File: filepath.Base(f.name), Part: "header", Reason: "not what was written"}
	}
	damage, err := f.Verify(context.Background(), verifier, nil)
	if len(damage) > 0 {
		return damage[0]
	}
	return err
}

// Abort gives the file up. After Seal it does nothing that matters.
func (w *Writer) Abort() { w.pending.Abort() }
