// Package disk is the one place of the network log where a file is made durable.
//
// Everything that changes the disk goes through the two small interfaces [FS] and [File], so that tests can record,
// tear, delay and refuse it (package disktest). Reading needs no such care and uses package os.
//
// Guaranteed by [OS]: files are made with mode 0600; File.Sync returns only after the kernel reported the file's data
// and size as written to the device (fdatasync on Linux, F_FULLFSYNC on macOS by os.File.Sync, FlushFileBuffers on
// Windows); FS.SyncDir does the same for names, where the system knows it (Windows does not and needs not).
// Not guaranteed: that the device tells the truth. Windows is for reading: it builds and takes locks there, but a file
// is renamed while it is open, which Windows may refuse.
//
// An error of Sync is final for the file: the kernel may have dropped the pages and forgotten the error, so a second
// Sync that succeeds proves nothing. Callers MUST stop using the file.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrLocked means that another process, or another part of this one, holds the lock.
	ErrLocked = errors.New("disk: locked by another process")
	// ErrReplaced means that a path no longer leads to the file it led to: unlinked, renamed or replaced.
	ErrReplaced = errors.New("disk: file was unlinked or replaced")
)

// File is a file being written.
type File interface {
	// WriteAt writes at an offset. A short write returns an error, and the file MUST then not be used any more.
	io.WriterAt
	// Sync makes data and size durable.
	Sync() error
	// Truncate sets the size; it is durable after Sync.
	Truncate(size int64) error
	io.Closer
}

// FS changes names.
type FS interface {
	// OpenFile opens a file for writing. With create it MUST not exist yet; without, it MUST exist.
	OpenFile(name string, create bool) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the directory's names durable.
	SyncDir(dir string) error
}

// OS is the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) OpenFile(name string, create bool) (File, error) {
	flag := os.O_WRONLY
	if create {
		flag |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) Sync() error { return datasync(f.File) }

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) SyncDir(dir string) error     { return syncDir(dir) }

// MakeDir makes dir, with mode 0700, and its parents, and makes their names durable.
func MakeDir(fsys FS, dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("disk: %s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MakeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// WriteFile makes a file with the given content appear under its name in one step: written beside it, flushed,
// renamed, and the directory flushed. A crash leaves the old state or the new one, perhaps with a "*.tmp" beside it.
func WriteFile(fsys FS, name string, content []byte) error {
	f, err := Replace(fsys, name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}

// Cut makes an existing file durably shorter.
func Cut(fsys FS, name string, size int64) error {
	f, err := fsys.OpenFile(name, false)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Append makes content durable behind what a file holds; a file that is missing is made, its folder never. It is for
// files that one process writes. After an error the end of the file is unknown.
func Append(fsys FS, name string, content []byte) error {
	info, err := os.Stat(name)
	missing := errors.Is(err, fs.ErrNotExist)
	size := int64(0)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("disk: %s is not a regular file", filepath.Base(name))
	case err == nil:
		size = info.Size()
	case !missing:
		return err
	}
	f, err := fsys.OpenFile(name, missing)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(content, size); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil || !missing {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// Pending is a file that is being written under a temporary name.
type Pending struct {
	File
	fsys FS
	name string
	size int64
}

// Write appends.
func (p *Pending) Write(b []byte) (int, error) {
	n, err := p.File.WriteAt(b, p.size)
	p.size += int64(n)
	return n, err
}

// Flush makes what was written durable, under the temporary name, so that it can be read back before Publish.
func (p *Pending) Flush() error { return p.File.Sync() }

// Temporary returns the name that the file has until it is published.
func (p *Pending) Temporary() string { return p.name + TempSuffix }

// TempSuffix is the end of temporary names.
const TempSuffix = ".tmp"

// Replace begins a file that will appear as name at [Pending.Commit].
func Replace(fsys FS, name string) (*Pending, error) {
	tmp := name + TempSuffix
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := fsys.OpenFile(tmp, true)
	if err != nil {
		return nil, err
	}
	return &Pending{File: f, fsys: fsys, name: name}, nil
}

// Publish flushes the file, gives it its name and flushes the directory. The file stays open for writing.
func (p *Pending) Publish() error {
	if err := p.File.Sync(); err != nil {
		return err
	}
	if err := p.fsys.Rename(p.name+TempSuffix, p.name); err != nil {
		return err
	}
	return p.fsys.SyncDir(filepath.Dir(p.name))
}

// Commit is Publish and Close.
func (p *Pending) Commit() error {
	if err := p.Publish(); err != nil {
		p.Abort()
		return err
	}
	return p.File.Close()
}

// Abort closes the file and removes the temporary name, as far as that can be done.
func (p *Pending) Abort() {
	// Both are best effort: a leftover is removed at the next start.
	_ = p.File.Close()
	_ = p.fsys.Remove(p.name + TempSuffix)
}

// Identity remembers which file a path led to.
type Identity struct {
	path string
	info os.FileInfo
}

// Identify returns the identity of the file at path.
func Identify(path string) (Identity, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Identity{}, err
	}
	return Identity{path, info}, nil
}

// Check returns the file's size now, or [ErrReplaced] when the path leads elsewhere or nowhere.
func (i Identity) Check() (size int64, err error) {
	info, err := os.Lstat(i.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s", ErrReplaced, filepath.Base(i.path))
	}
	if err != nil {
		return 0, err
	}
	if !os.SameFile(info, i.info) {
		return 0, fmt.Errorf("%w: %s", ErrReplaced, filepath.Base(i.path))
	}
	return info.Size(), nil
}

// Lock takes an exclusive lock on the file, which is made if need be, without waiting: [ErrLocked] if it is held. The
// lock ends with the process, however that ends, or with Close.
func Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
