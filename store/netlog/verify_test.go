package netlog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// verified makes a log of several closed files and returns its options, its names in order, and what left the machine.
func verified(t *testing.T, key []byte) (opt Options, wals []string, outside []Evidence) {
	t.Helper()
	opt = options(filepath.Join(t.TempDir(), "log"))
	opt.SealKey, opt.FileSize, opt.FS = key, 1500, disktest.NoSync()
	l := create(t, opt)
	for n := 1; n < 30; n++ {
		add(t, l, n)
		if n%10 == 0 {
			b, err := l.Get(t.Context(), uint64(n))
			must(t, err)
			proof, err := l.Proof(t.Context(), uint64(n))
			must(t, err)
			outside = append(outside, Evidence{Checkpoint: l.Checkpoint()}, Evidence{Leaf: b, Proof: proof})
		}
	}
	closeLog(t, l)
	l, _ = open(t, opt) // leaves a sidecar beside each file with records
	closeLog(t, l)
	wals, err := walNames(opt.Dir)
	must(t, err)
	if len(wals) < 4 {
		t.Fatalf("%d files", len(wals))
	}
	return opt, wals, outside
}

func report(t *testing.T, opt Options, outside ...Evidence) Report {
	t.Helper()
	r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
	must(t, err)
	defer r.Close()
	rep, err := r.Verify(t.Context(), outside...)
	must(t, err)
	return rep
}

func TestVerifyAnchors(t *testing.T) {
	opt, _, outside := verified(t, sealing)
	rep := report(t, opt)
	if !rep.Whole() || rep.Anchored() || !strings.Contains(rep.String(), "not anchored outside") || rep.Verified != 30 || rep.Size != 30 {
		t.Errorf("%v", rep)
	}
	rep = report(t, opt, outside...)
	if !rep.Whole() || rep.Anchors != len(outside) || strings.Contains(rep.String(), "not anchored") {
		t.Errorf("%v", rep)
	}
}

// TestVerifyNamesDamage: the damaged batch is named; what stands before and behind it is proven nevertheless, by the
// hashes in the sidecar, whose own truth the next signed root shows.
func TestVerifyNamesDamage(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": sealing} {
		t.Run(name, func(t *testing.T) {
			opt, wals, outside := verified(t, key)
			r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: key})
			must(t, err)
			p, offset, err := r.locate(13)
			must(t, err)
			if p.path == wals[len(wals)-1] || p.first == 13 || p.end == 14 {
				t.Fatal("record 13 should stand inside a closed file")
			}
			r.Close()
			flip(t, p.path, offset+30)
			rep := report(t, opt, outside...)
			want := Finding{Tampered, filepath.Base(p.path), offset, 13, 14, "damaged before a later commit"}
			if len(rep.Findings) != 1 || rep.Findings[0] != want || rep.Verified != 29 || rep.Anchors != len(outside) {
				t.Errorf("%v", rep)
			}
			// Without the sidecar nothing behind the damage can be proved, and it is said so.
			must(t, os.Remove(p.sidePath()))
			rep = report(t, opt)
			tampered, unverifiable := count(rep)
			if tampered != 1 || unverifiable == 0 || rep.Verified >= 29 || rep.Verified < 13 {
				t.Errorf("%v", rep)
			}
		})
	}
}

func count(r Report) (tampered, unverifiable int) {
	for _, f := range r.Findings {
		switch f.Verdict {
		case Tampered:
			tampered++
		case Unverifiable:
			unverifiable++
		}
	}
	return tampered, unverifiable
}

func flip(t *testing.T, name string, at int64) {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	content[at] ^= 4
	must(t, os.WriteFile(name, content, 0o600))
}

func TestVerifyMissing(t *testing.T) {
	opt, wals, outside := verified(t, sealing)
	r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: sealing})
	must(t, err)
	defer r.Close()
	// The newest files vanish: only what left the machine shows it, or who had seen them.
	for _, name := range wals {
		if first, _ := firstOf(name); first > 15 {
			must(t, os.Remove(name))
		}
	}
	if rep := report(t, opt); !rep.Whole() {
		t.Errorf("a rollback is claimed to be seen without evidence\n%v", rep)
	}
	rep := report(t, opt, outside...)
	if rep.Whole() || rep.Findings[0].Verdict != Missing || rep.Findings[0].From != rep.Size {
		t.Errorf("%v", rep)
	}
	seen, err := r.Verify(t.Context())
	must(t, err)
	if seen.Whole() || seen.Findings[0].Verdict != Missing || seen.Findings[0].To != 30 {
		t.Errorf("%v", seen)
	}
	// One in the middle vanishes: the names show it.
	opt, wals, _ = verified(t, sealing)
	must(t, os.Remove(wals[1]))
	rep = report(t, opt)
	first, _ := firstOf(wals[1])
	next, _ := firstOf(wals[2])
	if len(rep.Findings) == 0 || rep.Findings[0].Verdict != Missing || rep.Findings[0].From != first || rep.Findings[0].To != next {
		t.Errorf("%v", rep)
	}
}

