package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// exporting is the flags of `heyan log export`, and one run of it.
type exporting struct {
	*app
	out, format, lang string
	bom               bool
	checkpoints       []string

	request *heyanv1.ExportLogRequest
	seen    func(index uint64, leaf []byte) error // told of every row; nil: nobody is
	rows    *export.Rows
	writer  *export.Writer // nil: rows only
	begin   *heyanv1.ExportLogResponse_Begin
	bar     *output.Progress
}

func logExport(a *app) *cobra.Command {
	var s span
	e := &exporting{app: a, request: &heyanv1.ExportLogRequest{}}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write records that pass a filter to a directory that is proven without a server",
		Long: `Export makes a directory: entries.jsonl or entries.csv, a row a record with its bytes (leaf, base64), proof.bin, which
proves all rows to be in the signed log, and manifest.json, which says what was asked for, counted and signed. The
directory is there only when it is complete, flushed and verified. Prove it anywhere by: heyan log verify DIR --key KEY

Without filter, "log verify" also proves that no record of the range is left out. With a filter by client, actor,
method, outcome or time it compares the rows with hourly totals, which the log itself holds and the export carries. Give
whole hours: in one that is divided, only rows too many show. For another filter there are no totals. Checkpoints that were kept elsewhere go into the export by --checkpoint, so that it can be
compared with them later; one that is longer than the log is an error: the log was cut.

--out - writes the rows alone to standard output, as JSON Lines and with nothing to prove them by, for other programs.

Exit code 1 means that the log holds nothing of the range that was asked for, and that nothing was written. A range in
which nothing passes the filter makes an export of no rows, which is proven like any other.`,
		Example: `  heyan log export --from 2026-11-01 --to 2026-12-01 --out november
  heyan log export --from '2026-11-22 14:00' --to '2026-11-22 15:00' --client acme --format csv --lang zh --bom --out acme
  heyan log export --start-index 1000 --end-index 2000 --checkpoint 2026-11-01.checkpoint --out part
  heyan log export --since 1h --outcome DENIED --out - | jq .reason`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.request.Filter = s.read(a)
			return e.run(cmd.Context())
		},
	}
	s.flags(a, cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&e.request.StartIndex, "start-index", 0, "first index")
	flags.Uint64Var(&e.request.EndIndex, "end-index", 0, "index after the last one; 0 = the end")
	addOrigin(cmd, &e.request.Origin, "the log; empty = this server's own")
	flags.StringVar(&e.out, "out", "", "directory to make; - writes rows to standard output")
	e.format, e.lang = string(export.JSONL), string(export.English)
	addWord(cmd, &e.format, "format", "form of the rows", string(export.JSONL), string(export.CSV))
	addWord(cmd, &e.lang, "lang", "language of the heading of CSV", string(export.English), string(export.Chinese))
	flags.BoolVar(&e.bom, "bom", false, "begin CSV with a byte order mark, for Excel")
	flags.StringSliceVar(&e.checkpoints, "checkpoint", nil, "file of a checkpoint that was kept elsewhere; repeatable")
	required(cmd, "out")
	return cmd
}

// run exports, and leaves nothing behind where that does not come to its end.
func (e *exporting) run(ctx context.Context) error {
	if err := e.anchors(); err != nil {
		return err
	}
	m, err := e.write(ctx)
	if err != nil || m == nil {
		return err
	}
	return e.tell(m)
}

// write makes the export. There is no manifest of rows on standard output.
func (e *exporting) write(ctx context.Context) (m *export.Manifest, err error) {
	if err := e.open(); err != nil {
		return nil, err
	}
	e.bar = output.NewProgress(e.progressOut(), e.Now, "searched", 0, output.Count)
	var end *heyanv1.ExportLogResponse_End
	err = e.withStream(ctx, func(ctx context.Context, conn *dial.Connection) (err error) {
		end, err = e.receive(ctx, conn)
		return err
	})
	e.bar.Done()
	if err == nil {
		err = e.complete(end)
	}
	switch {
	case err == nil && e.writer == nil:
		err = e.flush()
	case err == nil:
		m, err = e.finish(ctx, end)
	case e.writer != nil:
		e.writer.Abort()
	}
	if errors.Is(err, export.ErrUnproven) {
		return nil, &exitError{exitNo, err.Error(), "there is no export; the server's own verdict: heyan log verify"}
	}
	return m, err
}

