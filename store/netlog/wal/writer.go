package wal

import (
	"errors"
	"io"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
)

// Body collects the records of one batch. The zero Body is empty. It is not safe for concurrent use.
type Body struct{ b []byte }

// Add appends a record. It keeps no reference to it.
func (b *Body) Add(leaf []byte) {
	if len(b.b) == 0 {
		b.b = append(b.b, make([]byte, frameOverhead)...)
	}
	b.b = appendFrame(b.b, typeRecord, leaf)
}

// Len returns the size of the body's frame so far, in bytes.
func (b *Body) Len() int { return len(b.b) }

// Reset empties the body and keeps its memory, unless that is more than keep bytes.
func (b *Body) Reset(keep int) {
	b.b = b.b[:0]
	if cap(b.b) > keep {
		b.b = nil
	}
}

// Writer writes one file. After an error it MUST NOT be used any more but for Close. Not safe for concurrent use.
type Writer struct {
	file   disk.File
	header Header
	seal   *sealer
	size   int64 // of what was written
	paved  int64 // of the file
	pave   int64
	zeros  []byte // pave of them
	number uint64
	next   uint64 // index of the next record
}

// Pave is how far a file is filled with zeros ahead of its batches, by the writes of the batches themselves. A flush of
// bytes inside a file is much cheaper than one that also makes it longer (the size and the extents are metadata, and go
// through the file system's journal): about half on ext4.
const Pave = 512 << 10

// Create makes the file name with the given header, whose salt is drawn from rand; it is sealed if there is a seal key,
// and paved by so many bytes at a time. When it returns, the file and its name are durable.
func Create(fsys disk.FS, name string, h Header, sealKey []byte, pave int64, rand io.Reader) (*Writer, error) {
	return create(h, sealKey, pave, rand, func() (*disk.Pending, error) { return disk.Replace(fsys, name) })
}

// CreateIn is [Create] in the room that was reserved under a name in the same folder, see [disk.Reserve].
func CreateIn(fsys disk.FS, reserved, name string, h Header, sealKey []byte, pave int64, rand io.Reader) (*Writer, error) {
	return create(h, sealKey, pave, rand, func() (*disk.Pending, error) { return disk.ReplaceWith(fsys, reserved, name) })
}

func create(h Header, sealKey []byte, pave int64, rand io.Reader, begin func() (*disk.Pending, error)) (*Writer, error) {
	if len(h.Origin) > maxOrigin {
		return nil, errors.New("wal: origin too long")
	}
	var err error
	if h.stamp, err = atrest.NewStamp(rand, sealKey, atrest.WAL, h.Origin); err != nil {
		return nil, err
	}
	sealer, err := newSealer(sealKey, &h)
	if err != nil {
		return nil, err
	}
	pending, err := begin()
	if err != nil {
		return nil, err
	}
	b := h.marshal()
	_, err = pending.Write(b)
	if err == nil {
		err = pending.Publish()
	}
	if err != nil {
		pending.Abort()
		return nil, err
	}
	return &Writer{file: pending.File, header: h, seal: sealer, size: int64(len(b)), paved: int64(len(b)), pave: pave,
		zeros: make([]byte, pave), next: h.First}, nil
}

// Allocate takes room for the first size bytes of the file, which stays as long as it is, see [disk.Allocate].
func (w *Writer) Allocate(size int64) (ok bool, err error) { return disk.Allocate(w.file, size) }

// Size returns where the last batch ends that was handed to [Writer.Commit].
func (w *Writer) Size() int64 { return w.size }

// FileSize returns the size that the file has on the disk, zeros included.
func (w *Writer) FileSize() int64 { return w.paved }

// FileSizeWith returns the size that the file will have with the batch.
func (w *Writer) FileSizeWith(p Prepared) int64 {
	if end := w.size + p.Size(); end > w.paved {
		return end + w.pave
	}
	return w.paved
}

// Prepared is a batch ready to be written.
type Prepared struct {
	b      []byte
	commit Commit
}

// Size returns the batch's size on disk, in bytes.
func (p *Prepared) Size() int64 { return int64(len(p.b)) }

// Prepare seals the body and puts the commit behind it. The body's memory is part of the result and goes back to the
// body with the next Reset. size, root and checkpoint are those of the tree with the batch.
func (w *Writer) Prepare(body *Body, size uint64, root [32]byte, checkpoint []byte) (Prepared, error) {
	if body.Len() == 0 || body.Len() > MaxBody || len(checkpoint) > MaxCheckpoint || size <= w.next {
		return Prepared{}, ErrTooLarge
	}
	b, typ := body.b, typePlain
	if w.seal != nil {
		payload := b[frameOverhead:]
		payload = w.seal.aead.Seal(payload[:0], w.seal.nonce(w.number), payload, w.seal.bind(w.number, w.next))
		if len(payload) <= cap(b)-frameOverhead {
			b = b[:frameOverhead+len(payload)]
		} else {
			b = append(b[:frameOverhead], payload...)
		}
		typ = typeSealed
	}
	fillFrame(b, typ)
	c := Commit{Number: w.number, First: w.next, Size: size, Root: root, Checkpoint: checkpoint,
		bodySize: uint64(len(b)), bodySum: sumOf(b)}
	b = c.append(b, w.header.id())
	body.b = b
	return Prepared{b, c}, nil
}

// Commit makes the prepared batch durable: one write, one flush. Any error is final for the file; whether the batch is
// there is then unknown until a restart reads the file again.
func (w *Writer) Commit(p Prepared) (offset int64, err error) {
	offset = w.size
	b := p.b
	if w.paved = w.FileSizeWith(p); w.paved == offset+p.Size()+w.pave {
		b = append(b, w.zeros...)
	}
	w.size += p.Size()
	n, err := w.file.WriteAt(b, offset)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return 0, err
	}
	if err := w.file.Sync(); err != nil {
		return 0, err
	}
	w.number++
	w.next = p.commit.Size
	return offset, nil
}

// Trim takes back the zeros behind the last batch, before Close and only when no write has failed. It need not be
// durable: a scan takes zeros at the end for what they are.
func (w *Writer) Trim() error {
	w.paved = w.size
	return w.file.Truncate(w.size)
}

// Close closes the file. Nothing is flushed: every commit was.
func (w *Writer) Close() error { return w.file.Close() }
