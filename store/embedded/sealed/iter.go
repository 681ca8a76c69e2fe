package sealed

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// Iter walks rows in key order as they were when it was made. It is used by one goroutine and must be
// closed: it keeps the files it reads from being deleted, and so keeps Purge waiting.
type Iter struct {
	db    *DB
	inner *pebble.Iterator
	value []byte
	err   error
	begun bool
}

// NewIter returns an iterator over the keys that begin with prefix; an empty prefix means all keys.
func (d *DB) NewIter(prefix []byte) (*Iter, error) {
	return d.NewIterRange(prefix, successor(prefix))
}

// NewIterRange returns an iterator over the keys in [start, end); an empty one means no bound.
func (d *DB) NewIterRange(start, end []byte) (*Iter, error) {
	if d.watch.stopped.Load() {
		return nil, ErrStopped
	}
	var options pebble.IterOptions
	if len(start) > 0 { // to Pebble an empty bound is not the same as none
		options.LowerBound = start
	}
	if len(end) > 0 {
		options.UpperBound = end
	}
	inner, err := d.engine.NewIter(&options)
	if err != nil {
		return nil, fail("iterate", err)
	}
	return &Iter{db: d, inner: inner}, nil
}

// Next goes to the next row, at first to the first one, and reports whether there is one and its value
// is what was written. After false, ask Err.
func (i *Iter) Next() bool {
	if i.err != nil {
		return false
	}
	valid := false
	if i.begun {
		valid = i.inner.Next()
	} else {
		i.begun = true
		valid = i.inner.First()
	}
	return i.load(valid)
}

// SeekGE goes to the first row whose key is key or greater.
func (i *Iter) SeekGE(key []byte) bool {
	if i.err != nil {
		return false
	}
	i.begun = true
	if len(key) == 0 {
		return i.load(i.inner.First())
	}
	return i.load(i.inner.SeekGE(key))
}

func (i *Iter) load(valid bool) bool {
	i.value = nil
	if !valid {
		i.err = fail("iterate", i.inner.Error())
		return false
	}
	stored, err := i.inner.ValueAndErr()
	if err == nil {
		i.value, err = i.db.rows.Open(i.inner.Key(), stored)
	}
	i.err = fail("iterate", err)
	return err == nil
}

// Key returns the row's key, good until the next call.
func (i *Iter) Key() []byte { return i.inner.Key() }

// Value returns the row's value, good until the next call.
func (i *Iter) Value() []byte { return i.value }

// Err returns what ended the walk early, or nil.
func (i *Iter) Err() error { return i.err }

// Close releases the iterator and returns Err.
func (i *Iter) Close() error {
	if err := i.inner.Close(); err != nil && i.err == nil {
		i.err = fail("iterate", err)
	}
	return i.err
}

// successor returns the smallest key greater than all that begin with prefix, or nil if there is none.
func successor(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
