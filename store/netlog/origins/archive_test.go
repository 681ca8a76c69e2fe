package origins

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// kinds lists the problems of a view, "1 TWICE".
func kinds(v View) string {
	var all []string
	for _, p := range v.Problems {
		all = append(all, p.Place+" "+p.Kind)
	}
	return strings.Join(all, ", ")
}

func TestArchive(t *testing.T) {
	a, b := newWorld(t, "a", tree.Checkpoint{}), newWorld(t, "b", tree.Checkpoint{})
	a.add(1, 2)
	b.add(1, 2)
	known := func(w *world) Known { return Known{w.Key(), w.Checkpoint()} }
	signed := func(w *world, size uint64, root tree.Hash) Known {
		t.Helper()
		signer, err := tree.NewSigner(w.Origin(), keyOf(w.node))
		must(t, err)
		note, err := signer.Sign(size, root)
		must(t, err)
		return Known{w.Key(), note}
	}
	places := []Place{Directory("1", a.dir, nil), Directory("2", b.dir, nil)}
	for name, test := range map[string]struct {
		places []Place
		own    string
		known  map[string]Known
		logs   int
		says   string
	}{
		"both":            {places, "", map[string]Known{a.Origin(): known(a), b.Origin(): known(b)}, 2, ""},
		"nothing there":   {[]Place{Directory("1", filepath.Join(a.dir, "none"), nil)}, "", nil, 0, "1 UNREADABLE"},
		"one not listed":  {places, "", map[string]Known{a.Origin(): known(a)}, 1, "2 NOT_LISTED"},
		"another key":     {places, "", map[string]Known{a.Origin(): known(a), b.Origin(): known(a)}, 1, "2 ANOTHER_KEY"},
		"its own":         {places, b.Origin(), map[string]Known{a.Origin(): known(a), b.Origin(): known(b)}, 1, "2 TWICE"},
		"the same twice":  {append(places[:1:1], places...), "", map[string]Known{a.Origin(): known(a), b.Origin(): known(b)}, 2, "1 TWICE"},
		"no checkpoint":   {places[:1], "", map[string]Known{a.Origin(): {Key: a.Key()}}, 1, ""},
		"an older copy":   {places[:1], "", map[string]Known{a.Origin(): signed(a, 9, tree.Hash{1})}, 1, "1 SHORTER"},
		"another history": {places[:1], "", map[string]Known{a.Origin(): signed(a, 2, tree.Hash{1})}, 0, "1 ANOTHER_HISTORY"},
		"no signed note":  {places[:1], "", map[string]Known{a.Origin(): {a.Key(), []byte("x")}}, 0, "1 ANOTHER_HISTORY"},
	} {
		t.Run(name, func(t *testing.T) {
			archive := NewArchive(time.Now, test.places...)
			v := archive.Look(test.own, test.known)
			if got := kinds(v); len(v.Logs) != test.logs || got != test.says {
				t.Errorf("%d logs, problems: %s", len(v.Logs), got)
			}
			must(t, archive.Close())
		})
	}
	var none *Archive
	if v := none.Look("", nil); len(v.Logs)+len(v.Problems) > 0 || none.Close() != nil {
		t.Errorf("no archive has %v", v)
	}
}

// A directory that was not there at first is read once it is, without a restart, and not tried by every call.
func TestArchiveOpensLater(t *testing.T) {
	w := newWorld(t, "a", tree.Checkpoint{})
	w.add(1)
	now, tries, there := began, 0, false
	archive := NewArchive(func() time.Time { return now }, Place{"late", func() (Closed, error) {
		if tries++; !there {
			return nil, fs.ErrNotExist
		}
		return netlog.OpenReader(netlog.ReaderOptions{Dir: w.dir})
	}})
	known := map[string]Known{w.Origin(): {Key: w.Key()}}
	look := func(logs, tried int) {
		t.Helper()
		if v := archive.Look("", known); len(v.Logs) != logs || tries != tried {
			t.Errorf("%d logs after %d tries: %v", len(v.Logs), tries, v.Problems)
		}
	}
	look(0, 1)
	there = true
	look(0, 1)
	now = now.Add(retry)
	look(1, 2)
	now = now.Add(time.Hour)
	look(1, 2)
	must(t, archive.Close())
}

