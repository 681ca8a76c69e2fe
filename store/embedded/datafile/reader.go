package datafile

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
)

// Reader is one open file. It is safe for concurrent use, Close included.
type Reader struct {
	header  Header
	context []byte // associated data after the anchor
	length  int    // of the header
	footer  footer
	keys    *keys

	file    *os.File
	mapping mapping
	index   []byte // of the mapping, or of the heap without one

	holds   atomic.Int64 // look-ups in flight, and one until Close
	closed  atomic.Bool
	scratch sync.Pool // of *scratch
}

// mapping gives the bytes of a file.
type mapping interface {
	// view returns n bytes from offset on, in memory of its own or in *buffer, which it may replace by
	// a larger one. The caller has checked that the range lies within the file.
	view(offset, n int64, buffer *[]byte) ([]byte, error)
	close() error
}

// scratch is what one look-up needs beside dst.
type scratch struct {
	data  []byte // associated data: an anchor and the context
	nonce [nonceSize]byte
	read  []byte // for a mapping that has no memory of its own
}

// Open opens the file at path, made under key, and checks header, index and footer. It does not read
// the records; [Reader.Verify] does.
//
// Errors: [ErrWrongKey], [ErrNewerFormat], [ErrNotDatafile], [ErrTampered], [ErrUnreadable]; anything
// else is the file system's.
func Open(path string, key []byte) (*Reader, error) {
	return openWith(path, key, mapFile)
}

func openWith(path string, key []byte, mapped func(*os.File, int64) (mapping, error)) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(file, key, mapped)
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "open", Path: path, Err: err}, file.Close())
	}
	return r, nil
}

func newReader(file *os.File, key []byte, mapped func(*os.File, int64) (mapping, error)) (*Reader, error) {
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size > math.MaxInt-footerSize {
		return nil, ErrTooLarge
	}
	head, err := readHeader(file, id, size)
	if err != nil {
		return nil, err
	}
	if size < int64(len(head))+footerSize {
		return nil, ErrTampered
	}
	foot, err := readRange(file, size-footerSize, footerSize)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file, length: len(head)}
	var ok bool
	if r.footer, ok = decodeFooter(foot, len(head), size); !ok {
		return nil, ErrTampered
	}
	if r.header, ok = decodeNames(head[fixedHeader:]); !ok {
		return nil, ErrTampered
	}
	if r.keys, err = deriveKeys(key, head[16:48]); err != nil {
		return nil, err
	}
	if r.mapping, err = mapped(file, size); err != nil {
		return nil, err
	}
	if err := r.checkIndex(head, foot); err != nil {
		return nil, errors.Join(err, r.mapping.close())
	}
	r.context = r.header.context()
	r.scratch.New = func() any {
		return &scratch{data: append(make([]byte, AnchorSize), r.context...)}
	}
	r.holds.Store(1)
	return r, nil
}

func readHeader(file *os.File, id []byte, size int64) ([]byte, error) {
	fixed, err := readRange(file, 0, min(size, fixedHeader))
	if err != nil {
		return nil, err
	}
	length, err := checkFixedHeader(fixed, id)
	if err != nil {
		return nil, err
	}
	if int64(length) > size {
		return nil, ErrTampered
	}
	return readRange(file, 0, int64(length))
}

func readRange(file io.ReaderAt, offset, n int64) ([]byte, error) {
	p := make([]byte, n)
	if _, err := file.ReadAt(p, offset); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return p, nil
}

// checkIndex verifies the MAC over header, index and footer, and that buckets follow each other.
func (r *Reader) checkIndex(head, foot []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverFault(&err)
	n := int64(8 * (r.footer.buckets + 1))
	var own []byte
	if r.index, err = r.mapping.view(int64(r.footer.index), n, &own); err != nil {
		return err
	}
	numbers := footerSize - sha256.Size
	if !hmac.Equal(r.keys.indexMAC(head, r.index, foot[:numbers]), foot[numbers:]) {
		return ErrTampered
	}
	if binary.BigEndian.Uint64(r.index) != uint64(len(head)) ||
		binary.BigEndian.Uint64(r.index[n-8:]) != r.footer.index {
		return ErrTampered
	}
	return nil
}

// Header returns what the file was created with. The caller must not change the attributes.
func (r *Reader) Header() Header { return r.header }

