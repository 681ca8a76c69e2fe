package segment_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

const origin = "node1-0123456789abcdef"

var long = flag.Bool("long", false, "flip every byte")

var (
	start   = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	sealKey = bytes.Repeat([]byte{7}, atrest.KeySize)
)

// world is a log's key and its records, from which segments are made.
type world struct {
	t        testing.TB
	signer   *tree.Signer
	verifier tree.Verifier
	random   *mathrand.ChaCha8
	ids      int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, random: mathrand.NewChaCha8([32]byte{1})}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	w.signer, err = tree.NewSigner(origin, key)
	w.must(err)
	w.verifier, err = tree.NewVerifier(w.signer.Key())
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// id is an id in its text form, as Heyan draws it: a UUID of version 7.
func (w *world) id() string {
	w.ids++
	var b [10]byte
	w.random.Read(b[:])
	b[0], b[2] = b[0]&0x0f|0x70, b[2]&0x3f|0x80
	at := fmt.Sprintf("%012x", start.UnixMilli()+int64(w.ids/2))
	return fmt.Sprintf("%s-%s-%x-%x-%x", at[:8], at[8:], b[:2], b[2:4], b[4:])
}

// verification is record i as a busy server writes it.
func (w *world) verification(i int) *record.Record {
	r := &record.Record{
		Time: start.Add(time.Duration(i) * 731 * time.Microsecond), Clock: record.Clock{State: record.ClockSynchronised, Offset: time.Duration(i%7) * time.Microsecond},
		Event: record.VerificationVerify, Session: fmt.Sprintf("%032x", 1<<62+i%64),
		Actor:       record.Actor{Kind: record.ActorClient, ID: fmt.Sprintf("client-%d", i%20), Role: "client", Credential: fmt.Sprintf("%064x", i%20), AuthMethod: "mtls"},
		Source:      record.Peer{IP: netip.AddrFrom4([4]byte{203, 0, byte(i % 3), byte(i % 97)}), Port: uint16(40000 + i%500)},
		Destination: record.Peer{IP: netip.MustParseAddr("10.0.0.5"), Port: 8443},
		Protocol:    record.Protocol{TLSVersion: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "heyan.example.com", UserAgent: "grpc-go"},
		Action:      "/heyan.v1.VerificationService/Verify", Object: record.Object{Type: "verification", ID: w.id()},
		Outcome: record.Outcome{Kind: record.Success}, Traffic: record.Traffic{BytesIn: 210, BytesOut: 260, MessagesIn: 1, MessagesOut: 1, Duration: time.Duration(300+i%400) * time.Microsecond},
		Processing: &record.Processing{Product: "id2", Purpose: "ACCOUNT_OPENING", Fields: []string{"name", "id_number"}, ConsentUse: w.id(), PolicyVersion: "2026-11",
			Verdict: []string{"MATCH", "MATCH", "MATCH", "MISMATCH"}[i%4], Source: "registry", AsOf: start.AddDate(0, -1, 0), Dataset: "people/3", Billing: "BILLED"},
	}
	binary.BigEndian.PutUint64(r.TraceID[8:], uint64(i)+1)
	w.random.Read(r.Commitment[:])
	if i%50 == 49 {
		r.Outcome, r.Processing, r.Object = record.Outcome{Kind: record.Denied, Code: 3, Reason: "FIELD_MALFORMED"}, nil, record.Object{}
	}
	return r
}

func (w *world) leaf(r *record.Record) []byte {
	b, err := record.Append(nil, r)
	w.must(err)
	return b
}

// tokensOf is a choice of tokens for tests.
func tokensOf(r *record.Record) []segment.Token {
	return []segment.Token{segment.TokenOf(1, r.Actor.ID), segment.TokenOf(2, r.Source.IP.String()), segment.TokenOf(3, r.Object.ID), segment.TokenOf(4, r.Session), segment.TokenOf(5, r.Outcome.Reason)}
}

// segment writes n records after before into name.
func (w *world) segment(fsys disk.FS, name string, before tree.Frontier, n int, key []byte) (leaves [][]byte, sealed segment.Sealed, err error) {
	out, err := segment.Create(fsys, name, origin, before, before.Size()+uint64(n), key, rand.Reader)
	if err != nil {
		return nil, sealed, err
	}
	for i := range n {
		r := w.verification(int(before.Size()) + i)
		leaf := w.leaf(r)
		if err := out.Add(leaf, r.Time, int(r.Event), tokensOf(r)); err != nil {
			out.Abort()
			return nil, sealed, err
		}
		leaves = append(leaves, leaf)
	}
	if sealed, err = out.Seal(key, w.signer.Sign, w.verifier); err != nil {
		out.Abort()
	}
	return leaves, sealed, err
}

