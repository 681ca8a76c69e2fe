package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// subjectsPerCall bounds one DeleteRecords request well below 64 KiB.
const subjectsPerCall = 200

func datasetDeleteRecords(a *app) *cobra.Command {
	var person values
	var reason, path, format string
	cmd := &cobra.Command{
		Use:   "delete-records DATASET",
		Short: "Delete people's records from a dataset, at once",
		Long: `Delete-records takes one person by --stdin or flags, or many by --file: a name with at least one number each. Every
record of any of the numbers that holds the name is deleted.`,
		Example: `  heyan dataset delete-records people --reason "correction request 17" --stdin < person.json
  heyan dataset delete-records people --reason "register correction" --file gone.csv`,
		Args: arguments("DATASET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var subjects []*heyanv1.Fields
			var err error
			if path != "" {
				subjects, err = a.readSubjects(path, format)
			} else {
				var one *heyanv1.Fields
				one, err = person.read(a)
				subjects = append(subjects, one)
			}
			if err != nil {
				return err
			}
			return a.deleteRecords(cmd.Context(), args[0], reason, subjects)
		},
	}
	person.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	cmd.Flags().StringVar(&path, "file", "", "people as CSV or JSON Lines, as for import; - = standard input")
	cmd.Flags().Var(choice(&format, "auto", "csv", "jsonl"), "format", "csv or jsonl; auto = by the file's name")
	required(cmd, "reason")
	cmd.MarkFlagsMutuallyExclusive("file", "stdin")
	return cmd
}

// readSubjects reads the whole file first: a bad row stops it before anything is deleted.
func (a *app) readSubjects(path, format string) ([]*heyanv1.Fields, error) {
	s, err := openSource(path, format, a.In)
	if err != nil {
		return nil, err
	}
	defer closeSources([]*inputFile{s})
	var subjects []*heyanv1.Fields
	for number := 1; ; number++ {
		row, problem, err := s.reader.Next()
		if errors.Is(err, io.EOF) {
			return subjects, nil
		}
		if err != nil {
			return nil, &exitError{exitUsage, path + ": cannot be read to its end", ""}
		}
		if problem == nil {
			if problems := row.Check(a.Now()); len(problems) > 0 {
				problem = &problems[0]
			}
		}
		if problem != nil {
			return nil, &exitError{exitNo, fmt.Sprintf("%s: row %d: %s %s", path, number, problem.Field, problem.Reason),
				"nothing was deleted"}
		}
		a.submit(row.Fields)
		subjects = append(subjects, row.Fields)
	}
}

func (a *app) deleteRecords(ctx context.Context, dataset, reason string, subjects []*heyanv1.Fields) error {
	return a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		admin := heyanv1.NewAdminServiceClient(conn)
		var deleted int64
		for first := 0; first < len(subjects); first += subjectsPerCall {
			part := subjects[first:min(first+subjectsPerCall, len(subjects))]
			call, cancel := context.WithTimeout(ctx, a.timeout)
			answer, err := admin.DeleteRecords(call,
				&heyanv1.DeleteRecordsRequest{Dataset: dataset, Subjects: part, Reason: reason})
			cancel()
			if err != nil {
				a.note("%s of %s people done before this", output.Count(int64(first)), output.Count(int64(len(subjects))))
				return err
			}
			deleted += answer.GetDeleted()
		}
		a.logged(conn)
		table := output.NewTable()
		table.Row("people", output.Count(int64(len(subjects))))
		table.Row("records deleted", output.Count(deleted))
		return a.print(&heyanv1.DeleteRecordsResponse{Deleted: deleted}, table)
	})
}
