package sealed_test

import (
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

const benchRows = 200_000

func benchKey(i int) []byte {
	key := random(32, uint64(i)+1)
	binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15)
	return key
}

func benchKeys(n, from int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = benchKey(from + i)
	}
	return keys
}

func plain(b *testing.B) *pebble.DB {
	options := &pebble.Options{Logger: quiet{}, FormatMajorVersion: pebble.FormatTableFormatV6,
		CacheSize: 64 << 20, MemTableSize: 16 << 20, MemTableStopWritesThreshold: 4}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(b.TempDir(), options)
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	return db
}

func onDisk(b *testing.B) *sealed.DB {
	db, err := sealed.Open(b.TempDir(), "bench", storeKey(1), sealed.Options{})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	return db
}

func BenchmarkGet(b *testing.B) {
	keys, absent := benchKeys(benchRows, 0), benchKeys(10_000, benchRows)
	value := random(100, 1)
	b.Run("sealed", func(b *testing.B) {
		db := onDisk(b)
		for from := 0; from < benchRows; from += 1000 {
			batch := db.NewBatch()
			for _, key := range keys[from : from+1000] {
				batch.Set(key, value)
			}
			must(b, batch.Commit())
			must(b, batch.Close())
		}
		must(b, db.Purge(b.Context()))
		run := func(keys [][]byte, want bool) func(*testing.B) {
			return func(b *testing.B) {
				var dst []byte
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					var found bool
					var err error
					dst, found, err = db.Get(dst[:0], keys[i*7919%len(keys)])
					if err != nil || found != want {
						b.Fatal(found, err)
					}
				}
			}
		}
		b.Run("hit", run(keys, true))
		b.Run("miss", run(absent, false))
	})
	b.Run("plain", func(b *testing.B) {
		db := plain(b)
		for from := 0; from < benchRows; from += 1000 {
			batch := db.NewBatch()
			for _, key := range keys[from : from+1000] {
				must(b, batch.Set(key, value, nil))
			}
			must(b, batch.Commit(pebble.Sync))
			must(b, batch.Close())
		}
		must(b, db.Flush())
		must(b, db.Compact(b.Context(), []byte{0}, []byte{0xff, 0xff}, true))
		run := func(keys [][]byte, want error) func(*testing.B) {
			return func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					_, closer, err := db.Get(keys[i*7919%len(keys)])
					if err != want {
						b.Fatal(err)
					}
					if closer != nil {
						must(b, closer.Close())
					}
				}
			}
		}
		b.Run("hit", run(keys, nil))
		b.Run("miss", run(absent, pebble.ErrNotFound))
	})
}

// BenchmarkCommit: durable batches of five rows, as one verification writes, from 64 goroutines.
func BenchmarkCommit(b *testing.B) {
	const rows, callers = 5, 64
	value := random(100, 1)
	perCPU := func(b *testing.B) { b.SetParallelism(callers / 2); b.ReportAllocs() }
	b.Run("sealed", func(b *testing.B) {
		db := onDisk(b)
		perCPU(b)
		b.RunParallel(func(p *testing.PB) {
			key := random(32, 1)
			for i := uint64(0); p.Next(); i++ {
				batch := db.NewBatch()
				for r := range rows {
					binary.BigEndian.PutUint64(key, i*rows+uint64(r))
					batch.Set(key, value)
				}
				must(b, batch.Commit())
				must(b, batch.Close())
			}
		})
	})
	b.Run("plain", func(b *testing.B) {
		db := plain(b)
		perCPU(b)
		b.RunParallel(func(p *testing.PB) {
			key := random(32, 1)
			for i := uint64(0); p.Next(); i++ {
				batch := db.NewBatch()
				for r := range rows {
					binary.BigEndian.PutUint64(key, i*rows+uint64(r))
					must(b, batch.Set(key, value, nil))
				}
				must(b, batch.Commit(pebble.Sync))
				must(b, batch.Close())
			}
		})
	})
}