func forms(t *testing.T, fn func(t *testing.T, key []byte)) {
	t.Run("sealed", func(t *testing.T) { fn(t, sealKey) })
	t.Run("clear", func(t *testing.T) { fn(t, nil) })
}

func grow(before tree.Frontier, leaves [][]byte) tree.Frontier {
	for _, leaf := range leaves {
		before.Append(tree.LeafHash(leaf), nil)
	}
	return before
}

// TestRoundTrip: two segments, one after the other, give back every record, hash and root.
func TestRoundTrip(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		w, dir := newWorld(t), t.TempDir()
		var before tree.Frontier
		for n, frames := range []int{5, 3} {
			name := filepath.Join(dir, fmt.Sprint(n))
			leaves, sealed, err := w.segment(disk.OS(), name, before, frames*segment.FrameRecords, key)
			w.must(err)
			whole, err := os.ReadFile(name)
			w.must(err)
			if sealed.SHA256 != sha256.Sum256(whole) || sealed.Bytes != int64(len(whole)) {
				t.Error("the digest or size of the file is wrong")
			}
			f, err := segment.Open(name, key)
			w.must(err)
			defer f.Close()
			w.must(w.verify(f))
			h := f.Header()
			if h.First != before.Size() || h.End != before.Size()+uint64(len(leaves)) || h.Origin != origin || f.Frames() != frames || h.Sealed() != (key != nil) {
				t.Errorf("the header is %+v", h)
			}
			after := grow(before, leaves)
			if f.Footer().Root != after.Root() || !slices.Equal(f.Footer().Edge, before.Edge()) {
				t.Error("root or edge differ")
			}
			if got := f.Footer().Events[record.VerificationVerify]; got != uint64(len(leaves)) {
				t.Errorf("%d events counted", got)
			}
			var buffer segment.Buffer
			defer buffer.Release()
			for i := range frames {
				got, err := f.Frame(i, &buffer)
				w.must(err)
				if !slices.EqualFunc(got, leaves[i*256:(i+1)*256], bytes.Equal) {
					t.Fatalf("frame %d holds other records", i)
				}
			}
			for i := range frames {
				var subtree tree.Frontier
				if want := grow(subtree, leaves[i*256:(i+1)*256]); f.Footer().Frames[i].Root != want.Root() {
					t.Errorf("the root of frame %d differs", i)
				}
			}
			before = after
		}
	})
}

// TestCandidates: every frame that holds a record is found by its tokens, few others are, and what is not there is not.
func TestCandidates(t *testing.T) {
	w := newWorld(t)
	const frames = 40
	name := filepath.Join(t.TempDir(), "s")
	leaves, _, err := w.segment(disk.OS(), name, tree.Frontier{}, frames*segment.FrameRecords, sealKey)
	w.must(err)
	f, err := segment.Open(name, sealKey)
	w.must(err)
	defer f.Close()
	holders := map[segment.Token][]int{}
	for i, leaf := range leaves {
		r, err := record.Parse(leaf)
		w.must(err)
		for _, token := range tokensOf(&r) {
			if list := holders[token]; len(list) == 0 || list[len(list)-1] != i/256 {
				holders[token] = append(list, i/256)
			}
		}
	}
	extra := 0
	for token, want := range holders {
		got, err := f.Candidates([][]segment.Token{{token}})
		w.must(err)
		for _, n := range want {
			if !slices.Contains(got, n) {
				t.Fatalf("frame %d is not among %v", n, got)
			}
		}
		extra += len(got) - len(want)
	}
	if extra > len(holders)/16 {
		t.Errorf("%d frames too many for %d tokens", extra, len(holders))
	}
	hits := 0
	for i := range 1000 {
		got, err := f.Candidates([][]segment.Token{{segment.TokenOf(3, fmt.Sprint("nobody", i))}})
		w.must(err)
		hits += len(got)
	}
	if hits > 60 {
		t.Errorf("%d of 1000 tokens that are not there were found", hits)
	}
	first, err := record.Parse(leaves[0])
	w.must(err)
	last, err := record.Parse(leaves[len(leaves)-1])
	w.must(err)
	one, other := segment.TokenOf(3, first.Object.ID), segment.TokenOf(4, last.Session)
	if got, err := f.Candidates([][]segment.Token{{one, other}}); err != nil || !slices.Contains(got, 0) || !slices.Contains(got, frames-1) {
		t.Errorf("either: %v %v", got, err)
	}
	if got, err := f.Candidates([][]segment.Token{{one}, {other}}); err != nil || len(got) > 1 {
		t.Errorf("both: %v %v", got, err)
	}
	if got, err := f.Candidates(nil); err != nil || len(got) != frames {
		t.Errorf("all: %v %v", got, err)
	}
	at := first.Time.Add(time.Second)
	within := 0
	for i := range f.Frames() {
		if f.Within(i, at, at.Add(time.Millisecond)) {
			within++
		}
	}
	if within != 1 || !f.Within(0, time.Time{}, time.Time{}) || f.Within(0, last.Time, time.Time{}) || f.Within(1, time.Time{}, first.Time) {
		t.Errorf("%d frames within a millisecond", within)
	}
	if oldest, latest := f.Footer().Span(); !oldest.Equal(first.Time) || !latest.Equal(last.Time) {
		t.Errorf("span %v to %v", oldest, latest)
	}
}

