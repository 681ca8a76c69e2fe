// Package sidecar is the file beside a closed write-ahead file that says where its batches begin and what tree hashes
// its records gave, so that a start need not read the whole log again and a proof costs a few small reads.
//
// Everything in it is derived: a missing or damaged sidecar is made anew from the records. Nothing in it is trusted:
// batches carry their own checksums and seals, and a proof is checked against the signed root before it is given out.
// It holds no record and nothing about one but its hash.
package sidecar

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sort"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// ErrDamaged is a file that is not a sidecar of this version for this write-ahead file, or not whole.
var ErrDamaged = errors.New("sidecar: damaged")

// Info describes the write-ahead file that a sidecar belongs to.
type Info struct {
	ID         [16]byte // of the write-ahead file
	First, End uint64   // its records: [First, End)
	Bytes      int64    // its size
	Root       [32]byte // of the tree at End
	Batches    uint64
}

// Batch says where a batch begins: at Offset, with record First.
type Batch struct {
	First  uint64
	Offset int64
}

const (
	batchSize = 16
	hashSize  = tlog.HashSize
	infoSize  = 8 + 2 + 16 + 8 + 8 + 8 + 32 + 8 + 4
	version   = 1
)

var (
	magic      = [8]byte{'H', 'E', 'Y', 'A', 'N', 'I', 'D', 'X'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// hashes returns how many tree hashes the records gave.
func (i Info) hashes() int64 {
	return tlog.StoredHashCount(int64(i.End)) - tlog.StoredHashCount(int64(i.First))
}

func (i Info) fileSize() int64 {
	return infoSize + int64(i.Batches)*batchSize + i.hashes()*hashSize + 4
}

func (i Info) marshal() []byte {
	b := append(make([]byte, 0, infoSize), magic[:]...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, i.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, i.First)
	b = binary.BigEndian.AppendUint64(b, i.End)
	b = binary.BigEndian.AppendUint64(b, uint64(i.Bytes))
	b = append(b, i.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, i.Batches)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseInfo(b []byte) (Info, bool) {
	var i Info
	if len(b) < infoSize || [8]byte(b) != magic || binary.BigEndian.Uint16(b[8:]) != version ||
		binary.BigEndian.Uint32(b[infoSize-4:]) != crc32.Checksum(b[:infoSize-4], castagnoli) {
		return i, false
	}
	copy(i.ID[:], b[10:])
	i.First = binary.BigEndian.Uint64(b[26:])
	i.End = binary.BigEndian.Uint64(b[34:])
	i.Bytes = int64(binary.BigEndian.Uint64(b[42:]))
	copy(i.Root[:], b[50:])
	i.Batches = binary.BigEndian.Uint64(b[82:])
	return i, i.First < i.End && i.End < 1<<62 && i.Batches > 0 && i.Batches <= i.End-i.First && i.Bytes > 0
}

// Write makes the sidecar appear under name. batches and hashes yield what info counts, in order: the hashes as
// package tlog numbers them, from that of the leaf First on.
func Write(fsys disk.FS, name string, info Info, batches func(yield func(Batch) bool), hashes func(yield func(tlog.Hash) bool)) error {
	pending, err := disk.Replace(fsys, name)
	if err != nil {
		return err
	}
	if err := write(pending, info, batches, hashes); err != nil {
		pending.Abort()
		return err
	}
	return pending.Commit()
}

func write(w io.Writer, info Info, batches func(yield func(Batch) bool), hashes func(yield func(tlog.Hash) bool)) error {
	sum := crc32.New(castagnoli)
	out := bufio.NewWriterSize(w, 1<<20)
	// A bufio.Writer keeps its first error for Flush.
	put := func(b []byte) { out.Write(b); sum.Write(b) }
	put(info.marshal())
	written := int64(infoSize)
	var b [batchSize]byte
	for batch := range batches {
		binary.BigEndian.PutUint64(b[:], batch.First)
		binary.BigEndian.PutUint64(b[8:], uint64(batch.Offset))
		put(b[:])
		written += batchSize
	}
	for h := range hashes {
		put(h[:])
		written += hashSize
	}
	if written+4 != info.fileSize() {
		return fmt.Errorf("sidecar: %d bytes to write, expected %d", written+4, info.fileSize())
	}
	if _, err := out.Write(sum.Sum(nil)); err != nil {
		return err
	}
	return out.Flush()
}

// ReadInfo reads what a sidecar belongs to, without checking the rest of it.
func ReadInfo(name string) (Info, error) {
	f, err := os.Open(name)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	return readInfo(f)
}

func readInfo(f *os.File) (Info, error) {
	var b [infoSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		if err == io.EOF {
			err = ErrDamaged
		}
		return Info{}, err
	}
	info, ok := parseInfo(b[:])
	stat, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	if !ok || stat.Size() != info.fileSize() {
		return Info{}, ErrDamaged
	}
	return info, nil
}

// File is an open sidecar. It is safe for concurrent use.
type File struct {
	Info
	f *os.File
}

// Open opens a sidecar and checks the whole of it. Errors: [ErrDamaged], or those of package os.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := readInfo(f)
	if err == nil {
		err = check(f, info.fileSize())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{info, f}, nil
}

func check(f *os.File, size int64) error {
	sum := crc32.New(castagnoli)
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, io.NewSectionReader(f, 0, size-4), make([]byte, 256<<10)); err != nil {
		return err
	}
	var want [4]byte
	if _, err := f.ReadAt(want[:], size-4); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
		return ErrDamaged
	}
	return nil
}

// Find returns the batch that holds record index, which MUST be one of the file's.
func (f *File) Find(index uint64) (Batch, error) {
	var readErr error
	n := sort.Search(int(f.Batches), func(i int) bool {
		b, err := f.batch(i)
		if err != nil {
			readErr = err
			return true
		}
		return b.First > index
	})
	if readErr != nil {
		return Batch{}, readErr
	}
	if n == 0 || index >= f.End {
		return Batch{}, ErrDamaged
	}
	return f.batch(n - 1)
}

func (f *File) batch(i int) (Batch, error) {
	var b [batchSize]byte
	if _, err := f.f.ReadAt(b[:], infoSize+int64(i)*batchSize); err != nil {
		return Batch{}, err
	}
	return Batch{binary.BigEndian.Uint64(b[:]), int64(binary.BigEndian.Uint64(b[8:]))}, nil
}

// Hash returns the tree hash with package tlog's number x, which MUST be one of the file's.
func (f *File) Hash(x int64) (h tlog.Hash, err error) {
	i := x - tlog.StoredHashCount(int64(f.First))
	if i < 0 || i >= f.hashes() {
		return h, ErrDamaged
	}
	_, err = f.f.ReadAt(h[:], infoSize+int64(f.Batches)*batchSize+i*hashSize)
	return h, err
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
