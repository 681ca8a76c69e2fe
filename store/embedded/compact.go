package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/datafile"
	"github.com/heyan-project/heyan/verifier/digest"
)

// A compaction writes a generation's file anew without what was deleted until it began, while look-ups, deletions
// and a drop go on. Then, one step after the other, each durable before the next: the new file takes the old one's
// name, look-ups go over to it, the deletions that it fulfils are removed and noted as forgotten, the database that
// held them is purged, and the note goes. A crash leaves a step undone and never half done; whatever the order, a
// record is in no file that is read or it is deleted. The next compaction goes on from what is left: deletions of
// which the file holds nothing, or the note.

// compactSuffix marks a file that has not taken its place yet; Open removes it.
const compactSuffix = ".compacted"

// ListDeletions lists what is not cleared yet.
func (s *Store) ListDeletions(ctx context.Context) (list []store.Deletions, err error) {
	err = s.read(ctx, func() error {
		list = s.datasets.listDeletions()
		return nil
	})
	return list, err
}

func (r *registry) listDeletions() []store.Deletions {
	r.deleting.Lock()
	defer r.deleting.Unlock()
	r.RLock()
	defer r.RUnlock()
	found := map[generationKey]forgotten{}
	for of, note := range r.forgotten {
		found[of] = note
	}
	for of, g := range r.generations {
		records, since := g.deleted.count()
		if records == 0 {
			continue
		}
		if note, noted := found[of]; noted {
			records, since = records+note.records, min(since, note.since)
		}
		found[of] = forgotten{records: records, since: since}
	}
	list := make([]store.Deletions, 0, len(found))
	for of, f := range found {
		list = append(list, store.Deletions{Dataset: of.dataset, Generation: of.number, Records: f.records, Since: timeOf(f.since)})
	}
	slices.SortFunc(list, func(a, b store.Deletions) int {
		return cmp.Or(strings.Compare(a.Dataset, b.Dataset), cmp.Compare(a.Generation, b.Generation))
	})
	return list
}

// CompactDataset rewrites one generation's file and clears what was deleted.
func (s *Store) CompactDataset(ctx context.Context, dataset string, generation int64) (done store.Compaction, err error) {
	err = s.read(ctx, func() error {
		r := s.datasets
		select {
		case r.compacting <- struct{}{}:
			defer func() { <-r.compacting }()
		case <-ctx.Done():
			return ctx.Err()
		case <-s.gate.shut:
			return s.gate.why()
		}
		done, err = r.compact(ctx, generationKey{dataset, generation})
		return err
	})
	if err != nil {
		return store.Compaction{}, err
	}
	return done, nil
}

func (r *registry) compact(ctx context.Context, of generationKey) (done store.Compaction, err error) {
	g, noted := r.find(of)
	switch {
	case g == nil && !noted:
		return done, store.ErrNotFound
	case g != nil:
		if err := r.rewrite(ctx, of, g); errors.Is(err, errNoGeneration) || errors.Is(err, datafile.ErrClosed) {
			return done, store.ErrNotFound // dropped meanwhile
		} else if err != nil {
			return done, err
		}
		if held, err := r.hold(of); err == nil {
			done.Anchors, done.Bytes = int64(held.reader.Len()), held.reader.Bytes()
			held.RUnlock()
		}
	}
	done.Removed, err = r.purge(ctx, of)
	return done, err
}

// find returns a generation, or nil, and whether something of it is forgotten and not cleared.
func (r *registry) find(of generationKey) (g *generation, noted bool) {
	r.deleting.Lock()
	defer r.deleting.Unlock()
	r.RLock()
	defer r.RUnlock()
	_, noted = r.forgotten[of]
	return r.generations[of], noted
}

// rewrite brings a generation to a file that holds none of the records deleted now, and forgets their deletions.
func (r *registry) rewrite(ctx context.Context, of generationKey, g *generation) error {
	removed := g.deleted.all()
	if len(removed) == 0 {
		return nil
	}
	held, err := r.hold(of)
	if err != nil {
		return err
	}
	reader := held.reader
	held.RUnlock() // a drop closes the reader and does not wait for the rewriting
	left, err := holdsAny(reader, removed)
	if err == nil && left {
		err = r.replace(ctx, of, g, reader, removed)
	}
	if err != nil {
		return err
	}
	r.deleting.Lock()
	defer r.deleting.Unlock()
	if !r.current(of, g) {
		return errNoGeneration
	}
	if err := r.forgetRemoved(of, removed); err != nil {
		return err
	}
	g.deleted.remove(removed)
	r.reached("forgotten")
	return nil
}

// current reports whether g is still the generation. The caller holds deleting, so that it stays.
func (r *registry) current(of generationKey, g *generation) bool {
	r.RLock()
	defer r.RUnlock()
	return r.generations[of] == g
}

