package netlog

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
		tears := 2
		if *long {
			tears = 0
		}
		var cuts atomic.Int64
		images := crashes(t, opt.Dir, fsys.Ops(), acks[0].ops, tears, func(n int, dir string) error {
			acknowledged := 0
			for _, a := range acks {
				if a.ops <= n {
					acknowledged = a.size
				}
			}
			cut, err := recovers(opt, dir, acknowledged, size)
			if cut {
				cuts.Add(1)
			}
			return err
		})
		t.Logf("%d crash images, %d torn tails", images, cuts.Load())
		if images < 80 || cuts.Load() < 15 {
			t.Errorf("only %d images, %d torn tails", images, cuts.Load())
		}
	})
}

// crashes calls try with every state of the disk that a crash after operation n or later of ops could leave, each in a
// directory of its own, and returns how many there were. Equal states that promise the same are tried once.
func crashes(t *testing.T, root string, ops []disktest.Op, from, tears int, try func(n int, dir string) error) (images int) {
	t.Helper()
	type state struct {
		n     int
		image disktest.Image
	}
	states, base := make(chan state), t.TempDir()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for s := range states {
				dir, err := os.MkdirTemp(base, "")
				if err == nil {
					err = s.image.Restore(root, dir)
				}
				if err == nil {
					err = try(s.n, dir)
				}
				if err != nil {
					t.Errorf("after %d of %d operations: %v", s.n-from, len(ops)-from, err)
				}
				os.RemoveAll(dir)
			}
		})
	}
	seen := map[[32]byte]int{}
	for n := from; n <= len(ops) && !t.Failed(); n++ {
		for image := range disktest.Crash(ops[:n], tears) {
			// The later one was promised at least as much.
			if sum := image.Sum(); seen[sum] != n {
				if _, again := seen[sum]; !again {
					images++
				}
				seen[sum] = n
				states <- state{n, image}
			}
		}
	}
	close(states)
	workers.Wait()
	return images
}

// recovers opens a crash image, goes on with it, and tells whether a torn tail was cut.
func recovers(opt Options, dir string, acknowledged, appended int) (cut bool, err error) {
	opt.Dir, opt.FS = dir, disktest.NoSync()
	l, rec, err := Open(opt)
	if err != nil {
		return false, fmt.Errorf("with %d acknowledged: %w", acknowledged, err)
	}
	defer l.Close()
	size := int(rec.Size)
	if size < acknowledged || size > appended {
		return false, fmt.Errorf("%d records after recovery, %d acknowledged, %d appended", size, acknowledged, appended)
	}
	if err := wrong(l, size); err != nil {
		return false, err
	}
	ticket, err := l.Append(leaf(size))
	if err == nil {
		err = ticket.Wait(context.Background())
	}
	return rec.CutBytes > 0, errors.Join(err, wrong(l, size+1))
}

// wrong is what is wrong with a log of so many records. It asks for three receipts, where [holds] asks for every one.
func wrong(r reader, size int) error {
	next := uint64(0)
	err := r.Read(context.Background(), 0, uint64(size)+5, func(index uint64, b []byte) error {
		if index != next || index > 0 && !bytes.Equal(b, leaf(int(index))) {
			return fmt.Errorf("record %d differs", index)
		}
		next++
		return nil
	})
	if err == nil && (next != uint64(size) || r.Size() != next) {
		err = fmt.Errorf("%d records read, size %d, want %d", next, r.Size(), size)
	}
	for _, index := range []int{0, size / 2, size - 1} {
		if err == nil {
			err = misproven(r, uint64(index))
		}
	}
	if err != nil {
		return err
	}
	report, err := r.Verify(context.Background())
	if err == nil && (!report.Whole() || report.Verified != uint64(size)) {
		err = errors.New(report.String())
	}
	return err
}

// misproven is what is wrong with the receipt of a record.
func misproven(r reader, index uint64) error {
	b, err := r.Get(context.Background(), index)
	if err != nil {
		return err
	}
	proof, err := r.Proof(context.Background(), index)
	if err != nil {
		return err
	}
	parsed, _, err := proven(b, proof, r.Key())
	if err == nil && parsed.Index != index {
		err = fmt.Errorf("receipt of %d is of %d", index, parsed.Index)
	}
	return err
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
