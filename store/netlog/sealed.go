package netlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/segment"
	"github.com/heyan-project/heyan/store/netlog/tile"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// sealedPart is one segment as a reader sees it. It does not change.
type sealedPart struct {
	Manifest
	path     string
	identity disk.Identity
}

// openSegments is how many segments a reader keeps open: each costs a descriptor and its footer, some 40 bytes for 256
// records.
const openSegments = 16

// segments opens segments when they are needed, and closes those that were not for longest.
type segments struct {
	sealKey []byte

	mu    sync.Mutex
	clock uint64
	open  map[string]*openSegment
}

type openSegment struct {
	users int
	used  uint64
	// dropped: it is closed as soon as nobody reads it.
	dropped bool

	once sync.Once // opens it, without mu: a slow disk holds up those alone who want this segment
	file *segment.File
	err  error
}

// acquire opens a segment, or takes it from those that are open. Whoever got it calls release.
func (s *segments) acquire(path string) (*segment.File, error) {
	o := s.enter(path)
	o.once.Do(func() { o.file, o.err = segment.Open(path, s.sealKey) })
	if o.err != nil {
		s.leave(path, o)
	}
	return o.file, o.err
}

// enter counts one more user of a segment.
func (s *segments) enter(path string) *openSegment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[string]*openSegment)
	}
	s.clock++
	o := s.open[path]
	if o == nil {
		o = &openSegment{}
		s.open[path] = o
	}
	o.users, o.used = o.users+1, s.clock
	return o
}

// leave forgets a segment that did not open: the next one tries again.
func (s *segments) leave(path string, o *openSegment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[path] == o {
		delete(s.open, path)
	}
}

func (s *segments) release(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[path]
	if o.users--; o.users == 0 && o.dropped {
		o.file.Close()
		delete(s.open, path)
	}
	s.shrink(openSegments)
}

// shrink closes unused segments, the longest unused first, until no more than most are open. The caller holds mu.
func (s *segments) shrink(most int) {
	for len(s.open) > most {
		oldest := ""
		for path, o := range s.open {
			if o.users == 0 && (oldest == "" || o.used < s.open[oldest].used) {
				oldest = path
			}
		}
		if oldest == "" {
			return
		}
		s.open[oldest].file.Close()
		delete(s.open, oldest)
	}
}

func (s *segments) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shrink(0)
}

// loadSegments takes the segments that are on the disk and not known yet. With a file system it also makes a manifest
// that a crash kept from being written. Damage is an error; without a file system it is noted, and what can be placed
// is taken.
func (r *Reader) loadSegments(fsys disk.FS) error {
	names, err := segmentNames(r.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		first, ok := firstOf(name)
		if ok && first < r.sealedEnd() {
			continue
		}
		s, err := r.loadSegment(name, fsys)
		if err != nil {
			if fsys != nil || !isDamage(err) {
				return err
			}
			r.noteSealedDamage(err)
		}
		if s != nil {
			r.addSealed(s)
		}
	}
	return nil
}

func isDamage(err error) bool {
	return errors.Is(err, segment.ErrDamaged) || errors.As(err, new(*segmentError)) || errors.Is(err, disk.ErrReplaced) || errors.Is(err, fs.ErrNotExist)
}

// loadSegment looks at one segment. It returns the part beside an error where the part can be placed all the same.
func (r *Reader) loadSegment(name string, fsys disk.FS) (*sealedPart, error) {
	m, err := readManifest(name)
	if errors.Is(err, fs.ErrNotExist) {
		if m, err = describe(name, r.sealKey); err == nil && fsys != nil {
			err = m.write(fsys, name)
		}
	}
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	if m.Origin != r.Origin() {
		return nil, &segmentError{base, "segment is of another origin"}
	}
	s := &sealedPart{Manifest: m, path: name}
	if s.identity, err = disk.Identify(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &segmentError{base, "segment is gone; its manifest is there"}
		}
		return nil, err
	}
	if size, err := s.identity.Check(); err != nil || size != m.Bytes {
		return s, errors.Join(&segmentError{base, fmt.Sprintf("segment has %d bytes, its manifest says %d", size, m.Bytes)}, err)
	}
	if end := r.sealedEnd(); m.First != end {
		return s, &segmentError{base, fmt.Sprintf("segment begins with record %d, expected %d", m.First, end)}
	}
	return s, nil
}

