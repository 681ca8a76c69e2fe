package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Batch is one batch as read. Leaves and Commit.Checkpoint are valid until the next read into the same buffer.
type Batch struct {
	Commit
	Offset int64 // of the batch in the file
	End    int64 // of the byte after it
	Leaves [][]byte
}

// Reader reads one file. It is safe for concurrent use when its source is.
type Reader struct {
	src    io.ReaderAt
	header Header
	seal   *sealer
}

// NewReader reads the header and checks the seal key, which is not needed when the file is not sealed. Errors:
// [ErrVersion], [atrest.ErrNoKey], [atrest.ErrKey], [CorruptError].
func NewReader(src io.ReaderAt, sealKey []byte) (*Reader, error) {
	h, err := ReadHeader(src)
	if err != nil {
		return nil, err
	}
	sealer, err := newSealer(sealKey, &h)
	if err != nil {
		return nil, err
	}
	return &Reader{src, h, sealer}, nil
}

// Header returns the file's header.
func (r *Reader) Header() Header { return r.header }

// Start returns the offset of the first batch.
func (r *Reader) Start() int64 { return r.header.size() }

// Buffer is memory for reading, to be used again. The zero Buffer is ready. Not safe for concurrent use.
type Buffer struct {
	b      []byte
	leaves [][]byte
}

// errTorn is a batch that is not whole; whether that is a torn tail or corruption depends on what follows.
var errTorn = errors.New("wal: no whole batch here")

// damaged is a batch whose bytes are whole by their checksums and yet wrong.
func damaged(offset int64, reason string) error { return &CorruptError{Offset: offset, Reason: reason} }

// Read reads the batch at offset in a file of the given size. It does not know what comes before: the caller compares
// Number and First.
func (r *Reader) Read(offset, size int64, buf *Buffer) (Batch, error) {
	b, err := r.read(offset, size, buf)
	if errors.Is(err, errTorn) {
		return b, damaged(offset, "no whole batch")
	}
	return b, err
}

func (r *Reader) read(offset, size int64, buf *Buffer) (Batch, error) {
	batch := Batch{Offset: offset}
	var head [frameOverhead]byte
	body, err := r.extent(offset, size, MaxBody, head[:])
	if err != nil {
		return batch, err
	}
	commit, err := r.extent(offset+body, size, commitOverhead+MaxCheckpoint, head[:])
	if err != nil {
		return batch, err
	}
	if int64(cap(buf.b)) < body+commit {
		buf.b = make([]byte, body+commit)
	}
	b := buf.b[:body+commit]
	if err := r.fill(b, offset); err != nil {
		return batch, err
	}
	bodyType, payload, _, ok := parseFrame(b[:body])
	if !ok || bodyType != typePlain && bodyType != typeSealed {
		return batch, errTorn
	}
	commitType, commitPayload, _, ok := parseFrame(b[body:])
	if !ok || commitType != typeCommit {
		return batch, errTorn
	}
	if batch.Commit, ok = parseCommit(commitPayload, r.header.id()); !ok {
		return batch, errTorn
	}
	batch.End = offset + body + commit
	if batch.bodySize != uint64(body) || batch.bodySum != sumOf(b) {
		return batch, damaged(offset, "commit is of another body")
	}
	if bodyType == typeSealed != r.header.Sealed() {
		return batch, damaged(offset, "sealing differs from the header")
	}
	return batch, r.leaves(&batch, payload, buf)
}

// leaves opens the body and cuts it into records.
func (r *Reader) leaves(batch *Batch, payload []byte, buf *Buffer) error {
	if r.seal != nil {
		var err error
		payload, err = r.seal.aead.Open(payload[:0], r.seal.nonce(batch.Number), payload, r.seal.bind(batch.Number, batch.First))
		if err != nil {
			return damaged(batch.Offset, "body does not open")
		}
	}
	buf.leaves = buf.leaves[:0]
	for rest := payload; len(rest) > 0; {
		typ, leaf, after, ok := parseFrame(rest)
		if !ok || typ != typeRecord {
			return damaged(batch.Offset, "malformed record frame")
		}
		buf.leaves = append(buf.leaves, leaf)
		rest = after
	}
	if uint64(len(buf.leaves)) != batch.Size-batch.First {
		return damaged(batch.Offset, "commit counts other records")
	}
	batch.Leaves = buf.leaves
	return nil
}

// extent returns the whole length of the frame at offset.
func (r *Reader) extent(offset, size, limit int64, head []byte) (int64, error) {
	if offset < 0 || offset+frameOverhead > size {
		return 0, errTorn
	}
	if err := r.fill(head, offset); err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint32(head))
	if n > limit || offset+frameOverhead+n > size {
		return 0, errTorn
	}
	return frameOverhead + n, nil
}

// fill reads exactly len(b) bytes. A file that is shorter than it was is not whole.
func (r *Reader) fill(b []byte, offset int64) error {
	n, err := r.src.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return errTorn
	}
	return err
}

