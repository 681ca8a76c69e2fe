package netlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// Verdict is what is wrong with a part of a log.
type Verdict uint8

// The verdicts. Zero is invalid.
const (
	// Tampered: bytes are there that this log's key did not sign, or did not sign in this place.
	Tampered Verdict = iota + 1
	// Missing: records are not there that were once.
	Missing
	// Unverifiable: it cannot be said, for want of a key, a newer program, or what stood before it.
	Unverifiable
	// Purged: it cannot be said, because the records' time was over. It is no fault of the log.
	Purged
)

// String returns the verdict's name, such as "tampered".
func (v Verdict) String() string {
	switch v {
	case Tampered:
		return "tampered"
	case Missing:
		return "missing"
	case Unverifiable:
		return "unverifiable"
	case Purged:
		return "unverifiable (purged)"
	}
	return "invalid"
}

// Finding is one thing that is wrong: the records [From, To), in File at Offset where that is known. To is zero when it
// is not known how many records are concerned.
type Finding struct {
	Verdict  Verdict
	File     string
	Offset   int64
	From, To uint64
	Detail   string
}

// String returns the finding as a line of text.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: records from %d", f.Verdict, f.From)
	if f.To > 0 {
		fmt.Fprintf(&b, " to %d", f.To-1)
	}
	if f.File != "" {
		fmt.Fprintf(&b, ", file %s at offset %d", f.File, f.Offset)
	}
	return b.String() + ": " + f.Detail
}

// Report is what [Reader.Verify] found.
type Report struct {
	Origin   string
	Key      string // the verifier key it was verified with
	First    uint64 // the minimum index: what stood before was purged
	Size     uint64 // records up to the last valid commit
	Root     tree.Hash
	Verified uint64 // records from First on that are proven to be under a signed checkpoint
	Commits  uint64 // checkpoints verified
	Files    int
	Segments int // of Files: sealed ones
	// Anchors is how many outside checkpoints and receipts agreed with the log.
	Anchors  int
	Findings []Finding
	// TailBytes is the torn tail behind the last valid commit, and Committed the size a commit in it names: a write in
	// progress, one that a crash cut short, or damage.
	TailBytes int64
	Committed uint64
}

// Whole tells that nothing is wrong from First on.
func (r Report) Whole() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict != Purged })
}

// Anchored tells that evidence from outside agreed with the log. A log that is not anchored is whole as its keeper
// shows it; whether the keeper rewrote it, it cannot say.
func (r Report) Anchored() bool { return r.Anchors > 0 }

// String returns the report as text, a line for each statement.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "origin: %s\nrecords: %d, verified: %d, checkpoints: %d, files: %d\nroot: %s\n",
		r.Origin, r.Size, r.Verified, r.Commits, r.Files, r.Root)
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	if r.TailBytes > 0 {
		fmt.Fprintf(&b, "tail: %d bytes behind the last commit\n", r.TailBytes)
	}
	if r.Anchored() {
		fmt.Fprintf(&b, "anchored outside by %d checkpoints or receipts\n", r.Anchors)
	} else {
		b.WriteString("not anchored outside\n")
	}
	return b.String()
}

// Evidence is something that left the machine: a signed checkpoint, or a receipt (a record's bytes and its proof).
type Evidence struct {
	Checkpoint  []byte
	Leaf, Proof []byte
}

// Verify reads the whole log from the disk: every checksum, seal and record, the root and signature of every commit,
// and each piece of outside evidence. It returns an error only when it could not finish: the context's, or the file
// system's. What is wrong with the log is in the report. Of records that were purged it says so: they are not missing.
func (r *Reader) Verify(ctx context.Context, outside ...Evidence) (Report, error) {
	for tries := 0; ; tries++ {
		report, err := r.verifyOnce(ctx, outside)
		// What is missing may have been purged meanwhile.
		lacks := err == nil && !report.Whole() || errors.Is(err, fs.ErrNotExist)
		if !lacks || tries == 3 || !r.raisedAbove(report.First) {
			return report, err
		}
	}
}

func (r *Reader) verifyOnce(ctx context.Context, outside []Evidence) (Report, error) {
	v := &verification{ctx: ctx, r: r, limit: r.Size(), report: Report{Origin: r.Origin(), Key: r.Key()}, sound: true}
	v.weigh(outside)
	if err := v.beginAtMinimum(); err != nil {
		return v.report, err
	}
	for more := true; more; {
		v.rejoin()
		if err := v.verifySealed(); err != nil {
			return v.report, err
		}
		var err error
		if more, err = v.verifyWAL(); err != nil {
			return v.report, err
		}
	}
	if v.next < v.limit {
		v.find(Missing, v.next, v.limit, 0, "the log was longer")
	}
	v.report.Size, v.report.Root = v.next, v.frontier.Root()
	v.minimumRecord()
	v.conclude()
	return v.report, nil
}

