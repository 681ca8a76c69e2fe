package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PendingDir is a directory that is being written under a temporary name: it appears under its own name whole, or not at
// all. A crash leaves "NAME.*.tmp" beside it at most, which nothing reads.
type PendingDir struct {
	fsys  FS
	name  string
	tmp   string
	files []string
}

// NewDir begins a directory that will appear as name at [PendingDir.Publish], and makes its parents. It is an error that
// matches [fs.ErrExist] where name is there already.
func NewDir(fsys FS, name string) (*PendingDir, error) {
	name = filepath.Clean(name)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		return nil, err
	}
	if err := MakeDir(fsys, filepath.Dir(name)); err != nil {
		return nil, err
	}
	// Mode 0700.
	tmp, err := os.MkdirTemp(filepath.Dir(name), filepath.Base(name)+".*"+TempSuffix)
	if err != nil {
		return nil, err
	}
	return &PendingDir{fsys: fsys, name: name, tmp: tmp}, nil
}

// Path is where the directory lies while it is being written.
func (d *PendingDir) Path() string { return d.tmp }

// Create begins a file of the directory.
func (d *PendingDir) Create(name string) (*NewFile, error) {
	path := filepath.Join(d.tmp, name)
	f, err := d.fsys.OpenFile(path, true)
	if err != nil {
		return nil, err
	}
	d.files = append(d.files, path)
	return &NewFile{file: f}, nil
}

// Publish flushes the directory's names and gives it its own. Every file MUST be finished. Where it fails, Abort is what
// is left to do.
func (d *PendingDir) Publish() error {
	if err := d.fsys.SyncDir(d.tmp); err != nil {
		return err
	}
	// A directory that is there is not replaced, unless it is empty.
	if err := d.fsys.Rename(d.tmp, d.name); err != nil {
		return fmt.Errorf("disk: the directory cannot be given its name: %w", err)
	}
	return d.fsys.SyncDir(filepath.Dir(d.name))
}

// Abort removes what was written, as far as that can be done.
func (d *PendingDir) Abort() {
	for _, file := range d.files {
		_ = d.fsys.Remove(file)
	}
	_ = d.fsys.Remove(d.tmp)
}

// NewFile is a file that is being written from its beginning to its end.
type NewFile struct {
	file File
	size int64
}

// Write appends.
func (f *NewFile) Write(b []byte) (int, error) {
	n, err := f.file.WriteAt(b, f.size)
	f.size += int64(n)
	return n, err
}

// Finish flushes the file and closes it.
func (f *NewFile) Finish() error {
	if err := f.file.Sync(); err != nil {
		_ = f.file.Close()
		return err
	}
	return f.file.Close()
}

// Close closes the file unflushed.
func (f *NewFile) Close() error { return f.file.Close() }
