package netlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// later is when every record of leaf is due by every policy.
var later = moment.AddDate(1, 0, 0)

// purging returns options of a log of small segments, and the clock it goes by.
func purging(opt Options) (Options, *atomic.Int64) {
	opt = small(opt)
	opt.SegmentRecords = 256
	clock := new(atomic.Int64)
	clock.Store(moment.UnixNano())
	opt.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	return opt, clock
}

// raised writes the record that a purge asks for.
func raised(t testing.TB, l *Log) func(record.Purge) (uint64, error) {
	return func(p record.Purge) (uint64, error) {
		b, err := record.Append(nil, &record.Record{Time: later, Event: record.LogMinimumRaised, Purge: &p, Outcome: record.Outcome{Kind: record.Success}})
		if err != nil {
			return 0, err
		}
		ticket, err := l.Append(b)
		if err != nil {
			return 0, err
		}
		return ticket.Index(), ticket.Wait(t.Context())
	}
}

func purge(t testing.TB, l *Log, to uint64, keep ...uint64) record.Purge {
	t.Helper()
	done, err := l.Raise(Purging{To: to, Keep: keep, Record: raised(t, l)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.RemovePurged(); err != nil {
		t.Fatal(err)
	}
	return done
}

// grown makes a log of 1,500 records, sealed to 1,280 in segments of 256, turns the clock on to when all are due, and
// returns the log's checkpoints by their sizes.
func grown(t testing.TB, opt Options, clock *atomic.Int64, sizes ...int) (*Log, map[int][]byte) {
	t.Helper()
	l, notes := create(t, opt), map[int][]byte{}
	from := 1
	sizes = append(sizes, 256, 512, 768, 1024, 1280, 1500)
	for _, to := range slices.Compact(slices.Sorted(slices.Values(sizes))) {
		addAll(t, l, from, to)
		notes[to], from = l.Checkpoint(), to
		if to%256 == 0 {
			seal(t, l) // a write-ahead file begins here
		}
	}
	clock.Store(later.UnixNano())
	return l, notes
}

// left fails unless the log holds the records from first on, and knows that those before were purged.
func left(t testing.TB, r interface {
	reader
	Search(context.Context, *Query, uint64, uint64, func(uint64, []byte, *record.Record) error) error
	Coverage(context.Context) (Coverage, error)
}, first int) {
	t.Helper()
	ctx := context.Background()
	none := func(index uint64, _ []byte) error { return fmt.Errorf("record %d is read", index) }
	for _, index := range []uint64{0, uint64(first) / 2, uint64(first) - 1} {
		_, got := r.Get(ctx, index)
		_, proof := r.Proof(ctx, index)
		search := r.Search(ctx, &Query{}, index, r.Size(), func(index uint64, b []byte, _ *record.Record) error { return none(index, b) })
		for what, err := range map[string]error{"Get": got, "Proof": proof, "Read": r.Read(ctx, index, r.Size(), none), "Search": search} {
			if !errors.Is(err, ErrPurged) {
				t.Errorf("%s of %d: %v", what, index, err)
			}
		}
	}
	next := uint64(first)
	err := r.Read(ctx, next, r.Size(), func(index uint64, b []byte) error {
		if index != next || index < 1500 && !bytes.Equal(b, leaf(int(index))) {
			return fmt.Errorf("record %d differs", index)
		}
		next++
		return nil
	})
	if err != nil || next != r.Size() {
		t.Errorf("read to %d: %v", next, err)
	}
	for index := uint64(first); index < r.Size(); index += 97 {
		b, err := r.Get(ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.Proof(ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		if _, covers, err := proven(b, text, r.Key()); err != nil || covers.Size != r.Size() {
			t.Errorf("receipt of %d: %+v, %v", index, covers, err)
		}
	}
	if c, err := r.Coverage(ctx); err != nil || c.First != uint64(first) || c.Size != r.Size() {
		t.Errorf("%+v %v", c, err)
	}
	report, err := r.Verify(ctx)
	if err != nil || !report.Whole() || report.First != uint64(first) || report.Verified != report.Size-report.First {
		t.Errorf("%v\n%v", err, report)
	}
}

// TestPurge: what is purged is purged for everybody, what is left is whole and provable, also against old checkpoints of
// which hashes were kept, and nothing else of what is gone is on the disk.
func TestPurge(t *testing.T) {
	forms(t, func(t *testing.T, opt Options) {
		opt, clock := purging(opt)
		kept := []uint64{2, 100, 255, 257, 301, 511, 513, 700, 767}
		l, notes := grown(t, opt, clock, 2, 100, 101, 255, 256, 257, 301, 510, 511, 512, 513, 700, 767, 768, 900)
		receipts := map[int]Evidence{}
		for index, size := range map[int]int{60: 100, 61: 101, 767: 768, 50: 900} {
			receipts[index] = receipt(t, l, uint64(index), uint64(size), notes[size])
		}
		leaves := make([]tree.Hash, 768)
		for i := range leaves {
			b, err := l.Get(t.Context(), uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			leaves[i] = tree.LeafHash(b)
		}
		before, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		done := purge(t, l, 768, append(kept, 1400, 0, 1<<40)...)
		if want := (record.Purge{To: 768, Segments: 3, Bytes: done.Bytes, Latest: moment.Add(767), Kept: uint64(len(kept))}); done != want || done.Bytes == 0 {
			t.Errorf("%+v", done)
		}
		left(t, l, 768)
		left(t, before, 768)
		scan(t, opt.Dir, leaves, kept)
		closeLog(t, l)
		l, rec := open(t, opt)
		if rec.Purged.Segments != 0 {
			t.Errorf("%+v", rec)
		}
		left(t, l, 768)
		against(t, l, notes, kept)
		proves(t, l, receipts)
		purge(t, l, 1280, 900)
		closeLog(t, l)
		l, _ = open(t, opt) // without any segment
		left(t, l, 1280)
		against(t, l, notes, append(kept, 900, 768))
		addAll(t, l, 1502, 2000)
		seal(t, l)
		left(t, l, 1280)
		scan(t, opt.Dir, leaves, kept)
	})
}

// receipt is a record's receipt under an older checkpoint.
func receipt(t testing.TB, l *Log, index, size uint64, note []byte) Evidence {
	t.Helper()
	verifier, err := tree.NewVerifier(l.Key())
	if err != nil {
		t.Fatal(err)
	}
	c, err := verifier.Open(note)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tree.Prove(index, size, c.Root, note, l)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Get(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	return Evidence{Leaf: b, Proof: p.Marshal()}
}

// against holds the log against all checkpoints: those that cut no frame and those of the kept sizes anchor it, any other
// of the purged records says that it cannot be told.
func against(t *testing.T, l *Log, notes map[int][]byte, kept []uint64) {
	t.Helper()
	verifier, err := tree.NewVerifier(l.Key())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := verifier.Open(l.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	for size, note := range notes {
		report, err := l.Verify(t.Context(), Evidence{Checkpoint: note})
		if err != nil {
			t.Fatal(err)
		}
		proof, proveErr := tree.ProveConsistency(uint64(size), signed.Size, signed.Root, l)
		known := uint64(size) >= l.First() || size%256 == 0 || slices.Contains(kept, uint64(size))
		switch {
		case known && (!report.Whole() || report.Anchors != 1 || len(report.Findings) != 1 || report.Findings[0].Verdict != Purged):
			t.Errorf("against %d:\n%v", size, report)
		case !known && (!report.Whole() || report.Anchors != 0 || len(report.Findings) != 2 || report.Findings[1].Verdict != Purged):
			t.Errorf("against %d, which was purged:\n%v", size, report)
		case !known && !errors.Is(proveErr, ErrPurged):
			t.Errorf("proof from %d, which was purged: %v", size, proveErr)
		case known:
			old, err := verifier.Open(note)
			if err != nil || proveErr != nil || tree.CheckConsistency(proof, uint64(size), old.Root, signed.Size, signed.Root) != nil {
				t.Errorf("no proof from %d: %v %v", size, err, proveErr)
			}
		}
		if forged := forge(t, uint64(size), l.Origin()); known {
			report, err := l.Verify(t.Context(), Evidence{Checkpoint: forged})
			if err != nil || report.Whole() || report.Findings[len(report.Findings)-1].Verdict != Tampered {
				t.Errorf("another history at %d: %v\n%v", size, err, report)
			}
		}
	}
}

// proves holds the log against receipts of purged records.
func proves(t *testing.T, l *Log, receipts map[int]Evidence) {
	t.Helper()
	for index, want := range map[int]string{60: "", 50: "", 767: "", 61: "outside evidence is of the records that were purged: 1 checkpoints or receipts"} {
		report, err := l.Verify(t.Context(), receipts[index])
		if err != nil || !report.Whole() {
			t.Errorf("%v\n%v", err, report)
		}
		if want == "" && report.Anchors != 1 || want != "" && (report.Anchors != 0 || !strings.Contains(report.String(), want)) {
			t.Errorf("receipt of %d:\n%v", index, report)
		}
	}
}

// forge signs another history with the log's key.
func forge(t testing.TB, size uint64, origin string) []byte {
	t.Helper()
	signer, err := tree.NewSigner(origin, signing)
	if err != nil {
		t.Fatal(err)
	}
	note, err := signer.Sign(size, tree.LeafHash([]byte("another")))
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// scan looks through every file for the hash of a purged record, as bytes and as text. Those of the kept right edges alone
// may be there.
func scan(t *testing.T, dir string, leaves []tree.Hash, kept []uint64) {
	t.Helper()
	allowed := map[tree.Hash]bool{}
	for _, size := range kept {
		for _, x := range edgeNodes(size) {
			if level, n := tlog.SplitStoredHashIndex(x); level == 0 {
				allowed[leaves[n]] = true
			}
		}
	}
	found, read := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		for index, h := range leaves {
			for form, text := range map[string][]byte{"bytes": h[:], "hexadecimal": []byte(hex.EncodeToString(h[:])), "base64": []byte(base64.StdEncoding.EncodeToString(h[:]))} {
				switch {
				case !bytes.Contains(b, text):
				case allowed[h]:
					found++
				default:
					t.Errorf("the hash of record %d is in %s, as %s", index, filepath.Base(path), form)
				}
			}
		}
		return nil
	})
	if err != nil || found < len(allowed) || read < 5 {
		t.Errorf("%d files, %d hashes of %d: %v", read, found, len(allowed), err)
	}
}

// TestPurgeRefuses what may not go, or cannot, and changes nothing then.
func TestPurgeRefuses(t *testing.T) {
	opt, clock := purging(options(filepath.Join(t.TempDir(), "log")))
	l, _ := grown(t, opt, clock)
	refuse := func(name string, p Purging, want error) {
		t.Helper()
		if p.Record == nil {
			p.Record = raised(t, l)
		}
		if _, err := l.Raise(p); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if l.First() != 0 || len(list(t, filepath.Join(opt.Dir, segmentDir), segmentSuffix)) != 5 {
			t.Errorf("%s: the log begins with %d", name, l.First())
		}
	}
	for name, to := range map[string]uint64{"nothing": 0, "half a segment": 300, "what is not sealed": 1500, "what is not there": 1 << 30} {
		refuse(name, Purging{To: to}, ErrNotPurgeable)
	}
	clock.Store(time.Date(2026, 9, 30, 16, 0, 0, -1, time.UTC).UnixNano()) // records are of 1 April +08:00
	refuse("what is too young", Purging{To: 256}, ErrNotPurgeable)
	clock.Store(later.UnixNano())
	failed := errors.New("injected")
	refuse("without its record", Purging{To: 256, Record: func(record.Purge) (uint64, error) { return 0, failed }}, failed)
	if _, err := l.Raise(Purging{To: 256, Record: func(record.Purge) (uint64, error) { return 7, nil }}); err == nil || l.First() != 0 {
		t.Errorf("by another record: %v", err)
	}
	// A write-ahead file that repeats a segment's records, as a failed removal leaves it.
	stale := filepath.Join(opt.Dir, walDir, fmt.Sprintf("%020d%s", 200, walSuffix))
	if err := os.WriteFile(stale, []byte("records"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse("what a write-ahead file repeats", Purging{To: 256}, ErrNotPurgeable)
	if err := os.Remove(stale); err != nil {
		t.Fatal(err)
	}
	purge(t, l, 256)
	if _, err := l.Raise(Purging{To: 256, Record: raised(t, l)}); !errors.Is(err, ErrNotPurgeable) {
		t.Errorf("twice: %v", err)
	}
}

// TestPurgeInBetween: between the new minimum index and the first removal everybody sees what is to go as purged; a purge
// that ends there is finished by the next, or by a start.
func TestPurgeInBetween(t *testing.T) {
	opt, clock := purging(options(filepath.Join(t.TempDir(), "log")))
	l, _ := grown(t, opt, clock)
	segments := func() int { return len(list(t, filepath.Join(opt.Dir, segmentDir), segmentSuffix)) }
	for i, finish := range []func(){
		func() { purge(t, l, 512) },
		func() {
			closeLog(t, l)
			var rec Recovery
			if l, rec = open(t, opt); rec.Purged != (record.Purge{From: 512, To: 768, Segments: 1, Bytes: rec.Purged.Bytes}) || rec.Purged.Bytes == 0 {
				t.Errorf("%+v", rec)
			}
		},
	} {
		to := uint64(256 + 512*i)
		if _, err := l.Raise(Purging{To: to, Record: raised(t, l)}); err != nil || l.First() != to {
			t.Fatal(err)
		}
		r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
		if err != nil {
			t.Fatal(err)
		}
		if r.First() != to || segments() != 5-2*i {
			t.Errorf("in between the log begins with %d, and has %d segments", r.First(), segments())
		}
		left(t, r, int(to))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		finish()
		if segments() != 3-i {
			t.Errorf("%d segments are left", segments())
		}
	}
	left(t, l, 768)
}

// TestPurgeBeside: a verification and readers that run while records are purged report no fault.
func TestPurgeBeside(t *testing.T) {
	opt, clock := purging(options(filepath.Join(t.TempDir(), "log")))
	l, _ := grown(t, opt, clock)
	old, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, r := range []reader{l, old} {
				if report, err := r.Verify(context.Background()); err != nil || !report.Whole() {
					t.Errorf("%v\n%v", err, report)
				}
				next := uint64(0)
				err := r.Read(context.Background(), 0, r.Size(), func(index uint64, _ []byte) error {
					if index != next {
						return fmt.Errorf("record %d for %d", index, next)
					}
					next++
					return nil
				})
				if err != nil && !errors.Is(err, ErrPurged) {
					t.Error(err)
				}
			}
			r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
			if err != nil {
				t.Error(err)
			} else {
				if r.Damage() != nil {
					t.Error(r.Damage())
				}
				r.Close()
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for to := uint64(256); to <= 1280; to += 256 {
		purge(t, l, to)
	}
	close(done)
	<-ended
	if err := l.Healthy(); err != nil {
		t.Error(err)
	}
	left(t, l, 1280)
	if _, err := old.Verify(t.Context()); err != nil { // which looks at the minimum index
		t.Error(err)
	}
	left(t, old, 1280)
}
