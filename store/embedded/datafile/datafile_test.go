package datafile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/datafile"
)

type anchor = [datafile.AnchorSize]byte

var header = datafile.Header{Dataset: "national", Generation: "g1", Suite: "hmac-sha256:1:n1", Attributes: []byte{1, 2}}

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, datafile.KeySize) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func randomAnchor(rng *rand.Rand) (a anchor) {
	for i := 0; i < len(a); i += 8 {
		binary.LittleEndian.PutUint64(a[i:], rng.Uint64())
	}
	return a
}

// pair is one row.
type pair struct {
	anchor  anchor
	payload string
}

// oracle is what a file of rows must answer.
func oracle(rows []pair) map[anchor][]string {
	all := map[anchor][]string{}
	for _, r := range rows {
		all[r.anchor] = append(all[r.anchor], r.payload)
	}
	for a := range all {
		slices.Sort(all[a])
		all[a] = slices.Compact(all[a])
	}
	return all
}

// randomRows makes rows of which some share an anchor and some are repeated.
func randomRows(n int, seed uint64) []pair {
	rng := rand.New(rand.NewPCG(seed, 9))
	rows := make([]pair, 0, n)
	for len(rows) < n {
		row := pair{randomAnchor(rng), strings.Repeat("x", rng.IntN(200)) + fmt.Sprint(rng.IntN(5))}
		switch {
		case len(rows) > 0 && rng.IntN(4) == 0:
			row.anchor = rows[rng.IntN(len(rows))].anchor
		case len(rows) > 0 && rng.IntN(10) == 0:
			row = rows[rng.IntN(len(rows))]
		}
		rows = append(rows, row)
	}
	return rows
}

func build(t testing.TB, path string, rows []pair, options datafile.Options) datafile.Info {
	t.Helper()
	w, err := datafile.Create(path, header, key(1), options)
	must(t, err)
	for _, r := range rows {
		must(t, w.Add(r.anchor, []byte(r.payload)))
	}
	info, err := w.Finish()
	must(t, err)
	return info
}