// Len returns the number of anchors.
func (r *Reader) Len() uint64 { return r.footer.anchors }

// Items returns the number of payloads, without exact duplicates under one anchor.
func (r *Reader) Items() uint64 { return r.footer.items }

// Bytes returns the size of the file.
func (r *Reader) Bytes() int64 { return int64(r.footer.size) }

// Lookup appends the list of payloads of anchor to dst; [Items] walks it. found is false if nothing was
// added under that anchor, which is as authentic as a hit.
//
// Errors: [ErrTampered], [ErrUnreadable], [ErrClosed].
func (r *Reader) Lookup(anchor [AnchorSize]byte, dst []byte) (list []byte, found bool, err error) {
	if !r.hold() {
		return dst, false, ErrClosed
	}
	s := r.scratch.Get().(*scratch)
	faults := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(faults)
		r.scratch.Put(s)
		r.release()
		if err != nil {
			list, found = dst, false
		}
	}()
	defer recoverFault(&err)
	number := bucketOf(binary.BigEndian.Uint64(anchor[:]), r.footer.buckets)
	data, err := r.bucket(number, s)
	if err != nil {
		return dst, false, err
	}
	place, err := find(data, &anchor)
	if err != nil {
		return dst, false, err
	}
	if place.sealed == nil {
		return dst, false, r.openHead(number, data, place.tag, s)
	}
	list, err = r.openList(dst, place.anchor, place.sealed, s)
	return list, err == nil, err
}

// bucket returns the bytes of a bucket.
func (r *Reader) bucket(number uint64, s *scratch) ([]byte, error) {
	start, size, err := r.extent(number)
	if err != nil {
		return nil, err
	}
	return r.mapping.view(start, size, &s.read)
}

// extent returns where the index says that a bucket is. The index was authenticated when the file was
// opened, but the mapping shows what is in the file now.
func (r *Reader) extent(number uint64) (start, size int64, err error) {
	from := binary.BigEndian.Uint64(r.index[8*number:])
	to := binary.BigEndian.Uint64(r.index[8*number+8:])
	if from > to || to > r.footer.index {
		return 0, 0, ErrTampered
	}
	return int64(from), int64(to - from), nil
}

// openHead checks the tag over the part of a bucket that says which anchors it holds.
func (r *Reader) openHead(number uint64, data []byte, tag int, s *scratch) error {
	_, err := r.keys.buckets.Open(nil, bucketNonce(&s.nonce, number), data[tag:tag+tagSize], data[:tag])
	if err != nil {
		return ErrTampered
	}
	return nil
}

func (r *Reader) openList(dst, anchor, sealed []byte, s *scratch) ([]byte, error) {
	copy(s.data, anchor)
	list, err := r.keys.records.Open(dst, anchor[:nonceSize], sealed, s.data)
	if err != nil {
		return dst, ErrTampered
	}
	return list, nil
}

// place is where a bucket holds an anchor.
type place struct {
	tag    int    // offset of the bucket's tag
	anchor []byte // the anchor as stored
	sealed []byte // its sealed list; nil if the bucket does not hold the anchor
}

// find looks for an anchor in a bucket. What it finds is not yet authenticated.
func find(data []byte, anchor *[AnchorSize]byte) (place, error) {
	n, at := binary.Uvarint(data)
	// Every anchor has at least itself, a length and a tag.
	if at <= 0 || n > uint64(len(data))/(AnchorSize+1+tagSize) {
		return place{}, ErrTampered
	}
	anchors := data[at : at+int(n)*AnchorSize]
	index := -1
	for i := 0; i < len(anchors); i += AnchorSize {
		if [8]byte(anchors[i:]) == [8]byte(anchor[:]) && [AnchorSize]byte(anchors[i:]) == *anchor {
			index = i / AnchorSize
			break
		}
	}
	at += len(anchors)
	start, length, total := 0, 0, 0
	for i := range int(n) {
		l, k := binary.Uvarint(data[at:])
		if k <= 0 || l > MaxList {
			return place{}, ErrTampered
		}
		if i == index {
			start, length = total, int(l)+tagSize
		}
		at += k
		total += int(l) + tagSize
	}
	if at+tagSize+total != len(data) {
		return place{}, ErrTampered
	}
	p := place{tag: at}
	if index >= 0 {
		p.anchor = anchors[index*AnchorSize:][:AnchorSize]
		p.sealed = data[at+tagSize+start:][:length]
	}
	return p, nil
}

