package netlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

var (
	moment  = time.Date(2026, 3, 31, 16, 0, 0, 0, time.UTC)
	signing = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	sealing = bytes.Repeat([]byte{2}, 32)
)

func options(dir string) Options {
	return Options{Dir: dir, Node: "node-1", Now: func() time.Time { return moment }, SigningKey: signing, SealKey: sealing}
}

// leaf is record n of most tests; it differs in length, so that frames do.
func leaf(n int) []byte {
	r := record.Record{Time: moment.Add(time.Duration(n)), Event: record.VerificationVerify,
		Session: fmt.Sprintf("s-%0*d", 1+n%7, n), Outcome: record.Outcome{Kind: record.Success}}
	b, err := record.Append(nil, &r)
	if err != nil {
		panic(err)
	}
	return b
}

func create(t testing.TB, opt Options) *Log {
	t.Helper()
	l, err := Create(opt, "init")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func open(t testing.TB, opt Options) (*Log, Recovery) {
	t.Helper()
	l, rec, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, rec
}

// add appends leaf(n) and waits.
func add(t testing.TB, l *Log, n int) {
	t.Helper()
	ticket, err := l.Append(leaf(n))
	if err != nil {
		t.Fatal(err)
	}
	if ticket.Index() != uint64(n) {
		t.Fatalf("index %d, want %d", ticket.Index(), n)
	}
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, l *Log, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		add(t, l, n)
	}
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// reader is what Log and Reader have in common.
type reader interface {
	Read(ctx context.Context, from, to uint64, fn func(uint64, []byte) error) error
	Size() uint64
	Verify(ctx context.Context, outside ...Evidence) (Report, error)
	Proof(ctx context.Context, index uint64) ([]byte, error)
	Get(ctx context.Context, index uint64) ([]byte, error)
	Checkpoint() []byte
	Key() string
}

// holds fails unless the log holds origin.born and then leaf(1) … leaf(size-1), each with a proof, and verifies.
func holds(t testing.TB, r reader, size int) {
	t.Helper()
	if r.Size() != uint64(size) {
		t.Fatalf("size %d, want %d", r.Size(), size)
	}
	next := uint64(0)
	err := r.Read(context.Background(), 0, uint64(size)+5, func(index uint64, b []byte) error {
		if index != next || index > 0 && !bytes.Equal(b, leaf(int(index))) {
			return fmt.Errorf("record %d differs", index)
		}
		next++
		return nil
	})
	if err != nil || next != uint64(size) {
		t.Fatalf("%d records read, %v", next, err)
	}
	for index := range uint64(size) {
		b, err := r.Get(context.Background(), index)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := r.Proof(context.Background(), index)
		if err != nil {
			t.Fatal(err)
		}
		parsed, covers, err := proven(b, proof, r.Key())
		if err != nil || parsed.Index != index || covers.Size != uint64(size) {
			t.Fatalf("receipt of %d: %+v, %v", index, covers, err)
		}
	}
	if report, err := r.Verify(context.Background()); err != nil || !report.Whole() || report.Verified != uint64(size) {
		t.Fatalf("%v\n%v", report, err)
	}
}

// proven verifies a receipt as somebody who has the key and nothing else.
func proven(leaf, text []byte, key string) (tree.Proof, tree.Checkpoint, error) {
	verifier, err := tree.NewVerifier(key)
	if err != nil {
		return tree.Proof{}, tree.Checkpoint{}, err
	}
	p, err := tree.ParseProof(text)
	if err != nil {
		return p, tree.Checkpoint{}, err
	}
	c, err := p.Verify(leaf, verifier)
	return p, c, err
}

func forms(t *testing.T, run func(t *testing.T, opt Options)) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": sealing} {
		t.Run(name, func(t *testing.T) {
			opt := options(filepath.Join(t.TempDir(), "log"))
			opt.SealKey = key
			run(t, opt)
		})
	}
}