// Tail is what a scan found behind the last valid batch.
type Tail struct {
	Offset int64 // where the valid part ends
	Bytes  int64 // how much is behind it, not counting zeros at the end
	// Committed is the tree size that a commit among these bytes names, or zero: the batch was written whole or nearly
	// so. Its flush may have been reported, if it was damaged later.
	Committed uint64
}

// Scan reads the file from its start up to size and calls fn with each valid batch, in order; Leaves are valid during
// the call. It returns what stands behind the last valid batch. Errors: [CorruptError], or what fn returns.
func (r *Reader) Scan(size int64, fn func(*Batch) error) (Tail, error) {
	return r.scanFrom(r.Start(), 0, r.header.First, size, fn)
}

func (r *Reader) scanFrom(offset int64, number, index uint64, size int64, fn func(*Batch) error) (Tail, error) {
	var buf Buffer
	for offset < size {
		batch, err := r.read(offset, size, &buf)
		if errors.Is(err, errTorn) {
			tail, damage := r.tail(offset, size, number)
			if !errors.Is(damage, ErrCorrupt) {
				return tail, damage
			}
			// Where a writer is at work, the batch may have been half there, and the later commit come since. Behind that it
			// is whole by now, or damaged.
			if batch, err = r.read(offset, size, &buf); errors.Is(err, errTorn) {
				return tail, damage
			}
		}
		if err != nil {
			return Tail{}, err
		}
		if batch.Number != number || batch.First != index {
			return Tail{}, damaged(offset, "batch is not the next one")
		}
		if err := fn(&batch); err != nil {
			return Tail{}, err
		}
		offset, number, index = batch.End, number+1, batch.Size
	}
	return Tail{Offset: offset}, nil
}

// tail judges the bytes from offset on, where batch number should stand and does not.
func (r *Reader) tail(offset, size int64, number uint64) (Tail, error) {
	t := Tail{Offset: offset}
	err := r.lastNonZero(offset, size, &t.Bytes)
	if err != nil || t.Bytes == 0 {
		return t, err
	}
	err = r.commits(offset, size, func(c Commit, _ int64) error {
		if c.Number != number {
			return damaged(offset, "damaged before a later commit")
		}
		t.Committed = c.Size
		return nil
	})
	return t, err
}

// lastNonZero sets n to how many bytes stand between offset and the last one that is not zero.
func (r *Reader) lastNonZero(offset, size int64, n *int64) error {
	b := make([]byte, 64<<10)
	for at := offset; at < size; at += int64(len(b)) {
		part := b[:min(int64(len(b)), size-at)]
		if err := r.fill(part, at); err != nil {
			if errors.Is(err, errTorn) {
				return nil // the file shrank under the scan
			}
			return err
		}
		if used := len(bytes.TrimRight(part, "\x00")); used > 0 {
			*n = at - offset + int64(used)
		}
	}
	return nil
}

// commits finds the valid commit frames between offset and size, wherever they stand, by the file's id.
func (r *Reader) commits(offset, size int64, fn func(c Commit, end int64) error) error {
	const window = 1 << 20
	b := make([]byte, window+frameOverhead+commitOverhead+MaxCheckpoint)
	for at := offset; at < size; at += window {
		n := int(min(int64(len(b)), size-at))
		if err := r.fill(b[:n], at); err != nil {
			if errors.Is(err, errTorn) {
				return nil // the file shrank under the scan; there is nothing to find
			}
			return err
		}
		for from := frameOverhead; from < n; {
			i := bytes.Index(b[from:n], r.header.id())
			if i < 0 || from+i >= window+frameOverhead {
				break
			}
			from += i
			if c, end, ok := r.commitAt(b[from-frameOverhead : n]); ok {
				if err := fn(c, at+int64(from-frameOverhead+end)); err != nil {
					return err
				}
			}
			from++
		}
	}
	return nil
}

// commitAt reads a commit frame at the start of b and returns its length.
func (r *Reader) commitAt(b []byte) (c Commit, end int, ok bool) {
	typ, payload, rest, ok := parseFrame(b)
	if !ok || typ != typeCommit {
		return Commit{}, 0, false
	}
	c, ok = parseCommit(payload, r.header.id())
	return c, len(b) - len(rest), ok
}

// Resume returns where the batch after a damaged one at offset begins: behind the first valid commit found, which is
// returned with it. ok is false when there is none.
func (r *Reader) Resume(offset, size int64) (c Commit, end int64, ok bool, err error) {
	found := errors.New("found")
	err = r.commits(offset, size, func(commit Commit, at int64) error {
		c, end, ok = commit, at, true
		c.Checkpoint = bytes.Clone(c.Checkpoint)
		return found
	})
	if errors.Is(err, found) {
		err = nil
	}
	return c, end, ok, err
}

// ScanFrom is Scan from a place that [Reader.Resume] gave: the batch after commit c.
func (r *Reader) ScanFrom(c Commit, end, size int64, fn func(*Batch) error) (Tail, error) {
	return r.scanFrom(end, c.Number+1, c.Size, size, fn)
}
