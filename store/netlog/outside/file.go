package outside

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// maxFile is where a file is put beside as NAME.1, in place of the one that was there, and begun anew. A checkpoint a
// minute of some 220 bytes: each of the two covers more than 200 days, so that at any time the six calendar months that
// the log has to be kept are covered, with the grace of their purge.
const maxFile = 64 << 20

// tail is what is read of the end of a file first, some two weeks: the mount may be slow, and a start waits. What stands
// before it is read only where that has no checkpoint of the log.
const tail = 4 << 20

// file is a file of one node's checkpoints, on another mount. Its folder is never made: a mount that is missing shows.
type file struct {
	path string
	fsys disk.FS
	max  int64
	// turn is held by who uses the file: a mount that hangs holds one goroutine, not one an attempt.
	turn chan struct{}
}

func newFile(path string, fsys disk.FS) *file {
	return &file{path: path, fsys: fsys, max: maxFile, turn: make(chan struct{}, 1)}
}

// bounded runs f, and leaves it behind where it takes longer than ctx: a file system that hangs cannot be interrupted.
func (f *file) bounded(ctx context.Context, work func() error) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-f.turn }()
		done <- work()
	}()
	select {
	case err := <-done:
		return bare(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bare is an error without the path that it is about.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

func (f *file) send(ctx context.Context, note []byte) error {
	return f.bounded(ctx, func() error { return f.append(note) })
}

func (f *file) append(note []byte) error {
	block := append(append(make([]byte, 0, len(note)+3), note...), '\n')
	whole, size, err := f.ends()
	if err != nil {
		return err
	}
	if !whole {
		block = append([]byte("\n\n"), block...) // behind a block that was cut short
	}
	if size > 0 && size+int64(len(block)) > f.max {
		// Where that is not allowed the file grows on: what matters is that the checkpoint is there.
		if f.fsys.Rename(f.path, f.path+".1") == nil {
			block = append(note[:len(note):len(note)], '\n')
		}
	}
	return disk.Append(f.fsys, f.path, block)
}

// ends says whether the file ends with a whole block, and its size.
func (f *file) ends() (whole bool, size int64, err error) {
	src, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil || info.Size() == 0 {
		return true, 0, err
	}
	last := make([]byte, min(2, info.Size()))
	if _, err := src.ReadAt(last, info.Size()-int64(len(last))); err != nil {
		return false, 0, err
	}
	return string(last) == "\n\n", info.Size(), nil
}

// read reads the file, and where that says too little the one before it.
func (f *file) read(ctx context.Context, each func(io.Reader) (bool, error)) error {
	return f.bounded(ctx, func() error {
		for _, path := range []string{f.path, f.path + ".1"} {
			enough, err := readFile(path, each)
			if errors.Is(err, fs.ErrNotExist) && path != f.path {
				return nil // there is none before
			}
			if enough || err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

func readFile(path string, each func(io.Reader) (bool, error)) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, errors.New("outside: not a regular file")
	}
	src, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer src.Close()
	if size := info.Size(); size > tail {
		if enough, err := each(io.NewSectionReader(src, size-tail, tail)); enough || err != nil {
			return enough, err
		}
	}
	return each(src)
}
