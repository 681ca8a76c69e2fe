package sealed

import (
	"crypto/cipher"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// file is one sealed file, either new and being written to its end, or opened for reading. As vfs.File
// says, writes come one at a time; ReadAt may be called at any time.
type file struct {
	inner vfs.File
	block cipher.Block // nil: the header never became durable, so there are no contents

	write cipher.Stream // at the end of a new file; nil for a file opened for reading
	read  cipher.Stream // at the position of Read; nil for a new file

	failed error // the first failed write; see Write
}

// newFile returns the file whose header was just written to inner.
func newFile(inner vfs.File, block cipher.Block) *file {
	return &file{inner: inner, block: block, write: keystream(block, 0)}
}

// existingFile returns the file whose header was just read from inner.
func existingFile(inner vfs.File, block cipher.Block) *file {
	return &file{inner: inner, block: block, read: keystream(block, 0)}
}

// emptyFile returns a file without contents, not even a header.
func emptyFile(inner vfs.File) *file { return &file{inner: inner} }

// Write encrypts p in place, as vfs.File allows, and appends it.
//
// After an error no further write is taken. How much of p arrived is then unknown; writing other
// bytes at those offsets would use the keystream a second time.
func (f *file) Write(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	if f.write == nil {
		return 0, ErrRewrite
	}
	f.write.XORKeyStream(p, p)
	n, err := f.inner.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	f.failed = err
	return n, err
}

// Read decrypts the next bytes of a file opened for reading.
func (f *file) Read(p []byte) (int, error) {
	if f.write != nil {
		return 0, errors.New("sealed: a new file is read by ReadAt")
	}
	if f.block == nil {
		return 0, io.EOF
	}
	n, err := f.inner.Read(p)
	f.read.XORKeyStream(p[:n], p[:n])
	return n, err
}

// ReadAt decrypts the bytes at an offset of the contents.
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errors.New("sealed: read at a negative offset")
	}
	if f.block == nil {
		return 0, io.EOF
	}
	n, err := f.inner.ReadAt(p, offset+headerSize)
	keystream(f.block, offset).XORKeyStream(p[:n], p[:n])
	return n, err
}

// WriteAt is refused.
func (f *file) WriteAt([]byte, int64) (int, error) { return 0, ErrRewrite }

func (f *file) Close() error    { return f.inner.Close() }
func (f *file) Sync() error     { return f.inner.Sync() }
func (f *file) SyncData() error { return f.inner.SyncData() }

func (f *file) SyncTo(length int64) (bool, error) { return f.inner.SyncTo(length + headerSize) }

func (f *file) Preallocate(offset, length int64) error {
	return f.inner.Preallocate(offset+headerSize, length)
}

func (f *file) Prefetch(offset, length int64) error {
	return f.inner.Prefetch(offset+headerSize, length)
}

func (f *file) Stat() (vfs.FileInfo, error) { return contentsInfo(f.inner.Stat()) }

// Fd gives no descriptor away: reading or mapping it would show the encrypted bytes.
func (f *file) Fd() uintptr { return vfs.InvalidFd }

// directory is an open directory: it can be synced, and nothing else of interest.
type directory struct{ vfs.File }

// Fd gives no descriptor away, as for files.
func (directory) Fd() uintptr { return vfs.InvalidFd }