func TestLifeOfALog(t *testing.T) {
	forms(t, func(t *testing.T, opt Options) {
		opt.FileSize = 2000 // several files
		l := create(t, opt)
		fill(t, l, 1, 20)
		holds(t, l, 20)
		closeLog(t, l)
		l, rec := open(t, opt)
		if rec.Size != 20 || rec.CutBytes != 0 || rec.Origin != l.Origin() {
			t.Errorf("%+v", rec)
		}
		fill(t, l, 20, 40)
		holds(t, l, 40)
		// A reader beside the running log, and then after it.
		r, err := OpenReader(ReaderOptions{Dir: opt.Dir, Key: l.Key(), SealKey: opt.SealKey})
		if err != nil {
			t.Fatal(err)
		}
		holds(t, r, 40)
		r.Close()
		closeLog(t, l)
		if r, err = OpenReader(ReaderOptions{Dir: opt.Dir, SealKey: opt.SealKey}); err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		holds(t, r, 40)
		c, err := r.Coverage(t.Context())
		if err != nil || c.Size != 40 || c.Files < 3 || !c.Oldest.Equal(moment) || !c.Newest.Equal(moment.Add(39)) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FileSize = 1000
	l := create(t, opt)
	fill(t, l, 1, 10)
	closeLog(t, l)
	l, _ = open(t, opt)
	n := 0
	err := filepath.WalkDir(opt.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		n++
		return err
	})
	if err != nil || n < 8 {
		t.Error(n, err)
	}
	closeLog(t, l)
}

func TestSealedAtRest(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	l := create(t, opt)
	r := record.Record{Time: moment, Event: record.SystemStarted, Session: "canary-5d41402abc", Outcome: record.Outcome{Kind: record.Success}}
	b, err := record.Append(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := l.Append(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	l, _ = open(t, opt)
	closeLog(t, l)
	for path, content := range contents(t, opt.Dir) {
		if bytes.Contains(content, []byte("canary")) || bytes.Contains(content, []byte("system.started")) {
			t.Errorf("%s holds a record in clear", path)
		}
	}
	opt.SealKey = nil
	if _, _, err := Open(opt); err == nil {
		t.Error("a sealed log opens without a key")
	}
	opt.SealKey = make([]byte, 32)
	if _, _, err := Open(opt); !errors.Is(err, atrest.ErrKey) {
		t.Error(err)
	}
	if _, err := OpenReader(ReaderOptions{Dir: opt.Dir}); !errors.Is(err, atrest.ErrNoKey) {
		t.Error(err)
	}
}

// contents returns all files of a directory but the lock.
func contents(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockFile {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func restore(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for rel, content := range files {
		path := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreateAndOpenRefuse(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	if _, _, err := Open(opt); !errors.Is(err, ErrNoLog) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := os.Stat(opt.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("Open made the directory")
	}
	if _, err := OpenReader(ReaderOptions{Dir: opt.Dir}); !errors.Is(err, ErrNoLog) {
		t.Errorf("reader: %v", err)
	}
	l := create(t, opt)
	if _, _, err := Open(opt); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("open twice: %v", err)
	}
	closeLog(t, l)
	if _, err := Create(opt, "init"); !errors.Is(err, ErrExists) {
		t.Errorf("create twice: %v", err)
	}
	other := opt
	other.SigningKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	if _, _, err := Open(other); !errors.Is(err, ErrKey) {
		t.Errorf("other signing key: %v", err)
	}
	other = opt
	other.Node = "node-2"
	if _, _, err := Open(other); err == nil {
		t.Error("another node's log opens")
	}
	foreign, err := tree.NewSigner("node-3-ab", signing)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(ReaderOptions{Dir: opt.Dir, Key: foreign.Key()}); !errors.Is(err, ErrKey) {
		t.Errorf("reader with another key: %v", err)
	}
	for name, breakIt := range map[string]func(*Options){
		"no clock": func(o *Options) { o.Now = nil }, "no key": func(o *Options) { o.SigningKey = nil }, "no directory": func(o *Options) { o.Dir = "" },
		"short seal key": func(o *Options) { o.SealKey = []byte("x") }, "bad node": func(o *Options) { o.Node = "Node 1" },
	} {
		o := options(filepath.Join(t.TempDir(), "log"))
		breakIt(&o)
		if _, err := Create(o, "init"); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	if _, err := Create(options(filepath.Join(t.TempDir(), "log")), "two words"); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("cause with a space: %v", err)
	}
}

// A log that is not admitted is as it was, torn tail and all; one that is admitted was read before it was asked about.
func TestAdmit(t *testing.T) {
	opt := options(t.TempDir())
	l := create(t, opt)
	fill(t, l, 1, 30)
	closeLog(t, l)
	wals, err := walNames(opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(wals[len(wals)-1], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("torn"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	before, refusal := contents(t, opt.Dir), errors.New("no")
	opt.Admit = func(r *Reader) error {
		if r.Size() != 30 || r.Checkpoint() == nil {
			t.Errorf("asked about %d records", r.Size())
		}
		return refusal
	}
	if _, _, err := Open(opt); !errors.Is(err, refusal) {
		t.Fatalf("opened: %v", err)
	}
	after := contents(t, opt.Dir)
	for name, content := range before {
		if !bytes.Equal(after[name], content) {
			t.Errorf("%s was changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, were %d", len(after), len(before))
	}
	refusal = nil
	if _, rec := open(t, opt); rec.CutBytes != 4 || rec.Size != 30 {
		t.Errorf("%+v", rec)
	}
}

func TestBirth(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.Predecessor = tree.Checkpoint{Origin: "node-1-00", Size: 77, Root: tree.Hash{3}}
	l, err := Create(opt, "restore")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := l.Get(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Parse(b)
	want := record.Birth{Origin: l.Origin(), Cause: "restore", Predecessor: "node-1-00", PredecessorSize: 77, PredecessorRoot: [32]byte{3}}
	if err != nil || r.Event != record.OriginBorn || *r.Birth != want {
		t.Errorf("%+v, %v", r.Birth, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := create(t, options(filepath.Join(t.TempDir(), "log")))
	for _, b := range [][]byte{nil, make([]byte, record.MaxSize+1)} {
		if _, err := l.Append(b); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	closeLog(t, l)
	if _, err := l.Append(leaf(1)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := l.Healthy(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestManyWriters: indexes are given once each, in the order of each caller, and all is there.
func TestManyWriters(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FileSize = 20000
	l := create(t, opt)
	const writers, each = 16, 40
	var mu sync.Mutex
	at := map[uint64][]byte{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			last := uint64(0)
			for i := range each {
				b := leaf(w*each + i)
				ticket, err := l.Append(b)
				if err == nil {
					err = ticket.Wait(context.Background())
				}
				if err != nil || ticket.Index() <= last {
					t.Error(ticket.Index(), err)
					return
				}
				last = ticket.Index()
				mu.Lock()
				at[last] = b
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(at) != writers*each {
		t.Fatalf("%d indexes", len(at))
	}
	closeLog(t, l)
	l, _ = open(t, opt)
	if err := l.Read(t.Context(), 1, l.Size(), func(index uint64, b []byte) error {
		if !bytes.Equal(at[index], b) {
			return fmt.Errorf("record %d differs", index)
		}
		return nil
	}); err != nil || l.Size() != writers*each+1 {
		t.Error(l.Size(), err)
	}
}

// Whoever watches the log is told of every record, once, with its flush.
func TestFlushed(t *testing.T) {
	var records atomic.Int64
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.Flushed = func(n int, took time.Duration) {
		if n <= 0 || took < 0 {
			t.Errorf("%d records in %v", n, took)
		}
		records.Add(int64(n))
	}
	log, err := Create(opt, "test")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		ticket, err := log.Append([]byte("leaf"))
		if err != nil {
			t.Fatal(err)
		}
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := records.Load(); got != int64(log.Size()) {
		t.Errorf("told of %d records of %d", got, log.Size())
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}
