package netlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/sidecar"
	"github.com/heyan-project/heyan/store/netlog/tile"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// Reader reads the durable records of a log. It is safe for concurrent use.
type Reader struct {
	dir      string
	verifier tree.Verifier
	sealKey  []byte

	segments segments
	tiles    tile.Store
	files    sync.Mutex // held while files are looked at, and while one is dropped and removed
	looked   int        // segments, by the watch

	mu           sync.RWMutex
	minimum      minimum       // what stood before it was purged
	edges        edges         // and left this
	sealed       []*sealedPart // in order
	sealedDamage error         // of segments that could not be placed
	parts        []*part       // behind the sealed records; the first may begin among them
	size         uint64
	head         head
	changed      chan struct{} // closed at the next commit; nil when nobody waits
}

// head is a tree and its signed checkpoint.
type head struct {
	size       uint64
	root       tree.Hash
	checkpoint []byte
}

func newReader(dir string, verifier tree.Verifier, sealKey []byte) *Reader {
	return &Reader{dir: dir, verifier: verifier, sealKey: bytes.Clone(sealKey),
		segments: segments{sealKey: bytes.Clone(sealKey)}, tiles: tile.Store{FS: disk.OS(), Dir: dir}}
}

// Origin returns the log's origin: the node's name, a hyphen and 16 hexadecimal digits.
func (r *Reader) Origin() string { return r.verifier.Origin() }

// Key returns the verifier key, to be given to those who verify.
func (r *Reader) Key() string { return r.verifier.Key() }

// Size returns the number of durable records.
func (r *Reader) Size() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.size
}

// Checkpoint returns the signed checkpoint of the durable records (a C2SP tlog-checkpoint), nil for an empty log.
func (r *Reader) Checkpoint() []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return bytes.Clone(r.head.checkpoint)
}

// Damage returns what opening the log found wrong, or nil. It did not read everything: [Reader.Verify] does.
func (r *Reader) Damage() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	err := r.sealedDamage
	for _, p := range r.parts {
		err = errors.Join(err, p.damage)
	}
	return err
}

// Close releases the reader's files.
func (r *Reader) Close() error {
	for _, p := range r.snapshot().parts {
		p.close()
	}
	r.segments.close()
	return nil
}

// publish makes a durable batch visible. Recovery and normal work both end here.
func (r *Reader) publish(p *part, offset, end int64, first uint64, stored []tree.Hash, h head) {
	r.mu.Lock()
	p.memory.add(sidecar.Batch{First: first, Offset: offset}, stored)
	p.end, p.bytes = h.size, end
	r.size, r.head = max(r.size, h.size), h
	changed := r.changed
	r.changed = nil
	r.mu.Unlock()
	if changed != nil {
		close(changed)
	}
}

func (r *Reader) addPart(p *part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, p)
}

// partView is a part's state at one moment.
type partView struct {
	*part
	first, end uint64
	bytes      int64
	memory     *memory
}

type view struct {
	sealed []*sealedPart
	parts  []partView
	head   head
}

func (r *Reader) snapshot() view {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v := view{r.sealed[:len(r.sealed):len(r.sealed)], make([]partView, len(r.parts)), r.head}
	for i, p := range r.parts {
		v.parts[i] = partView{p, p.first, p.end, p.bytes, p.memory}
	}
	return v
}

// locate returns the part that holds a record and where the record's batch begins.
func (r *Reader) locate(index uint64) (partView, int64, error) {
	r.mu.RLock()
	n := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].first > index })
	if n == 0 || index >= r.size {
		damage := r.sealedDamage
		r.mu.RUnlock()
		if err := r.purged(index); err != nil {
			return partView{}, 0, err
		}
		if damage != nil && index < r.Size() {
			return partView{}, 0, fmt.Errorf("netlog: record %d cannot be read: %w", index, damage)
		}
		return partView{}, 0, ErrNotFound
	}
	p := r.parts[n-1]
	v := partView{p, p.first, p.end, p.bytes, p.memory}
	if index >= p.end {
		r.mu.RUnlock()
		return v, 0, fmt.Errorf("netlog: record %d cannot be read: %w", index, errors.Join(p.damage, ErrNotFound))
	}
	if p.memory != nil {
		b := p.memory.find(index)
		r.mu.RUnlock()
		return v, b.Offset, nil
	}
	r.mu.RUnlock()
	side, err := p.sidecar()
	if err != nil {
		return v, 0, gone(err)
	}
	b, err := side.Find(index)
	return v, b.Offset, gone(err)
}

