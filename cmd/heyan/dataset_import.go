package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// importing is the flags of `heyan dataset import`.
type importing struct {
	header  *heyanv1.ImportHeader
	format  string
	rejects string
}

func datasetImport(a *app) *cobra.Command {
	i := &importing{header: &heyanv1.ImportHeader{}}
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Import authority data as a new generation of a dataset",
		Long: `Import reads CSV with a header of field names, or JSON Lines, from files or from standard input ("-"). The columns are
name, id_number, phone_number, bank_card_number, license_plate_number, driver_license_number and plate_kind; a cell may
be empty; rows of one person add up. Several files make one generation.

Every value is checked here first, and a row with a wrong one is left out and does not leave this machine. --rejects
writes each of them: file, row number (from 1, the header not counted), field, reason; no values. Rows that the server
leaves out are added at its end. Reasons are those of "heyan normalize", and COLUMNS, SYNTAX, FIELD_OUTSIDE_CEILING,
PLATE_KIND and NO_ANCHOR (nothing to look up). With --strict the first bad row ends the import, with exit code 1.

Nothing answers calls before another person has activated the generation.`,
		Example: `  heyan dataset import people.csv --dataset people --as-of 2026-11-01 --rejects rejects.csv
  zstdcat people.jsonl.zst | heyan dataset import - --format jsonl --dataset people`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("wants at least one FILE, or - for standard input", "see: heyan dataset import --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.importFiles(cmd.Context(), i, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&i.header.Dataset, "dataset", "", "the dataset, a slug; made if there is none")
	a.addTime(cmd, &i.header.AsOf, "as-of", "how old the data is; absent = now")
	flags.StringVar(&i.header.Description, "description", "", "where it comes from and under which contract")
	flags.BoolVar(&i.header.Strict, "strict", false, "fail on the first bad row instead of leaving it out")
	flags.Var(choice(&i.format, "auto", "csv", "jsonl"), "format", "csv or jsonl; auto = by the file's name")
	flags.StringVar(&i.rejects, "rejects", "", "write what was left out to this file, as CSV without values")
	required(cmd, "dataset")
	complete(cmd, "format", "csv", "jsonl")
	return cmd
}

// summary is what became of an import.
type summary struct {
	Dataset        string           `json:"dataset"`
	Generation     int64            `json:"generation"`
	Rows           uint64           `json:"rows"`
	AcceptedRows   int64            `json:"accepted_rows"`
	RejectedRows   int64            `json:"rejected_rows"`
	RejectedHere   int64            `json:"rejected_before_sending"`
	SuppressedRows int64            `json:"suppressed_rows"`
	Reasons        map[string]int64 `json:"reasons"`
	Anchors        int64            `json:"anchors"`
	Bytes          int64            `json:"bytes"`
	Seconds        float64          `json:"seconds"`
	RejectFile     string           `json:"reject_file,omitempty"`
}

func (a *app) importFiles(ctx context.Context, i *importing, paths []string) error {
	sources, err := a.openSources(i.format, paths)
	if err != nil {
		return err
	}
	defer closeSources(sources)
	rejects, err := newRejects(i.rejects)
	if err != nil {
		return err
	}
	if i.header.GetAsOf() == nil {
		i.header.AsOf = stamp(a.Now())
	}
	started := a.Now()
	var answer *heyanv1.ImportRecordsResponse
	var rows uint64
	err = a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		ctx, cancel := context.WithCancel(ctx) // a stream that is left early is taken back
		defer cancel()
		stream, err := heyanv1.NewAdminServiceClient(conn).ImportRecords(ctx)
		if err != nil {
			return err
		}
		u := &upload{stream: stream, rejects: rejects, strict: i.header.GetStrict(), now: a.Now(),
			bar: output.NewProgress(a.progressOut(), a.Now, "import", totalSize(sources), output.Bytes)}
		defer u.bar.Done()
		if answer, err = u.run(i.header, sources); err != nil {
			return err
		}
		rows = u.row
		a.logged(conn)
		return nil
	})
	if err == nil {
		for _, reject := range answer.GetRejects() {
			path, row := locate(sources, reject.GetRow())
			rejects.addLate(reject.GetRow(), path, row, fieldName(reject.GetField()), reject.GetCause())
		}
	}
	if err := errors.Join(err, rejects.close()); err != nil {
		return err
	}
	return a.printImport(summary{
		Dataset: answer.GetDataset(), Generation: answer.GetGeneration(), Rows: rows, AcceptedRows: answer.GetAcceptedRows(),
		RejectedRows: answer.GetRejectedRows() + rejects.here, RejectedHere: rejects.here,
		SuppressedRows: answer.GetSuppressedRows(), Reasons: rejects.reasons, Anchors: answer.GetAnchors(),
		Bytes: answer.GetBytes(), Seconds: a.Now().Sub(started).Seconds(), RejectFile: i.rejects,
	}, answer.GetRejectedRows() > int64(len(answer.GetRejects())))
}