// TestVerifyRewrittenHistory: whoever holds the keys can make another log that is whole; a receipt shows it.
func TestVerifyRewrittenHistory(t *testing.T) {
	opt, _, outside := verified(t, nil)
	id, err := readIdentity(opt.Dir)
	must(t, err)
	other := options(filepath.Join(t.TempDir(), "log"))
	other.SealKey = nil
	signer, err := tree.NewSigner(id.Origin, signing)
	must(t, err)
	o, err := other.withDefaults()
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(o.Dir, walDir), 0o700))
	l, err := start(o, signer, func(*Reader) error { return nil })
	must(t, err)
	born, err := birth(o, id.Origin, "init")
	must(t, err)
	must(t, l.firstRecord(born))
	for n := 1; n < 30; n++ {
		b := leaf(n)
		if n == 10 {
			b = leaf(1000) // the change
		}
		ticket, err := l.Append(b)
		must(t, err)
		must(t, ticket.Wait(t.Context()))
	}
	closeLog(t, l)
	if rep := report(t, other); !rep.Whole() || rep.Anchored() {
		t.Errorf("%v", rep)
	}
	for i, e := range outside {
		rep := report(t, other, e)
		if rep.Whole() || rep.Findings[0].Verdict != Tampered || rep.Anchored() {
			t.Errorf("evidence %d: %v", i, rep)
		}
	}
}

// TestVerifyManyCheckpoints: a checkpoint a minute says the same as one, once.
func TestVerifyManyCheckpoints(t *testing.T) {
	opt, _, _ := verified(t, sealing)
	id, err := readIdentity(opt.Dir)
	must(t, err)
	signer, err := tree.NewSigner(id.Origin, signing)
	must(t, err)
	many := func(first int) (outside []Evidence) {
		var f tree.Frontier
		for n := range 40 {
			b := fmt.Appendf(nil, "another record %d", n)
			if n < first {
				r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey})
				must(t, err)
				b, err = r.Get(t.Context(), uint64(n))
				must(t, errors.Join(err, r.Close()))
			}
			f.Append(tree.LeafHash(b), nil)
			note, err := signer.Sign(f.Size(), f.Root())
			must(t, err)
			outside = append(outside, Evidence{Checkpoint: note})
		}
		return outside
	}
	rep := report(t, opt, many(20)...)
	if len(rep.Findings) != 2 || rep.Anchors != 20 || rep.Findings[0].Verdict != Tampered || rep.Findings[0].To != 21 ||
		rep.Findings[1].Verdict != Missing || rep.Findings[1].From != 30 || rep.Findings[1].To != 40 {
		t.Errorf("%v", rep)
	}
	if rep := report(t, opt, many(30)[:30]...); !rep.Whole() || rep.Anchors != 30 {
		t.Errorf("%v", rep)
	}
}

func TestVerifyForeignEvidence(t *testing.T) {
	opt, _, outside := verified(t, nil)
	stranger, err := tree.NewSigner("node-9-00", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)))
	must(t, err)
	foreign, err := stranger.Sign(3, tree.Hash{})
	must(t, err)
	changed := bytes.Clone(outside[1].Leaf)
	changed[3] ^= 1
	for name, e := range map[string]Evidence{
		"another key": {Checkpoint: foreign}, "nothing": {}, "receipt of another record": {Leaf: changed, Proof: outside[1].Proof},
		"no receipt": {Leaf: outside[1].Leaf, Proof: []byte("x")},
	} {
		rep := report(t, opt, e)
		if len(rep.Findings) != 1 || rep.Findings[0].Verdict != Unverifiable || rep.Anchored() || rep.Verified != 30 {
			t.Errorf("%s: %v", name, rep)
		}
	}
}

