package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

func runtimeStack(p []byte) int { return runtime.Stack(p, true) }

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// digests makes n keys of 32 random bytes, as digests are.
func digests(n int, seed uint64) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = string(random(32, seed<<32|uint64(i)))
	}
	return all
}

func putAll(t testing.TB, db *sealed.DB, keys []string) {
	t.Helper()
	for part := range slices.Chunk(keys, 500) {
		var pairs []string
		for _, key := range part {
			pairs = append(pairs, key, valueOf(key))
		}
		put(t, db, pairs...)
	}
}

// holding lists the files of db in whose contents, as seen through files, a part of any key is found.
func holding(t testing.TB, files vfs.FS, keys []string) map[string]int {
	t.Helper()
	names, err := files.List("db")
	must(t, err)
	found := map[string]int{}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		file, err := files.Open("db/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // obsolete, and deleted since it was listed
		}
		must(t, err)
		contents, err := io.ReadAll(file)
		must(t, err)
		must(t, file.Close())
		for _, key := range keys {
			// Blocks leave out what a key has in common with the one before.
			if bytes.Contains(contents, []byte(key[12:])) || strings.Contains(name, key[:4]) {
				found[name]++
			}
		}
	}
	return found
}

// T-DIG-2 of MV-3.1-sha256 and MV-3.2-desensitised for the embedded engine: no key and no value can be
// found in any file, while the same search in the opened files finds them.
func TestNoKeyOrValueOnDisk(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	defer closing(t, db)
	keys := digests(2000, 1)
	opened := newFS(t, base, 1)
	check := func(when string) {
		t.Helper()
		if found := holding(t, base, keys); len(found) != 0 {
			t.Errorf("%s: keys in the files: %v", when, found)
		}
		if found := holding(t, opened, keys); len(found) == 0 {
			t.Errorf("%s: the search finds nothing in the opened files either", when)
		}
	}
	putAll(t, db, keys)
	check("in the log")
	must(t, db.Flush())
	check("after a flush")
	putAll(t, db, digests(2000, 2))
	must(t, db.Purge(t.Context()))
	check("after compaction")
}

// MV-5.3-delete-request: after a purge nothing of a deleted row is left, not even sealed.
func TestPurge(t *testing.T) {
	for name, prepare := range map[string]func(db *sealed.DB, gone, kept []string){
		"deleted from tables": func(db *sealed.DB, gone, kept []string) {
			putAll(t, db, gone)
			must(t, db.Flush())
			putAll(t, db, kept)
			must(t, db.Flush())
			remove(t, db, gone...)
		},
		// One table with few deletions is moved to the last level as it is.
		"deletions moved down": func(db *sealed.DB, gone, kept []string) {
			putAll(t, db, append(slices.Clone(gone), kept...))
			remove(t, db, gone...)
			must(t, db.Flush())
		},
		"only in the log": func(db *sealed.DB, gone, kept []string) {
			putAll(t, db, gone)
			remove(t, db, gone...)
			putAll(t, db, kept)
		},
		"by range": func(db *sealed.DB, gone, kept []string) {
			putAll(t, db, gone)
			must(t, db.Flush())
			slices.Sort(gone)
			batch := db.NewBatch()
			batch.DeleteRange([]byte(gone[0]), []byte(gone[len(gone)-1]+"\x00"))
			must(t, batch.Commit())
			must(t, batch.Close())
			putAll(t, db, kept)
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := vfs.NewMem()
			db := open(t, base)
			defer closing(t, db)
			opened := newFS(t, base, 1)
			gone, kept := digests(30, 1), digests(1000, 2)
			prepare(db, gone, kept)
			if len(holding(t, opened, gone)) == 0 {
				t.Fatal("the rows are gone before the purge: the search or the case is wrong")
			}
			must(t, db.Purge(t.Context()))
			if found := holding(t, opened, gone); len(found) != 0 {
				t.Errorf("deleted keys are left in %v", found)
			}
			for _, key := range kept {
				wantValue(t, db, key, valueOf(key))
			}
		})
	}
}

func TestPurgeRemovesOverwrittenValues(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	defer closing(t, db)
	old := digests(1, 7)[0]
	put(t, db, "k", old)
	must(t, db.Flush())
	put(t, db, "k", "new")
	must(t, db.Purge(t.Context()))
	if found := holding(t, newFS(t, base, 1), []string{old}); len(found) != 0 {
		t.Errorf("the overwritten value is left in %v", found)
	}
}