func open(t testing.TB, path string) *datafile.Reader {
	t.Helper()
	r, err := datafile.Open(path, key(1))
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

func payloads(list []byte) (all []string) {
	for p := range datafile.Items(list) {
		all = append(all, string(p))
	}
	return all
}

// check compares a whole file with the oracle.
func check(t *testing.T, r *datafile.Reader, want map[anchor][]string) {
	t.Helper()
	if r.Len() != uint64(len(want)) {
		t.Errorf("Len = %d, want %d", r.Len(), len(want))
	}
	items := 0
	for a, p := range want {
		items += len(p)
		list, found, err := r.Lookup(a, nil)
		if err != nil || !found || !slices.Equal(payloads(list), p) {
			t.Fatalf("Lookup: %v, %v, %d payloads, want %d", found, err, len(payloads(list)), len(p))
		}
		near := a
		near[31] ^= 1
		if _, found, err := r.Lookup(near, nil); found || err != nil {
			t.Fatalf("Lookup of an absent neighbour: %v, %v", found, err)
		}
	}
	if r.Items() != uint64(items) {
		t.Errorf("Items = %d, want %d", r.Items(), items)
	}
	var last anchor
	seen := 0
	must(t, r.Iterate(func(a anchor, list []byte) error {
		if bytes.Compare(last[:], a[:]) > 0 {
			t.Error("Iterate is out of order")
		}
		if !slices.Equal(payloads(list), want[a]) {
			t.Error("Iterate gives another list")
		}
		last = a
		seen++
		return nil
	}))
	if seen != len(want) {
		t.Errorf("Iterate gives %d anchors, want %d", seen, len(want))
	}
	must(t, r.Verify())
}

func TestAgainstAMap(t *testing.T) {
	for _, n := range []int{0, 1, 2, 15, 16, 17, 1000, 30_000} {
		rows := randomRows(n, uint64(n))
		want := oracle(rows)
		path := filepath.Join(t.TempDir(), "f")
		info := build(t, path, rows, datafile.Options{})
		r := open(t, path)
		check(t, r, want)
		stat, err := os.Stat(path)
		must(t, err)
		if info != (datafile.Info{Rows: uint64(n), Anchors: r.Len(), Items: r.Items(), Bytes: stat.Size()}) || r.Bytes() != stat.Size() {
			t.Errorf("%d rows: Info = %+v", n, info)
		}
		if got := r.Header(); got.Dataset != header.Dataset || got.Generation != header.Generation ||
			got.Suite != header.Suite || !bytes.Equal(got.Attributes, header.Attributes) {
			t.Errorf("Header = %+v", got)
		}
		if stat.Mode().Perm() != 0o600 {
			t.Errorf("mode %o", stat.Mode().Perm())
		}
	}
}

// Spilling changes how a file is made and not what it holds.
func TestSpilling(t *testing.T) {
	rows := randomRows(20_000, 5)
	want := oracle(rows)
	dir := t.TempDir()
	for _, memory := range []int{1, 100_000, 1 << 20, 4 << 20} {
		n := len(rows)
		if memory == 1 {
			n = 300 // a run a row
		}
		path := filepath.Join(dir, fmt.Sprint(memory))
		build(t, path, rows[:n], datafile.Options{Memory: memory})
		if n < len(rows) {
			check(t, open(t, path), oracle(rows[:n]))
		} else {
			check(t, open(t, path), want)
		}
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 4 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestDuplicatesAddUp(t *testing.T) {
	a := randomAnchor(rand.New(rand.NewPCG(1, 1)))
	var rows []pair
	for _, p := range []string{"b", "a", "", "b", "a", "ab", "a", ""} {
		rows = append(rows, pair{a, p})
	}
	for _, memory := range []int{1, 1 << 20} {
		path := filepath.Join(t.TempDir(), "f")
		build(t, path, rows, datafile.Options{Memory: memory})
		list, found, err := open(t, path).Lookup(a, nil)
		if err != nil || !found || !slices.Equal(payloads(list), []string{"", "a", "ab", "b"}) {
			t.Errorf("memory %d: %q, %v, %v", memory, payloads(list), found, err)
		}
	}
}

func TestLookupAppends(t *testing.T) {
	rows := randomRows(10, 1)
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, rows, datafile.Options{})
	r := open(t, path)
	list, _, err := r.Lookup(rows[0].anchor, []byte("before"))
	if must(t, err); !bytes.HasPrefix(list, []byte("before")) || len(payloads(list[6:])) == 0 {
		t.Error("dst was overwritten")
	}
	if list, _, _ := r.Lookup(anchor{}, []byte("before")); string(list) != "before" {
		t.Errorf("a miss gives %q", list)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	w, err := datafile.Create(filepath.Join(dir, "f"), header, key(1), datafile.Options{})
	must(t, err)
	must(t, w.Add(anchor{1}, make([]byte, datafile.MaxPayload)))
	if err := w.Add(anchor{1}, make([]byte, datafile.MaxPayload+1)); !errors.Is(err, datafile.ErrTooLarge) {
		t.Errorf("a payload too large: %v", err)
	}
	for i := range datafile.MaxList / datafile.MaxPayload {
		payload := make([]byte, datafile.MaxPayload)
		binary.BigEndian.PutUint32(payload, uint32(i))
		must(t, w.Add(anchor{2}, payload))
	}
	if _, err := w.Finish(); !errors.Is(err, datafile.ErrTooLarge) {
		t.Errorf("a list too large: %v", err)
	}
	if err := w.Add(anchor{}, nil); !errors.Is(err, datafile.ErrClosed) {
		t.Errorf("Add after Finish: %v", err)
	}
	if _, err := w.Finish(); !errors.Is(err, datafile.ErrClosed) {
		t.Errorf("a second Finish: %v", err)
	}
	wantEmpty(t, dir)
	if _, err := datafile.Create(filepath.Join(dir, "f"), datafile.Header{Dataset: strings.Repeat("x", 1<<21)}, key(1), datafile.Options{}); !errors.Is(err, datafile.ErrTooLarge) {
		t.Errorf("a header too large: %v", err)
	}
	if _, err := datafile.Create(filepath.Join(dir, "f"), header, key(1)[:16], datafile.Options{}); err == nil {
		t.Error("a short key was accepted")
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left in the directory: %v", left)
	}
}

// Two anchors with one nonce would give their lists away to whoever has both.
func TestSharedNonceIsRefused(t *testing.T) {
	dir := t.TempDir()
	w, err := datafile.Create(filepath.Join(dir, "f"), header, key(1), datafile.Options{})
	must(t, err)
	must(t, w.Add(anchor{12: 1}, []byte("x")))
	must(t, w.Add(anchor{12: 2}, []byte("y")))
	if _, err := w.Finish(); !errors.Is(err, datafile.ErrNonce) {
		t.Errorf("Finish: %v, want ErrNonce", err)
	}
	wantEmpty(t, dir)
}

func TestNothingBeforeFinish(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	w, err := datafile.Create(path, header, key(1), datafile.Options{Memory: 1000})
	must(t, err)
	for _, r := range randomRows(500, 1) {
		must(t, w.Add(r.anchor, []byte(r.payload)))
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is a file before Finish")
	}
	must(t, w.Abort())
	must(t, w.Abort())
	wantEmpty(t, dir)
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("there"), 0o600))
	if _, err := datafile.Create(path, header, key(1), datafile.Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create: %v, want ErrExist", err)
	}
}

type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNoFileWithoutRandomness(t *testing.T) {
	if _, err := datafile.Create(filepath.Join(t.TempDir(), "f"), header, key(1), datafile.Options{Random: noRandom{}}); err == nil {
		t.Error("a file was begun without a salt")
	}
}

// Payloads are nowhere in clear: not in the file, not in the runs spilled while it is made.
func TestPayloadsAreSealed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	w, err := datafile.Create(path, header, key(1), datafile.Options{Memory: 10_000})
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		must(t, w.Add(randomAnchor(rng), []byte("CANARY in a payload")))
	}
	look := func(when string) {
		for _, name := range openFiles(t, dir) {
			raw, err := os.ReadFile(name)
			must(t, err)
			if len(raw) == 0 {
				t.Errorf("%s: %s is empty, the case tests nothing", when, name)
			}
			if bytes.Contains(raw, []byte("CANARY")) {
				t.Errorf("%s: a payload is in %s", when, name)
			}
		}
	}
	look("while spilling")
	_, err = w.Finish()
	must(t, err)
	look("finished")
}