// TestVerifyWithoutSealKey: a sealed log is not called tampered for want of a key.
func TestVerifyWithoutSealKey(t *testing.T) {
	opt, _, _ := verified(t, sealing)
	r, err := OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: sealing})
	must(t, err)
	defer r.Close()
	r.sealKey = nil
	rep, err := r.Verify(t.Context())
	must(t, err)
	tampered, unverifiable := count(rep)
	if tampered != 0 || unverifiable == 0 {
		t.Errorf("%v", rep)
	}
}

// TestVerifyUnknownRecord: bytes that a newer version may understand are unverifiable, not tampered.
func TestVerifyUnknownRecord(t *testing.T) {
	l := create(t, options(filepath.Join(t.TempDir(), "log")))
	ticket, err := l.Append([]byte("from the future"))
	must(t, err)
	must(t, ticket.Wait(t.Context()))
	rep, err := l.Verify(t.Context())
	must(t, err)
	if len(rep.Findings) != 1 || rep.Findings[0].Verdict != Unverifiable || rep.Findings[0].From != 1 {
		t.Errorf("%v", rep)
	}
}

// TestForgedFiles: a file whose checksums were all made anew is refused by a start and called tampered by Verify, by
// root, signature and continuity alone.
func TestForgedFiles(t *testing.T) {
	stranger, err := tree.NewSigner("node-9-00", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)))
	must(t, err)
	for name, f := range map[string]forgery{
		"nothing":                 {},
		"record":                  {leaf: leaf(999), from: 5},
		"record and root":         {leaf: leaf(999), from: 5, reroot: true},
		"last record and root":    {leaf: leaf(999), at: 11, from: 11, reroot: true},
		"checkpoint":              {checkpoint: func(b *wal.Batch) []byte { return []byte("x") }, from: 1},
		"header's root":           {header: func(h *wal.Header) { h.Root[0]++ }, from: 1},
		"header's origin":         {header: func(h *wal.Header) { h.Origin = "node-2-0123456789abcdef" }, from: 1},
		"signed by somebody else": {checkpoint: func(b *wal.Batch) []byte { c, _ := stranger.Sign(b.Size, b.Root); return c }, from: 1, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			if f.at == 0 {
				f.at = 5
			}
			opt := options(filepath.Join(t.TempDir(), "log"))
			opt.SealKey = nil
			closeLog(t, create(t, opt))
			l, _ := open(t, opt)
			fill(t, l, 1, 12) // the second file
			closeLog(t, l)
			names, err := walNames(opt.Dir)
			must(t, err)
			f.apply(t, names[1])
			rep := report(t, opt)
			_, _, err = Open(opt)
			if name == "nothing" {
				if err != nil || !rep.Whole() {
					t.Fatalf("the forger is wrong: %v\n%v", err, rep)
				}
				return
			}
			want := Tampered
			if f.unknown {
				want = Unverifiable
			}
			if rep.Whole() || rep.Findings[0].Verdict != want || rep.Findings[0].From != f.from {
				t.Errorf("%v", rep)
			}
			var corrupt *wal.CorruptError
			if !errors.As(err, &corrupt) || name == "record" && corrupt.Offset != rep.Findings[0].Offset {
				t.Errorf("start: %v", err)
			}
		})
	}
}

// forgery says how a file is written anew.
type forgery struct {
	at         uint64 // the record that leaf replaces
	leaf       []byte
	reroot     bool // the commits get the roots of the changed records
	checkpoint func(*wal.Batch) []byte
	header     func(*wal.Header)

	from    uint64 // where Verify finds it
	unknown bool
}

func (f forgery) apply(t *testing.T, name string) {
	t.Helper()
	src, err := os.Open(name)
	must(t, err)
	defer src.Close()
	file, err := wal.NewReader(src, nil)
	must(t, err)
	stat, err := src.Stat()
	must(t, err)
	h := file.Header()
	if f.header != nil {
		f.header(&h)
	}
	path := filepath.Join(t.TempDir(), "forged")
	w, err := wal.Create(disktest.NoSync(), path, h, nil, 0, rand.Reader)
	must(t, err)
	// The tree before the file: that of the first record, which the header's root is.
	var frontier tree.Frontier
	frontier.Append(tree.Hash(file.Header().Root), nil)
	_, err = file.Scan(stat.Size(), func(b *wal.Batch) error {
		var body wal.Body
		for i, leaf := range b.Leaves {
			if f.leaf != nil && b.First+uint64(i) == f.at {
				leaf = f.leaf
			}
			body.Add(leaf)
			frontier.Append(tree.LeafHash(leaf), nil)
		}
		root, checkpoint := b.Root, b.Checkpoint
		if f.reroot {
			root = frontier.Root()
		}
		if f.checkpoint != nil {
			checkpoint = f.checkpoint(b)
		}
		p, err := w.Prepare(&body, b.Size, root, checkpoint)
		if err == nil {
			_, err = w.Commit(p)
		}
		return err
	})
	must(t, err)
	must(t, w.Close())
	must(t, os.Rename(path, name))
}