// TestEveryByte: every bit flip of a file is detected, and where it is in a frame the frame is named.
func TestEveryByte(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		w, dir := newWorld(t), t.TempDir()
		name := filepath.Join(dir, "s")
		_, _, err := w.segment(disk.OS(), name, tree.Frontier{}, 2*segment.FrameRecords, key)
		w.must(err)
		whole, err := os.ReadFile(name)
		w.must(err)
		step := 29
		if *long {
			step = 1
		}
		for at := 0; at < len(whole); at += step {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			w.must(os.WriteFile(name, damaged, 0o600))
			err := check(w, name, key)
			var where *segment.DamageError
			if err == nil || errors.As(err, &where) && (where.File != "s" || where.Part == "") {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
		for _, size := range []int{0, 1, 79, 80, 200, len(whole) / 2, len(whole) - 25, len(whole) - 1} {
			w.must(os.WriteFile(name, whole[:size], 0o600))
			if err := check(w, name, key); !errors.Is(err, segment.ErrDamaged) {
				t.Errorf("cut to %d bytes: %v", size, err)
			}
		}
		w.must(os.WriteFile(name, append(bytes.Clone(whole), 0), 0o600))
		if err := check(w, name, key); !errors.Is(err, segment.ErrDamaged) {
			t.Errorf("a byte longer: %v", err)
		}
	})
}

func check(w *world, name string, key []byte) error {
	f, err := segment.Open(name, key)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.verify(f)
}

func (w *world) verify(f *segment.File) error {
	damage, err := f.Verify(context.Background(), w.verifier, nil) // a fuzz target has no context
	if len(damage) > 0 {
		return damage[0]
	}
	return err
}

// TestKeys: a sealed file needs its key; a checkpoint needs the log's.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	name := filepath.Join(t.TempDir(), "s")
	_, _, err := w.segment(disk.OS(), name, tree.Frontier{}, segment.FrameRecords, sealKey)
	w.must(err)
	if _, err := segment.Open(name, nil); !errors.Is(err, atrest.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := segment.Open(name, bytes.Repeat([]byte{8}, atrest.KeySize)); !errors.Is(err, atrest.ErrKey) {
		t.Errorf("with another key: %v", err)
	}
	if err := check(newWorld(t), name, sealKey); !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("by another log's verifier: %v", err)
	}
	whole, err := os.ReadFile(name)
	w.must(err)
	if bytes.Contains(whole, []byte("VerificationService")) || bytes.Contains(whole, []byte("client-1")) {
		t.Error("a sealed file shows a record")
	}
}

// TestRefusals: what is no segment is refused before anything is written.
func TestRefusals(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for name, end := range map[string]uint64{"empty": 0, "part of a frame": 255, "too long": (segment.MaxFrames + 1) * segment.FrameRecords} {
		if _, err := segment.Create(disk.OS(), filepath.Join(dir, name), origin, tree.Frontier{}, end, nil, rand.Reader); err == nil {
			t.Errorf("%s: begun", name)
		}
	}
	if _, err := segment.Create(disk.OS(), filepath.Join(dir, "k"), origin, tree.Frontier{}, 256, []byte("short"), rand.Reader); err == nil {
		t.Error("a short key is taken")
	}
	if _, err := segment.Create(disk.OS(), filepath.Join(dir, "r"), origin, tree.Frontier{}, 256, sealKey, io.LimitReader(rand.Reader, 3)); err == nil {
		t.Error("begun without randomness")
	}
	out, err := segment.Create(disk.OS(), filepath.Join(dir, "s"), origin, tree.Frontier{}, 256, nil, rand.Reader)
	w.must(err)
	w.must(out.Add(w.leaf(w.verification(0)), start, 1, nil))
	if _, err := out.Seal(nil, w.signer.Sign, w.verifier); err == nil {
		t.Error("sealed before it was full")
	}
	out.Abort()
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v %v", list, err)
	}
}

