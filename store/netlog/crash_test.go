package netlog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

var long = flag.Bool("long", false, "try every byte of every unflushed write, and every byte of a log with several files")

// TestCrashImages stops the machine after every operation on the disk, in every way that disktest knows, and recovers:
// what was acknowledged is there, what is there was appended, the tree is that of a signed checkpoint, and the
// recovered log goes on.
func TestCrashImages(t *testing.T) {
	forms(t, func(t *testing.T, opt Options) {
		fsys := disktest.New()
		opt.FS, opt.FileSize = fsys, 1200
		l, err := Create(opt, "init")
		if err != nil {
			t.Fatal(err)
		}
		type ack struct{ ops, size int } // after so many operations, so many records were acknowledged
		acks := []ack{{fsys.Len(), 1}}
		size := 1
		for n := range 8 { // batches of 1, 2, 3 records in turn
			var tickets []Ticket
			l.mu.Lock() // keeps the batch together
			for range 1 + n%3 {
				l.mu.Unlock()
				ticket, err := l.Append(leaf(size))
				if err != nil {
					t.Fatal(err)
				}
				l.mu.Lock()
				tickets = append(tickets, ticket)
				size++
			}
			l.mu.Unlock()
			for _, ticket := range tickets {
				if err := ticket.Wait(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			acks = append(acks, ack{fsys.Len(), size})
		}
		closeLog(t, l)
		ops := fsys.Ops()
		tears := 2
		if *long {
			tears = 0
		}
		images, cuts := 0, 0
		for n := acks[0].ops; n <= len(ops); n++ {
			acknowledged := 0
			for _, a := range acks {
				if a.ops <= n {
					acknowledged = a.size
				}
			}
			for image := range disktest.Crash(ops[:n], tears) {
				images++
				dir := t.TempDir()
				if err := image.Restore(opt.Dir, dir); err != nil {
					t.Fatal(err)
				}
				if recovers(t, opt, dir, acknowledged, size) {
					cuts++
				}
				os.RemoveAll(dir)
			}
		}
		t.Logf("%d images, %d torn tails", images, cuts)
		if images < 100 || cuts < 15 {
			t.Errorf("only %d images, %d torn tails", images, cuts)
		}
	})
}

// recovers opens a crash image and tells whether a torn tail was cut.
func recovers(t *testing.T, opt Options, dir string, acknowledged, appended int) bool {
	t.Helper()
	opt.Dir, opt.FS = dir, disktest.NoSync()
	l, rec, err := Open(opt)
	if err != nil {
		t.Fatalf("with %d acknowledged: %v", acknowledged, err)
	}
	defer l.Close()
	if int(rec.Size) < acknowledged || int(rec.Size) > appended {
		t.Fatalf("%d records after recovery, %d acknowledged, %d appended", rec.Size, acknowledged, appended)
	}
	holds(t, l, int(rec.Size))
	add(t, l, int(rec.Size))
	holds(t, l, int(rec.Size)+1)
	return rec.CutBytes > 0
}

// TestCrashDuringCreate: either there is no log, or there is a whole one.
func TestCrashDuringCreate(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	fsys := disktest.New()
	opt.FS = fsys
	l, err := Create(opt, "init")
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	ops := fsys.Ops()
	none, whole := 0, 0
	for n := range len(ops) + 1 {
		for image := range disktest.Crash(ops[:n], 20) {
			dir := t.TempDir()
			if err := image.Restore(opt.Dir, dir); err != nil {
				t.Fatal(err)
			}
			o := options(dir)
			l, _, err := Open(o)
			if errors.Is(err, ErrNoLog) {
				none++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			whole++
			holds(t, l, 1)
			l.Close()
		}
	}
	if none == 0 || whole == 0 {
		t.Errorf("no log %d times, a whole one %d times", none, whole)
	}
}

// TestEveryByteFlipped flips each byte of a small log, of three files and two sidecars, one at a time. A start refuses,
// or cuts the last batch and says so, or reads the same as before (a sidecar is made anew, a closed file is not read);
// and Verify then names whatever is wrong. Nothing is ever read differently.
func TestEveryByteFlipped(t *testing.T) {
	forms(t, func(t *testing.T, opt Options) {
		opt.FileSize = 700
		l := create(t, opt)
		fill(t, l, 1, 6)
		size := 6
		closeLog(t, l)
		files := contents(t, opt.Dir)
		names := slices.Sorted(maps.Keys(files))
		var wals []string
		for _, name := range names {
			if strings.HasSuffix(name, walSuffix) {
				wals = append(wals, name)
			}
		}
		if len(wals) < 2 {
			t.Fatalf("files: %v", names)
		}
		step := 17
		if *long {
			step = 1
		}
		o := opt
		o.FS = disktest.NoSync()
		for _, name := range names {
			for i := 0; i < len(files[name]); i += step {
				o.Dir = t.TempDir()
				restore(t, o.Dir, files)
				flipped := slices.Clone(files[name])
				flipped[i] ^= 0x20
				if err := os.WriteFile(filepath.Join(o.Dir, name), flipped, 0o600); err != nil {
					t.Fatal(err)
				}
				offlineNotices(t, o, name, i, size)
				_, closed := files[strings.TrimSuffix(name, walSuffix)+sideSuffix]
				startNotices(t, o, name, i, size, !closed)
				os.RemoveAll(o.Dir)
			}
		}
	})
}

// offlineNotices reads and verifies a damaged directory without changing it.
func offlineNotices(t *testing.T, opt Options, name string, at, size int) {
	t.Helper()
	r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
	if err != nil {
		if strings.HasSuffix(name, sideSuffix) {
			t.Fatalf("%s byte %d: %v", name, at, err)
		}
		return
	}
	defer r.Close()
	differs := reads(t, r, size)
	report, err := r.Verify(t.Context())
	if err != nil {
		t.Fatalf("%s byte %d: %v", name, at, err)
	}
	if strings.HasSuffix(name, walSuffix) {
		if report.Whole() && report.TailBytes == 0 {
			t.Fatalf("%s byte %d: nothing found\n%v", name, at, report)
		}
		for _, f := range report.Findings {
			if f.Verdict == Tampered && f.File != filepath.Base(name) {
				t.Fatalf("%s byte %d: finding in another file: %v", name, at, f)
			}
		}
		return
	}
	if differs || !report.Whole() {
		t.Fatalf("%s byte %d: false alarm\n%v", name, at, report)
	}
}

// reads reads all it can; what can be read must be what was written. It tells whether something could not be read.
func reads(t *testing.T, r reader, size int) (lacking bool) {
	t.Helper()
	for index := range uint64(size) {
		b, err := r.Get(t.Context(), index)
		if err != nil {
			lacking = true
			continue
		}
		if index > 0 && string(b) != string(leaf(int(index))) {
			t.Fatalf("record %d is read differently", index)
		}
	}
	return lacking
}

// startNotices opens a damaged directory for writing. read tells whether a start reads the file: closed
// ones it does not.
func startNotices(t *testing.T, opt Options, name string, at, size int, read bool) {
	t.Helper()
	before := contents(t, opt.Dir)
	l, rec, err := Open(opt)
	if err != nil {
		if strings.HasSuffix(name, sideSuffix) {
			t.Fatalf("%s byte %d: %v", name, at, err)
		}
		after := contents(t, opt.Dir)
		for file := range before {
			if strings.HasSuffix(file, walSuffix) && !slices.Equal(before[file], after[file]) {
				t.Fatalf("%s byte %d: a refused start changed %s", name, at, file)
			}
		}
		return
	}
	defer l.Close()
	lacking := reads(t, l, size)
	if lacking && rec.CutBytes == 0 && read {
		t.Fatalf("%s byte %d: records lost in silence: %+v", name, at, rec)
	}
	report, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lacking && report.Whole() && rec.CutBytes == 0 {
		t.Fatalf("%s byte %d: not found\n%v", name, at, report)
	}
}

// TestCorruptionBeforeACommitIsNeverCut: the start refuses, names the place, and leaves the file as it is.
func TestCorruptionBeforeACommitIsNeverCut(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	l := create(t, opt)
	fill(t, l, 1, 5)
	_, offset, err := l.locate(2)
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	name := filepath.Join(opt.Dir, walDir, fmt.Sprintf("%020d.wal", 0))
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[offset+20] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = Open(opt)
	var corrupt *wal.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Offset != offset || corrupt.File != filepath.Base(name) {
		t.Fatalf("%v, expected offset %d", err, offset)
	}
	if after, _ := os.ReadFile(name); !slices.Equal(after, content) {
		t.Error("the file was changed")
	}
}