func TestSidecarsAreMadeAnew(t *testing.T) {
	opt, wals, _ := verified(t, sealing)
	for i, name := range wals[:3] {
		side := strings.TrimSuffix(name, walSuffix) + sideSuffix
		switch i {
		case 0:
			must(t, os.Remove(side))
		case 1:
			flip(t, side, 200)
		case 2:
			must(t, os.WriteFile(side, nil, 0o600))
		}
	}
	l, rec := open(t, opt)
	if rec.Size != 30 || rec.CutBytes != 0 {
		t.Errorf("%+v", rec)
	}
	holds(t, l, 30)
}

func TestQuery(t *testing.T) {
	r := record.Record{Time: moment, Event: record.VerificationVerify, Category: record.CategoryAccess, Session: "s-1",
		Actor:      record.Actor{Kind: record.ActorClient, ID: "shop", OnBehalfOf: "branch"},
		Source:     record.Peer{IP: netip.MustParseAddr("203.0.113.7")},
		Action:     "/heyan.v1.VerificationService/Verify",
		Object:     record.Object{Type: "verification", ID: "v-1"},
		Outcome:    record.Outcome{Kind: record.Denied, Reason: "CONSENT_MISSING"},
		Processing: &record.Processing{Product: "id2"}}
	bulk := record.Record{Time: moment, Event: record.RefusalBulk, Source: record.Peer{IP: netip.MustParseAddr("203.0.113.0"), PrefixBits: 24}}
	for name, c := range map[string]struct {
		q            Query
		match, tally bool
		fields       int
	}{
		"all":                {Query{}, true, true, 0},
		"from":               {Query{From: moment}, true, true, 1},
		"from later":         {Query{From: moment.Add(1)}, false, false, 1},
		"to":                 {Query{To: moment}, false, false, 1},
		"to later":           {Query{From: moment, To: moment.Add(1)}, true, true, 2},
		"client":             {Query{Client: "shop"}, true, false, 1},
		"client other":       {Query{Client: "branch"}, false, false, 1},
		"actor":              {Query{Actor: "shop"}, true, false, 1},
		"actor on behalf":    {Query{Actor: "branch"}, true, false, 1},
		"source":             {Query{Source: netip.MustParsePrefix("203.0.113.7/32")}, true, true, 1},
		"source prefix":      {Query{Source: netip.MustParsePrefix("203.0.0.0/16")}, true, true, 1},
		"source other":       {Query{Source: netip.MustParsePrefix("203.0.113.8/32")}, false, true, 1},
		"source elsewhere":   {Query{Source: netip.MustParsePrefix("2001:db8::/32")}, false, false, 1},
		"method":             {Query{Method: "/heyan.v1.VerificationService/Verify"}, true, false, 1},
		"event":              {Query{Event: record.RefusalBulk}, false, true, 1},
		"category":           {Query{Category: record.CategoryAccess}, true, false, 1},
		"outcome":            {Query{Outcome: record.Denied}, true, false, 1},
		"reason":             {Query{Reason: "CONSENT_MISSING"}, true, false, 1},
		"product":            {Query{Product: "id2"}, true, false, 1},
		"product other":      {Query{Product: "phone2"}, false, false, 1},
		"verification":       {Query{Verification: "v-1"}, true, false, 1},
		"verification other": {Query{Verification: "v-2"}, false, false, 1},
		"session":            {Query{Session: "s-1"}, true, false, 1},
		"two, one wrong":     {Query{Session: "s-1", Outcome: record.Success}, false, false, 2},
	} {
		if c.q.Match(&r) != c.match || c.q.Match(&bulk) != c.tally || len(c.q.Fields()) != c.fields {
			t.Errorf("%s: %v, %v, %v", name, c.q.Match(&r), c.q.Match(&bulk), c.q.Fields())
		}
	}
	q := Query{From: moment.Add(-time.Hour), Source: netip.MustParsePrefix("203.0.0.0/16"), Product: "id2"}
	if n := testing.AllocsPerRun(10, func() { q.Match(&r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