func (r *Reader) addSealed(s *sealedPart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.First < r.sealedEndLocked() {
		return // a reader came across it before the one who made it told
	}
	r.sealed = append(r.sealed, s)
	r.size = max(r.size, s.End)
}

func (r *Reader) noteSealedDamage(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealedDamage = errors.Join(r.sealedDamage, err)
}

// sealedEnd returns the index behind the last sealed record, whether that was purged or not.
func (r *Reader) sealedEnd() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sealedEndLocked()
}

func (r *Reader) sealedEndLocked() uint64 {
	if n := len(r.sealed); n > 0 {
		return r.sealed[n-1].End
	}
	return r.minimum.index
}

// findSealed returns the segment that holds a record, nil where none does.
func (r *Reader) findSealed(index uint64) *sealedPart {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := sort.Search(len(r.sealed), func(i int) bool { return r.sealed[i].End > index })
	if n == len(r.sealed) || r.sealed[n].First > index {
		return nil
	}
	return r.sealed[n]
}

// readSealed calls fn with [from, to) of one segment, and returns the index to go on with.
func (r *Reader) readSealed(ctx context.Context, s *sealedPart, from, to uint64, fn func(uint64, []byte) error) (uint64, error) {
	f, err := r.segments.acquire(s.path)
	if err != nil {
		return from, gone(err)
	}
	defer r.segments.release(s.path)
	var buffer segment.Buffer
	defer buffer.Release()
	return readFrames(ctx, f, &buffer, from, min(to, s.End), fn)
}

// readFrames calls fn with [from, to) of an open segment that holds them.
func readFrames(ctx context.Context, f *segment.File, buffer *segment.Buffer, from, to uint64, fn func(uint64, []byte) error) (uint64, error) {
	for from < to {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		at := from - f.Header().First
		leaves, err := f.Frame(int(at/segment.FrameRecords), buffer)
		if err != nil {
			return from, err
		}
		for _, leaf := range leaves[at%segment.FrameRecords:] {
			if from == to {
				break
			}
			if err := fn(from, leaf); err != nil {
				return from, err
			}
			from++
		}
	}
	return from, nil
}

// errGone is a file that was there when the directory was read: its records were sealed, or purged, since.
var errGone = errors.New("netlog: file is gone")

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// sealedHash returns the tree hash with package tlog's number x, where all leaves below it are sealed.
func (r *Reader) sealedHash(level int, n uint64, sealed uint64, last *frameHashes) (tree.Hash, error) {
	if h, ok, err := r.purgedHash(level, n, sealed); ok || err != nil {
		return h, err
	}
	if level > tile.Height {
		if h, err := r.tiles.Hash(level, n, sealed/segment.FrameRecords); err == nil {
			return h, nil
		}
		// The tiles may be behind where another process seals just now.
		left, err := r.sealedHash(level-1, 2*n, sealed, last)
		if err != nil {
			return left, err
		}
		right, err := r.sealedHash(level-1, 2*n+1, sealed, last)
		return tlog.NodeHash(left, right), err
	}
	s := r.findSealed(n << level)
	if s == nil {
		return tree.Hash{}, errNoHash
	}
	f, err := r.segments.acquire(s.path)
	if errors.Is(gone(err), errGone) { // it may have been purged since
		_, _ = r.goneTo(n << level)
		if h, ok, err := r.purgedHash(level, n, sealed); ok || err != nil {
			return h, err
		}
	}
	if err != nil {
		return tree.Hash{}, err
	}
	defer r.segments.release(s.path)
	first := n << level
	if level == tile.Height {
		return f.Footer().Frames[(first-s.First)/segment.FrameRecords].Root, nil
	}
	if err := last.load(f, first); err != nil {
		return tree.Hash{}, err
	}
	var subtree tree.Frontier
	for _, h := range last.hashes[first-last.first:][:1<<level] {
		subtree.AppendSubtree(0, h, nil)
	}
	return subtree.Root(), nil
}