// Iterate calls f for every anchor in ascending order with its list of payloads, which are good until f
// returns. It stops at the first error, of f or of the file, and returns it.
func (r *Reader) Iterate(f func(anchor [AnchorSize]byte, list []byte) error) error {
	if !r.hold() {
		return ErrClosed
	}
	defer r.release()
	s := r.scratch.Get().(*scratch)
	defer r.scratch.Put(s)
	// By reading and not by the mapping, which is set to expect no order.
	start := int64(r.length)
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, start, int64(r.footer.index)-start), 1<<20)
	var data, list []byte
	seen := uint64(0)
	for number := range r.footer.buckets {
		var err error
		if data, err = r.next(number, in, data); err != nil {
			return err
		}
		head, err := find(data, &[AnchorSize]byte{})
		if err != nil {
			return err
		}
		if err := r.openHead(number, data, head.tag, s); err != nil {
			return err
		}
		err = eachSealed(data, head.tag, func(anchor, sealed []byte) error {
			if list, err = r.openList(list[:0], anchor, sealed, s); err != nil {
				return err
			}
			seen++
			return f([AnchorSize]byte(anchor), list)
		})
		if err != nil {
			return err
		}
	}
	if seen != r.footer.anchors {
		return ErrTampered
	}
	return nil
}

// next reads the bucket that follows in in, into data.
func (r *Reader) next(number uint64, in io.Reader, data []byte) (_ []byte, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverFault(&err)
	_, size, err := r.extent(number)
	if err != nil {
		return nil, err
	}
	data = slices.Grow(data[:0], int(size))[:size]
	if _, err := io.ReadFull(in, data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return data, nil
}

// eachSealed calls f for the anchors of a bucket that find has parsed and openHead has authenticated.
func eachSealed(data []byte, tag int, f func(anchor, sealed []byte) error) error {
	n, at := binary.Uvarint(data)
	lengths := data[at+int(n)*AnchorSize:]
	sealed := data[tag+tagSize:]
	for i := range int(n) {
		l, k := binary.Uvarint(lengths)
		lengths = lengths[k:]
		size := int(l) + tagSize
		if err := f(data[at+i*AnchorSize:][:AnchorSize], sealed[:size]); err != nil {
			return err
		}
		sealed = sealed[size:]
	}
	return nil
}

// Verify reads the whole file and compares its checksum, which the footer's MAC covers.
func (r *Reader) Verify() error {
	if !r.hold() {
		return ErrClosed
	}
	defer r.release()
	sum, err := sumFile(r.file, r.Bytes()-footerSize)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, r.footer.sum[:]) {
		return ErrTampered
	}
	return nil
}

func sumFile(file io.ReaderAt, n int64) ([]byte, error) {
	sum := sha256.New()
	copied, err := io.CopyBuffer(sum, io.NewSectionReader(file, 0, n), make([]byte, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if copied != n {
		return nil, fmt.Errorf("%w: cut short", ErrUnreadable)
	}
	return sum.Sum(nil), nil
}

// Close releases the file once the look-ups in flight are done; later ones get ErrClosed. It does not
// wait for them. A second Close does nothing.
func (r *Reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	return r.drop()
}

func (r *Reader) hold() bool {
	for {
		n := r.holds.Load()
		if n == 0 || r.closed.Load() {
			return false
		}
		if r.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release ends a look-up. Only unmapping could fail then, and nobody is left to be told.
func (r *Reader) release() { _ = r.drop() }

func (r *Reader) drop() error {
	if r.holds.Add(-1) != 0 {
		return nil
	}
	return errors.Join(r.mapping.close(), r.file.Close())
}

// recoverFault turns a memory fault, which is how a mapping reports a failing disk or a file cut
// short, into an error. Any other panic goes on.
func recoverFault(err *error) {
	reason := recover()
	if reason == nil {
		return
	}
	// A fault has an address; a nil pointer, an index out of range and the like have none.
	if fault, ok := reason.(interface {
		runtime.Error
		Addr() uintptr
	}); ok && fault.Addr() > 1<<16 {
		*err = ErrUnreadable
		return
	}
	panic(reason)
}