// holdsAny reports whether a file holds a deleted record: not after a crash that came when the new file was in
// its place already.
func holdsAny(reader *datafile.Reader, removed tombstones) (bool, error) {
	var list []byte
	var err error
	for anchor, deleted := range removed {
		if list, _, err = reader.Lookup(anchor, list[:0]); err != nil {
			return false, err
		}
		for record := range datafile.Items(list) {
			if isDeleted(deleted, record) {
				return true, nil
			}
		}
	}
	return false, nil
}

// replace writes the new file and puts it in the place of the old one.
func (r *registry) replace(ctx context.Context, of generationKey, g *generation, old *datafile.Reader, removed tombstones) error {
	path := r.path(of) + compactSuffix
	if err := removeFile(path); err != nil {
		return err
	}
	r.reached("begun")
	next, err := r.write(ctx, of, path, old, removed)
	if err != nil {
		return errors.Join(err, removeFile(path))
	}
	r.reached("written")
	if err := r.swap(of, g, path, next); err != nil {
		return errors.Join(err, next.Close(), removeFile(path))
	}
	return nil
}

// write makes the new file, opens it, and makes sure that it holds all of the old one but what was removed.
func (r *registry) write(ctx context.Context, of generationKey, path string, old *datafile.Reader, removed tombstones) (*datafile.Reader, error) {
	var dropped, asked uint64
	if _, err := old.Rewrite(path, r.key, func(anchor [datafile.AnchorSize]byte, record []byte) (bool, error) {
		if asked++; asked%1024 == 1 {
			if err := r.stopped(ctx); err != nil {
				return false, err
			}
		}
		if isDeleted(removed[digest.Digest(anchor)], record) {
			dropped++
			return false, nil
		}
		return true, nil
	}); err != nil {
		return nil, err
	}
	next := r.openFile(of, path)
	if next.broken != nil {
		return nil, next.broken
	}
	left, err := holdsAny(next.reader, removed)
	if err == nil && (left || next.reader.Items()+dropped != old.Items()) {
		err = errIncomplete
	}
	if err != nil {
		return nil, errors.Join(err, next.reader.Close())
	}
	return next.reader, nil
}

var errIncomplete = errors.New("embedded: the rewritten file does not hold what it should")

// stopped says why a compaction has to end early.
func (r *registry) stopped(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.store.gate.shut:
		return r.store.gate.why()
	default:
		return nil
	}
}

// swap gives the new file the old one's name, for good, and then to the look-ups. Those in flight end first.
func (r *registry) swap(of generationKey, g *generation, path string, next *datafile.Reader) error {
	r.deleting.Lock()
	defer r.deleting.Unlock()
	if !r.current(of, g) {
		return errNoGeneration
	}
	if r.closeFirst {
		return r.swapClosed(of, g, path, next)
	}
	if err := r.rename(of, path); err != nil {
		return err
	}
	g.Lock()
	old := g.reader
	g.reader = next
	g.Unlock()
	r.reached("swapped")
	if err := old.Close(); err != nil {
		r.store.options.Logger.Error("closing a dataset file that was replaced", "cause", err)
	}
	return nil
}

// swapClosed is swap where an open file keeps its name: look-ups wait until the new one is open.
func (r *registry) swapClosed(of generationKey, g *generation, path string, next *datafile.Reader) error {
	g.Lock()
	defer g.Unlock()
	err := errors.Join(next.Close(), g.reader.Close())
	if err == nil {
		err = r.rename(of, path)
	}
	opened := r.openFile(of, r.path(of)) // the new one, or where renaming failed the old
	g.reader, g.broken = opened.reader, opened.broken
	r.reached("swapped")
	return errors.Join(err, opened.broken)
}

// rename is the moment from which the new file is the generation's. An error of the second step leaves open which
// of the two a crash would show; the deletions stay, so either is right.
func (r *registry) rename(of generationKey, path string) error {
	if err := os.Rename(path, r.path(of)); err != nil {
		return err
	}
	r.reached("renamed")
	return syncDir(filepath.Join(r.dir, dataDir))
}

// purge makes what is forgotten of a generation physically absent, and returns how many records that were.
func (r *registry) purge(ctx context.Context, of generationKey) (removed int64, err error) {
	r.deleting.Lock()
	note, noted := r.forgotten[of]
	r.deleting.Unlock()
	if !noted {
		return 0, nil
	}
	if err := r.db.Purge(ctx); err != nil {
		return 0, err
	}
	r.reached("purged")
	r.deleting.Lock()
	defer r.deleting.Unlock()
	left := r.forgotten[of]
	left.records -= note.records
	batch := r.db.NewBatch()
	if left.acts == note.acts {
		batch.Delete(generationRow(nil, rowForgotten, of))
	} else { // more was forgotten while the purge ran
		r.setForgotten(batch, of, left)
	}
	if err := batch.Commit(); err != nil {
		return 0, fmt.Errorf("embedded: clearing a note of deletions: %w", err)
	}
	if left.acts == note.acts {
		delete(r.forgotten, of)
	} else {
		r.forgotten[of] = left
	}
	return note.records, batch.Close()
}

// reached tells a test how far a compaction is.
func (r *registry) reached(step string) {
	if r.store.options.compacting != nil {
		r.store.options.compacting(step)
	}
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
