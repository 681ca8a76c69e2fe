package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

func open(t testing.TB, base vfs.FS) *sealed.DB {
	t.Helper()
	db, err := sealed.Open("db", "business", storeKey(1), sealed.Options{Base: base})
	must(t, err)
	return db
}

func closing(t testing.TB, db *sealed.DB) {
	t.Helper()
	must(t, db.Close())
}

func put(t testing.TB, db *sealed.DB, pairs ...string) {
	t.Helper()
	batch := db.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		batch.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	must(t, batch.Commit())
	must(t, batch.Close())
}

func remove(t testing.TB, db *sealed.DB, keys ...string) {
	t.Helper()
	batch := db.NewBatch()
	for _, key := range keys {
		batch.Delete([]byte(key))
	}
	must(t, batch.Commit())
	must(t, batch.Close())
}

func wantValue(t testing.TB, db *sealed.DB, key, want string) {
	t.Helper()
	got, found, err := db.Get(nil, []byte(key))
	if err != nil || !found || string(got) != want {
		t.Errorf("Get(%q) = %q, %v, %v, want %q", key, got, found, err, want)
	}
}

func wantAbsent(t testing.TB, db *sealed.DB, key string) {
	t.Helper()
	if got, found, err := db.Get(nil, []byte(key)); err != nil || found {
		t.Errorf("Get(%q) = %q, %v, %v, want nothing", key, got, found, err)
	}
}

func TestRows(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	put(t, db, "a/1", "one", "a/2", "", "b/1", "other")
	put(t, db, "a/1", "uno")
	remove(t, db, "b/1", "never there")
	check := func() {
		t.Helper()
		wantValue(t, db, "a/1", "uno")
		wantValue(t, db, "a/2", "")
		wantAbsent(t, db, "b/1")
		wantAbsent(t, db, "a/")
	}
	check()
	must(t, db.Flush())
	check()
	closing(t, db)
	db = open(t, base)
	check()
	must(t, db.Purge(t.Context()))
	check()
	closing(t, db)
	db = open(t, base)
	check()
	closing(t, db)
}

func TestGetAppends(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	put(t, db, "k", "value")
	got, _, err := db.Get([]byte("before "), []byte("k"))
	if must(t, err); string(got) != "before value" {
		t.Errorf("Get = %q", got)
	}
	if got, _, _ = db.Get([]byte("before"), []byte("absent")); string(got) != "before" {
		t.Errorf("Get of an absent key = %q", got)
	}
}

func TestIter(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	put(t, db, "a", "0", "p/1", "1", "p/2", "2", "p0", "3", "p\xff", "4", "\xff\xff", "5", "\xff", "6")
	walk := func(prefix string) string {
		iter, err := db.NewIter([]byte(prefix))
		must(t, err)
		var seen []string
		for iter.Next() {
			seen = append(seen, fmt.Sprintf("%x=%s", iter.Key(), iter.Value()))
		}
		must(t, iter.Close())
		return strings.Join(seen, " ")
	}
	for prefix, want := range map[string]string{
		"":       "61=0 702f31=1 702f32=2 7030=3 70ff=4 ff=6 ffff=5",
		"p/":     "702f31=1 702f32=2",
		"p":      "702f31=1 702f32=2 7030=3 70ff=4",
		"p\xff":  "70ff=4",
		"\xff":   "ff=6 ffff=5",
		"absent": "",
	} {
		if got := walk(prefix); got != want {
			t.Errorf("prefix %q: %s, want %s", prefix, got, want)
		}
	}
	iter, err := db.NewIterRange([]byte("p/2"), []byte("p\xff"))
	must(t, err)
	if !iter.SeekGE(nil) || string(iter.Key()) != "p/2" {
		t.Error("SeekGE of nothing is not the first row of the range")
	}
	if !iter.SeekGE([]byte("p/3")) || string(iter.Key()) != "p0" || iter.Next() {
		t.Error("SeekGE and then the end of the range went wrong")
	}
	must(t, iter.Close())
}

// An iterator shows the rows as they were when it was made.
func TestIterIsConsistent(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	put(t, db, "a", "1", "b", "1")
	iter, err := db.NewIter(nil)
	must(t, err)
	put(t, db, "b", "2", "c", "2")
	remove(t, db, "a")
	n := 0
	for iter.Next() {
		if n++; string(iter.Value()) != "1" {
			t.Errorf("%s = %s", iter.Key(), iter.Value())
		}
	}
	if must(t, iter.Close()); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestDeleteRange(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	put(t, db, "a", "1", "b", "1", "c", "1")
	batch := db.NewBatch()
	batch.DeleteRange([]byte("a"), []byte("c"))
	must(t, batch.Commit())
	must(t, batch.Close())
	wantAbsent(t, db, "a")
	wantAbsent(t, db, "b")
	wantValue(t, db, "c", "1")
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	for _, key := range []string{"", "\x00"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("key %q was accepted", key)
				}
			}()
			batch := db.NewBatch()
			defer batch.Close()
			batch.Set([]byte(key), nil)
		}()
	}
}