// flush ends rows on standard output.
func (e *exporting) flush() error {
	if err := e.rows.Flush(); err != nil {
		return err
	}
	e.note("%s; nothing proves them: a directory holds a proof", countOf(int(e.rows.Count()), "row"))
	return nil
}

// anchors reads how large the log was when checkpoints were kept. Their signatures are compared by log verify.
func (e *exporting) anchors() error {
	for _, path := range e.checkpoints {
		note, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, _, _ := strings.Cut(string(note), "\n\n")
		c, err := tree.ParseCheckpoint(text + "\n")
		if err != nil {
			return usageError(path+": not a checkpoint", "heyan log checkpoint prints one")
		}
		e.request.AnchorSizes = append(e.request.AnchorSizes, c.Size)
	}
	return nil
}

// open begins the directory, or the rows on standard output.
func (e *exporting) open() error {
	layout := export.Layout{Format: export.Format(e.format), Lang: export.Lang(e.lang), BOM: e.bom}
	if layout.Format != export.CSV && (layout.BOM || layout.Lang != export.English) {
		return usageError("--lang and --bom are for --format csv", "the names of JSON are the same in every language")
	}
	if e.out == "-" {
		if layout.Format != export.JSONL {
			return usageError("--out - writes JSON Lines only", "CSV goes to a directory")
		}
		var err error
		e.rows, err = export.NewRows(e.Out, layout)
		return err
	}
	var err error
	e.writer, err = export.Create(disk.OS(), e.out, layout)
	if errors.Is(err, fs.ErrExist) {
		return usageError(e.out+" is there already", "an export replaces nothing: name another directory")
	}
	if err != nil {
		return err
	}
	e.rows = e.writer.Rows
	return nil
}

// receive takes the stream to its end.
func (e *exporting) receive(ctx context.Context, conn *dial.Connection) (*heyanv1.ExportLogResponse_End, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := heyanv1.NewLogServiceClient(conn).ExportLog(ctx, e.request)
	if err != nil {
		return nil, err
	}
	var end *heyanv1.ExportLogResponse_End
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && end == nil:
			return nil, &exitError{exitNo, "the export ended before its end: it is not complete", ""}
		case errors.Is(err, io.EOF):
			return end, nil
		case err != nil:
			return nil, err
		case end != nil || (m.GetBegin() == nil) != (e.begin != nil):
			return nil, &exitError{exitNo, "the server sent parts of the export out of order", ""}
		}
		end = m.GetEnd()
		if err := e.part(m); err != nil {
			return nil, err
		}
	}
}

// part takes one message. Of the end there is nothing to write yet.
func (e *exporting) part(m *heyanv1.ExportLogResponse) error {
	switch part := m.GetPart().(type) {
	case *heyanv1.ExportLogResponse_Begin_:
		return e.started(part.Begin)
	case *heyanv1.ExportLogResponse_Entries_:
		for _, entry := range part.Entries.GetEntries() {
			if err := e.rows.Row(entry.GetIndex(), entry.GetLeaf(), entry.GetAmendedBy()); err != nil {
				return err
			}
			if e.seen == nil {
				continue
			}
			if err := e.seen(entry.GetIndex(), entry.GetLeaf()); err != nil {
				return err
			}
		}
		e.bar.Set(int64(part.Entries.GetNextIndex() - e.begin.GetStartIndex()))
	case *heyanv1.ExportLogResponse_Totals_:
		return e.count(part.Totals)
	case *heyanv1.ExportLogResponse_ProofHashes:
		if e.writer != nil {
			return e.writer.Proof(part.ProofHashes)
		}
	}
	return nil
}

// count takes totals. Rows alone need none.
func (e *exporting) count(m *heyanv1.ExportLogResponse_Totals) error {
	if e.writer == nil {
		return nil
	}
	for _, entry := range m.GetEntries() {
		if err := e.writer.Total(entry.GetIndex(), entry.GetLeaf()); err != nil {
			return err
		}
	}
	return nil
}

