package sealed_test

import (
	"encoding/binary"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

// Pebble takes its memory tables out of the block cache. Were that not made up for, nothing would be left of a
// cache as large as they are, and every look-up of an absent key would read and decrypt filters anew.
func TestFiltersStayInTheCache(t *testing.T) {
	const table = 1 << 20
	db, err := sealed.Open(t.TempDir(), "test", make([]byte, sealed.KeySize), sealed.Options{CacheBytes: table, MemTableBytes: table})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	batch := db.NewBatch()
	for i := range uint64(4000) {
		batch.Set(binary.BigEndian.AppendUint64([]byte("k"), i*7919), make([]byte, 100))
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	batch.Close()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	before := db.Metrics().BlockCache
	var value []byte
	for i := range uint64(4000) {
		if _, found, err := db.Get(value, binary.BigEndian.AppendUint64([]byte("k"), i*7919+1)); err != nil || found {
			t.Fatal(found, err)
		}
	}
	after := db.Metrics().BlockCache
	hits, misses := after.Hits-before.Hits, after.Misses-before.Misses
	if hits < 50*misses || hits == 0 {
		t.Errorf("%d hits, %d misses: filters are read from disk", hits, misses)
	}
}
