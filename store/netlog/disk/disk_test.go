package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

func TestWriteFileIsThereWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name+disk.TempSuffix, []byte("left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	fsys := disktest.New()
	if err := disk.WriteFile(fsys, name, []byte("content")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	ops := fsys.Ops()[1:] // the first one removes what was left behind
	seen := 0
	for n := range len(ops) + 1 {
		for image := range disktest.Crash(ops[:n], 0) {
			if got, ok := image[name]; ok {
				seen++
				if string(got) != "content" {
					t.Errorf("after %d operations: %q", n, got)
				}
			} else if n == len(ops) {
				t.Error("not there after it was made durable")
			}
		}
	}
	if seen == 0 {
		t.Error("never there")
	}
}

func TestReplaceFaults(t *testing.T) {
	boom := errors.New("boom")
	for _, kind := range []disktest.Kind{disktest.Create, disktest.Write, disktest.Sync, disktest.Rename, disktest.SyncDir} {
		fsys := disktest.New()
		fsys.Hook(func(op disktest.Op) error {
			if op.Kind == kind {
				return boom
			}
			return nil
		})
		if err := disk.WriteFile(fsys, filepath.Join(t.TempDir(), "a"), []byte("x")); !errors.Is(err, boom) {
			t.Errorf("fault in %v: %v", kind, err)
		}
	}
}

func TestCut(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := disk.Cut(disk.OS(), name, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	fsys := disktest.New()
	if err := disk.Cut(fsys, name, 2); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "12" {
		t.Errorf("%q, %v", got, err)
	}
	if ops := fsys.Ops(); ops[len(ops)-1].Kind != disktest.Sync {
		t.Error("not flushed")
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(name, "12345")
	id, err := disk.Identify(name)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := id.Check(); size != 5 || err != nil {
		t.Errorf("%d, %v", size, err)
	}
	write(filepath.Join(dir, "b"), "12345")
	if err := os.Rename(filepath.Join(dir, "b"), name); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Check(); !errors.Is(err, disk.ErrReplaced) {
		t.Errorf("replaced: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Check(); !errors.Is(err, disk.ErrReplaced) {
		t.Errorf("unlinked: %v", err)
	}
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := disk.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Lock(name); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := disk.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := disk.MakeDir(disk.OS(), dir); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.MakeDir(disk.OS(), filepath.Join(dir, "f")); err == nil {
		t.Error("a file passes for a directory")
	}
}

// Append makes a file, adds to it, and makes neither a folder nor anything else than a file.
func TestAppend(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	for range 3 {
		if err := disk.Append(disk.OS(), name, []byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "abcabcabc" {
		t.Errorf("%q, %v", b, err)
	}
	for _, wrong := range []string{dir, filepath.Join(dir, "missing", "a")} {
		if err := disk.Append(disk.OS(), wrong, []byte("abc")); err == nil {
			t.Errorf("appended to %s", wrong)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder was made")
	}
}
