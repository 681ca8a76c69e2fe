package sealed

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/heyan-project/heyan/store/embedded/row"
)

// Batch is a set of writes that happen together or not at all, also across a crash. It is used by one
// goroutine, once: Commit, or CommitNoSyncWait and SyncWait; then Close.
type Batch struct {
	db    *DB
	inner *pebble.Batch
	noted noted
}

// NewBatch returns an empty batch.
func (d *DB) NewBatch() *Batch {
	b := &Batch{db: d, inner: d.engine.NewBatch()}
	b.noted.keys = b.noted.room[:0]
	return b
}

// Set gives key a value, sealed as a row. Neither is kept. The empty
// key and the key "\x00" panic.
func (b *Batch) Set(key, value []byte) {
	mustHaveKey(key)
	b.noted.keys = append(b.noted.keys, b.db.recent.hash(key))
	op := b.inner.SetDeferred(len(key), len(value)+row.Overhead)
	copy(op.Key, key)
	b.db.rows.SealInto(op.Value, key, value)
	mustFinish(op.Finish())
}

// Delete removes key, whether or not it is there.
func (b *Batch) Delete(key []byte) {
	mustHaveKey(key)
	b.noted.keys = append(b.noted.keys, b.db.recent.hash(key))
	mustFinish(b.inner.Delete(key, nil))
}

// DeleteRange removes every key in [start, end).
func (b *Batch) DeleteRange(start, end []byte) {
	mustHaveKey(start)
	mustHaveKey(end)
	b.noted.delete(start, end)
	mustFinish(b.inner.DeleteRange(start, end, nil))
}

// Empty reports whether the batch holds no writes.
func (b *Batch) Empty() bool { return b.inner.Empty() }

// Len returns the size of the batch in bytes.
func (b *Batch) Len() int { return b.inner.Len() }

// Commit applies the batch and returns when it is durable.
func (b *Batch) Commit() error {
	if err := b.CommitNoSyncWait(); err != nil {
		return err
	}
	return b.SyncWait()
}

// CommitNoSyncWait applies the batch, so that reads see it, and starts making it durable. SyncWait must
// follow. Between the two the caller can start another flush elsewhere: side by side two flushes cost
// far less than in a row.
//
// What reads see before SyncWait returns may be gone after a crash: act on it only in ways that are
// undone by the same crash.
func (b *Batch) CommitNoSyncWait() error {
	if b.db.watch.stopped.Load() {
		return ErrStopped
	}
	full, err := b.db.recent.apply(&b.noted, func() error { return b.db.engine.ApplyNoSyncWait(b.inner, pebble.Sync) })
	if full {
		b.db.turn()
	}
	return fail("commit", err)
}

// SyncWait returns when the batch given to CommitNoSyncWait is durable. After an error nobody knows
// whether it is: the database stops.
func (b *Batch) SyncWait() error {
	if err := b.inner.SyncWait(); err != nil {
		b.db.watch.halt("flushing the log failed")
		return fail("flush the log", err)
	}
	if b.db.watch.stopped.Load() {
		return ErrStopped
	}
	return nil
}

// Close gives the batch's memory back. Uncommitted writes are dropped.
func (b *Batch) Close() error { return fail("close a batch", b.inner.Close()) }

// reservedKey belongs to Purge, which deletes it without its ever being set.
var reservedKey = []byte{0}

func mustHaveKey(key []byte) {
	if len(key) == 0 || bytes.Equal(key, reservedKey) {
		panic("sealed: the empty key and the key of one zero byte cannot be used")
	}
}

// mustFinish guards calls that only fail for a batch of another kind than the ones made here.
func mustFinish(err error) {
	if err != nil {
		panic("sealed: " + class(err))
	}
}
