package netlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// addAll appends leaf(from) … leaf(to-1) and waits for all at once.
func addAll(t testing.TB, l *Log, from, to int) {
	t.Helper()
	var last Ticket
	for n := from; n < to; n++ {
		ticket, err := l.Append(leaf(n))
		if err != nil {
			t.Fatal(err)
		}
		last = ticket
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func seal(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func small(opt Options) Options {
	opt.FileSize, opt.SegmentRecords, opt.FS = 20_000, 512, disktest.NoSync()
	return opt
}

func list(t testing.TB, dir, suffix string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == suffix {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestSealing: full segments appear by themselves, the rest when asked; every record, proof and verification holds, for
// the log, a start, and a reader; and what is sealed has left the write-ahead files.
func TestSealing(t *testing.T) {
	forms(t, func(t *testing.T, opt Options) {
		opt = small(opt)
		opt.Region = "cn-north-1"
		var sealings atomic.Int64
		l := create(t, opt)
		addAll(t, l, 1, 700)
		l.OnSealed(func(Sealing) { sealings.Add(1) })
		for n := 700; n < 1000; n++ { // many commits, many files
			add(t, l, n)
		}
		if err := l.until(t.Context(), func() bool { return sealings.Load() > 0 }); err != nil {
			t.Fatal(err)
		}
		holds(t, l, 1000)
		seal(t, l)
		if end := l.sealedEnd(); end != 768 {
			t.Errorf("sealed to %d", end)
		}
		holds(t, l, 1000)
		reader, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		holds(t, reader, 1000)
		for _, name := range list(t, filepath.Join(opt.Dir, walDir), walSuffix)[1:] {
			if first, _ := firstOf(name); first <= 768 {
				t.Errorf("%s is left", name)
			}
		}
		if got := list(t, filepath.Join(opt.Dir, segmentDir), segmentSuffix); !slices.Equal(got, []string{"00000000000000000000.seg", "00000000000000000512.seg"}) {
			t.Errorf("segments %v", got)
		}
		m, err := readManifest(segmentName(opt.Dir, 512))
		if err != nil || m.Region != "cn-north-1" || m.First != 512 || m.End != 768 || !m.Oldest.Equal(moment.Add(512)) || !m.Latest.Equal(moment.Add(767)) {
			t.Errorf("%+v %v", m, err)
		}
		if all := l.Segments(); len(all) != 2 || all[0].First != 0 || all[0].End != 512 || !sameManifest(all[1], m) {
			t.Errorf("segments %+v", all)
		}
		c, err := l.Coverage(t.Context())
		if err != nil || c.First != 0 || c.Size != 1000 || c.Segments != 2 {
			t.Errorf("%+v %v", c, err)
		}
		closeLog(t, l)
		l, rec := open(t, opt)
		if rec.Size != 1000 || rec.CutBytes != 0 {
			t.Errorf("%+v", rec)
		}
		holds(t, l, 1000)
		addAll(t, l, 1000, 1024)
		seal(t, l)
		if got := list(t, filepath.Join(opt.Dir, walDir), walSuffix); len(got) != 1 || l.sealedEnd() != 1024 {
			t.Errorf("sealed to %d, left %v", l.sealedEnd(), got)
		}
		closeLog(t, l)
		l, _ = open(t, opt) // with no record that is not sealed
		holds(t, l, 1024)
		closeLog(t, l)
		l, _ = open(t, opt)
		addAll(t, l, 1024, 1100)
		holds(t, l, 1100)
	})
}

// TestDailySegment: the first commit of a day of Asia/Shanghai closes the file of the day before, which is sealed.
func TestDailySegment(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FS = disktest.NoSync()
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC).UnixNano()) // 23:59:59 +08:00
	opt.Now = func() time.Time { return time.Unix(0, now.Load()) }
	l := create(t, opt)
	addAll(t, l, 1, 600)
	add(t, l, 600)
	if l.sealedEnd() > 0 || len(list(t, filepath.Join(opt.Dir, walDir), walSuffix)) != 1 {
		t.Error("sealed before the day is over")
	}
	now.Add(int64(time.Second))
	add(t, l, 601)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.until(ctx, func() bool { return l.sealedEnd() == 512 }); err != nil {
		t.Errorf("sealed to %d: %v", l.sealedEnd(), err)
	}
	holds(t, l, 602)
}

// TestSealingBeside: readers that began before see every record, in order, while files are sealed and removed.
func TestSealingBeside(t *testing.T) {
	opt := small(options(filepath.Join(t.TempDir(), "log")))
	opt.SegmentRecords = 256
	l := create(t, opt)
	old, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	var readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() {
		for {
			size := l.Size()
			if report, err := l.Verify(context.Background()); err != nil || !report.Whole() || report.Verified < size {
				t.Errorf("of %d: %v\n%v", size, err, report)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 2 {
		readers.Go(func() {
			for {
				next := uint64(0)
				err := l.Read(context.Background(), 0, l.Size(), func(index uint64, b []byte) error {
					if index != next || index > 0 && !bytes.Equal(b, leaf(int(index))) {
						return fmt.Errorf("record %d for %d", index, next)
					}
					next++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := 1; n < 3000; n += 50 {
		addAll(t, l, n, n+50)
		if n%500 == 1 {
			seal(t, l)
		}
	}
	close(done)
	readers.Wait()
	if l.sealedEnd() < 2000 {
		t.Errorf("sealed only to %d", l.sealedEnd())
	}
	if _, err := old.Get(t.Context(), 0); err != nil {
		t.Errorf("a reader of before: %v", err)
	}
}

// TestSealingFails: nothing is lost, and the next time it is sealed.
func TestSealingFails(t *testing.T) {
	fsys := disktest.New()
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FS, opt.SegmentRecords = fsys, 256
	var warned atomic.Int64
	opt.Warn = func(error) { warned.Add(1) }
	l := create(t, opt)
	addAll(t, l, 1, 600)
	injected := errors.New("injected")
	for _, kind := range []disktest.Kind{disktest.Create, disktest.Write, disktest.Sync, disktest.Rename} {
		fsys.Hook(func(op disktest.Op) error {
			if op.Kind == kind && strings.Contains(op.Name, segmentDir) {
				return injected
			}
			return nil
		})
		if err := l.Seal(t.Context()); !errors.Is(err, injected) {
			t.Errorf("sealed: %v", err)
		}
		if l.Healthy() != nil || l.sealedEnd() != 0 || len(list(t, filepath.Join(opt.Dir, segmentDir), ".tmp")) > 0 {
			t.Errorf("after a failure: healthy %v, sealed to %d, left %v", l.Healthy(), l.sealedEnd(), list(t, filepath.Join(opt.Dir, segmentDir), ".tmp"))
		}
		holds(t, l, 600)
	}
	fsys.Hook(nil)
	seal(t, l)
	holds(t, l, 600)
	if l.sealedEnd() != 512 {
		t.Errorf("sealed to %d", l.sealedEnd())
	}
}

// TestSealingCrash stops the machine after every operation of a sealing, in every way that disktest knows: every record
// is there, the log verifies, goes on, and seals what was left.
func TestSealingCrash(t *testing.T) {
	fsys := disktest.New()
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FS, opt.SegmentRecords = fsys, 256
	l := create(t, opt)
	addAll(t, l, 1, 300)
	seal(t, l)
	addAll(t, l, 300, 550)
	before := fsys.Len()
	seal(t, l)
	if l.sealedEnd() != 512 {
		t.Fatalf("sealed to %d", l.sealedEnd())
	}
	ops := fsys.Ops()
	closeLog(t, l)
	tears, every := 1, int64(32)
	if *long {
		tears, every = 24, 1
	}
	var tried atomic.Int64
	images := crashes(t, opt.Dir, ops, before, tears, func(n int, dir string) error {
		again := opt
		again.Dir, again.FS = dir, disktest.NoSync()
		l, _, err := Open(again)
		if err != nil {
			return err
		}
		defer l.Close()
		if err := wrong(l, 550); err != nil || tried.Add(1)%every != 0 && n < len(ops) {
			return err
		}
		var last Ticket
		for n := 550; n < 600 && err == nil; n++ {
			last, err = l.Append(leaf(n))
		}
		if err == nil {
			err = errors.Join(last.Wait(t.Context()), l.Seal(t.Context()))
		}
		return errors.Join(err, wrong(l, 600))
	})
	t.Logf("%d crash images", images)
	if images < 40 {
		t.Errorf("only %d crash images", images)
	}
}

// judged verifies the log in dir, and says why a server does not start on it.
func judged(t *testing.T, opt Options, dir string, outside ...Evidence) (report Report, opened error) {
	t.Helper()
	reader, err := OpenReader(ReaderOptions{Dir: dir, SealKey: opt.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if report, err = reader.Verify(t.Context(), outside...); err != nil {
		t.Fatal(err)
	}
	opt.Dir = dir
	l, _, opened := Open(opt)
	if opened == nil {
		l.Close()
	}
	return report, opened
}

// TestDamagedSegments: what is wrong is named, and a start that would hide it is refused.
func TestDamagedSegments(t *testing.T) {
	opt := small(options(filepath.Join(t.TempDir(), "log")))
	l := create(t, opt)
	for n := 1; n < 1500; n += 100 { // in several files
		addAll(t, l, n, min(n+100, 1500))
	}
	seal(t, l)
	receipt, err := l.Proof(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	outside := Evidence{Checkpoint: l.Checkpoint()}
	record600 := Evidence{Leaf: leaf(600), Proof: receipt}
	closeLog(t, l)
	name := segmentName(opt.Dir, 512)
	change := func(name string, edit func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, segmentDir, filepath.Base(name))
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, edit(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for title, c := range map[string]struct {
		damage  func(t *testing.T, dir string)
		finding string // how one of them begins
		opens   bool   // a server starts all the same: it does not read every record
	}{
		"a byte of a frame":    {change(segmentName(opt.Dir, 0), func(b []byte) []byte { b[500] ^= 1; return b }), "tampered: records from 0 to 255, file 00000000000000000000.seg at offset 0: frame 0", true},
		"a byte of the footer": {change(segmentName(opt.Dir, 0), func(b []byte) []byte { b[len(b)-100] ^= 1; return b }), "tampered: records from 0 to 511, file 00000000000000000000.seg at offset 0: footer", true},
		"the newest's footer":  {change(segmentName(opt.Dir, 1024), func(b []byte) []byte { b[len(b)-100] ^= 1; return b }), "tampered: records from 1024 to 1279, file 00000000000000001024.seg at offset 0: footer", false},
		"the end cut off":      {change(name, func(b []byte) []byte { return b[:len(b)-50] }), "tampered: records from 512 to 1023, file 00000000000000000512.seg at offset 0: trailer", false},
		"another manifest":     {change(manifestName(name), func(b []byte) []byte { return bytes.Replace(b, []byte(`"sha256": "`), []byte(`"sha256": "0`), 1) }), "tampered: records from 512 to 1023, file 00000000000000000512.seg at offset 0: manifest says", true},
		"no JSON":              {change(manifestName(name), func(b []byte) []byte { return b[1:] }), "tampered: records from 512, file 00000000000000000512.seg at offset 0: manifest is damaged", false},
		"a segment gone":       {func(t *testing.T, dir string) { os.Remove(segmentName(dir, 512)) }, "missing: records from 512 to 1023, file 00000000000000000512.seg at offset 0: segment is gone", false},
		"both gone": {func(t *testing.T, dir string) {
			os.Remove(segmentName(dir, 512))
			os.Remove(manifestName(segmentName(dir, 512)))
		}, "missing: records from 512 to 1023, file 00000000000000001024.seg at offset 0: records before", false},
		"the oldest gone": {func(t *testing.T, dir string) {
			os.Remove(segmentName(dir, 0))
			os.Remove(manifestName(segmentName(dir, 0)))
		}, "missing: records from 0 to 511", false},
		"all gone":                {func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, segmentDir)) }, "missing: records from 0 to", false},
		"one in place of another": {change(name, func([]byte) []byte { b, _ := os.ReadFile(segmentName(opt.Dir, 0)); return b }), "tampered: records from 512", false},
	} {
		t.Run(title, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(dir, os.DirFS(opt.Dir)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			report, opened := judged(t, opt, dir, outside, record600)
			found := slices.ContainsFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.String(), c.finding) })
			if !found {
				t.Errorf("findings:\n%v", report)
			}
			if (opened == nil) != c.opens {
				t.Errorf("opened: %v", opened)
			}
		})
	}
	t.Run("evidence", func(t *testing.T) {
		reader, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		report, err := reader.Verify(t.Context(), outside, record600)
		if err != nil || !report.Whole() || report.Anchors != 2 || report.Segments != 3 {
			t.Errorf("%v\n%v", err, report)
		}
	})
	t.Run("no key", func(t *testing.T) {
		reader, err := OpenReader(ReaderOptions{Dir: opt.Dir})
		if err == nil {
			reader.Close()
		}
		if !errors.Is(err, atrest.ErrNoKey) {
			t.Errorf("opened: %v", err)
		}
	})
}

// TestEveryByteOfASegmentFlipped, of its manifest and of the tiles, one at a time: an offline verification names the
// segment and records in it, or there is nothing that is read or proven differently.
func TestEveryByteOfASegmentFlipped(t *testing.T) {
	opt := small(options(filepath.Join(t.TempDir(), "log")))
	opt.SegmentRecords = 256
	l := create(t, opt)
	addAll(t, l, 1, 800)
	seal(t, l)
	closeLog(t, l)
	name := segmentName(opt.Dir, 256)
	files := []string{name, manifestName(name)}
	for tile := range contents(t, filepath.Join(opt.Dir, "tile")) {
		files = append(files, filepath.Join(opt.Dir, "tile", tile))
	}
	if len(files) < 3 {
		t.Fatalf("no tiles: %v", files)
	}
	step := 37
	if *long {
		step = 1
	}
	found, harmless := 0, 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		for at := 0; at < len(content); at += step {
			flipped := bytes.Clone(content)
			flipped[at] ^= 1 << (at % 8)
			must(t, os.WriteFile(file, flipped, 0o600))
			if noticed(t, opt, file == name, fmt.Sprintf("%s byte %d", filepath.Base(file), at)) {
				found++
			} else {
				harmless++
			}
		}
		must(t, os.WriteFile(file, content, 0o600))
	}
	t.Logf("%d flips: %d found, %d harmless", found+harmless, found, harmless)
}

// noticed tells whether an offline verification finds the flipped byte in the segment of the records 256 to 511.
func noticed(t *testing.T, opt Options, segment bool, what string) bool {
	t.Helper()
	reader, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer reader.Close()
	report, err := reader.Verify(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, f := range report.Findings {
		if f.Verdict != Tampered && f.Verdict != Unverifiable || !strings.HasPrefix(f.File, fmt.Sprintf("%020d", 256)) || f.From < 256 || f.From > 511 {
			t.Fatalf("%s: %v", what, f)
		}
	}
	if segment && report.Whole() {
		t.Fatalf("%s: nothing found", what)
	}
	if !report.Whole() {
		return true
	}
	if reads(t, reader, 800) {
		t.Fatalf("%s: a record cannot be read", what)
	}
	for _, index := range []uint64{0, 300, 799} {
		b, err := reader.Get(t.Context(), index)
		must(t, err)
		if proof, err := reader.Proof(t.Context(), index); err == nil {
			if _, _, err := proven(b, proof, reader.Key()); err != nil {
				t.Fatalf("%s: a receipt that does not verify: %v", what, err)
			}
		}
	}
	return false
}

// TestTilesAreMadeAgain where they are gone or wrong.
func TestTilesAreMadeAgain(t *testing.T) {
	opt := small(options(filepath.Join(t.TempDir(), "log")))
	l := create(t, opt)
	addAll(t, l, 1, 1500)
	seal(t, l)
	closeLog(t, l)
	tiles := filepath.Join(opt.Dir, "tile")
	for _, damage := range []func(){
		func() { os.RemoveAll(tiles) },
		func() { os.WriteFile(filepath.Join(tiles, "1", "000.p", "5"), make([]byte, 5*32), 0o600) },
		func() { os.WriteFile(filepath.Join(tiles, "1", "000.p", "5"), make([]byte, 7), 0o600) },
	} {
		damage()
		l, _ := open(t, opt)
		if l.sealedRoot(1280) == (tree.Hash{}) {
			t.Error("no tiles")
		}
		holds(t, l, 1500)
		closeLog(t, l)
	}
}

// TestTwoHistories: a write-ahead file that holds other records than the segment before it is no part of this log, although
// the log's key signed both.
func TestTwoHistories(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FS, opt.SegmentRecords = disktest.NoSync(), 512
	l := create(t, opt)
	addAll(t, l, 1, 300)
	closeLog(t, l)
	other := opt
	other.Dir = filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other.Dir, os.DirFS(opt.Dir)); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, opt)
	addAll(t, l, 300, 600)
	seal(t, l)
	closeLog(t, l)
	o, _ := open(t, other)
	for n := 300; n < 600; n++ {
		if _, err := o.Append(leaf(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, o)
	for _, dir := range []string{segmentDir, "tile"} {
		if err := os.CopyFS(filepath.Join(other.Dir, dir), os.DirFS(filepath.Join(opt.Dir, dir))); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := OpenReader(ReaderOptions{Dir: other.Dir, SealKey: opt.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	report, err := reader.Verify(t.Context())
	if err != nil || report.Whole() || report.Findings[0].Verdict != Tampered {
		t.Errorf("%v\n%v", err, report)
	}
	if l, _, err := Open(other); !errors.Is(err, wal.ErrCorrupt) {
		t.Errorf("opened: %v", err)
		if l != nil {
			l.Close()
		}
	}
}
