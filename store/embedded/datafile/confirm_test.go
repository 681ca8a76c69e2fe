package datafile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What is read back is compared, whichever segment it is in.
func TestConfirm(t *testing.T) {
	contents := bytes.Repeat([]byte("0123456789abcdef"), (segmentSize+segmentSize/2)/16)
	for name, c := range map[string]struct {
		spoil func(*os.File) error
		want  error
	}{
		"as written":             {func(*os.File) error { return nil }, nil},
		"changed at the start":   {func(f *os.File) error { _, err := f.WriteAt([]byte{'x'}, 0); return err }, ErrTampered},
		"changed at the end":     {func(f *os.File) error { _, err := f.WriteAt([]byte{'x'}, int64(len(contents)-1)); return err }, ErrTampered},
		"cut short":              {func(f *os.File) error { return f.Truncate(int64(len(contents) - 1)) }, ErrUnreadable},
		"no longer to be synced": {func(f *os.File) error { return f.Close() }, os.ErrClosed},
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(contents); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(file); err != nil {
			t.Fatal(err)
		}
		confirm := newConfirmer(file)
		for at := 0; at < len(contents); at += 1 << 20 {
			confirm.wrote(contents[at:at+1<<20], int64(at+1<<20))
		}
		if err := confirm.end(int64(len(contents))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		_ = file.Close()
	}
}
