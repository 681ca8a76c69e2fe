package datafile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/datafile"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	build(t, path, randomRows(100, 1), datafile.Options{})
	raw, err := os.ReadFile(path)
	must(t, err)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		key    byte
		want   error
	}{
		"another key":     {func(p []byte) []byte { return p }, 2, datafile.ErrWrongKey},
		"a newer version": {func(p []byte) []byte { p[7]++; return p }, 1, datafile.ErrNewerFormat},
		"a newer version under another key": {func(p []byte) []byte { p[7]++; return p }, 2,
			datafile.ErrNewerFormat},
		"another kind of file": {func(p []byte) []byte { return bytes.Repeat([]byte("text"), 1000) }, 1, datafile.ErrNotDatafile},
		"an empty file":        {func(p []byte) []byte { return nil }, 1, datafile.ErrNotDatafile},
		"cut by a byte":        {func(p []byte) []byte { return p[:len(p)-1] }, 1, datafile.ErrTampered},
		"cut to the header":    {func(p []byte) []byte { return p[:120] }, 1, datafile.ErrTampered},
		"longer by a byte":     {func(p []byte) []byte { return append(p, 0) }, 1, datafile.ErrTampered},
		"another dataset's name": {func(p []byte) []byte { return bytes.Replace(p, []byte("national"), []byte("nationaL"), 1) },
			1, datafile.ErrTampered},
	} {
		changed := filepath.Join(dir, "changed")
		must(t, os.WriteFile(changed, c.change(bytes.Clone(raw)), 0o600))
		if _, err := datafile.Open(changed, key(c.key)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := datafile.Open(filepath.Join(dir, "absent"), key(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := datafile.Open(path, key(1)[:5]); err == nil {
		t.Error("a short key was accepted")
	}
}

// Every byte of a file matters: changed, the file is refused, or the look-up that needs it is. No
// look-up gives other data, and none hides what is there.
func TestEveryByteFlipped(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	rows := randomRows(25, 1)
	want := oracle(rows)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	build(t, path, rows, datafile.Options{})
	raw, err := os.ReadFile(path)
	must(t, err)
	refused, found := 0, 0
	for at := range raw {
		changed := bytes.Clone(raw)
		changed[at] ^= 1 << rng.IntN(8)
		must(t, os.WriteFile(path, changed, 0o600))
		r, err := datafile.Open(path, key(1))
		if err != nil {
			refused++
			continue
		}
		failures := 0
		for a, p := range want {
			list, ok, err := r.Lookup(a, nil)
			switch {
			case errors.Is(err, datafile.ErrTampered):
				failures++
			case err != nil:
				t.Errorf("byte %d: %v", at, err)
			case !ok:
				t.Errorf("byte %d: an anchor was hidden without an error", at)
			case !slices.Equal(payloads(list), p):
				t.Errorf("byte %d: another list", at)
			}
		}
		if failures == 0 {
			// Only a bucket's own tag is not needed for hits. Misses need it.
			for range 300 {
				if _, ok, err := r.Lookup(randomAnchor(rng), nil); errors.Is(err, datafile.ErrTampered) {
					failures++
				} else if ok || err != nil {
					t.Errorf("byte %d: a miss gives %v, %v", at, ok, err)
				}
			}
		}
		if failures == 0 {
			t.Errorf("byte %d of %d: no look-up noticed", at, len(raw))
		}
		found++
		if err := r.Verify(); !errors.Is(err, datafile.ErrTampered) {
			t.Errorf("byte %d: Verify gives %v", at, err)
		}
		if err := r.Iterate(func(anchor, []byte) error { return nil }); !errors.Is(err, datafile.ErrTampered) {
			t.Errorf("byte %d: Iterate gives %v", at, err)
		}
		must(t, r.Close())
	}
	if refused == 0 || found == 0 {
		t.Errorf("%d refused, %d found at look-up: both must occur", refused, found)
	}
}

// A bucket put in another's place, or a record in another's, is not taken for its own.
func TestMovedBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var rows []pair
	for range 64 {
		rows = append(rows, pair{randomAnchor(rng), "twelve bytes"}) // all sealed lists are as long
	}
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	raw, err := os.ReadFile(path)
	must(t, err)
	slices.SortFunc(rows, func(a, b pair) int { return bytes.Compare(a.anchor[:], b.anchor[:]) })
	first, second := bytes.Index(raw, rows[0].anchor[:]), bytes.Index(raw, rows[1].anchor[:])
	if first < 0 || second != first+datafile.AnchorSize {
		t.Fatal("the layout is not what this test expects")
	}
	// The anchors of two records exchanged: each would now answer with the other's list.
	changed := bytes.Clone(raw)
	copy(changed[first:], rows[1].anchor[:])
	copy(changed[second:], rows[0].anchor[:])
	must(t, os.WriteFile(path, changed, 0o600))
	r := open(t, path)
	for _, row := range rows[:2] {
		if _, _, err := r.Lookup(row.anchor, nil); !errors.Is(err, datafile.ErrTampered) {
			t.Errorf("%v, want ErrTampered", err)
		}
	}
}

// A file cut short while it is open is an error of the look-up and not the end of the process.
func TestFaultIsAnError(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be cut there")
	}
	rows := randomRows(2000, 1)
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	r := open(t, path)
	must(t, os.Truncate(path, 0))
	for _, row := range rows[:20] {
		if _, found, err := r.Lookup(row.anchor, nil); !errors.Is(err, datafile.ErrUnreadable) || found {
			t.Errorf("Lookup: %v, %v, want ErrUnreadable", found, err)
		}
	}
	if err := r.Verify(); !errors.Is(err, datafile.ErrUnreadable) {
		t.Errorf("Verify: %v, want ErrUnreadable", err)
	}
	if err := r.Iterate(func(anchor, []byte) error { return nil }); !errors.Is(err, datafile.ErrUnreadable) {
		t.Errorf("Iterate: %v, want ErrUnreadable", err)
	}
}

func TestClose(t *testing.T) {
	rows := randomRows(5000, 1)
	want := oracle(rows)
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	for range 20 {
		r, err := datafile.Open(path, key(1))
		must(t, err)
		var group sync.WaitGroup
		begun := make(chan struct{}, 8)
		for g := range 8 {
			group.Go(func() {
				var dst []byte
				for i := 0; ; i++ {
					a := rows[(g*631+i)%len(rows)].anchor
					list, found, err := r.Lookup(a, dst[:0])
					if errors.Is(err, datafile.ErrClosed) {
						return
					}
					if err != nil || !found || !slices.Equal(payloads(list), want[a]) {
						t.Errorf("during Close: %v, %v", found, err)
						return
					}
					if dst = list; i == 0 {
						begun <- struct{}{}
					}
				}
			})
		}
		<-begun
		must(t, r.Close())
		must(t, r.Close())
		group.Wait()
		if _, _, err := r.Lookup(rows[0].anchor, nil); !errors.Is(err, datafile.ErrClosed) {
			t.Errorf("Lookup after Close: %v", err)
		}
		if err := r.Verify(); !errors.Is(err, datafile.ErrClosed) {
			t.Errorf("Verify after Close: %v", err)
		}
		if err := r.Iterate(nil); !errors.Is(err, datafile.ErrClosed) {
			t.Errorf("Iterate after Close: %v", err)
		}
	}
}

// A walk that is under way keeps the file, and may look things up in it.
func TestCloseDuringIterate(t *testing.T) {
	rows := randomRows(300, 1)
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	r, err := datafile.Open(path, key(1))
	must(t, err)
	seen := 0
	must(t, r.Iterate(func(a anchor, _ []byte) error {
		if seen == 0 {
			if _, found, err := r.Lookup(a, nil); !found || err != nil {
				t.Errorf("Lookup in Iterate: %v, %v", found, err)
			}
			must(t, r.Close())
			if _, _, err := r.Lookup(a, nil); !errors.Is(err, datafile.ErrClosed) {
				t.Errorf("Lookup after Close: %v, want ErrClosed", err)
			}
		}
		seen++
		return nil
	}))
	if seen != len(oracle(rows)) {
		t.Errorf("%d anchors after Close in the middle", seen)
	}
}

// A crash in the middle of Finish: whatever is left, it is not under the final name, and does not
// disturb the next attempt.
func TestLeftOvers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path+".new", bytes.Repeat([]byte("half a file"), 10_000), 0o600))
	rows := randomRows(100, 1)
	build(t, path, rows, datafile.Options{})
	check(t, open(t, path), oracle(rows))
	if _, err := os.Stat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the left-over is still there")
	}
}

func TestFailedFinishLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	must(t, os.Mkdir(dir, 0o700))
	w, err := datafile.Create(filepath.Join(dir, "f"), header, key(1), datafile.Options{})
	must(t, err)
	must(t, w.Add(anchor{1}, nil))
	// The name is taken by a directory that is not empty, so renaming fails.
	must(t, os.MkdirAll(filepath.Join(dir, "f", "x"), 0o700))
	if _, err := w.Finish(); err == nil {
		t.Fatal("Finish succeeded")
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 || left[0].Name() != "f" {
		t.Errorf("left: %v", left)
	}
}

func TestItemsOfNonsense(t *testing.T) {
	for _, list := range [][]byte{nil, {5}, {1}, {0xff}, binary.AppendUvarint(nil, 1<<60), {1, 2, 9, 1}} {
		n := 0
		for p := range datafile.Items(list) {
			if n++; len(p) > len(list) {
				t.Errorf("%x: an item larger than the list", list)
			}
		}
		if n > 1 {
			t.Errorf("%x: %d items", list, n)
		}
	}
}