// A log that is kept to be written over would keep what was deleted.
func TestObsoleteLogsAreNotKept(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	for range 3 {
		put(t, db, "k", "v")
		must(t, db.Flush())
		if n := db.Metrics().WAL.ObsoleteFiles; n != 0 {
			t.Errorf("%d logs are kept for reuse", n)
		}
	}
}

// Purge claims nothing while an iterator holds the files.
func TestPurgeWaitsForIterators(t *testing.T) {
	db := open(t, vfs.NewMem())
	defer closing(t, db)
	put(t, db, "a", "1", "b", "1")
	must(t, db.Flush())
	iter, err := db.NewIter(nil)
	must(t, err)
	iter.Next()
	remove(t, db, "a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- db.Purge(ctx) }()
	for db.Metrics().Table.ZombieCount == 0 {
		runtime.Gosched()
	}
	select {
	case err := <-done:
		t.Fatalf("Purge came back while an iterator was open: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Purge: %v, want cancelled", err)
	}
	must(t, iter.Close())
	must(t, db.Purge(t.Context()))
}

// Flipping any byte of a table is found: by the header's check, by Pebble's checksums or by the row's
// tag. It never shows other data, and never hides a row without an error.
func TestFlippedTable(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	keys := digests(16, 1)
	putAll(t, db, keys)
	must(t, db.Flush())
	closing(t, db)
	flipEverywhere(t, base, ".sst", keys, nil)
}

// The same for the log that a crash leaves, but for its last block of 32 KiB: there a change cannot be
// told from a write that the crash interrupted, so rows may be missing. They are never others.
func TestFlippedLog(t *testing.T) {
	base := vfs.NewCrashableMem()
	db := open(t, base)
	keys := digests(400, 1)
	var ends []int64
	var log string
	for _, key := range keys {
		put(t, db, key, valueOf(key))
		if log == "" {
			names, err := base.List("db")
			must(t, err)
			for _, name := range sorted(names) { // an older log may still wait to be deleted
				if strings.HasSuffix(name, ".log") {
					log = "db/" + name
				}
			}
		}
		info, err := newFS(t, base, 1).Stat(log)
		must(t, err)
		ends = append(ends, info.Size())
	}
	crashed := base.CrashClone(vfs.CrashCloneCfg{})
	closing(t, db)
	const block = 32 << 10
	lastBlock := ends[len(ends)-1] / block * block
	inLastBlock, _ := slices.BinarySearch(ends, lastBlock+1)
	if inLastBlock < 100 || inLastBlock == len(keys) {
		t.Fatalf("%d of %d rows before the last block: the case tests nothing", inLastBlock, len(keys))
	}
	flipEverywhere(t, crashed, ".log", keys, keys[inLastBlock:])
}

func valueOf(key string) string { return "value of " + key }

// flipEverywhere opens the store once for each of many flipped bytes. Rows in mayMiss may be missing.
func flipEverywhere(t *testing.T, base *vfs.MemFS, suffix string, keys, mayMiss []string) {
	names, err := base.List("db")
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	outcomes := map[string]int{}
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		raw := read(t, base, "db/"+name)
		step := max(1, len(raw)/30) // each costs seconds under the race detector
		for at := 0; at < len(raw); at += step {
			copied := vfs.NewMem()
			_, err := vfs.Clone(base, copied, "db", "db")
			must(t, err)
			changed := bytes.Clone(raw)
			changed[at] ^= 1 << rng.IntN(8)
			overwrite(t, copied, "db/"+name, changed)
			outcomes[lookAround(t, copied, fmt.Sprintf("%s byte %d", name, at), keys, mayMiss)]++
		}
	}
	t.Logf("%v", outcomes)
	if outcomes["refused to open"]+outcomes["found on reading"] == 0 {
		t.Error("no flip was found at all: the test did not reach the files")
	}
}

