package datafile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/datafile"
)

// A rewritten file holds what was kept, all of it and nothing else: whole anchors go, and single payloads of one.
func TestRewrite(t *testing.T) {
	for _, people := range []int{1, 2000, 20_000} { // one bucket, some, and more than there are parts
		rows := randomRows(people, 3)
		dir := t.TempDir()
		build(t, filepath.Join(dir, "old"), rows, datafile.Options{})
		want, gone := oracle(rows), map[anchor][]string{}
		turn := 0
		for a, all := range want {
			switch turn++; {
			case turn%3 == 0:
				gone[a] = all
				delete(want, a)
			case turn%3 == 1 && len(all) > 1:
				gone[a] = all[:1]
				want[a] = all[1:]
			}
		}
		old := open(t, filepath.Join(dir, "old"))
		asked := uint64(0)
		info, err := old.Rewrite(filepath.Join(dir, "new"), key(1), func(a anchor, payload []byte) (bool, error) {
			asked++
			return !slices.Contains(gone[a], string(payload)), nil
		})
		must(t, err)
		r := open(t, filepath.Join(dir, "new"))
		check(t, r, want)
		for a := range gone {
			if list, _, err := r.Lookup(a, nil); err != nil || !slices.Equal(payloads(list), want[a]) {
				t.Errorf("a payload that was not kept is found: %v", err)
			}
		}
		must(t, r.Verify())
		if h := r.Header(); h.Dataset != header.Dataset || h.Generation != header.Generation || h.Suite != header.Suite || !bytes.Equal(h.Attributes, header.Attributes) {
			t.Errorf("the header became %+v", h)
		}
		if asked != old.Items() || info.Anchors != r.Len() || info.Items != r.Items() || info.Rows != info.Items || info.Bytes != r.Bytes() {
			t.Errorf("asked for %d of %d, and made %+v", asked, old.Items(), info)
		}
	}
}

// A file of which nothing is kept is a file without anchors.
func TestRewriteToNothing(t *testing.T) {
	dir := t.TempDir()
	rows := randomRows(100, 1)
	build(t, filepath.Join(dir, "old"), rows, datafile.Options{})
	_, err := open(t, filepath.Join(dir, "old")).Rewrite(filepath.Join(dir, "new"), key(1), func(anchor, []byte) (bool, error) { return false, nil })
	must(t, err)
	r := open(t, filepath.Join(dir, "new"))
	check(t, r, nil)
	if _, found, err := r.Lookup(rows[0].anchor, nil); found || err != nil {
		t.Errorf("Lookup: %v, %v", found, err)
	}
}

// The nonce of a list is its anchor, so the new file must have keys of its own: nothing sealed is the same in both.
func TestRewriteHasItsOwnKeys(t *testing.T) {
	dir := t.TempDir()
	rows := randomRows(50, 1)
	build(t, filepath.Join(dir, "old"), rows, datafile.Options{})
	_, err := open(t, filepath.Join(dir, "old")).Rewrite(filepath.Join(dir, "new"), key(1), func(anchor, []byte) (bool, error) { return true, nil })
	must(t, err)
	before, err := os.ReadFile(filepath.Join(dir, "old"))
	must(t, err)
	after, err := os.ReadFile(filepath.Join(dir, "new"))
	must(t, err)
	if len(before) != len(after) || bytes.Equal(before[16:48], after[16:48]) {
		t.Fatal("the salts are equal, or the layout is another one")
	}
	equal := 0
	for i := 0; i+16 < len(before); i += 16 {
		if bytes.Equal(before[i:i+16], after[i:i+16]) {
			equal++
		}
	}
	if equal*16 > len(before)*3/4 { // anchors and index are equal, and with the lists nearly everything would be
		t.Errorf("%d of %d blocks are equal", equal, len(before)/16)
	}
}

// What ends early leaves nothing, and what is there is never overwritten.
func TestRewriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d")
	must(t, os.Mkdir(path, 0o700))
	build(t, filepath.Join(dir, "old"), randomRows(100, 1), datafile.Options{})
	old := open(t, filepath.Join(dir, "old"))
	stop, asked := errors.New("enough"), 0
	_, err := old.Rewrite(filepath.Join(path, "new"), key(1), func(anchor, []byte) (bool, error) {
		asked++
		return true, stop
	})
	if !errors.Is(err, stop) || asked != 1 {
		t.Errorf("%v after %d", err, asked)
	}
	wantEmpty(t, path)
	all := func(anchor, []byte) (bool, error) { return true, nil }
	if _, err := old.Rewrite(filepath.Join(dir, "old"), key(1), all); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "old"))
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(filepath.Join(dir, "changed"), raw, 0o600))
	if _, err := open(t, filepath.Join(dir, "changed")).Rewrite(filepath.Join(path, "new"), key(1), all); !errors.Is(err, datafile.ErrTampered) {
		t.Errorf("of a file that was changed: %v", err)
	}
	wantEmpty(t, path)
}
