package journal_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

var start = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// world is a journal over a real network log, with a clock that the test moves.
type world struct {
	*journal.Journal
	t    *testing.T
	log  *netlog.Log
	disk *disktest.FS

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: start, disk: disktest.New()}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	w.log, err = netlog.Create(netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "test", Now: w.clock, SigningKey: key, FS: w.disk}, "test")
	must(t, err)
	t.Cleanup(func() { _ = w.log.Close() }) // fails where the test broke the disk
	w.Journal = journal.New(w.log, w.clock, func() record.Clock { return record.Clock{} }, journal.Hooks{})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// records reads the log from an index on.
func (w *world) records(from uint64) []record.Record {
	w.t.Helper()
	var all []record.Record
	must(w.t, w.log.Read(w.t.Context(), from, w.log.Size(), func(_ uint64, leaf []byte) error {
		r, err := record.Parse(leaf)
		all = append(all, r)
		return err
	}))
	return all
}

// breakDisk makes every flush fail.
func (w *world) breakDisk() {
	w.disk.Hook(func(op disktest.Op) error {
		if op.Kind == disktest.Sync {
			return errors.New("injected: no flush")
		}
		return nil
	})
}

func codeOf(f *fault.Fault) uint32 {
	if f == nil {
		return 0
	}
	return 2
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