// started compares the log's size with what it was when checkpoints were kept.
func (e *exporting) started(begin *heyanv1.ExportLogResponse_Begin) error {
	e.begin = begin
	for i, size := range e.request.GetAnchorSizes() {
		if size > begin.GetSize() {
			return &exitError{exitNo, fmt.Sprintf("the log has %d records, and had %d when %s was kept: it was cut, or is another one",
				begin.GetSize(), size, e.checkpoints[i]), "see: heyan log origins"}
		}
	}
	e.bar.Total(int64(begin.GetEndIndex() - begin.GetStartIndex()))
	return nil
}

// complete judges what arrived as a whole.
func (e *exporting) complete(end *heyanv1.ExportLogResponse_End) error {
	if end.GetCount() != e.rows.Count() {
		return &exitError{exitNo, fmt.Sprintf("the server exported %d records, %d arrived", end.GetCount(), e.rows.Count()), ""}
	}
	if end.GetOutsideCoverage() {
		var all []string
		for _, g := range gapsOf(end) {
			all = append(all, gapText(g))
		}
		return &exitError{exitNo, "the log holds nothing of this range: " + strings.Join(all, "; "), "see what it holds: heyan log coverage"}
	}
	return nil
}

// finish gives the directory its manifest and its name.
func (e *exporting) finish(ctx context.Context, end *heyanv1.ExportLogResponse_End) (*export.Manifest, error) {
	checkpoint := end.GetCheckpoint()
	m := &export.Manifest{
		Origin: e.begin.GetOrigin(), VerifierKey: checkpoint.GetVerifierKey(),
		Range: export.Range{FromIndex: e.begin.GetStartIndex(), ToIndex: e.begin.GetEndIndex()}, Filter: filterOf(e.request.GetFilter()),
		Tree: export.Tree{Size: checkpoint.GetSize(), Root: checkpoint.GetRoot(), Checkpoint: string(checkpoint.GetNote())},
		Gaps: gapsOf(end), RetentionStatement: end.GetRetentionStatement(), Requester: end.GetRequester(), Region: end.GetRegion(),
		MakeTime: manifestTime(end.GetMakeTime()),
	}
	for _, c := range end.GetConsistency() {
		m.Consistency = append(m.Consistency, export.Consistency{Size: c.GetSize(), Hashes: c.GetHashes()})
	}
	return m, e.writer.Commit(ctx, m)
}

// tell says what was written.
func (e *exporting) tell(m *export.Manifest) error {
	for _, g := range m.Gaps {
		e.note("not held: %s", gapText(g))
	}
	for _, r := range e.writer.Uncounted() {
		e.note("no total counts records %d to %d: nothing shows whether one of them is left out, and log verify will say so", r.From, r.To-1)
	}
	e.note("%s of %s written to %s", countOf(int(m.Count), "record"), m.Origin, e.out)
	e.note("prove it by: heyan log verify %s --key KEY", e.out)
	if e.json() {
		return output.Value(e.Out, m)
	}
	return nil
}

func manifestTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return export.Time(t.AsTime())
}

func gapsOf(end *heyanv1.ExportLogResponse_End) []export.Gap {
	var all []export.Gap
	for _, g := range end.GetGaps() {
		all = append(all, export.Gap{FromIndex: g.GetStartIndex(), ToIndex: g.GetEndIndex(),
			FromTime: manifestTime(g.GetStartTime()), ToTime: manifestTime(g.GetEndTime()), Reason: g.GetReason()})
	}
	return all
}

func filterOf(f *heyanv1.LogFilter) export.Filter {
	return export.Filter{
		StartTime: manifestTime(f.GetStartTime()), EndTime: manifestTime(f.GetEndTime()), Client: f.GetClient(), Actor: f.GetActor(),
		Source: f.GetSource(), Method: f.GetMethod(), Event: f.GetEvent(), Category: f.GetCategory(), Outcome: f.GetOutcome(),
		Reason: f.GetReason(), Product: f.GetProduct(), Verification: f.GetVerification(), Session: f.GetSession(),
	}
}