func (a *app) printImport(s summary, truncated bool) error {
	var nothing error
	if s.AcceptedRows == 0 {
		nothing = &exitError{exitNo, "no row was accepted: there is no new generation", "the reasons above say what is wrong; --rejects FILE says where"}
	}
	if a.json() {
		return errors.Join(output.Value(a.Out, s), nothing)
	}
	table := output.NewTable()
	if nothing == nil {
		table.Row("dataset", fmt.Sprintf("%s/%d", s.Dataset, s.Generation))
	}
	table.Row("rows", output.Count(int64(s.Rows)))
	table.Row("accepted", output.Count(s.AcceptedRows))
	table.Row("rejected", output.Count(s.RejectedRows))
	for _, reason := range sortedReasons(s.Reasons) {
		table.Row("  "+reason, output.Count(s.Reasons[reason]))
	}
	if s.SuppressedRows > 0 {
		table.Row("suppressed", output.Count(s.SuppressedRows)+" (erased persons)")
	}
	table.Row("anchors", output.Count(s.Anchors))
	table.Row("size", output.Bytes(s.Bytes))
	table.Row("time", time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond).String())
	if _, err := table.WriteTo(a.Out); err != nil || nothing != nil {
		return errors.Join(err, nothing)
	}
	switch {
	case s.RejectedRows > 0 && s.RejectFile == "":
		a.note("which rows were rejected: import again with --rejects FILE")
	case truncated:
		a.note("the server lists the first 10,000 of its rejects only")
	}
	a.note("next, by another person: heyan dataset activate %s/%d", s.Dataset, s.Generation)
	return nil
}

// sortedReasons puts the most frequent first.
func sortedReasons(reasons map[string]int64) []string {
	names := make([]string, 0, len(reasons))
	for name := range reasons {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		if reasons[x] != reasons[y] {
			return int(reasons[y] - reasons[x])
		}
		if x < y {
			return -1
		}
		return 1
	})
	return names
}

// openSources opens every file and reads its header, so that a mistake shows before anything is sent.
func (a *app) openSources(format string, paths []string) ([]*inputFile, error) {
	var sources []*inputFile
	for _, path := range paths {
		s, err := openSource(path, format, a.In)
		if err != nil {
			closeSources(sources)
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func closeSources(sources []*inputFile) {
	for _, s := range sources {
		_ = s.close.Close() // read only
	}
}

func totalSize(sources []*inputFile) int64 {
	var total int64
	for _, s := range sources {
		if s.size == 0 {
			return 0 // standard input: unknown
		}
		total += s.size
	}
	return total
}

// sizeOf is a file's size, 0 where it has none to tell.
func sizeOf(file *os.File) int64 {
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// counting counts what is read.
type counting struct {
	io.Reader
	read int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += int64(n)
	return n, err
}
