package netlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/sidecar"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// recover reads the directory for writing: strictly, cutting a torn tail of the last file, and leaving every file that
// holds records closed and with a sidecar. The last signed checkpoint must be that of the tree that was read. Nothing
// but manifests and tiles, which are derived, is changed before all was read, found good and admitted.
func (r *Reader) recover(fsys disk.FS, admit func(*Reader) error) (Recovery, error) {
	if err := r.loadMinimum(); err != nil {
		return Recovery{}, err
	}
	if err := r.loadSegments(fsys); err != nil {
		return Recovery{}, err
	}
	if err := r.recoverTiles(); err != nil {
		return Recovery{}, err
	}
	names, covered, err := r.uncovered()
	if err != nil {
		return Recovery{}, err
	}
	var tail wal.Tail
	for i, name := range names {
		if tail, err = r.recoverFile(name, i == len(names)-1); err != nil {
			return Recovery{}, err
		}
	}
	if r.size == 0 {
		return Recovery{}, &wal.CorruptError{File: walDir, Reason: "no record at all, not even the first"}
	}
	if err := r.checkHead(); err != nil {
		return Recovery{}, err
	}
	if err := r.checkMinimum(); err != nil {
		return Recovery{}, err
	}
	if err := admit(r); err != nil {
		return Recovery{}, err
	}
	for _, name := range covered {
		if err := removeWAL(fsys, &part{path: name}); err != nil {
			return Recovery{}, err
		}
	}
	return r.clear(fsys, tail)
}

// uncovered returns the write-ahead files that hold records which are not sealed, or may, and those that hold none: the
// next one begins with a record that is sealed, or with the one after.
func (r *Reader) uncovered() (names, covered []string, err error) {
	if names, err = walNames(r.dir); err != nil {
		return nil, nil, err
	}
	for len(names) > 1 {
		if next, ok := firstOf(names[1]); !ok || next > r.sealedEnd() {
			break
		}
		names, covered = names[1:], append(covered, names[0])
	}
	return names, covered, nil
}

// recoverFile reads one file. Only the last one may have a torn tail, or no record.
func (r *Reader) recoverFile(name string, last bool) (wal.Tail, error) {
	p, tail, err := r.loadFile(name, last)
	if err != nil {
		return tail, err
	}
	if !last && (tail.Bytes > 0 || p.end == p.first) {
		return tail, inFile(&wal.CorruptError{Offset: tail.Offset, Reason: "closed file ends in damage"}, name)
	}
	return tail, nil
}

// clear makes the directory as a writer expects it, given the tail of its last file.
func (r *Reader) clear(fsys disk.FS, tail wal.Tail) (Recovery, error) {
	rec := Recovery{Origin: r.Origin(), Size: r.size}
	if err := removeTemporary(fsys, r.dir); err != nil {
		return rec, err
	}
	var err error
	if rec.Purged, err = r.removePurged(fsys); err != nil {
		return rec, err
	}
	for _, p := range r.parts {
		// What stands behind the last commit is a torn tail, or zeros.
		if size, err := p.identity.Check(); err != nil {
			return rec, err
		} else if size > p.bytes {
			if err := disk.Cut(fsys, p.path, p.bytes); err != nil {
				return rec, err
			}
		}
	}
	if len(r.parts) == 0 {
		return rec, nil
	}
	last := r.parts[len(r.parts)-1]
	if tail.Bytes > 0 {
		rec.File, rec.Offset, rec.CutBytes, rec.Committed = filepath.Base(last.path), tail.Offset, tail.Bytes, tail.Committed
	}
	if last.end == last.first {
		// Nothing was ever acknowledged from it. The next file takes its name, and has a salt of its own.
		r.parts = r.parts[:len(r.parts)-1]
		if err := fsys.Remove(last.path); err != nil {
			return rec, err
		}
		if err := fsys.SyncDir(filepath.Dir(last.path)); err != nil {
			return rec, err
		}
	}
	for len(r.parts) > 0 && r.parts[0].end <= r.sealedEnd() {
		if err := removeWAL(fsys, r.parts[0]); err != nil {
			return rec, err
		}
		r.parts = r.parts[1:]
	}
	for _, p := range r.parts {
		if p.memory != nil {
			if err := r.settle(fsys, p); err != nil {
				return rec, err
			}
		}
	}
	return rec, nil
}