// rejoin goes back to the end of the segments, where the files that begin among their records turned out to be gone: what
// they held is verified already.
func (v *verification) rejoin() {
	if v.next < v.sealed {
		v.next, v.frontier, v.sound = v.sealed, v.footing, v.footed
	}
}

// verifyWAL verifies the write-ahead files behind the sealed records. more is true where one has been sealed meanwhile, and
// is gone.
func (v *verification) verifyWAL() (more bool, err error) {
	names, _, err := v.r.uncovered()
	if err != nil {
		return false, err
	}
	v.entered = false
	for i, name := range names {
		v.file, v.last = name, i == len(names)-1
		first, _ := firstOf(name)
		err := v.verifyFileFrom(first)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errGap) {
			if sealed, err := v.sealedSince(); err != nil || sealed {
				return sealed, err
			}
			if now, _, err := v.r.uncovered(); err != nil || !slices.Equal(now, names) {
				return true, err // of segments that were verified before the reader knew them
			}
		}
		switch {
		case errors.Is(err, errGap):
			err = v.verifyFile()
		case errors.Is(err, fs.ErrNotExist):
			v.find(Missing, v.next, 0, 0, "file is gone")
			err = nil
		}
		if err != nil {
			return false, err
		}
		v.report.Files++
	}
	return false, nil
}

// errGap is a file that begins behind the next record: what is between is gone, or sealed since.
var errGap = errors.New("netlog: records before this file are not here")

func (v *verification) verifyFileFrom(first uint64) error {
	if first > v.next && v.sound {
		return errGap
	}
	return v.verifyFile()
}

// sealedSince tells whether a segment holds the next record that did not when the segments were verified.
func (v *verification) sealedSince() (bool, error) {
	if err := v.r.loadSegments(nil); err != nil {
		return false, err
	}
	s := v.r.findSealed(v.next)
	if s == nil || v.r.sealedEnd() <= v.sealed {
		return false, nil
	}
	_, err := s.identity.Check() // what is gone meanwhile was purged, or is missing
	return err == nil, nil
}

// verification is one run of Verify.
type verification struct {
	ctx      context.Context
	r        *Reader
	report   Report
	limit    uint64 // records that were durable when it began
	file     string
	last     bool // file is the newest
	next     uint64
	frontier tree.Frontier
	sound    bool // frontier is the tree of all records before next
	stored   []tree.Hash
	targets  []*target
	known    uint64               // records before it were counted
	sealed   uint64               // where the segments end that were verified
	footing  tree.Frontier        // the tree there
	footed   bool                 // and whether that is sound
	entered  bool                 // a write-ahead file was begun
	again    tree.Hash            // root at sealed, where records before it stand in a write-ahead file, too
	bySize   map[uint64][]*target // by the sizes of the tree at which they say something
	forked   bool                 // an outside checkpoint showed another history
	minimum  minimum              // where it begins
}

// find adds a finding; one that goes on where the last one of its kind ended is joined to it.
func (v *verification) find(verdict Verdict, from, to uint64, offset int64, detail string) {
	f := Finding{Verdict: verdict, Offset: offset, From: from, To: to, Detail: detail}
	if v.file != "" {
		f.File = filepath.Base(v.file)
	}
	if n := len(v.report.Findings); n > 0 && verdict == Unverifiable {
		if p := &v.report.Findings[n-1]; p.Verdict == verdict && p.File == f.File && p.Detail == detail && p.To == from && to > 0 {
			p.To = to
			return
		}
	}
	v.report.Findings = append(v.report.Findings, f)
}

// verifyFile verifies one file, going on behind damage as far as that can be done.
func (v *verification) verifyFile() error {
	src, err := os.Open(v.file)
	if err != nil {
		return err
	}
	defer src.Close()
	stat, err := src.Stat()
	if err != nil {
		return err
	}
	file, err := wal.NewReader(src, v.r.sealKey)
	if err != nil {
		return v.unreadable(err)
	}
	if !v.enter(file.Header()) {
		return nil
	}
	tail, err := file.Scan(stat.Size(), v.batch)
	for errors.Is(err, wal.ErrCorrupt) {
		var corrupt *wal.CorruptError
		errors.As(err, &corrupt)
		c, end, ok, resumeErr := file.Resume(corrupt.Offset, stat.Size())
		if resumeErr != nil {
			return resumeErr
		}
		if !ok || c.Size <= v.next {
			v.find(Tampered, v.next, 0, corrupt.Offset, corrupt.Reason)
			v.sound = false
			return nil
		}
		v.skip(c, corrupt)
		tail, err = file.ScanFrom(c, end, stat.Size(), v.batch)
	}
	if err != nil {
		return err
	}
	return v.end(tail)
}

// end judges what stands behind the last valid batch of a file.
func (v *verification) end(tail wal.Tail) error {
	switch {
	case tail.Bytes == 0:
	case v.last:
		v.report.TailBytes, v.report.Committed = tail.Bytes, tail.Committed
	default:
		v.find(Tampered, v.next, tail.Committed, tail.Offset, "closed file ends in damage")
		v.sound = false
	}
	return nil
}