// openFiles lists the files in dir, and those opened there that have no name any more.
func openFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return names
	}
	for _, d := range descriptors {
		link := "/proc/self/fd/" + d.Name()
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir) {
			names = append(names, link)
		}
	}
	return names
}

// Two files of equal rows share no sealed bytes: the key belongs to the file.
func TestFilesDiffer(t *testing.T) {
	rows := randomRows(50, 1)
	dir := t.TempDir()
	build(t, filepath.Join(dir, "a"), rows, datafile.Options{})
	build(t, filepath.Join(dir, "b"), rows, datafile.Options{})
	a, err := os.ReadFile(filepath.Join(dir, "a"))
	must(t, err)
	b, err := os.ReadFile(filepath.Join(dir, "b"))
	must(t, err)
	start := bytes.Index(a, rows[0].anchor[:])
	if len(a) != len(b) || start < 0 {
		t.Fatal("the files have another layout")
	}
	equal := 0
	for i := start; i+16 < len(a); i += 16 {
		if bytes.Equal(a[i:i+16], b[i:i+16]) {
			equal++
		}
	}
	// Anchors and index are equal, lists are not: with lists equal too nearly all would be.
	if equal*16 > len(a)*3/4 {
		t.Errorf("%d of %d blocks are equal", equal, len(a)/16)
	}
}

func TestIterateStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	build(t, path, randomRows(100, 1), datafile.Options{})
	stop := errors.New("enough")
	n := 0
	if err := open(t, path).Iterate(func(anchor, []byte) error {
		n++
		return stop
	}); err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// The size that the package documentation promises.
func TestBytesADigest(t *testing.T) {
	if testing.Short() {
		t.Skip("builds large files: not in short mode")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for links := 2; links <= 4; links++ {
		const people = 20_000
		w, err := datafile.Create(filepath.Join(t.TempDir(), "f"), header, key(1), datafile.Options{})
		must(t, err)
		for range people {
			record := make([]byte, 0, 33*links)
			for kind := range links {
				digest := randomAnchor(rng)
				record = append(append(record, byte(kind)), digest[:]...)
			}
			must(t, w.Add(randomAnchor(rng), record))
		}
		info, err := w.Finish()
		must(t, err)
		ratio := float64(info.Bytes) / float64(32*people*(links+1))
		t.Logf("%d links: %.3f × 32 bytes a digest", links, ratio)
		if ratio > 1.3 {
			t.Errorf("%d links: %.3f × 32 bytes a digest, want at most 1.3", links, ratio)
		}
	}
}
