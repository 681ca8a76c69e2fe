package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

type loading struct {
	*memory
	key     string
	anchors map[digest.Digest][]string
}

func (m *memory) generation(dataset string, number int64) string {
	return fmt.Sprint(m.fold("datasets are folded", dataset), "\x00", number)
}

func (m *memory) ImportDataset(_ context.Context, info store.ImportInfo) (store.Importer, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	key := m.generation(info.Dataset, info.Generation)
	if m.generations[key] != nil {
		return nil, store.ErrConflict
	}
	l := &loading{memory: m, key: key, anchors: map[digest.Digest][]string{}}
	if m.is("an unfinished import is visible") {
		m.generations[key] = l.anchors
	}
	return l, nil
}

func (l *loading) Add(anchor digest.Digest, record []byte) error {
	if !slices.Contains(l.anchors[anchor], string(record)) || l.is("equal records are kept twice") {
		l.anchors[anchor] = append(l.anchors[anchor], string(record))
	}
	return nil
}

func (l *loading) Finish() (anchors, bytes int64, err error) {
	unlock, err := l.lock()
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	if l.generations[l.key] != nil {
		return 0, 0, store.ErrConflict
	}
	l.generations[l.key] = l.anchors
	return int64(len(l.anchors)), 1, nil
}

func (l *loading) Abort() {}

func (m *memory) Lookup(_ context.Context, dataset string, number int64, anchor digest.Digest, each func([]byte) error) (known bool, err error) {
	unlock, err := m.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	key := m.generation(dataset, number)
	generation := m.generations[key]
	if generation == nil {
		return false, fault.New(fault.StoreUnavailable)
	}
	var buffer [256]byte
	given := buffer[:]
	for _, record := range generation[anchor] {
		if len(m.deleted) > 0 && m.isDeleted(key, anchor, record) {
			continue
		}
		known = true
		if m.is("every record is copied") {
			given = make([]byte, 256)
		}
		if err := each(given[:copy(given, record)]); err != nil && !m.is("errors of callers are lost") {
			return known, err
		}
	}
	return known, nil
}

func (m *memory) deletion(key string, anchor digest.Digest, record string) string {
	if m.is("a record is deleted everywhere") {
		key = ""
	}
	return key + anchor.Hex() + record
}

func (m *memory) isDeleted(key string, anchor digest.Digest, record string) bool {
	_, is := m.deleted[m.deletion(key, anchor, record)]
	return is
}

func (m *memory) DeleteRecord(_ context.Context, dataset string, number int64, anchor digest.Digest, record []byte, now time.Time) (bool, error) {
	unlock, err := m.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	key := m.generation(dataset, number)
	if m.generations[key] == nil {
		return false, fault.New(fault.StoreUnavailable)
	}
	if m.isDeleted(key, anchor, string(record)) || !slices.Contains(m.generations[key][anchor], string(record)) {
		return false, nil
	}
	of := store.Deletions{Dataset: dataset, Generation: number, Records: 1, Since: now.UTC()}
	m.deleted[m.deletion(key, anchor, string(record))] = deletion{of, anchor, string(record)}
	return true, nil
}

func (m *memory) ListDeletions(context.Context) ([]store.Deletions, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	found := map[string]store.Deletions{}
	for _, one := range m.deleted {
		key := m.generation(one.Dataset, one.Generation)
		if of, more := found[key]; more {
			one.Records += of.Records
			if of.Since.Before(one.Since) {
				one.Since = of.Since
			}
		}
		found[key] = one.Deletions
	}
	list := slices.Collect(maps.Values(found))
	slices.SortFunc(list, func(a, b store.Deletions) int {
		return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), cmp.Compare(a.Generation, b.Generation))
	})
	return list, nil
}

