package outside

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// history is a log in memory: its tree, and a key that signs it.
type history struct {
	t      *testing.T
	signer *tree.Signer
	tree.Frontier
	hashes []tree.Hash
	purged bool
}

func newHistory(t *testing.T, origin string, seed byte) *history {
	t.Helper()
	s, err := tree.NewSigner(origin, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return &history{t: t, signer: s}
}

// grow adds records until there are so many, each with this text.
func (h *history) grow(size uint64, text string) *history {
	for h.Size() < size {
		h.hashes = append(h.hashes, h.Append(tree.LeafHash(fmt.Appendf(nil, "%s %d", text, h.Size())), nil)...)
	}
	return h
}

func (h *history) note() []byte {
	h.t.Helper()
	n, err := h.signer.Sign(h.Size(), h.Root())
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *history) Key() string { return h.signer.Key() }

func (h *history) ReadHashes(indexes []int64) ([]tree.Hash, error) {
	out := make([]tree.Hash, len(indexes))
	if h.purged {
		return nil, netlog.ErrPurged
	}
	for i, x := range indexes {
		out[i] = h.hashes[x]
	}
	return out, nil
}

// open makes targets of lines.
func open(t *testing.T, lines ...string) []*Target {
	t.Helper()
	specs := make([]Spec, len(lines))
	for i, line := range lines {
		var err error
		if specs[i], err = Parse(line, t.TempDir()); err != nil {
			t.Fatalf("target %d: %v", i+1, err)
		}
	}
	targets, err := Open(specs, Options{Node: "node1", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return targets
}

// check holds the log against targets, and returns what was refused and which targets said nothing.
func check(t *testing.T, log Log, targets ...*Target) (doubts []error, err error) {
	t.Helper()
	err = Check(t.Context(), targets, log, func(_ *Target, err error) { doubts = append(doubts, err) })
	return doubts, err
}

// wantRefused wants exactly one refusal.
func wantRefused(t *testing.T, err error, reason Reason, there, here uint64) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason != reason || refused.There != there || refused.Here != here {
		t.Fatalf("%v, want reason %d with %d there and %d here", err, reason, there, here)
	}
	if text := err.Error(); !strings.Contains(text, refused.Target) || strings.Contains(text, "\n") || refused.Remedy() == "" {
		t.Errorf("it says %q", text)
	}
}

// fileTarget is a file target in a folder of its own.
func fileTarget(t *testing.T) (*Target, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "heyan.checkpoints")
	return open(t, "file://"+path)[0], path
}

func send(t *testing.T, target *Target, notes ...[]byte) {
	t.Helper()
	for _, n := range notes {
		if err := target.send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
}

// What a start is refused for, and what not.
func TestCheck(t *testing.T) {
	const origin = "node1-0123456789abcdef"
	mine := func(size uint64) *history { return newHistory(t, origin, 1).grow(size, "a") }
	fork := func(size uint64) *history { return newHistory(t, origin, 1).grow(size-1, "a").grow(size, "b") }
	other := newHistory(t, "node2-0123456789abcdef", 1).grow(900, "c").note()
	stolen := newHistory(t, origin, 2).grow(5, "a").note()
	forged := bytes.Replace(mine(50).note(), []byte("\n50\n"), []byte("\n51\n"), 1)
	for name, c := range map[string]struct {
		there  [][]byte
		here   *history
		reason Reason
		size   uint64 // there
		doubt  error
	}{
		"the same":                      {[][]byte{mine(20).note(), mine(40).note()}, mine(40), 0, 0, nil},
		"a longer log":                  {[][]byte{mine(20).note(), mine(40).note()}, mine(77), 0, 0, nil},
		"a shorter log":                 {[][]byte{mine(20).note(), mine(40).note()}, mine(39), Behind, 40, nil},
		"another root at its size":      {[][]byte{mine(20).note(), mine(40).note()}, fork(40), Forked, 40, nil},
		"written on after a rollback":   {[][]byte{mine(40).note()}, fork(40).grow(99, "b"), Forked, 40, nil},
		"the newest is not the last":    {[][]byte{mine(40).note(), mine(20).note()}, mine(30), Behind, 40, nil},
		"two histories were sent":       {[][]byte{mine(40).note(), fork(40).note()}, mine(40), Forked, 40, nil},
		"of another origin":             {[][]byte{other, mine(20).note(), other}, mine(30), 0, 0, nil},
		"only of another origin":        {[][]byte{other}, mine(30), 0, 0, ErrNone},
		"its name under another key":    {[][]byte{mine(20).note(), stolen, mine(21).note()}, mine(30), OtherKey, 5, nil},
		"its key did not sign it":       {[][]byte{mine(20).note(), forged}, mine(60), Forged, 51, nil},
		"text that is no checkpoint":    {[][]byte{[]byte("hello\n\nthere"), mine(20).note()}, mine(30), 0, 0, nil},
		"cut short in the text":         {[][]byte{mine(20).note()[:30], mine(21).note()}, mine(30), 0, 0, nil},
		"cut short in the signature":    {[][]byte{mine(20).note(), mine(21).note()[:150]}, mine(20), 0, 0, nil},
		"cut short, then sent again":    {[][]byte{mine(21).note()[:len(mine(21).note())-9], mine(21).note()}, mine(21), 0, 0, nil},
		"cut short behind the blank":    {[][]byte{mine(20).note()[:bytes.Index(mine(20).note(), []byte("\n\n"))+2], mine(21).note()}, mine(20), Behind, 21, nil},
		"nothing was sent yet":          {nil, mine(5), 0, 0, os.ErrNotExist},
		"an empty note, nothing behind": {[][]byte{{}}, mine(5), 0, 0, ErrNone},
	} {
		t.Run(name, func(t *testing.T) {
			target, _ := fileTarget(t)
			send(t, target, c.there...)
			doubts, err := check(t, c.here, target)
			if c.reason != 0 {
				wantRefused(t, err, c.reason, c.size, c.here.Size())
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.doubt == nil && len(doubts) > 0 || c.doubt != nil && (len(doubts) != 1 || !errors.Is(doubts[0], c.doubt) && !errors.Is(doubts[0], ErrNone)) {
				t.Errorf("doubts %v", doubts)
			}
		})
	}
}

// The newest checkpoint that any target has, for the first record of the origin after it.
func TestNewest(t *testing.T) {
	h := newHistory(t, "node1-0123456789abcdef", 1).grow(20, "a")
	verifier, err := tree.NewVerifier(h.Key())
	if err != nil {
		t.Fatal(err)
	}
	first, _ := fileTarget(t)
	second, _ := fileTarget(t)
	third, _ := fileTarget(t)
	send(t, first, h.note())
	send(t, second, h.grow(30, "a").note())
	send(t, third, newHistory(t, h.Key()[:22], 3).grow(40, "a").note())
	if c := Newest(t.Context(), []*Target{first, second, third}, verifier); c.Size != 30 || c.Root != h.Root() || c.Origin != verifier.Origin() {
		t.Errorf("%+v", c)
	}
}

// A file holds every note as a block of its own, is put beside when it is full, and both are read.
func TestFile(t *testing.T) {
	target, path := fileTarget(t)
	h := newHistory(t, "node1-0123456789abcdef", 1)
	target.carrier.(*file).max = 1000
	for range 7 {
		send(t, target, h.grow(h.Size()+10, "a").note())
	}
	var sizes []uint64
	for _, name := range []string{path + ".1", path} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		malformed, err := Scan(f, func(n Note) error {
			sizes = append(sizes, n.Claims.Size)
			return nil
		})
		if err := errors.Join(err, f.Close()); malformed > 0 || err != nil {
			t.Errorf("%s: %d malformed, %v", name, malformed, err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() > 1000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if fmt.Sprint(sizes) != "[10 20 30 40 50 60 70]" {
		t.Errorf("sizes %v", sizes)
	}
	if err := os.Remove(path); err != nil { // as a crash may leave it
		t.Fatal(err)
	}
	_, err := check(t, newHistory(t, "node1-0123456789abcdef", 1).grow(5, "a"), target)
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.There == 0 {
		t.Errorf("the file before is not read: %v", err)
	}
	missing := open(t, "file://"+filepath.Join(t.TempDir(), "not-mounted", "heyan.checkpoints"))[0]
	if err := missing.send(t.Context(), h.note()); err == nil || strings.Contains(err.Error(), "not-mounted") {
		t.Errorf("a folder that is not there: %v", err)
	}
	folder := open(t, "file://"+t.TempDir())[0]
	if err := folder.send(t.Context(), h.note()); err == nil {
		t.Error("a folder was written")
	}
}

// Of a long file the end is read, and more only where that says nothing of the log.
func TestLongFile(t *testing.T) {
	target, path := fileTarget(t)
	old := newHistory(t, "node1-0123456789abcdef", 1).grow(10, "a")
	other := newHistory(t, "node1-fedcba9876543210", 1).grow(20, "b")
	block := append(other.note(), '\n')
	write(t, path, append(append(old.note(), '\n'), bytes.Repeat(block, tail/len(block)+3)...))
	send(t, target, other.grow(25, "b").note())
	_, err := check(t, newHistory(t, "node1-0123456789abcdef", 1).grow(9, "a"), target)
	wantRefused(t, err, Behind, 10, 9)
	_, err = check(t, newHistory(t, "node1-fedcba9876543210", 1).grow(24, "b"), target)
	wantRefused(t, err, Behind, 25, 24)
}

// A file system that hangs holds one goroutine, and everybody else is told in time.
func TestFileThatHangs(t *testing.T) {
	f := newFile("unused", nil)
	held, entered := make(chan struct{}), 0
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := f.bounded(ctx, func() error { entered++; <-held; return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		cancel()
	}
	close(held)
	if err := f.bounded(t.Context(), func() error { return nil }); err != nil || entered != 1 {
		t.Errorf("%v after %d attempts went in", err, entered)
	}
}