// ReadHashes is tlog.HashReader over the durable records' tree hashes.
func (r *Reader) ReadHashes(indexes []int64) ([]tree.Hash, error) {
	out := make([]tree.Hash, len(indexes))
	var last frameHashes // a proof asks for several of one frame
	for i, x := range indexes {
		h, err := r.readHashBy(x, &last)
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

func (r *Reader) readHash(x int64) (tree.Hash, error) { return r.readHashBy(x, new(frameHashes)) }

func (r *Reader) readHashBy(x int64, last *frameHashes) (tree.Hash, error) {
	level, n := tlog.SplitStoredHashIndex(x)
	r.mu.RLock()
	if end := r.sealedEndLocked(); uint64(n+1)<<level <= end {
		r.mu.RUnlock()
		return r.sealedHash(level, uint64(n), end, last)
	}
	at := sort.Search(len(r.parts), func(i int) bool { return tlog.StoredHashCount(int64(r.parts[i].first)) > x })
	if at == 0 {
		r.mu.RUnlock()
		return tree.Hash{}, errNoHash
	}
	p := r.parts[at-1]
	if p.memory != nil {
		h, ok := p.memory.hash(x - tlog.StoredHashCount(int64(p.first)))
		r.mu.RUnlock()
		if !ok {
			return h, errNoHash
		}
		return h, nil
	}
	r.mu.RUnlock()
	h, err := p.hash(x)
	if end := r.sealedEnd(); errors.Is(err, errGone) && uint64(n+1)<<level <= end { // it was sealed since
		return r.sealedHash(level, uint64(n), end, last)
	}
	return h, err
}

// Read calls fn with the durable records [from, to), in order; to beyond the end means the end at the time of the call.
// leaf is valid during the call of fn. It ends with fn's error, the context's, a wal.CorruptError, or [ErrPurged] where a
// record was purged: the log begins with [Reader.First].
func (r *Reader) Read(ctx context.Context, from, to uint64, fn func(index uint64, leaf []byte) error) error {
	to = min(to, r.Size())
	for from < to {
		next, err := r.readSome(ctx, from, to, fn)
		// A file that is gone was sealed since, or purged; nothing of it was read.
		if errors.Is(err, errGone) && next == from {
			found, purged := r.goneTo(from)
			if purged != nil {
				return purged
			}
			if found {
				next, err = r.readSome(ctx, from, to, fn)
			}
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// readSome reads on from a record, to the end of the file that holds it at most. It returns the index to go on with.
func (r *Reader) readSome(ctx context.Context, from, to uint64, fn func(index uint64, leaf []byte) error) (uint64, error) {
	if s := r.findSealed(from); s != nil {
		return r.readSealed(ctx, s, from, to, fn)
	}
	p, offset, err := r.locate(from)
	if err != nil {
		return from, err
	}
	return r.readPart(ctx, p, offset, from, min(to, p.end), fn)
}

// readPart reads [from, to) of one part, whose batch at offset holds from. It returns the index to go on with.
func (r *Reader) readPart(ctx context.Context, p partView, offset int64, from, to uint64, fn func(uint64, []byte) error) (uint64, error) {
	src, err := os.Open(p.path)
	if err != nil {
		return from, gone(err)
	}
	defer src.Close()
	file, err := wal.NewReader(src, r.sealKey)
	if err != nil {
		return from, inFile(err, p.path)
	}
	var buf wal.Buffer
	for from < to {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		batch, err := file.Read(offset, p.bytes, &buf)
		if err != nil {
			return from, inFile(err, p.path)
		}
		if batch.First > from || batch.Size <= from {
			return from, inFile(&wal.CorruptError{Offset: offset, Reason: "batch holds other records"}, p.path)
		}
		for ; from < min(to, batch.Size); from++ {
			if err := fn(from, batch.Leaves[from-batch.First]); err != nil {
				return from, err
			}
		}
		offset = batch.End
	}
	return from, nil
}

// inFile adds the file's name to an error of package wal.
func inFile(err error, path string) error {
	var corrupt *wal.CorruptError
	if errors.As(err, &corrupt) {
		corrupt.File = filepath.Base(path)
		return err
	}
	return fmt.Errorf("%w: %s", err, filepath.Base(path))
}

var errDone = errors.New("netlog: done")

// Get returns a record's bytes, [ErrNotFound] or [ErrPurged].
func (r *Reader) Get(ctx context.Context, index uint64) ([]byte, error) {
	var leaf []byte
	err := r.Read(ctx, index, index+1, func(_ uint64, b []byte) error {
		leaf = bytes.Clone(b)
		return errDone
	})
	if err == nil {
		return nil, ErrNotFound
	}
	if !errors.Is(err, errDone) {
		return nil, err
	}
	return leaf, nil
}

// Follow calls fn with the durable records from from on, and then with each new one when it is durable, in order, until
// fn or the context ends it or the log stops. While fn works nothing is buffered: a slow reader reads from the disk.
func (l *Log) Follow(ctx context.Context, from uint64, fn func(index uint64, leaf []byte) error) error {
	for {
		to, changed := l.wait()
		if err := l.Read(ctx, from, to, fn); err != nil {
			return err
		}
		from = max(from, to)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopped:
			if to == l.Size() {
				return l.Healthy()
			}
		}
	}
}

// wait returns the size, and a channel that is closed once the log is larger.
func (r *Reader) wait() (size uint64, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.size, r.changed
}

// errNoCheckpoint is a damaged log, of which a reader found no signed checkpoint that its tree agrees with.
var errNoCheckpoint = errors.New("netlog: no checkpoint fits what could be read; Verify says what is damaged")

// Proof returns the C2SP tlog-proof of a record in the tree of the latest checkpoint, [ErrNotFound] or [ErrPurged].
func (r *Reader) Proof(_ context.Context, index uint64) ([]byte, error) {
	h := r.snapshot().head
	if index >= h.size {
		return nil, ErrNotFound
	}
	if err := r.purged(index); err != nil {
		return nil, err
	}
	if h.checkpoint == nil {
		return nil, errNoCheckpoint
	}
	p, err := tree.Prove(index, h.size, h.root, h.checkpoint, r)
	if err != nil {
		return nil, err
	}
	return p.Marshal(), nil
}

// Coverage says which records a log holds.
type Coverage struct {
	Origin         string
	First, Size    uint64 // indexes [First, Size)
	Oldest, Newest time.Time
	Files          int
	Segments       int   // of Files: sealed ones
	Bytes          int64 // on disk, sidecars, manifests and tiles not counted
}

// Coverage returns what the log holds. The times are those of the first and last record.
func (r *Reader) Coverage(ctx context.Context) (Coverage, error) {
	v := r.snapshot()
	c := Coverage{Origin: r.Origin(), Size: v.head.size, Files: len(v.sealed) + len(v.parts), Segments: len(v.sealed)}
	for _, s := range v.sealed {
		c.Bytes += s.Bytes
	}
	for _, p := range v.parts {
		c.Bytes += p.bytes
	}
	if c.Files == 0 || c.Size == 0 {
		return c, nil
	}
	if len(v.sealed) > 0 {
		c.First = v.sealed[0].First
	} else {
		c.First = v.parts[0].first
	}
	for index, t := range map[uint64]*time.Time{c.First: &c.Oldest, c.Size - 1: &c.Newest} {
		leaf, err := r.Get(ctx, index)
		if err != nil {
			return c, err
		}
		rec, err := record.Parse(leaf)
		if err != nil {
			return c, err
		}
		*t = rec.Time
	}
	if c.Size-1 == c.First {
		c.Oldest = c.Newest
	}
	return c, nil
}

// walNames returns the write-ahead files of a log, in order.
func walNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, walDir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == walSuffix {
			names = append(names, filepath.Join(dir, walDir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// removeTemporary removes what a crash left under temporary names; nothing there was acknowledged.
func removeTemporary(fsys disk.FS, dir string) error {
	for _, in := range []string{"", walDir, segmentDir} {
		pattern := filepath.Join(dir, in, "*"+disk.TempSuffix)
		names, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := fsys.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
