package netlog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

// TestPurgeCrash stops the machine after every operation of a purge, in every way that disktest knows. Either nothing was
// purged, or everything was by the end of the next start; the log is whole, against kept checkpoints too.
func TestPurgeCrash(t *testing.T) {
	fsys := disktest.New()
	opt, clock := purging(options(filepath.Join(t.TempDir(), "log")))
	opt.FS = fsys
	l, notes := create(t, opt), map[int][]byte{}
	for _, to := range []int{300, 512, 600} {
		addAll(t, l, max(1, int(l.Size())), to)
		notes[to] = l.Checkpoint()
		seal(t, l)
	}
	clock.Store(later.UnixNano())
	before := fsys.Len()
	purge(t, l, 256, 200)
	begun := fsys.Len()
	purge(t, l, 512, 300)
	ops := fsys.Ops()
	closeLog(t, l)
	tears, least := 0, uint64(0)
	if !*long { // the second purge only
		before, tears, least = begun, 1, 256
	}
	images, firsts := 0, map[uint64]int{}
	for n := before; n <= len(ops); n++ {
		for image := range disktest.Crash(ops[:n], tears) {
			images++
			dir := t.TempDir()
			if err := image.Restore(opt.Dir, dir); err != nil {
				t.Fatal(err)
			}
			again := opt
			again.Dir, again.FS = dir, disktest.NoSync()
			reader, err := OpenReader(ReaderOptions{Dir: dir, SealKey: opt.SealKey})
			if err != nil {
				t.Fatalf("after %d of %d operations: %v", n-before, len(ops)-before, err)
			}
			whole(t, reader, n, notes)
			reader.Close()
			l, _, err := Open(again)
			if err != nil {
				t.Fatalf("after %d of %d operations: %v", n-before, len(ops)-before, err)
			}
			first := l.First()
			firsts[first]++
			for _, suffix := range []string{segmentSuffix, manifestSuffix} {
				if got := len(list(t, filepath.Join(dir, segmentDir), suffix)); got != int(512-first)/256 {
					t.Fatalf("after %d operations the log begins with %d, and has %d%s", n-before, first, got, suffix)
				}
			}
			whole(t, l, n, notes)
			if n >= begun && first < 256 || n == len(ops) && first != 512 {
				t.Fatalf("after %d of %d operations the log begins with %d again", n-before, len(ops)-before, first)
			}
			if images%16 == 0 || n == len(ops) {
				if first < 512 {
					purge(t, l, 512, 300)
				}
				whole(t, l, n, notes)
			}
			closeLog(t, l)
			os.RemoveAll(dir)
		}
	}
	t.Logf("%d crash images; begins with %v", images, firsts)
	if firsts[least] == 0 || firsts[256] == 0 || firsts[512] == 0 {
		t.Error("the images are too few")
	}
}

func whole(t *testing.T, r reader, n int, notes map[int][]byte) {
	t.Helper()
	report, err := r.Verify(t.Context(), Evidence{Checkpoint: notes[300]}, Evidence{Checkpoint: notes[600]})
	if err != nil || !report.Whole() || report.Anchors != 2 || report.Verified != r.Size()-report.First {
		t.Fatalf("after %d operations: %v\n%v", n, err, report)
	}
}