// TestCrash: whatever a crash leaves, under the name is the whole file or nothing.
func TestCrash(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	fsys := disktest.New()
	_, _, err := w.segment(fsys, filepath.Join(dir, "s"), tree.Frontier{}, segment.FrameRecords, sealKey)
	w.must(err)
	ops := fsys.Ops()
	there := 0
	for n := range len(ops) + 1 {
		for image := range disktest.Crash(ops[:n], 3) {
			restored := t.TempDir()
			w.must(image.Restore(dir, restored))
			name := filepath.Join(restored, "s")
			if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
				if n == len(ops) {
					t.Error("sealed, and gone after a crash")
				}
				continue
			}
			there++
			if err := check(w, name, sealKey); err != nil {
				t.Errorf("after %d of %d operations: %v", n, len(ops), err)
			}
		}
	}
	if there == 0 {
		t.Error("no image has the file")
	}
}

// TestReadBack: a disk that does not keep what it was given is noticed before the file has its name.
func TestReadBack(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	fsys := disktest.New()
	name := filepath.Join(dir, "s")
	fsys.Hook(func(op disktest.Op) error {
		if op.Kind == disktest.Sync { // what was written is altered behind the writer's back
			f, err := os.OpenFile(name+disk.TempSuffix, os.O_RDWR, 0)
			w.must(err)
			defer f.Close()
			_, err = f.WriteAt([]byte{0xff}, 300)
			w.must(err)
		}
		return nil
	})
	if _, _, err := w.segment(fsys, name, tree.Frontier{}, segment.FrameRecords, sealKey); !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("sealed: %v", err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file that is not what was written has the name")
	}
}

// TestVerifyEnds with its context.
func TestVerifyEnds(t *testing.T) {
	w := newWorld(t)
	name := filepath.Join(t.TempDir(), "s")
	_, _, err := w.segment(disk.OS(), name, tree.Frontier{}, segment.FrameRecords, nil)
	w.must(err)
	f, err := segment.Open(name, nil)
	w.must(err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Verify(ctx, w.verifier, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	w, dir := newWorld(f), f.TempDir()
	for _, key := range [][]byte{nil, sealKey} {
		name := filepath.Join(dir, "s")
		_, _, err := w.segment(disk.OS(), name, tree.Frontier{}, segment.FrameRecords, key)
		w.must(err)
		whole, err := os.ReadFile(name)
		w.must(err)
		f.Add(whole)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = check(w, name, sealKey) // it must not panic, nor take much memory
	})
}

func BenchmarkSeal(b *testing.B) {
	w := newWorld(b)
	const n = 64 * segment.FrameRecords
	leaves := make([][]byte, n)
	records := make([]*record.Record, n)
	raw := 0
	for i := range n {
		records[i] = w.verification(i)
		leaves[i] = w.leaf(records[i])
		raw += len(leaves[i])
	}
	dir := b.TempDir()
	var sealed segment.Sealed
	for i := 0; b.Loop(); i++ {
		out, err := segment.Create(disk.OS(), filepath.Join(dir, fmt.Sprint(i)), origin, tree.Frontier{}, n, sealKey, rand.Reader)
		w.must(err)
		for i, leaf := range leaves {
			w.must(out.Add(leaf, records[i].Time, int(records[i].Event), tokensOf(records[i])))
		}
		sealed, err = out.Seal(sealKey, w.signer.Sign, w.verifier)
		w.must(err)
	}
	b.ReportMetric(float64(sealed.Bytes)/n, "B/record")
	b.ReportMetric(float64(raw)/n, "raw_B/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	const n = 256 * segment.FrameRecords
	name := filepath.Join(b.TempDir(), "s")
	_, _, err := w.segment(disk.OS(), name, tree.Frontier{}, n, sealKey)
	w.must(err)
	f, err := segment.Open(name, sealKey)
	w.must(err)
	defer f.Close()
	for b.Loop() {
		w.must(w.verify(f))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// TestTransplant: a block of another file with the same records, at the same place, is not this file's.
func TestTransplant(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		dir := t.TempDir()
		var files [2][]byte
		w := newWorld(t)
		for i := range files {
			name := filepath.Join(dir, fmt.Sprint(i))
			again := newWorld(t) // draws the same ids
			_, _, err := again.segment(disk.OS(), name, tree.Frontier{}, segment.FrameRecords, key)
			w.must(err)
			files[i], err = os.ReadFile(name)
			w.must(err)
		}
		// The first byte behind the headers where the two differ: of the frame's checksum, or of what is sealed.
		at := 150
		for files[0][at] == files[1][at] {
			at++
		}
		mixed := slices.Concat(files[0][:at], files[1][at:at+4], files[0][at+4:])
		name := filepath.Join(dir, "mixed")
		w.must(os.WriteFile(name, mixed, 0o600))
		f, err := segment.Open(name, key)
		w.must(err)
		defer f.Close()
		var buffer segment.Buffer
		defer buffer.Release()
		if _, err := f.Frame(0, &buffer); !errors.Is(err, segment.ErrDamaged) {
			t.Errorf("read: %v", err)
		}
	})
}