// loadFile adds a file's part to r: from its sidecar if that may be used, else by reading it. It is an error when the
// file does not continue the log.
func (r *Reader) loadFile(name string, last bool) (*part, wal.Tail, error) {
	src, err := os.Open(name)
	if err != nil {
		return nil, wal.Tail{}, err
	}
	defer src.Close()
	stat, err := src.Stat()
	if err != nil {
		return nil, wal.Tail{}, err
	}
	file, err := wal.NewReader(src, r.sealKey)
	if err != nil {
		return nil, wal.Tail{}, inFile(err, name)
	}
	header := file.Header()
	// The first file may begin among the sealed records: a segment ends with a whole frame.
	if header.Origin != r.Origin() || header.First > r.size || header.First < r.size && len(r.parts) > 0 {
		return nil, wal.Tail{}, inFile(&wal.CorruptError{Reason: fmt.Sprintf("file begins with record %d, expected %d", header.First, r.size)}, name)
	}
	p := &part{path: name, first: header.First, end: header.First, bytes: file.Start(), memory: &memory{}}
	if p.identity, err = disk.Identify(name); err != nil {
		return nil, wal.Tail{}, err
	}
	frontier, err := tree.Load(header.First, r)
	if err != nil {
		return nil, wal.Tail{}, fmt.Errorf("%w: %w", errNoTree, err)
	}
	if frontier.Root() != header.Root {
		return nil, wal.Tail{}, inFile(&wal.CorruptError{Reason: "file begins with another tree"}, name)
	}
	r.addPart(p)
	if !last && r.useSidecar(p, header, stat.Size()) {
		return p, wal.Tail{}, nil
	}
	tail, err := r.scan(p, file, stat.Size(), &frontier)
	if err != nil {
		return p, wal.Tail{}, inFile(err, name)
	}
	return p, tail, nil
}

// errNoTree means that the tree before a file is not known, because what stood before it is damaged or gone.
var errNoTree = errors.New("netlog: tree before this file is not known")

// useSidecar takes a closed file's places and tree hashes from its sidecar. It is false when there is none that is whole
// and this file's; then the file must be read.
func (r *Reader) useSidecar(p *part, header wal.Header, size int64) bool {
	info, err := sidecar.ReadInfo(p.sidePath())
	if err != nil || info.ID != header.ID() || info.First != p.first || info.Bytes != size {
		return false
	}
	p.end = info.End
	if _, err := p.sidecar(); err != nil {
		p.end = p.first
		return false
	}
	p.bytes, p.memory = info.Bytes, nil
	r.size = max(r.size, p.end)
	r.head = head{size: p.end, root: info.Root}
	return true
}

// scan reads a part's batches into r as normal work would have put them there.
func (r *Reader) scan(p *part, file *wal.Reader, size int64, frontier *tree.Frontier) (wal.Tail, error) {
	var stored []tree.Hash
	sealed := r.sealedEnd()
	sealedRoot := r.sealedRoot(sealed)
	return file.Scan(size, func(b *wal.Batch) error {
		stored = stored[:0]
		for _, leaf := range b.Leaves {
			stored = frontier.Append(tree.LeafHash(leaf), stored)
			if frontier.Size() == sealed && sealedRoot != (tree.Hash{}) && frontier.Root() != sealedRoot {
				return &wal.CorruptError{Offset: b.Offset, Reason: "other records than the sealed ones"}
			}
		}
		root := frontier.Root()
		if root != b.Root {
			return &wal.CorruptError{Offset: b.Offset, Reason: "records do not give the root of their commit"}
		}
		r.publish(p, b.Offset, b.End, b.First, stored, head{b.Size, root, bytes.Clone(b.Checkpoint)})
		return nil
	})
}

// checkHead verifies the signature over the tree that was read, which covers every record before it.
func (r *Reader) checkHead() error {
	if r.head.size < r.size && r.size == r.sealedEnd() {
		return r.sealedHead()
	}
	if r.head.checkpoint == nil { // the last part came from its sidecar
		p, offset, err := r.locate(r.size - 1)
		if err != nil {
			return err
		}
		src, err := os.Open(p.path)
		if err != nil {
			return err
		}
		defer src.Close()
		file, err := wal.NewReader(src, r.sealKey)
		if err != nil {
			return inFile(err, p.path)
		}
		batch, err := file.Read(offset, p.bytes, new(wal.Buffer))
		if err != nil {
			return inFile(err, p.path)
		}
		frontier, err := tree.Load(r.size, r)
		if err != nil {
			return err
		}
		if batch.Size != r.size || batch.Root != frontier.Root() {
			return inFile(&wal.CorruptError{Offset: offset, Reason: "last commit is of another tree than the sidecars"}, p.path)
		}
		r.head = head{batch.Size, batch.Root, bytes.Clone(batch.Checkpoint)}
	}
	c, err := r.verifier.Open(r.head.checkpoint)
	if err != nil || c.Size != r.head.size || c.Root != r.head.root {
		return inFile(&wal.CorruptError{Offset: r.parts[len(r.parts)-1].bytes, Reason: "last checkpoint is not signed by this log"}, r.parts[len(r.parts)-1].path)
	}
	return nil
}