// unreadable judges a file whose header cannot be used.
func (v *verification) unreadable(err error) error {
	first, _ := firstOf(v.file)
	from := max(first, v.next)
	switch {
	case errors.Is(err, atrest.ErrNoKey), errors.Is(err, atrest.ErrKey), errors.Is(err, wal.ErrVersion):
		v.find(Unverifiable, from, 0, 0, strings.TrimPrefix(err.Error(), "wal: "))
	case errors.Is(err, wal.ErrCorrupt):
		v.find(Tampered, from, 0, 0, "header is damaged")
	default:
		return err
	}
	v.sound = false
	return nil
}

// enter compares a file's header with what came before. It is false when the file is of another log.
func (v *verification) enter(h wal.Header) bool {
	if h.Origin != v.r.Origin() {
		v.find(Tampered, v.next, 0, 0, "file is of another origin")
		return false
	}
	if h.First < v.next && !v.entered && v.next == v.sealed {
		// The first file may begin among the sealed records. They are verified here once more, and must be the same.
		f, err := tree.Load(h.First, v.r)
		if (err != nil || f.Root() != h.Root) && v.sound {
			// Where the segment is damaged in which it begins, or a tile, it is taken up where the segments end. A file of
			// another history differs from them there.
			v.entered = true
			return true
		}
		if err == nil {
			v.again, v.next, v.frontier = v.frontier.Root(), h.First, f
		}
	}
	v.entered = true
	if h.First != v.next {
		if v.sound && h.First > v.next {
			v.find(Missing, v.next, h.First, 0, "records before this file are not there")
		} else if v.sound {
			v.find(Tampered, h.First, v.next, 0, "records stand here twice")
		}
		v.sound = false
	}
	v.next = h.First
	if !v.sound {
		// The hashes of what is damaged or gone may still be in memory or a sidecar. They are not trusted: if they are
		// wrong, the next commit's root differs.
		if f, err := tree.Load(h.First, v.r); err == nil && f.Root() == h.Root {
			v.frontier, v.sound = f, true
		}
	} else if v.frontier.Root() != h.Root {
		v.find(Tampered, v.next, 0, 0, "file begins with another tree")
	}
	return true
}

// skip passes a damaged batch that ends with commit c.
func (v *verification) skip(c wal.Commit, damage *wal.CorruptError) {
	v.find(Tampered, v.next, c.Size, damage.Offset, damage.Reason)
	for v.sound && v.next < c.Size {
		h, err := v.r.readHash(tlog.StoredHashIndex(0, int64(v.next)))
		if err != nil {
			v.sound = false
			break
		}
		v.add(h)
	}
	v.next = c.Size
	if v.sound && v.frontier.Root() != c.Root {
		v.sound = false
	}
}

// add puts a record's hash into the tree and compares the outside evidence that concerns it.
func (v *verification) add(h tree.Hash) {
	v.stored = v.frontier.Append(h, v.stored[:0])
	v.next = v.frontier.Size()
	v.weighAt(v.next, h)
}

func (v *verification) batch(b *wal.Batch) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	if !v.sound {
		v.find(Unverifiable, b.First, b.Size, b.Offset, "the tree before these records is not known")
		v.next = b.Size
		return nil
	}
	before := len(v.report.Findings)
	if b.Size <= v.next {
		return nil // of sealed records
	}
	for i, leaf := range b.Leaves[max(b.First, v.next)-b.First:] {
		if _, err := record.Parse(leaf); err != nil {
			index := max(b.First, v.next) + uint64(i)
			v.find(Unverifiable, index, index+1, b.Offset, "not a record that this version can read")
		}
		v.stored = v.frontier.Append(tree.LeafHash(leaf), v.stored[:0])
		v.weighAt(v.frontier.Size(), v.stored[0])
		if v.frontier.Size() == v.sealed && v.again != v.frontier.Root() {
			v.find(Tampered, b.First, b.Size, b.Offset, "other records than the sealed ones")
			v.sound = false
			return nil
		}
	}
	v.next = b.Size
	if v.frontier.Root() != b.Root {
		v.find(Tampered, b.First, b.Size, b.Offset, "records do not give the root of their commit")
		v.sound = false
		return nil
	}
	c, err := v.r.verifier.Open(b.Checkpoint)
	switch {
	case errors.Is(err, tree.ErrUnknownKey):
		v.find(Unverifiable, b.First, b.Size, b.Offset, "checkpoint is signed by another key")
	case err != nil:
		v.find(Tampered, b.First, b.Size, b.Offset, "checkpoint is not validly signed")
	case c.Size != b.Size || c.Root != b.Root:
		v.find(Tampered, b.First, b.Size, b.Offset, "checkpoint is of another tree")
	default:
		v.report.Commits++
		if before == len(v.report.Findings) {
			v.report.Verified += b.Size - max(b.First, min(v.known, b.Size))
		}
		v.known = max(v.known, b.Size)
	}
	return nil
}
