package embedded

import (
	"context"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/datafile"
	"github.com/heyan-project/heyan/verifier/digest"
)

// importMemory is how many bytes of rows an import holds before it spills them.
const importMemory = 64 << 20

// importer writes one generation.
type importer struct {
	registry  *registry
	key       generationKey
	writer    *datafile.Writer
	finishing bool // guarded by registry
}

// ImportDataset begins a generation.
func (s *Store) ImportDataset(ctx context.Context, info store.ImportInfo) (result store.Importer, err error) {
	err = s.read(ctx, func() error {
		i, err := s.datasets.begin(info)
		if err == nil {
			result = i
		}
		return err
	})
	return result, err
}

func (r *registry) begin(info store.ImportInfo) (*importer, error) {
	key := generationKey{info.Dataset, info.Generation}
	r.Lock()
	defer r.Unlock()
	if earlier := r.importing[key]; r.generations[key] != nil || earlier != nil && earlier.finishing {
		return nil, store.ErrConflict
	}
	writer, err := datafile.Create(r.path(key), datafile.Header{
		Dataset: info.Dataset, Generation: strconv.FormatInt(info.Generation, 10), Suite: info.Suite,
	}, r.key, datafile.Options{Memory: importMemory})
	if err != nil {
		return nil, err
	}
	i := &importer{registry: r, key: key, writer: writer}
	r.importing[key] = i // an earlier one that did not finish has lost its place
	return i, nil
}

// Add adds a record under an anchor.
func (i *importer) Add(anchor digest.Digest, record []byte) error {
	s := i.registry.store
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return answer(i.writer.Add(anchor, record))
}

// Finish makes the file durable and verified.
func (i *importer) Finish() (anchors, bytes int64, err error) {
	r := i.registry
	err = r.store.read(context.Background(), func() error {
		if !r.finish(i) {
			return store.ErrConflict
		}
		info, err := i.writer.Finish()
		g := &generation{}
		if err == nil {
			g = r.openFile(i.key, r.path(i.key))
			err = g.broken
		}
		r.Lock()
		defer r.Unlock()
		delete(r.importing, i.key)
		if err == nil {
			r.generations[i.key] = g
			anchors, bytes = int64(info.Anchors), info.Bytes
		}
		return err
	})
	return anchors, bytes, err
}

// finish claims the generation's number for an importer, unless a later one took its place.
func (r *registry) finish(i *importer) bool {
	r.Lock()
	defer r.Unlock()
	i.finishing = r.importing[i.key] == i && !i.finishing
	return i.finishing
}

// Abort removes what was written.
func (i *importer) Abort() {
	r := i.registry
	r.Lock()
	if r.importing[i.key] == i {
		delete(r.importing, i.key)
	}
	r.Unlock()
	if err := i.writer.Abort(); err != nil {
		r.store.options.Logger.Error("an import left a temporary file behind", "cause", err)
	}
}

// lists are buffers for what a look-up finds.
var lists = sync.Pool{New: func() any { return new([]byte) }}

// Lookup calls f with the records of an anchor.
func (s *Store) Lookup(_ context.Context, dataset string, generation int64, anchor digest.Digest, f func(record []byte) error) (known bool, err error) {
	if err := s.gate.enter(); err != nil {
		return false, err
	}
	defer s.gate.leave()
	g, err := s.datasets.hold(generationKey{dataset, generation})
	if err != nil {
		return false, unavailable(err)
	}
	defer g.RUnlock()
	buffer := lists.Get().(*[]byte)
	defer lists.Put(buffer)
	list, _, err := g.reader.Lookup(anchor, (*buffer)[:0])
	*buffer = list
	if err != nil {
		return false, unavailable(err)
	}
	deleted := g.deleted.of(anchor)
	for record := range datafile.Items(list) {
		if isDeleted(deleted, record) {
			continue
		}
		known = true
		if err := f(record); err != nil {
			return known, err
		}
	}
	return known, nil
}

// DeleteRecord makes one record disappear.
func (s *Store) DeleteRecord(ctx context.Context, dataset string, generation int64, anchor digest.Digest, record []byte, now time.Time) (was bool, err error) {
	err = s.read(ctx, func() error {
		r, key := s.datasets, generationKey{dataset, generation}
		r.deleting.Lock()
		defer r.deleting.Unlock()
		g, err := r.hold(key)
		if err != nil {
			return err
		}
		defer g.RUnlock()
		list, _, err := g.reader.Lookup(anchor, nil)
		if err != nil {
			return err
		}
		deleted := g.deleted.of(anchor)
		for have := range datafile.Items(list) {
			was = was || string(have) == string(record) && !isDeleted(deleted, have)
		}
		if !was {
			return nil
		}
		t := tombstone{sum: sha256.Sum256(record), at: now.UnixNano()}
		g.deleted.add(anchor, t)
		return r.record(key, anchor, t)
	})
	return was && err == nil, err
}

// DropGeneration removes a generation.
func (s *Store) DropGeneration(ctx context.Context, dataset string, generation int64) error {
	return s.read(ctx, func() error { return s.datasets.drop(generationKey{dataset, generation}) })
}