// A damaged log is read as far as that can be done, and named.
func TestArchiveOfADamagedLog(t *testing.T) {
	w := newWorld(t, "a", tree.Checkpoint{})
	w.add(1)
	w.add(2)
	w.add(3)
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(copied, os.DirFS(w.dir)))
	files, err := filepath.Glob(filepath.Join(copied, "wal", "*.wal"))
	must(t, err)
	content, err := os.ReadFile(files[0])
	must(t, err)
	at := strings.Index(string(content), "acme")
	content[at] ^= 1
	must(t, os.WriteFile(files[0], content, 0o600))
	archive := NewArchive(time.Now, Directory("1", copied, nil))
	v := archive.Look("", map[string]Known{w.Origin(): {Key: w.Key()}})
	if got := kinds(v); len(v.Logs) != 1 || got != "1 DAMAGED" {
		t.Fatalf("%d logs, problems: %s", len(v.Logs), got)
	}
	if _, err := v.Log(w.Origin()).Get(t.Context(), 0); err != nil {
		t.Errorf("what stands before the damage: %v", err)
	}
	must(t, archive.Close())
}

func TestLinks(t *testing.T) {
	a := newWorld(t, "a", tree.Checkpoint{})
	a.add(1, 2)
	known := a.head()
	a.add(3)
	cut := filepath.Join(t.TempDir(), "cut")
	for name, test := range map[string]struct {
		before tree.Checkpoint
		logs   func(b *world) []Tree
		want   string
	}{
		"agrees":            {known, func(b *world) []Tree { return []Tree{b.reader(), a.reader()} }, "agrees"},
		"is not there":      {known, func(b *world) []Tree { return []Tree{b.reader()} }, "not given"},
		"nothing was known": {tree.Checkpoint{Origin: a.Origin()}, func(b *world) []Tree { return []Tree{b.reader(), a.reader()} }, "nothing known"},
		"was longer":        {tree.Checkpoint{Origin: a.Origin(), Size: 7, Root: tree.Hash{1}}, func(b *world) []Tree { return []Tree{b.reader(), a.reader()} }, "missing"},
		"was another":       {tree.Checkpoint{Origin: a.Origin(), Size: 2, Root: tree.Hash{1}}, func(b *world) []Tree { return []Tree{b.reader(), a.reader()} }, "tampered"},
		"no birth": {known, func(b *world) []Tree {
			return []Tree{headless{b.reader(), netlog.ErrNotFound}, a.reader()}
		}, "unverifiable"},
		"birth purged": {known, func(b *world) []Tree {
			return []Tree{headless{b.reader(), netlog.ErrPurged}, a.reader()}
		}, "not given"},
		"two copies": {known, func(b *world) []Tree {
			must(t, os.CopyFS(cut, os.DirFS(a.dir)))
			r, err := netlog.OpenReader(netlog.ReaderOptions{Dir: cut})
			must(t, err)
			t.Cleanup(func() { must(t, r.Close()) })
			a.add(4)
			return []Tree{a.reader(), r}
		}, "agrees"},
		"two histories": {known, func(b *world) []Tree { return []Tree{a.reader(), forged{b.reader(), a.Origin()}} }, "tampered"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newWorld(t, "b", test.before)
			b.add(9, 9, 9, 9)
			links, err := Links(t.Context(), test.logs(b))
			must(t, err)
			got := links[0]
			said := got.Verdict.String()
			switch {
			case got.Agrees():
				said = "agrees"
			case got.Verdict == 0 && !got.Given:
				said = "not given"
			case got.Verdict == 0:
				said = "nothing known"
			}
			if said != test.want {
				t.Errorf("%s: %+v", said, got)
			}
		})
	}
}

// headless is a log without its first record.
type headless struct {
	*netlog.Reader
	why error
}

// Get implements Tree.
func (h headless) Get(context.Context, uint64) ([]byte, error) { return nil, h.why }

// forged is a log that says that it is another one.
type forged struct {
	*netlog.Reader
	says string
}

// Origin implements Tree.
func (f forged) Origin() string { return f.says }
