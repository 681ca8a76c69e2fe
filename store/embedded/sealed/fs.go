package sealed

import (
	"crypto/rand"
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Modes of what is created: nobody but the service's own account reads or lists it.
const (
	fileMode os.FileMode = 0o600
	dirMode  os.FileMode = 0o700
)

// FS is a vfs.FS that seals every file it creates and opens only what was sealed under its key. The
// package documentation gives the format and what it promises. It is safe for concurrent use.
//
// Sizes and offsets are those of the contents; the header is invisible. Directories and lock files,
// which have no contents, pass through.
type FS struct {
	base   vfs.FS
	keys   *keyring
	random io.Reader
	onDisk bool
}

var _ vfs.FS = (*FS)(nil)

// NewFS returns an FS that keeps its files on base, sealed under storeKey (KeySize bytes). Salts are
// drawn from random; nil means crypto/rand.
func NewFS(base vfs.FS, storeKey []byte, random io.Reader) (*FS, error) {
	keys, err := newKeyring(storeKey)
	if err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	return &FS{base: base, keys: keys, random: random, onDisk: vfs.Root(base) == vfs.Default}, nil
}

// Create makes a new file under a fresh salt. A file of that name is removed first, not overwritten.
func (fs *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	header, err := fs.keys.newHeader(fs.random)
	if err != nil {
		return nil, err
	}
	block, err := fs.keys.block(&header)
	if err != nil {
		return nil, err
	}
	inner, err := fs.base.Create(name, category)
	if err != nil {
		return nil, err
	}
	if err := fs.private(name); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	// The header is not synced by itself: whoever syncs the contents syncs it too, and contents that
	// nobody synced were never acknowledged. Open therefore takes a missing header for an empty file.
	// A copy is written, for Write may change what it is given.
	written := header
	if _, err := inner.Write(written[:]); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return newFile(inner, block), nil
}

// Open opens a sealed file for reading, or a directory.
func (fs *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	inner, err := fs.base.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	file, err := fs.openInner(inner)
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "open", Path: name, Err: err}, inner.Close())
	}
	return file, nil
}

func (fs *FS) openInner(inner vfs.File) (vfs.File, error) {
	info, err := inner.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return directory{inner}, nil
	}
	var header [headerSize]byte
	switch _, err := io.ReadFull(inner, header[:]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return emptyFile(inner), nil
	case err != nil:
		return nil, err
	}
	if header == [headerSize]byte{} {
		// A file system may have made the size durable and not the bytes: see Create.
		return emptyFile(inner), nil
	}
	block, err := fs.keys.open(&header)
	if err != nil {
		return nil, err
	}
	return existingFile(inner, block), nil
}

// OpenReadWrite is refused: it exists for files that are changed in place.
func (fs *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, &os.PathError{Op: "open for rewriting", Path: name, Err: ErrRewrite}
}

// ReuseForWrite removes oldname and creates newname under a fresh salt, as vfs.FS allows. Writing over
// the old contents would use their keystream again.
func (fs *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.base.Remove(oldname); err != nil {
		return nil, err
	}
	return fs.Create(newname, category)
}

// OpenDir opens a directory for syncing.
func (fs *FS) OpenDir(name string) (vfs.File, error) {
	inner, err := fs.base.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return directory{inner}, nil
}

// Link makes a second name for a file, header and all.
func (fs *FS) Link(oldname, newname string) error { return fs.base.Link(oldname, newname) }

// Rename renames a file, header and all.
func (fs *FS) Rename(oldname, newname string) error { return fs.base.Rename(oldname, newname) }

// Remove removes a file or an empty directory.
func (fs *FS) Remove(name string) error { return fs.base.Remove(name) }

// RemoveAll removes a file or directory and all it contains.
func (fs *FS) RemoveAll(name string) error { return fs.base.RemoveAll(name) }

// MkdirAll creates directories that only the owner may enter, whatever perm says.
func (fs *FS) MkdirAll(dir string, perm os.FileMode) error {
	return fs.base.MkdirAll(dir, perm&dirMode)
}

// Lock locks a file, which stays empty and unsealed.
func (fs *FS) Lock(name string) (io.Closer, error) {
	lock, err := fs.base.Lock(name)
	if err != nil {
		return nil, err
	}
	if err := fs.private(name); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// List lists the names in a directory.
func (fs *FS) List(dir string) ([]string, error) { return fs.base.List(dir) }

// Stat describes a file; Size is that of its contents.
func (fs *FS) Stat(name string) (vfs.FileInfo, error) { return contentsInfo(fs.base.Stat(name)) }

// PathBase returns the last element of a path.
func (fs *FS) PathBase(path string) string { return fs.base.PathBase(path) }

// PathJoin joins path elements.
func (fs *FS) PathJoin(elem ...string) string { return fs.base.PathJoin(elem...) }

// PathDir returns the directory of a path.
func (fs *FS) PathDir(path string) string { return fs.base.PathDir(path) }

// GetDiskUsage describes the file system that holds path.
func (fs *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return fs.base.GetDiskUsage(path) }

// Unwrap returns nil: nobody may reach past the encryption by asking for the root file system.
func (fs *FS) Unwrap() vfs.FS { return nil }

// private takes the group's and the world's rights from a file just created: vfs.FS has no parameter
// for the mode, and the umask is not ours to set. The directory was private before.
func (fs *FS) private(name string) error {
	if !fs.onDisk {
		return nil
	}
	return os.Chmod(name, fileMode)
}

// info hides the header from a file's size.
type info struct{ vfs.FileInfo }

func contentsInfo(inner vfs.FileInfo, err error) (vfs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	return info{inner}, nil
}

func (i info) Size() int64 {
	if i.IsDir() {
		return i.FileInfo.Size()
	}
	return max(0, i.FileInfo.Size()-headerSize)
}