func lookAround(t *testing.T, base vfs.FS, what string, keys, mayMiss []string) string {
	db, err := sealed.Open("db", "business", storeKey(1), sealed.Options{
		Base: base, Log: slog.New(slog.DiscardHandler), Stop: func(string) {},
		CacheBytes: 1 << 20, MemTableBytes: 256 << 10,
	})
	if err != nil {
		return "refused to open"
	}
	defer db.Close()
	outcome := "harmless"
	for _, key := range keys {
		value, found, err := db.Get(nil, []byte(key))
		switch {
		case errors.Is(err, sealed.ErrTampered):
			outcome = "found on reading"
		case err != nil:
			t.Errorf("%s: an error of another kind: %v", what, err)
		case found && string(value) != valueOf(key):
			t.Errorf("%s: another value", what)
		case !found && !slices.Contains(mayMiss, key):
			t.Errorf("%s: a row was hidden without an error", what)
		}
	}
	return outcome
}

// Counter mode can be changed bit by bit, and the checksums of an unsealed table made up. Then the
// row's tag is what is left, so rows are written behind the store's back here.
func TestForgedRow(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	put(t, db, "a", "value a", "b", "value b")
	closing(t, db)
	forge := func(key string, change func([]byte) []byte) {
		engine, err := pebble.Open("db", &pebble.Options{FS: newFS(t, base, 1), Logger: quiet{}})
		must(t, err)
		stored, closer, err := engine.Get([]byte("a"))
		must(t, err)
		changed := change(bytes.Clone(stored))
		must(t, closer.Close())
		must(t, engine.Set([]byte(key), changed, pebble.Sync))
		must(t, engine.Close())
	}
	for name, f := range map[string]func(){
		"a bit of the value": func() { forge("b", func(p []byte) []byte { p[0] ^= 1; return p }) },
		"moved":              func() { forge("b", func(p []byte) []byte { return p }) },
		"cut":                func() { forge("b", func(p []byte) []byte { return p[:3] }) },
	} {
		f()
		db := open(t, base)
		if value, found, err := db.Get(nil, []byte("b")); !errors.Is(err, sealed.ErrTampered) || found || value != nil {
			t.Errorf("%s: Get = %q, %v, %v, want ErrTampered", name, value, found, err)
		}
		iter, err := db.NewIter(nil)
		must(t, err)
		for iter.Next() {
			if string(iter.Key()) == "b" {
				t.Errorf("%s: the iterator shows the row", name)
			}
		}
		if err := iter.Close(); !errors.Is(err, sealed.ErrTampered) {
			t.Errorf("%s: the iterator ends with %v, want ErrTampered", name, err)
		}
		wantValue(t, db, "a", "value a")
		closing(t, db)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) { panic("fatal") }

// Whatever is wrong with the files, the operator is told, and neither errors nor log quote a key or
// value. That they could not if Pebble did is tested beside watch and failure.
func TestNothingQuotes(t *testing.T) {
	base := vfs.NewMem()
	db := open(t, base)
	key, value := strings.Repeat("KEYCANARY", 5), strings.Repeat("VALUECANARY", 500)
	put(t, db, key, value)
	must(t, db.Flush())
	closing(t, db)
	names, err := base.List("db")
	must(t, err)
	var log safeBuffer
	complaints := 0
	complain := func(err error) {
		if err == nil {
			return
		}
		complaints++
		if text := err.Error(); strings.Contains(text, "CANARY") {
			t.Errorf("an error quotes: %s", text)
		}
	}
	for _, name := range names {
		raw := read(t, base, "db/"+name)
		for at := headerSize; at < len(raw); at += max(1, len(raw)/20) {
			copied := vfs.NewMem()
			_, err := vfs.Clone(base, copied, "db", "db")
			must(t, err)
			raw[at] ^= 0x40
			overwrite(t, copied, "db/"+name, raw)
			raw[at] ^= 0x40
			db, err := sealed.Open("db", "business", storeKey(1), sealed.Options{
				Base: copied, Log: slog.New(slog.NewTextHandler(&log, nil)), Stop: func(string) {},
				CacheBytes: 1 << 20, MemTableBytes: 256 << 10,
			})
			complain(err)
			if err != nil {
				continue
			}
			_, _, err = db.Get(nil, []byte(key))
			complain(err)
			complain(db.Close())
		}
	}
	if complaints == 0 {
		t.Error("no damage was complained about")
	}
	if strings.Contains(log.String(), "CANARY") {
		t.Error("the log quotes a key or value")
	}
	if log.String() == "" {
		t.Error("the log is empty: the operator learns nothing")
	}
}