// frameHashes is the leaf hashes of a frame.
type frameHashes struct {
	first  uint64
	hashes []tree.Hash
}

// load reads the frame that holds a record, unless it is that already.
func (h *frameHashes) load(f *segment.File, index uint64) error {
	first := index / segment.FrameRecords * segment.FrameRecords
	if h.first == first && len(h.hashes) > 0 {
		return nil
	}
	var buffer segment.Buffer
	defer buffer.Release()
	leaves, err := f.Frame(int((first-f.Header().First)/segment.FrameRecords), &buffer)
	if err != nil {
		return err
	}
	h.first, h.hashes = first, h.hashes[:0]
	for _, leaf := range leaves {
		h.hashes = append(h.hashes, tree.LeafHash(leaf))
	}
	return nil
}

// recoverTiles sees to it that the tiles are those of the segments: after a crash the last segment's may be missing.
func (r *Reader) recoverTiles() error {
	end := r.sealedEnd()
	if end == 0 {
		return nil
	}
	if m := &r.minimum; m.index > 0 && r.sealedRoot(m.index) != m.frontier.Root() {
		return &segmentError{"tile", "tiles do not give the tree of the records that were purged; they cannot be made again, put them back from a copy"}
	}
	if len(r.sealed) == 0 {
		return nil
	}
	last := r.sealed[len(r.sealed)-1]
	f, err := r.segments.acquire(last.path)
	if err != nil {
		return err
	}
	defer r.segments.release(last.path)
	if r.sealedRoot(end) == f.Footer().Root {
		return nil
	}
	if before, ok := tree.FromEdge(last.First, f.Footer().Edge); ok && (last.First == 0 || r.sealedRoot(last.First) == before.Root()) {
		if err := r.tiles.Extend(last.First/segment.FrameRecords, f.Footer().Roots()); err != nil {
			return err
		}
	} else if err := r.rebuildTiles(); err != nil {
		return err
	}
	if r.sealedRoot(end) != f.Footer().Root {
		return &segmentError{filepath.Base(last.path), "segments do not give the root of the last one"}
	}
	return nil
}

// sealedRoot returns the root of the tree of a size that is sealed, by the tiles alone; zeros where they do not have it.
func (r *Reader) sealedRoot(size uint64) tree.Hash {
	f, err := tree.Load(size, tlog.HashReaderFunc(func(indexes []int64) ([]tree.Hash, error) {
		out := make([]tree.Hash, len(indexes))
		for i, x := range indexes {
			level, n := tlog.SplitStoredHashIndex(x)
			var err error
			if out[i], err = r.tiles.Hash(level, uint64(n), size/segment.FrameRecords); err != nil {
				return nil, err
			}
		}
		return out, nil
	}))
	if err != nil {
		return tree.Hash{}
	}
	return f.Root()
}

// rebuildTiles makes all tiles anew from the footers.
func (r *Reader) rebuildTiles() error {
	for _, s := range r.sealed {
		f, err := r.segments.acquire(s.path)
		if err != nil {
			return err
		}
		err = r.tiles.Extend(s.First/segment.FrameRecords, f.Footer().Roots())
		r.segments.release(s.path)
		if err != nil {
			return err
		}
	}
	return nil
}

// removeWAL removes a write-ahead file whose records are all sealed.
func removeWAL(fsys disk.FS, p *part) error {
	for _, name := range []string{p.sidePath(), p.path} {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return fsys.SyncDir(filepath.Dir(p.path))
}
