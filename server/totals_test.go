package server_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// counted reads the log's totals and holds them against its records: they follow one another without a gap, and count what
// is there. It returns how many there are and where they end.
func (w *world) counted(t *testing.T) (n int, end uint64) {
	t.Helper()
	all := w.Records(0)
	for _, r := range all {
		p := r.Totals
		if p == nil {
			continue
		}
		if p.From != end || p.Begin != 0 || p.Parts != 1 {
			t.Fatalf("a total of %d to %d, in %d parts, behind one to %d", p.From, p.To, p.Parts, end)
		}
		want := map[record.Group]uint64{}
		for i := p.From; i < p.To; i++ {
			want[record.GroupOf(&all[i])]++
		}
		for _, g := range p.Groups {
			key := g
			key.Count = 0
			if want[key] != g.Count {
				t.Errorf("the total of %d to %d counts %+v, and there are %d", p.From, p.To, g, want[key])
			}
			delete(want, key)
		}
		if len(want) > 0 {
			t.Errorf("the total of %d to %d leaves out %v", p.From, p.To, want)
		}
		n, end = n+1, p.To
	}
	return n, end
}

// TestTotals: an hour leaves one total, whatever happens in it.
func TestTotals(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	count := func(what string, want int) {
		t.Helper()
		must(t, w.Count())
		if n, _ := w.counted(t); n != want {
			t.Fatalf("%s: %d totals, want %d", what, n, want)
		}
	}
	verify(w.bank.Conn, w.Request("first", 1))
	count("within the hour", 0)
	w.pass(time.Hour)
	verify(w.bank.Conn, w.Request("second", 2)) // of the next hour, and counted in the total of this one
	count("the next hour", 1)
	count("again", 1)
	w.pass(-2 * time.Hour)
	count("the clock was set back", 2)
	w.pass(3 * time.Hour)
	count("and forward", 3)
	w.pass(time.Hour)
	count("an hour in which only that total was written", 4)

	w.restart(nil) // in the middle of an hour: the stop writes one
	count("after a stop", 5)
	verify(w.bank.Conn, w.Request("third", 3))

	// A crash: the log as it was while the server ran, and none of what the stop wrote.
	w.noMark()
	crashed := filepath.Join(t.TempDir(), "log")
	must(t, os.CopyFS(crashed, os.DirFS(filepath.Join(w.Dir, "log"))))
	before := w.Log.Size()
	w.restart(func() {
		must(t, os.RemoveAll(filepath.Join(w.Dir, "log")))
		must(t, os.CopyFS(filepath.Join(w.Dir, "log"), os.DirFS(crashed)))
	})
	count("after a crash", 5)
	w.pass(time.Hour)
	count("the hour after the crash", 6)
	if _, end := w.counted(t); end <= before {
		t.Errorf("counted to %d, and the crash was at %d", end, before)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.CountToNow(cancelled); err == nil {
		t.Error("a cancelled call counts")
	}
	must(t, w.CountToNow(t.Context()))
	if n, end := w.counted(t); n != 7 || end != w.Log.Size()-1 {
		t.Errorf("%d totals to %d of %d", n, end, w.Log.Size())
	}
}

// TestTotalsOfALogThatStopped: a stop is not held up by a log that takes nothing.
func TestTotalsOfALogThatStopped(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	w.logDown()
	if err := w.CountToNow(t.Context()); err == nil {
		t.Error("a total was written to a log that cannot be written")
	}
	w.Stop()
}