func (m *memory) CompactDataset(_ context.Context, dataset string, number int64) (done store.Compaction, err error) {
	unlock, err := m.lock()
	if err != nil {
		return done, err
	}
	defer func() { unlock() }()
	key := m.generation(dataset, number)
	kept := m.generations[key]
	if kept == nil && !m.is("a compaction finds everything") {
		return done, store.ErrNotFound
	}
	for id, one := range m.deleted {
		if m.generation(one.Dataset, one.Generation) != key {
			continue
		}
		done.Removed++
		if !m.is("a compaction brings records back") {
			kept[one.anchor] = slices.DeleteFunc(kept[one.anchor], func(r string) bool { return r == one.record })
		}
		if len(kept[one.anchor]) == 0 {
			delete(kept, one.anchor)
		}
		delete(m.deleted, id)
	}
	if m.is("a compaction forgets later deletions") {
		unlock()
		pause()
		m.mu.Lock()
		unlock = m.mu.Unlock
		clear(m.deleted)
	}
	done.Anchors, done.Bytes = int64(len(kept)), 1
	return done, nil
}

func (m *memory) DropGeneration(_ context.Context, dataset string, number int64) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	key := m.generation(dataset, number)
	delete(m.generations, key)
	for deletion := range m.deleted {
		if strings.HasPrefix(deletion, key) && !m.is("deletions outlive their generation") {
			delete(m.deleted, deletion)
		}
	}
	return nil
}

func (m *memory) origin(name string) string { return m.fold("origins are folded", name) }

func (m *memory) Mark(_ context.Context, origin string) (uint64, error) {
	unlock, err := m.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	return m.marks[m.origin(origin)], nil
}

func (m *memory) SetMark(_ context.Context, origin string, index uint64) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if index > m.marks[m.origin(origin)] || m.is("marks go down") {
		m.marks[m.origin(origin)] = index
	}
	return nil
}

func (m *memory) Committed(_ context.Context, origin string, from uint64, each func(*ledger.Verification) error) error {
	return m.places(origin, from, func(r *row) ledger.Position {
		if r.State == ledger.Deleted && m.is("deleted ones are not committed") {
			return ledger.Position{}
		}
		return r.Log
	}, each)
}

func (m *memory) Settled(_ context.Context, origin string, from uint64, each func(*ledger.Verification) error) error {
	return m.places(origin, from, func(r *row) ledger.Position {
		if m.is("settled ones stand where they were committed") {
			return r.Log
		}
		return r.Resolution
	}, each)
}

func (m *memory) places(origin string, from uint64, at func(*row) ledger.Position, each func(*ledger.Verification) error) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	list := m.rows(func(r *row) bool {
		return at(r).Origin == origin && at(r).Index >= max(from, m.marks[m.origin(origin)])
	})
	unlock()
	slices.SortFunc(list, func(a, b *row) int { return cmp.Compare(at(a).Index, at(b).Index) })
	for _, r := range list {
		v := r.Verification
		if err := each(&v); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Void(_ context.Context, client string, id ledger.ID) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	key := m.verificationKey(client, id)
	r := m.verifications[key]
	if r == nil {
		return store.ErrNotFound
	}
	if r.Log.Index < m.marks[m.origin(r.Log.Origin)] {
		return store.ErrConflict
	}
	delete(m.verifications, key)
	row := m.usage[r.key]
	for i, n := range r.counts.Verdicts {
		row.Verdicts[i] -= n
	}
	row.Billed, row.AmountFen = row.Billed-r.counts.Billed, row.AmountFen-r.counts.AmountFen
	m.usage[r.key] = row
	if r.State != ledger.Pending {
		for _, key := range r.counters {
			m.used[key]--
		}
	}
	stays := m.is("a voided consent stays")
	for _, other := range m.verifications {
		stays = stays || other.Consent == r.created
	}
	if f := m.consents[r.created]; f != nil && (!stays && f.Revision == 1 || m.is("a used consent is voided")) {
		delete(m.consents, r.created)
	}
	return nil
}

func (m *memory) Restamp(_ context.Context, client string, id ledger.ID, at ledger.Position) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r := m.verifications[m.verificationKey(client, id)]
	if r == nil {
		return store.ErrNotFound
	}
	if !m.is("positions never change") {
		r.Log = at
	}
	return nil
}

func (m *memory) RestampResolution(_ context.Context, client string, id ledger.ID, at ledger.Position) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r := m.verifications[m.verificationKey(client, id)]
	switch {
	case r == nil:
		return store.ErrNotFound
	case r.Resolution == (ledger.Position{}):
		return store.ErrConflict
	case !m.is("resolutions never move"):
		r.Resolution = at
	}
	return nil
}
