package sealed

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openForRecent(t testing.TB) *DB {
	t.Helper()
	mem := vfs.NewMem()
	db, err := Open("db", "recent", make([]byte, KeySize), Options{Base: mem})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func commit(t testing.TB, db *DB, fill func(*Batch)) {
	t.Helper()
	b := db.NewBatch()
	fill(b)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func present(t testing.TB, db *DB, key string) bool {
	t.Helper()
	_, found, err := db.Get(nil, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A change in a memory table hides what the tables hold, whichever kind of change it is.
func TestRecentChangesHideTables(t *testing.T) {
	for name, remove := range map[string]func(*Batch){
		"delete":         func(b *Batch) { b.Delete([]byte("a-key")) },
		"range":          func(b *Batch) { b.DeleteRange([]byte("a"), []byte("b")) },
		"range beyond":   func(b *Batch) { b.DeleteRange([]byte("A"), []byte("ab")) },
		"range to inner": func(b *Batch) { b.DeleteRange([]byte("a"), []byte("a-kez")) },
	} {
		t.Run(name, func(t *testing.T) {
			db := openForRecent(t)
			commit(t, db, func(b *Batch) { b.Set([]byte("a-key"), []byte("1")) })
			awaitTurn(t, db)
			if !present(t, db, "a-key") {
				t.Fatal("not found in the tables")
			}
			commit(t, db, remove)
			if present(t, db, "a-key") {
				t.Error("found, though deleted")
			}
			awaitTurn(t, db)
			if present(t, db, "a-key") {
				t.Error("found after the flush, though deleted")
			}
		})
	}
}

// awaitTurn turns the generation and waits until the old one is forgotten.
func awaitTurn(t testing.TB, db *DB) {
	t.Helper()
	db.turn()
	db.turning.Wait()
	if db.recent.previous.Load() != nil {
		t.Fatal("the previous generation was not forgotten")
	}
}

// Whatever was committed is found, and whatever was deleted is not, while generations turn all the time.
func TestRecentWhileTurning(t *testing.T) {
	db := openForRecent(t)
	done := make(chan struct{})
	var turner, writers sync.WaitGroup
	turner.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				db.turn()
			}
		}
	})
	for w := range byte(4) {
		writers.Go(func() {
			for i := range 250 {
				key := binary.BigEndian.AppendUint32([]byte{'a' + w}, uint32(i))
				b := db.NewBatch()
				b.Set(key, []byte("value"))
				if err := b.CommitNoSyncWait(); err != nil {
					t.Error(err)
					return
				}
				if !present(t, db, string(key)) {
					t.Errorf("writer %d: row %d was written and is not found", w, i)
				}
				if err := b.SyncWait(); err != nil {
					t.Error(err)
				}
				_ = b.Close()
				if i%3 == 0 {
					commit(t, db, func(b *Batch) { b.Delete(key) })
					if present(t, db, string(key)) {
						t.Errorf("writer %d: row %d was deleted and is found", w, i)
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	turner.Wait()
}

// The commit that fills a generation turns it, and its own row is found in the tables.
func TestRecentTurnsWhenFull(t *testing.T) {
	db := openForRecent(t)
	nothing := func() error { return nil }
	if full, err := db.recent.apply(&noted{keys: make([]uint64, recentKeys-1)}, nothing); full || err != nil {
		t.Fatal(full, err)
	}
	commit(t, db, func(b *Batch) { b.Set([]byte("last"), nil) })
	db.turning.Wait()
	if n := db.recent.current.Load().keys.Load(); n != 0 {
		t.Errorf("the current generation has %d keys", n)
	}
	if db.recent.previous.Load() != nil {
		t.Error("the previous generation is still there")
	}
	if db.recent.has([]byte("last")) || !present(t, db, "last") {
		t.Error("the row is not read from the tables")
	}
}

// A generation takes few absent keys for recent ones, and no recent key for an absent one.
func TestRecentFilter(t *testing.T) {
	g := new(generation)
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint64, recentKeys)
	for i := range keys {
		keys[i] = r.Uint64()
		g.add(keys[i])
	}
	for _, h := range keys {
		if !g.has('k', h) {
			t.Fatal("a key that was added is not there")
		}
	}
	const asked = 100_000
	wrong := 0
	for range asked {
		if g.has('k', r.Uint64()) {
			wrong++
		}
	}
	if wrong > asked/50 {
		t.Errorf("%d of %d absent keys taken for recent ones", wrong, asked)
	}
	t.Logf("%d of %d absent keys taken for recent ones", wrong, asked)
}

// Between noting a key and applying it no generation can turn: its memory table would be taken for flushed.
func TestRecentHoldsGenerationsWhileApplying(t *testing.T) {
	var r recent
	r.open()
	_, err := r.apply(&noted{keys: []uint64{1}}, func() error {
		if r.applying.TryLock() {
			t.Error("a generation could turn now")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.applying.TryLock() {
		t.Error("no generation can turn any more")
	}
}