// What was acknowledged survives a crash at any moment, and a batch is there whole or not at all.
func TestCrash(t *testing.T) {
	base := vfs.NewCrashableMem()
	db := open(t, base)
	var (
		mu    sync.Mutex
		acked = map[string]bool{}
		group sync.WaitGroup
	)
	type crash struct {
		files *vfs.MemFS
		acked map[string]bool
	}
	var crashes []crash
	for writer := range 4 {
		group.Go(func() {
			for i := range 60 {
				id := fmt.Sprintf("%d-%d", writer, i)
				put(t, db, "x/"+id, strings.Repeat(id, 200), "y/"+id, "second half")
				mu.Lock()
				acked[id] = true
				mu.Unlock()
				if i%20 == 10 {
					must(t, db.Flush())
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 15 {
		time.Sleep(time.Millisecond)
		mu.Lock()
		c := crash{acked: map[string]bool{}}
		for id := range acked {
			c.acked[id] = true
		}
		mu.Unlock()
		c.files = base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
		crashes = append(crashes, c)
	}
	group.Wait()
	crashes = append(crashes, crash{base.CrashClone(vfs.CrashCloneCfg{}), acked})
	closing(t, db)
	for i, c := range crashes {
		db, err := sealed.Open("db", "business", storeKey(1), sealed.Options{Base: c.files})
		if err != nil {
			t.Fatalf("crash %d with %d acknowledged: %v", i, len(c.acked), err)
		}
		for id := range c.acked {
			wantValue(t, db, "x/"+id, strings.Repeat(id, 200))
		}
		for writer := range 4 {
			for i := range 60 {
				id := fmt.Sprintf("%d-%d", writer, i)
				_, first, err1 := db.Get(nil, []byte("x/"+id))
				_, second, err2 := db.Get(nil, []byte("y/"+id))
				if first != second || err1 != nil || err2 != nil {
					t.Errorf("half a batch: %v %v %v %v", first, second, err1, err2)
				}
			}
		}
		closing(t, db)
	}
}

// A crash in the middle of the first Open leaves a directory that opens.
func TestCrashWhileCreating(t *testing.T) {
	for stopAt := range 200 {
		base := vfs.NewCrashableMem()
		var mu sync.Mutex // Pebble writes from several goroutines
		done := 0
		var crashed *vfs.MemFS
		watching := errorfs.Wrap(base, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if done++; done == stopAt+1 {
					crashed = base.CrashClone(vfs.CrashCloneCfg{})
				}
			}
			return nil
		}))
		db, err := sealed.Open("db", "business", storeKey(1), sealed.Options{Base: watching})
		must(t, err)
		closing(t, db)
		if crashed == nil {
			if stopAt < 10 {
				t.Fatalf("only %d writes seen", stopAt)
			}
			return
		}
		db, err = sealed.Open("db", "business", storeKey(1), sealed.Options{Base: crashed})
		if err != nil {
			t.Fatalf("crash before write %d: %v", stopAt, err)
		}
		put(t, db, "k", "v")
		wantValue(t, db, "k", "v")
		closing(t, db)
	}
	t.Fatal("Open never came to an end")
}

func TestSyncWaitLetsFlushesOverlap(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	one, two := db.NewBatch(), db.NewBatch()
	one.Set([]byte("1"), []byte("v"))
	two.Set([]byte("2"), []byte("v"))
	must(t, one.CommitNoSyncWait())
	must(t, two.CommitNoSyncWait())
	wantValue(t, db, "1", "v")
	must(t, two.SyncWait())
	must(t, one.SyncWait())
	must(t, one.Close())
	must(t, two.Close())
	wantValue(t, db, "2", "v")
}

func TestOpenRefusesTheDirectory(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	put(t, db, "k", "v")
	closing(t, db)
	for name, c := range map[string]struct {
		change func(*vfs.MemFS)
		store  string
		key    byte
		want   error
	}{
		"another key":   {nil, "business", 2, sealed.ErrWrongKey},
		"another store": {nil, "subjects", 1, sealed.ErrNotSealed},
		"no format mark": {func(m *vfs.MemFS) { must(t, m.Remove("db/FORMAT")) },
			"business", 1, sealed.ErrNotSealed},
		"a newer store format": {func(m *vfs.MemFS) {
			write(t, newFS(t, m, 1), "db/FORMAT", []byte("heyan store 2\nwhatever that release writes"))
		}, "business", 1, sealed.ErrNewerFormat},
		"a newer file format": {func(m *vfs.MemFS) {
			raw := read(t, m, "db/FORMAT")
			raw[7]++
			overwrite(t, m, "db/FORMAT", raw)
		}, "business", 1, sealed.ErrNewerFormat},
		"a damaged mark": {func(m *vfs.MemFS) {
			raw := read(t, m, "db/FORMAT")
			raw[headerSize] ^= 1
			overwrite(t, m, "db/FORMAT", raw)
		}, "business", 1, sealed.ErrTampered},
		"an empty mark": {func(m *vfs.MemFS) { overwrite(t, m, "db/FORMAT", nil) },
			"business", 1, sealed.ErrTampered},
	} {
		t.Run(name, func(t *testing.T) {
			copied := vfs.NewMem()
			_, err := vfs.Clone(base, copied, "db", "db")
			must(t, err)
			if c.change != nil {
				c.change(copied)
			}
			before := fingerprint(t, copied)
			if _, err := sealed.Open("db", c.store, storeKey(c.key), sealed.Options{Base: copied}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if fingerprint(t, copied) != before {
				t.Error("refusing the directory changed it")
			}
		})
	}
}

func fingerprint(t *testing.T, base vfs.FS) string {
	names, err := base.List("db")
	must(t, err)
	var all bytes.Buffer
	for _, name := range sorted(names) {
		fmt.Fprintf(&all, "%s %x\n", name, read(t, base, "db/"+name))
	}
	return all.String()
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	db, err := sealed.Open(dir, "s", storeKey(1), sealed.Options{})
	must(t, err)
	if _, err := sealed.Open(dir, "s", storeKey(1), sealed.Options{}); err == nil {
		t.Error("a directory was opened twice")
	}
	closing(t, db)
	db, err = sealed.Open(dir, "s", storeKey(1), sealed.Options{})
	must(t, err)
	closing(t, db)
}

// A log that cannot be flushed stops the database: nobody knows what is on the disk.
func TestFailedFlushStops(t *testing.T) {
	var broken bool
	var mu sync.Mutex
	base := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && strings.HasSuffix(op.Path, ".log") &&
			(op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return errors.New("input/output error at a place with secrets")
		}
		return nil
	}))
	stopped := make(chan string, 2)
	var log safeBuffer
	db, err := sealed.Open("db", "s", storeKey(1), sealed.Options{
		Base: base,
		Log:  slog.New(slog.NewTextHandler(&log, nil)),
		Stop: func(reason string) { stopped <- reason },
	})
	must(t, err)
	put(t, db, "k", "v")
	mu.Lock()
	broken = true
	mu.Unlock()
	batch := db.NewBatch()
	batch.Set([]byte("a secret key"), []byte("a secret value"))
	// Pebble may find the failure in the commit, whose goroutine then never comes back.
	failed := make(chan error, 1)
	go func() { failed <- batch.Commit() }()
	<-stopped
	select {
	case err := <-failed:
		if err == nil {
			t.Error("a commit whose flush failed was acknowledged")
		}
	default:
	}
	if _, _, err := db.Get(nil, []byte("k")); !errors.Is(err, sealed.ErrStopped) {
		t.Errorf("Get: %v, want ErrStopped", err)
	}
	if _, err := db.NewIter(nil); !errors.Is(err, sealed.ErrStopped) {
		t.Errorf("NewIter: %v, want ErrStopped", err)
	}
	if err := db.Purge(context.Background()); !errors.Is(err, sealed.ErrStopped) {
		t.Errorf("Purge: %v, want ErrStopped", err)
	}
	next := db.NewBatch()
	next.Set([]byte("n"), nil)
	if err := next.Commit(); !errors.Is(err, sealed.ErrStopped) {
		t.Errorf("Commit: %v, want ErrStopped", err)
	}
	if len(stopped) != 0 {
		t.Error("Stop was called twice")
	}
	if text := log.String(); strings.Contains(text, "secret") {
		t.Errorf("the log quotes: %s", text)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var _ io.Writer = (*safeBuffer)(nil)

// pebble's errors package links a crash reporter (sentry-go). Nothing here may start it or dial out.
func TestNothingReports(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	put(t, db, "k", "v")
	must(t, db.Purge(t.Context()))
	var stacks [1 << 20]byte
	if all := string(stacks[:runtimeStack(stacks[:])]); strings.Contains(all, "getsentry") {
		t.Errorf("a goroutine of the crash reporter runs:\n%s", all)
	}
	if descriptors, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, d := range descriptors {
			if target, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil && strings.HasPrefix(target, "socket:") {
				t.Errorf("descriptor %s is a socket", d.Name())
			}
		}
	}
	closing(t, db)
}
