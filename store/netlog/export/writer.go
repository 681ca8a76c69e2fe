package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Rows writes rows and nothing to prove them with: for other programs to read.
type Rows struct {
	sheet   *sheet
	out     *bufio.Writer
	row     row // the newest
	line    []byte
	started bool
	count   uint64
	first   *End
}

// NewRows returns a writer of rows. Nothing has been written before [Rows.Flush] returned nil.
func NewRows(out io.Writer, l Layout) (*Rows, error) {
	s, err := newSheet(l)
	if err != nil {
		return nil, err
	}
	return &Rows{sheet: s, out: bufio.NewWriterSize(out, 256<<10)}, nil
}

// Row writes a record. amended is the event that amended it later, or empty. Indexes MUST ascend. A leaf that is no record
// of this version is an error: it could not be shown.
func (r *Rows) Row(index uint64, leaf []byte, amended string) error {
	if r.count > 0 && index <= r.row.index {
		return fmt.Errorf("%w: record %d comes after record %d", ErrUnproven, index, r.row.index)
	}
	var err error
	if r.row.record, err = record.Parse(leaf); err != nil {
		return fmt.Errorf("%w: record %d: %w", ErrUnproven, index, err)
	}
	if err := r.begin(); err != nil {
		return err
	}
	r.row.index, r.row.leaf, r.row.amended = index, leaf, amended
	r.line = r.sheet.line(r.line[:0], &r.row)
	if _, err := r.out.Write(r.line); err != nil {
		return err
	}
	if r.count++; r.count == 1 {
		r.first = endOf(index, &r.row.record)
	}
	return nil
}

// begin writes the heading, once.
func (r *Rows) begin() error {
	if r.started {
		return nil
	}
	r.started = true
	_, err := r.out.Write(r.sheet.heading())
	return err
}

// Count is the number of rows.
func (r *Rows) Count() uint64 { return r.count }

// Flush writes what is still held back. Of no row at all, it writes the heading.
func (r *Rows) Flush() error { return errors.Join(r.begin(), r.out.Flush()) }

// Writer makes an export. It is used by one goroutine, and ends with Commit or Abort.
type Writer struct {
	*Rows
	dir     *disk.PendingDir
	layout  Layout
	totals  *Rows   // nil: none came
	counted *summed // their file

	uncounted []totals.Range
	entries   *summed
	proof     *summed
	hashes    *bufio.Writer
}

// summed is a file whose sum is taken as it is written.
type summed struct {
	*disk.NewFile
	name string
	sum  hash.Hash
	size int64
}

func (s *summed) Write(b []byte) (int, error) {
	n, err := s.NewFile.Write(b)
	s.sum.Write(b[:n])
	s.size += int64(n)
	return n, err
}

func (s *summed) describe() File {
	return File{Name: s.name, Bytes: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))}
}

// Create begins an export that will appear as dir. It is an error that matches fs.ErrExist where something is there.
func Create(fsys disk.FS, dir string, l Layout) (*Writer, error) {
	pending, err := disk.NewDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: pending, layout: l}
	if w.entries, err = w.create(EntriesFile(l.Format)); err == nil {
		w.proof, err = w.create(ProofFile)
	}
	if err == nil {
		w.Rows, err = NewRows(w.entries, l)
	}
	if err != nil {
		w.Abort()
		return nil, err
	}
	w.hashes = bufio.NewWriter(w.proof)
	return w, nil
}

func (w *Writer) create(name string) (*summed, error) {
	f, err := w.dir.Create(name)
	return &summed{NewFile: f, name: name, sum: sha256.New()}, err
}

// Total writes a record of totals. Indexes MUST ascend.
func (w *Writer) Total(index uint64, leaf []byte) (err error) {
	if w.totals == nil {
		if w.counted, err = w.create(TotalsFile(w.layout.Format)); err != nil {
			return err
		}
		if w.totals, err = NewRows(w.counted, w.layout); err != nil {
			return err
		}
	}
	return w.totals.Row(index, leaf, "")
}

// Proof writes hashes of the batch inclusion proof, one behind the other.
func (w *Writer) Proof(hashes []byte) error {
	_, err := w.hashes.Write(hashes)
	return err
}

// Commit completes the manifest by what the writer knows itself (version, layout, count, first and last row, files),
// flushes everything, verifies it as it lies there, and gives the directory its name. m.VerifierKey is the key that it is
// verified with. After an error nothing is left, unless the directory has its name already and only that could not be
// flushed.
func (w *Writer) Commit(ctx context.Context, m *Manifest) (err error) {
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	key, err := tree.NewVerifier(m.VerifierKey)
	if err != nil {
		return err
	}
	if err := w.write(m); err != nil {
		return err
	}
	report, err := Verify(ctx, w.dir.Path(), Options{Key: key})
	if err != nil {
		return err
	}
	// Records that nothing counts are not the export's fault: the log could not be written, or its writer stopped before.
	if n := len(report.Counted.Uncounted); uint64(len(report.Findings))+report.More > uint64(n) {
		return fmt.Errorf("%w: %v", ErrUnproven, report.Findings[0])
	}
	w.uncounted = report.Counted.Uncounted
	return w.dir.Publish()
}

// write writes what is still held back, and the manifest.
func (w *Writer) write(m *Manifest) error {
	files := []*summed{w.entries, w.proof}
	if w.totals != nil {
		if err := w.totals.Flush(); err != nil {
			return err
		}
		files = append(files, w.counted)
	}
	if err := errors.Join(w.Flush(), w.hashes.Flush()); err != nil {
		return err
	}
	m.Version, m.Format, m.Lang, m.BOM, m.Columns = Version, w.sheet.Format, w.sheet.Lang, w.sheet.BOM, w.sheet.Columns
	if m.Count, m.First = w.count, w.first; w.count > 0 {
		m.Last = endOf(w.row.index, &w.row.record)
	}
	for _, f := range files {
		if err := f.Finish(); err != nil {
			return err
		}
		m.Files = append(m.Files, f.describe())
	}
	return w.manifest(m)
}

func (w *Writer) manifest(m *Manifest) error {
	text, err := m.marshal()
	if err != nil {
		return err
	}
	f, err := w.dir.Create(ManifestFile)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Finish()
}

// Uncounted says, after Commit, which records of the range no total counts, and one ought to: of these [Verify] cannot
// tell whether rows were left out, and says so.
func (w *Writer) Uncounted() []totals.Range { return w.uncounted }

// Abort removes what was written, as far as that can be done.
func (w *Writer) Abort() {
	for _, f := range []*summed{w.entries, w.proof, w.counted} {
		if f != nil && f.NewFile != nil {
			_ = f.Close() // closed already, or to be removed in the next line
		}
	}
	w.dir.Abort()
}
