package tile_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/tile"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// roots are made-up roots of subtrees of 256 leaves.
func roots(n int) []tree.Hash {
	list := make([]tree.Hash, n)
	for i := range list {
		list[i] = tree.LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return list
}

// levels returns the hashes of every level of the tree over the roots, by plain pairing.
func levels(list []tree.Hash) [][]tree.Hash {
	all := [][]tree.Hash{list}
	for len(list) > 1 {
		var next []tree.Hash
		for i := 0; i+1 < len(list); i += 2 {
			next = append(next, tlog.NodeHash(list[i], list[i+1]))
		}
		list, all = next, append(all, next)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check wants every hash, and none beyond.
func check(t *testing.T, s *tile.Store, list []tree.Hash, step int) {
	t.Helper()
	for above, want := range levels(list) {
		for n := 0; n < len(want); n += 1 + (step-1)>>above {
			if got, err := s.Hash(tile.Height+above, uint64(n), uint64(len(list))); err != nil || got != want[n] {
				t.Fatalf("hash %d of level %d: %v", n, tile.Height+above, err)
			}
		}
		if _, err := s.Hash(tile.Height+above, uint64(len(want)), uint64(len(list))); !errors.Is(err, tile.ErrNotFound) {
			t.Errorf("a hash beyond level %d: %v", tile.Height+above, err)
		}
	}
}

// TestGrow: however a store has grown, it gives every hash of level 8 and above.
func TestGrow(t *testing.T) {
	list := roots(70000)
	for _, steps := range [][]int{{1}, {256}, {257}, {1, 254, 1, 1}, {700}, {300, 300, 100}, {65536, 4464}} {
		s := &tile.Store{FS: disktest.NoSync(), Dir: t.TempDir()}
		size := 0
		for _, n := range steps {
			must(t, s.Extend(uint64(size), list[size:size+n]))
			size += n
		}
		check(t, s, list[:size], 1+size/500)
	}
	if _, err := (&tile.Store{}).Hash(7, 0, 9); !errors.Is(err, tile.ErrNotFound) {
		t.Errorf("a hash of level 7: %v", err)
	}
}

// TestNames are those of C2SP tlog-tiles.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	s := &tile.Store{FS: disktest.NoSync(), Dir: dir}
	list := roots(300)
	must(t, s.Extend(0, list[:5]))
	must(t, s.Extend(5, list[5:]))
	for name, size := range map[string]int64{"tile/1/000": 8192, "tile/1/001.p/44": 44 * 32, "tile/2/000.p/1": 32} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "tile/1/000.p/5")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the partial tile of before is left")
	}
	// Far out: tile 1234 of level 1, which begins with root 315904.
	must(t, s.Extend(1234*tile.Width, list[:1]))
	if _, err := os.Stat(filepath.Join(dir, "tile/1/x001/234.p/1")); err != nil {
		t.Error(err)
	}
}

// TestDamage: a tile that is gone or short is named.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := &tile.Store{FS: disk.OS(), Dir: dir}
	must(t, s.Extend(0, roots(3)))
	name := filepath.Join(dir, "tile/1/000.p/3")
	must(t, os.Truncate(name, 95))
	if _, err := s.Hash(8, 0, 3); !errors.Is(err, tile.ErrDamaged) {
		t.Errorf("short: %v", err)
	}
	must(t, os.Remove(name))
	if _, err := s.Hash(8, 0, 3); !errors.Is(err, tile.ErrDamaged) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Extend(3, roots(1)); !errors.Is(err, tile.ErrDamaged) {
		t.Errorf("extended: %v", err)
	}
}

// TestCrash: after a crash in the middle of an extension the same extension mends the store, and what was there before
// can be read throughout.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	fsys := disktest.New()
	s := &tile.Store{FS: fsys, Dir: dir}
	list := roots(600)
	must(t, s.Extend(0, list[:250]))
	before := fsys.Len()
	must(t, s.Extend(250, list[250:]))
	ops := fsys.Ops()
	for n := before; n <= len(ops); n++ {
		for image := range disktest.Crash(ops[:n], 3) {
			restored := t.TempDir()
			must(t, image.Restore(dir, restored))
			again := &tile.Store{FS: disktest.NoSync(), Dir: restored}
			check(t, again, list[:250], 7)
			must(t, again.Extend(250, list[250:]))
			check(t, again, list, 7)
		}
	}
}
