package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

// A directory appears whole, flushed before it has its name, or not at all; what is there is not replaced.
func TestNewDir(t *testing.T) {
	parent := t.TempDir()
	name := filepath.Join(parent, "below", "dir")
	fsys := disktest.New()
	write := func() *disk.PendingDir {
		t.Helper()
		d, err := disk.NewDir(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := d.Create("file")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := f.Write([]byte("content")); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	write().Abort()
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) > 0 {
		t.Errorf("after Abort: %v, %v", left, err)
	}
	d := write()
	if _, err := os.Lstat(name); err == nil || filepath.Dir(d.Path()) != filepath.Dir(name) {
		t.Errorf("before Publish it is there, or begun elsewhere: %s", d.Path())
	}
	if err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(name, "file"))
	if err != nil || string(content) != "contentcontent" {
		t.Errorf("%q, %v", content, err)
	}
	var last []disktest.Kind
	for _, op := range fsys.Ops() {
		last = append(last, op.Kind)
	}
	want := []disktest.Kind{disktest.Sync, disktest.SyncDir, disktest.Rename, disktest.SyncDir}
	for i, kind := range want {
		if got := last[len(last)-len(want)+i]; got != kind {
			t.Errorf("operation %d from the end is %v, want %v", len(want)-i, got, kind)
		}
	}
	if _, err := disk.NewDir(fsys, name+"/"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a directory: %v", err)
	}
	late := filepath.Join(parent, "late")
	second, err := disk.NewDir(fsys, late)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(late, "theirs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if second.Publish() == nil {
		t.Error("a directory that came in between was replaced")
	}
}
