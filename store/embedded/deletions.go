package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/digest"
)

// deletions are the records deleted from one generation whose file still holds them. All of them are in memory;
// most generations have none, and their look-ups ask no map.
type deletions struct {
	some atomic.Bool
	sync.RWMutex
	records tombstones
}

// tombstones are deleted records, by their anchor. Lists do not change: adding makes a longer one.
type tombstones map[digest.Digest][]tombstone

// tombstone is one deleted record: the SHA-256 of its bytes, which are keyed digests themselves.
type tombstone struct {
	sum sum
	at  int64 // Unix nanoseconds; 0 = it was not kept, as in stores of an earlier release
}

type sum = [sha256.Size]byte

// of returns the deleted records of an anchor.
func (d *deletions) of(anchor digest.Digest) []tombstone {
	if !d.some.Load() {
		return nil
	}
	d.RLock()
	defer d.RUnlock()
	return d.records[anchor]
}

// all returns what is deleted now.
func (d *deletions) all() tombstones {
	d.RLock()
	defer d.RUnlock()
	return maps.Clone(d.records)
}

// add notes a deletion.
func (d *deletions) add(anchor digest.Digest, t tombstone) {
	d.Lock()
	defer d.Unlock()
	if d.records == nil {
		d.records = make(tombstones)
	}
	d.records[anchor] = append(slices.Clip(d.records[anchor]), t)
	d.some.Store(true)
}

// remove forgets deletions, but those that came since.
func (d *deletions) remove(gone tombstones) {
	d.Lock()
	defer d.Unlock()
	for anchor, list := range gone {
		left := slices.Clone(d.records[anchor][len(list):]) // lists only grow
		if d.records[anchor] = left; len(left) == 0 {
			delete(d.records, anchor)
		}
	}
	d.some.Store(len(d.records) > 0)
}

// count returns how many there are, and since when.
func (d *deletions) count() (records, since int64) {
	d.RLock()
	defer d.RUnlock()
	return d.records.count()
}

func (t tombstones) count() (records, since int64) {
	for _, list := range t {
		for _, one := range list {
			if records == 0 || one.at < since {
				since = one.at
			}
			records++
		}
	}
	return records, since
}

func isDeleted(deleted []tombstone, record []byte) bool {
	if len(deleted) == 0 {
		return false
	}
	s := sha256.Sum256(record)
	return slices.ContainsFunc(deleted, func(t tombstone) bool { return t.sum == s })
}

// forgotten is what was deleted from a generation, is not in its file any more, and may still be found in the
// files of the database of tombstones.
type forgotten struct {
	records, since int64
	acts           int // how often something was added
}

func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

// loadDeletions reads what is deleted and what is forgotten, and forgets the deletions of generations that are
// gone.
func (r *registry) loadDeletions() error {
	if err := each(r.db, []byte{rowForgotten}, nil, r.loadForgotten); err != nil {
		return err
	}
	gone := map[generationKey]int64{}
	err := each(r.db, []byte{rowTombstone}, nil, func(key, value []byte) error {
		of, rest, ok := cutGeneration(key)
		if !ok || len(rest) != digest.Size+sha256.Size || len(value) != 0 && len(value) != 8 {
			return errRow
		}
		t := tombstone{sum: sum(rest[digest.Size:])}
		if len(value) == 8 {
			t.at = int64(binary.BigEndian.Uint64(value))
		}
		if g := r.generations[of]; g != nil {
			g.deleted.add(digest.Digest(rest), t)
		} else if since, known := gone[of]; !known || t.at < since {
			gone[of] = t.at
		}
		return nil
	})
	for of, since := range gone {
		if err == nil {
			err = r.forgetAll(of, since)
		}
	}
	return err
}

func (r *registry) loadForgotten(key, value []byte) error {
	of, rest, ok := cutGeneration(key)
	if !ok || len(rest) != 0 || len(value) != 16 {
		return errRow
	}
	r.forgotten[of] = forgotten{records: int64(binary.BigEndian.Uint64(value)), since: int64(binary.BigEndian.Uint64(value[8:]))}
	return nil
}

// record makes a deletion durable.
func (r *registry) record(of generationKey, anchor digest.Digest, t tombstone) error {
	batch := r.db.NewBatch()
	batch.Set(tombstoneKey(of, anchor, t.sum), binary.BigEndian.AppendUint64(nil, uint64(t.at)))
	if err := batch.Commit(); err != nil {
		return err
	}
	return batch.Close()
}

// forgetAll removes the deletions of a generation that is gone. The caller holds deleting.
func (r *registry) forgetAll(of generationKey, since int64) error {
	batch := r.db.NewBatch()
	start := generationRow(nil, rowTombstone, of)
	end := append(slices.Clone(start), slices.Repeat([]byte{0xff}, digest.Size+sha256.Size+1)...)
	batch.DeleteRange(start, end)
	return r.forget(batch, of, 0, since)
}

// forgetRemoved removes deletions whose records are not in the generation's file any more. The caller holds deleting.
func (r *registry) forgetRemoved(of generationKey, removed tombstones) error {
	batch := r.db.NewBatch()
	for anchor, list := range removed {
		for _, t := range list {
			batch.Delete(tombstoneKey(of, anchor, t.sum))
		}
	}
	records, since := removed.count()
	return r.forget(batch, of, records, since)
}

// forget commits a batch that removes deletions, with the note that their bytes have to be cleared.
func (r *registry) forget(batch *sealed.Batch, of generationKey, records, since int64) error {
	note, known := r.forgotten[of]
	if !known || since < note.since {
		note.since = since
	}
	note.records += records
	note.acts++
	r.setForgotten(batch, of, note)
	if err := batch.Commit(); err != nil {
		return err
	}
	r.forgotten[of] = note
	return batch.Close()
}

func (r *registry) setForgotten(batch *sealed.Batch, of generationKey, note forgotten) {
	value := binary.BigEndian.AppendUint64(nil, uint64(note.records))
	batch.Set(generationRow(nil, rowForgotten, of), binary.BigEndian.AppendUint64(value, uint64(note.since)))
}
