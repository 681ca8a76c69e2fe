package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func datasetCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "dataset",
		Short: "Import and activate authority data",
		Long: `A dataset is imported as a generation by a system administrator, and answers calls once another person, a security
administrator, has activated it.`,
	})
	cmd.AddCommand(datasetImport(a), datasetList(a), datasetActivate(a), datasetDelete(a), datasetDeleteRecords(a), datasetSample(a))
	return cmd
}

func datasetList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List datasets and their generations",
		Example: "  heyan dataset list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewAdminServiceClient(conn).ListDatasets(ctx, &heyanv1.ListDatasetsRequest{})
				if err != nil {
					return err
				}
				return a.print(answer, datasetTable(answer.GetDatasets()))
			})
		},
	}
}

func datasetTable(datasets []*heyanv1.Dataset) *output.Table {
	table := output.NewTable("DATASET", "STATE", "AS OF +08:00", "ROWS", "ANCHORS", "SIZE", "DELETED", "IMPORTED BY", "ACTIVATED BY",
		"ACTIVATED", "DESCRIPTION")
	for _, d := range datasets {
		for _, g := range d.GetGenerations() {
			table.Row(fmt.Sprintf("%s/%d", d.GetId(), g.GetNumber()), enumText(g.GetState()), when(g.GetAsOf()),
				output.Count(g.GetRows()), output.Count(g.GetAnchors()), output.Bytes(g.GetBytes()),
				output.Count(g.GetDeletedRecords()), g.GetImportedBy(), g.GetActivatedBy(), when(g.GetActivateTime()),
				g.GetDescription())
		}
	}
	return table
}

// parseGeneration reads DATASET/GENERATION, and where wanted DATASET alone, as generation 0.
func parseGeneration(text string, alone bool) (dataset string, generation int64, err error) {
	dataset, number, some := strings.Cut(text, "/")
	if !some && alone {
		return dataset, 0, nil
	}
	generation, err = strconv.ParseInt(number, 10, 64)
	if err != nil || generation < 1 || dataset == "" {
		return "", 0, usageError("wants DATASET/GENERATION, e.g. people/3", "see: heyan dataset list")
	}
	return dataset, generation, nil
}

func datasetActivate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "activate DATASET/GENERATION",
		Short:   "Make an imported generation answer calls; not by who imported it",
		Example: "  heyan dataset activate people/3",
		Args:    arguments("DATASET/GENERATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dataset, generation, err := parseGeneration(args[0], false)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewAccessServiceClient(conn).ActivateDataset(ctx,
					&heyanv1.ActivateDatasetRequest{Dataset: dataset, Generation: generation})
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, datasetTable([]*heyanv1.Dataset{answer}))
			})
		},
	}
}

func datasetDelete(a *app) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete DATASET[/GENERATION]",
		Short: "Delete a dataset, or one generation that is not active",
		Example: `  heyan dataset delete people/2 --reason "wrong file"
  heyan dataset delete people --reason "contract ended"`,
		Args: arguments("DATASET[/GENERATION]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dataset, generation, err := parseGeneration(args[0], true)
			if err != nil {
				return err
			}
			question := "Delete dataset " + dataset + " with all its generations?"
			if generation > 0 {
				question = "Delete generation " + args[0] + "?"
			}
			if err := a.sure(yes, question); err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				_, err := heyanv1.NewAdminServiceClient(conn).DeleteDataset(ctx,
					&heyanv1.DeleteDatasetRequest{Dataset: dataset, Generation: generation, Reason: reason})
				if err != nil {
					return err
				}
				a.logged(conn)
				a.note("deleted %s", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	required(cmd, "reason")
	return cmd
}

func datasetSample(a *app) *cobra.Command {
	var number int
	var seed uint64
	var path string
	cmd := &cobra.Command{
		Use:   "sample --people N",
		Short: "Write invented people as CSV, always the same for a seed",
		Long: `Sample invents people: names, ID numbers, phones, cards, plates and licences that pass every check and belong to
nobody; several phones, cards and cars for some, a shared phone or car for a few. It calls nobody.`,
		Example: `  heyan dataset sample --people 100000 --seed 1 -f people.csv
  heyan dataset sample --people 3`,
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			if number < 1 {
				return usageError("--people wants a number from 1 on", "")
			}
			if path == "" {
				return people.WriteCSV(a.Out, number, seed, nil)
			}
			file, err := os.Create(path)
			if err != nil {
				return err
			}
			bar := output.NewProgress(a.progressOut(), a.Now, "people", int64(number), output.Count)
			err = people.WriteCSV(file, number, seed, func(done int) { bar.Set(int64(done)) })
			bar.Done()
			if err := joinClose(err, file); err != nil {
				return err
			}
			a.note("%s people written to %s", output.Count(int64(number)), path)
			return nil
		},
	}
	cmd.Flags().IntVar(&number, "people", 0, "how many")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the same seed gives the same people")
	cmd.Flags().StringVarP(&path, "file", "f", "", "write to this file; else to standard output")
	required(cmd, "people")
	return cmd
}

// progressOut is where a bar is drawn: nowhere with --quiet.
func (a *app) progressOut() io.Writer {
	if a.quiet {
		return io.Discard
	}
	return a.Err
}
