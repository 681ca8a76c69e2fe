package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Options is what an export is verified with.
type Options struct {
	// Key is the log's verifier key. It MUST come from elsewhere: one that stands in the export proves nothing.
	Key tree.Verifier
	// Outside are checkpoints and receipts that left the machine of the log earlier.
	Outside []netlog.Evidence
	// Read is told of bytes that were read. Nil drops it.
	Read func(bytes int64)
}

// Finding is one thing that is wrong with an export.
type Finding struct {
	Verdict netlog.Verdict
	File    string
	Row     uint64 // of File, from 1, the heading of CSV not counted; 0 = none, or not known
	Index   uint64 // of the record, where Row is not 0
	Column  string // that shows something else than the leaf; empty = none
	Detail  string
}

// String returns the finding as a line of text.
func (f Finding) String() string {
	where := f.File
	if f.Row > 0 {
		where = fmt.Sprintf("%s, row %d, index %d", where, f.Row, f.Index)
	}
	if f.Column != "" {
		where += ", column " + f.Column
	}
	return fmt.Sprintf("%s: %s: %s", f.Verdict, where, f.Detail)
}

// Report is what [Verify] found.
type Report struct {
	Manifest *Manifest       // nil where it cannot be read
	Signed   tree.Checkpoint // the tree that the key's owner signed; zero where there is none
	Rows     uint64          // read
	Amended  uint64          // rows that say that they were amended, by the word of the exporter
	// Members tells that every row is proven to be the record at its index of the signed tree.
	Members bool
	// Complete tells that every record of the manifest's range is there: it was not filtered, and nothing is missing.
	Complete bool
	// Gapless tells that the rows are proven, and every record from the first one to the last: of an export that is filtered
	// by time alone, that nothing is left out in between.
	Gapless bool
	// Totals says of a filtered export whether the log's hourly totals agree with it, and Counted what was compared.
	Totals  Totals
	Counted totals.Result
	// Anchors is how many pieces of outside evidence agree, of Given.
	Anchors, Given int
	Findings       []Finding
	// More is how many findings beyond those listed there are.
	More uint64
}

// Whole tells that nothing is wrong.
func (r Report) Whole() bool { return len(r.Findings) == 0 }

// maxFindings bounds what is listed; a file of another log differs in every row.
const maxFindings = 100

// Is reports whether a directory is an export, by its manifest.
func Is(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, ManifestFile))
	return err == nil && info.Mode().IsRegular()
}

// Verify verifies the export in dir. It returns an error only when it could not finish: [ErrNoExport], the context's, or
// the file system's. What is wrong with the export is in the report.
func Verify(ctx context.Context, dir string, o Options) (Report, error) {
	if o.Read == nil {
		o.Read = func(int64) {}
	}
	v := &verification{ctx: ctx, dir: dir, Options: o, report: Report{Given: len(o.Outside)}}
	m, err := v.manifest()
	if m == nil || err != nil {
		return v.report, err
	}
	v.report.Manifest = m
	v.signed(m)
	v.weigh(m)
	if err := v.rows(m); err != nil {
		return v.report, err
	}
	return v.report, v.conclude(m)
}

// verification is one run of Verify.
type verification struct {
	Options
	ctx    context.Context
	dir    string
	report Report

	file      string // that findings name
	row       uint64 // and the row of it; 0 = none
	index     uint64
	batch     *tree.Batch
	broken    bool // the rows cannot be put to the proof: something is wrong with them already
	proof     *source
	edge      tree.Frontier // of the rows, while they stand from index 0 on without a gap
	totals    *counted
	disagreed bool // rows and totals
	targets   []*target
}

func (v *verification) find(verdict netlog.Verdict, column, detail string) {
	if len(v.report.Findings) == maxFindings {
		v.report.More++
		return
	}
	f := Finding{Verdict: verdict, File: v.file, Column: column, Detail: detail}
	if v.row > 0 {
		f.Row, f.Index = v.row, v.index
	}
	v.report.Findings = append(v.report.Findings, f)
}

// manifest reads the manifest; nil where it cannot be read.
func (v *verification) manifest() (*Manifest, error) {
	v.file = ManifestFile
	in, err := os.Open(filepath.Join(v.dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoExport
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(in)
	err = errors.Join(err, in.Close())
	switch {
	case errors.Is(err, errNewer), errors.Is(err, errOlder):
		v.find(netlog.Unverifiable, "", err.Error())
		return nil, nil
	case errors.Is(err, errManifest):
		v.find(netlog.Tampered, "", errManifest.Error())
		return nil, nil
	}
	return m, err
}

// signed opens the manifest's checkpoint.
func (v *verification) signed(m *Manifest) {
	c, err := v.Key.Open([]byte(m.Tree.Checkpoint))
	switch {
	case m.Origin != v.Key.Origin():
		v.find(netlog.Unverifiable, "", "the export is of another log than the key")
	case errors.Is(err, tree.ErrUnknownKey):
		v.find(netlog.Unverifiable, "", "the checkpoint is not signed by this key")
	case err != nil:
		v.find(netlog.Tampered, "", "the checkpoint is not validly signed")
	case c.Size != m.Tree.Size || c.Root != tree.Hash(m.Tree.Root):
		v.find(netlog.Tampered, "", "size and root are not those of the checkpoint")
	case m.VerifierKey != v.Key.Key():
		v.find(netlog.Tampered, "", "names another key than the one that signed")
	default:
		v.report.Signed = c
		return
	}
	v.broken = true
}

// conclude judges the proof as a whole, and what was given from outside.
func (v *verification) conclude(m *Manifest) error {
	v.file, v.row = ProofFile, 0
	if !v.broken && v.proof.found {
		if err := v.prove(m); err != nil {
			return err
		}
	}
	if err := v.proof.close(); err != nil {
		return err
	}
	v.report.Members = !v.broken && v.proof.found
	v.report.Complete = v.report.Members && m.Filter.Empty() && v.report.Rows == m.Range.ToIndex-m.Range.FromIndex
	v.report.Gapless = v.report.Members && m.Count > 0 && v.report.Rows == m.Count && m.Last.Index-m.First.Index+1 == m.Count && v.report.Whole()
	v.concludeTotals(m, v.totals)
	v.anchor()
	return nil
}

// prove ends the proof.
func (v *verification) prove(m *Manifest) error {
	err := v.batch.Finish(v.report.Signed.Root)
	over := err == nil && !v.proof.exhausted()
	switch {
	case err == nil && !over:
		return nil
	case err != nil && !errors.Is(err, tree.ErrProof) && !errors.Is(err, tree.ErrOrder):
		return err
	}
	v.broken = true
	switch {
	case v.report.Rows < m.Count:
		// Said already: without the missing rows there is no root.
	case over:
		v.find(netlog.Tampered, "", "the proof has more hashes than these rows need")
	default:
		v.find(netlog.Tampered, "", "rows and proof do not give the signed root: a row or hash was changed, added or taken away")
	}
	return nil
}