// sealedHead takes the head from the last segment: no record stands behind it.
func (r *Reader) sealedHead() error {
	if len(r.sealed) == 0 {
		return &segmentError{minimumFile, "no record stands behind those that were purged, not even the one that says so"}
	}
	s := r.sealed[len(r.sealed)-1]
	f, err := r.segments.acquire(s.path)
	if err != nil {
		return err
	}
	defer r.segments.release(s.path)
	c, err := r.verifier.Open(f.Footer().Checkpoint)
	if err != nil || c.Size != s.End || c.Root != f.Footer().Root {
		return &segmentError{filepath.Base(s.path), "checkpoint is not signed by this log"}
	}
	r.head = head{c.Size, c.Root, bytes.Clone(f.Footer().Checkpoint)}
	return nil
}

// ReaderOptions says what [OpenReader] reads. Dir is required.
type ReaderOptions struct {
	Dir string
	// Key is the verifier key. It SHOULD come from elsewhere than Dir: whoever can write there can put another key
	// beside another log. Empty takes the one in Dir.
	Key string
	// SealKey opens sealed records. Without it a sealed log can be verified in part only.
	SealKey []byte
}

// OpenReader opens the log in Dir for reading, whether a server has it open or not, and changes nothing. It sees the
// records that are durable now. Damage does not keep it from opening: what stands before and after it can be read, and
// [Reader.Verify] names it. Errors: [ErrNoLog], [ErrKey] when the log is another key's, atrest.ErrNoKey, atrest.ErrKey,
// wal.ErrVersion.
func OpenReader(opt ReaderOptions) (*Reader, error) {
	id, err := readIdentity(opt.Dir)
	if err != nil {
		return nil, err
	}
	key := opt.Key
	if key == "" {
		key = id.Key
	}
	verifier, err := tree.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	if verifier.Key() != id.Key || verifier.Origin() != id.Origin {
		return nil, ErrKey
	}
	// A file that is gone between listing and opening was sealed meanwhile, or purged.
	for tries := 0; ; tries++ {
		r := newReader(opt.Dir, verifier, opt.SealKey)
		err := r.loadAll()
		if err == nil {
			return r, nil
		}
		r.Close()
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRaised) || tries == 5 {
			return nil, err
		}
	}
}

// loadAll is recover for a reader.
func (r *Reader) loadAll() error {
	if err := r.loadMinimum(); err != nil {
		if !isDamage(err) {
			return err
		}
		r.noteSealedDamage(err)
	}
	if err := r.loadSegments(nil); err != nil {
		return err
	}
	names, _, err := r.uncovered()
	if err != nil {
		return err
	}
	for i, name := range names {
		if err := r.loadLenient(name, i == len(names)-1); err != nil {
			return err
		}
	}
	if r.head.checkpoint == nil && r.size > 0 {
		// Without a checkpoint nothing can be proved, but records can be read and Verify will say why.
		_ = r.checkHead()
	}
	if m, err := readMinimum(r.dir, r.verifier); err == nil && m.index > r.First() {
		return errRaised
	}
	return nil
}

// errRaised means that records were purged while the directory was read.
var errRaised = errors.New("netlog: the minimum index was raised meanwhile")

// loadLenient is loadFile for a reader: damage leaves a part that ends early.
func (r *Reader) loadLenient(name string, last bool) error {
	p, _, err := r.loadFile(name, last)
	if err == nil {
		return nil
	}
	if !errors.Is(err, wal.ErrCorrupt) && !errors.Is(err, errNoTree) {
		return err
	}
	if p != nil {
		p.damage = err
		return nil
	}
	first, ok := firstOf(name)
	if !ok {
		return nil
	}
	// The file cannot be placed by what was read before it, so by its name; its records are found by reading it.
	p = &part{path: name, first: first, end: first, memory: &memory{}, damage: err}
	r.addPart(p)
	r.size = max(r.size, first)
	return r.loadAlone(p, last)
}

// loadAlone reads a part whose predecessor is damaged: places, and tree hashes only if it has a sidecar.
func (r *Reader) loadAlone(p *part, last bool) error {
	src, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer src.Close()
	stat, err := src.Stat()
	if err != nil {
		return err
	}
	file, err := wal.NewReader(src, r.sealKey)
	if errors.Is(err, wal.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return inFile(err, p.path)
	}
	if h := file.Header(); h.Origin != r.Origin() || h.First != p.first {
		return nil
	}
	if !last && r.useSidecar(p, file.Header(), stat.Size()) {
		return nil
	}
	_, err = file.Scan(stat.Size(), func(b *wal.Batch) error {
		r.publish(p, b.Offset, b.End, b.First, nil, head{b.Size, b.Root, bytes.Clone(b.Checkpoint)})
		return nil
	})
	if err != nil && !errors.Is(err, wal.ErrCorrupt) {
		return err
	}
	p.damage = err
	return nil
}

// firstOf returns the index in a file's name.
func firstOf(name string) (uint64, bool) {
	var first uint64
	n, err := fmt.Sscanf(filepath.Base(name), "%020d.", &first)
	return first, n == 1 && err == nil && first < math.MaxInt64
}
