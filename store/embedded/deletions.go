package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/heyan-project/heyan/verifier/digest"
)

// deletions are the records deleted from one generation, by the SHA-256 of their bytes, which are keyed digests
// themselves. All of them are in memory; most generations have none, and their look-ups ask no map.
type deletions struct {
	some atomic.Bool
	sync.RWMutex
	sums map[digest.Digest][]sum
}

type sum = [sha256.Size]byte

// of returns the deleted records of an anchor.
func (d *deletions) of(anchor digest.Digest) []sum {
	if !d.some.Load() {
		return nil
	}
	d.RLock()
	defer d.RUnlock()
	return d.sums[anchor]
}

// add notes a deletion. Lists that were handed out do not change.
func (d *deletions) add(anchor digest.Digest, s sum) {
	d.Lock()
	defer d.Unlock()
	if d.sums == nil {
		d.sums = make(map[digest.Digest][]sum)
	}
	d.sums[anchor] = append(slices.Clip(d.sums[anchor]), s)
	d.some.Store(true)
}

func isDeleted(sums []sum, record []byte) bool {
	return len(sums) > 0 && slices.Contains(sums, sha256.Sum256(record))
}

// loadDeletions reads all tombstones, and removes those of generations that are gone.
func (r *registry) loadDeletions() error {
	gone := map[generationKey]bool{}
	err := each(r.db, []byte{rowTombstone}, nil, func(key, _ []byte) error {
		dataset, rest, ok := cutText(key[1:])
		if !ok || len(rest) != 8+digest.Size+sha256.Size {
			return errRow
		}
		of := generationKey{dataset, int64(binary.BigEndian.Uint64(rest))}
		if g := r.generations[of]; g != nil {
			g.deleted.add(digest.Digest(rest[8:8+digest.Size]), sum(rest[8+digest.Size:]))
		} else {
			gone[of] = true
		}
		return nil
	})
	for of := range gone {
		if err == nil {
			err = r.forget(of)
		}
	}
	return err
}

// record makes a deletion durable.
func (r *registry) record(of generationKey, anchor digest.Digest, s sum) error {
	batch := r.db.NewBatch()
	batch.Set(append(append(tombstonePrefix(nil, of.dataset, of.number), anchor[:]...), s[:]...), nil)
	if err := batch.Commit(); err != nil {
		return err
	}
	return batch.Close()
}

// forget removes the deletions of a generation.
func (r *registry) forget(of generationKey) error {
	batch := r.db.NewBatch()
	start := tombstonePrefix(nil, of.dataset, of.number)
	end := append(slices.Clone(start), slices.Repeat([]byte{0xff}, digest.Size+sha256.Size+1)...)
	batch.DeleteRange(start, end)
	if err := batch.Commit(); err != nil {
		return err
	}
	return batch.Close()
}
