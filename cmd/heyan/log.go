package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

func logCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "log",
		Short: "Read and prove the network log",
		Long: `Log is for audit administrators; every call is itself recorded. "log verify" and "log receipt verify" also work on
this machine alone, on what "log export", "log bundle" or "log list --save" wrote, a data directory, or a receipt.`,
	})
	cmd.AddCommand(logList(a), logTail(a), logGet(a), logExport(a), logVerify(a), logBundle(a), logCoverage(a), logSegments(a), logOrigins(a), logCheckpoint(a), logReceipt(a))
	return cmd
}

// span is a filter with its short form of time.
type span struct {
	filter *heyanv1.LogFilter
	since  time.Duration
}

func (s *span) flags(a *app, cmd *cobra.Command) {
	s.filter = &heyanv1.LogFilter{}
	flags := cmd.Flags()
	flags.DurationVar(&s.since, "since", 0, "only of the last 1h, 30m, …")
	a.addTime(cmd, &s.filter.StartTime, "from", "from this time on")
	a.addTime(cmd, &s.filter.EndTime, "to", "before this time")
	for _, text := range []struct {
		target      *string
		name, usage string
	}{
		{&s.filter.Client, "client", "only of this client"},
		{&s.filter.Actor, "actor", "only of this client or operator"},
		{&s.filter.Source, "source", "only from this address or prefix, e.g. 203.0.113.0/24"},
		{&s.filter.Method, "method", "only this full method, or its last part"},
		{&s.filter.Event, "event", "only this event, e.g. verification.verify or verification.*"},
		{&s.filter.Reason, "reason", "only this reason, e.g. FIELD_MALFORMED"},
		{&s.filter.Product, "product", "only this product"},
		{&s.filter.Verification, "verification", "only this verification, by id"},
		{&s.filter.Session, "session", "only this connection, by id"},
	} {
		flags.StringVar(text.target, text.name, "", text.usage)
	}
	addWord(cmd, &s.filter.Outcome, "outcome", "only this outcome", "SUCCESS", "DENIED", "FAILED", "CANCELLED")
	addWord(cmd, &s.filter.Category, "category", "only this category", "ACCESS", "AUTHENTICATION", "ADMIN", "CONFIG", "SECURITY", "LOG_ACCESS", "DATA_LIFECYCLE",
		"OUTBOUND", "SYSTEM")
	cmd.MarkFlagsMutuallyExclusive("since", "from")
}

func (s *span) read(a *app) *heyanv1.LogFilter {
	if s.since > 0 {
		s.filter.StartTime = stamp(a.Now().Add(-s.since))
	}
	return s.filter
}

func logList(a *app) *cobra.Command {
	var s span
	request := &heyanv1.ListLogEntriesRequest{}
	var save string
	var force bool
	var sealKeys []string
	cmd := &cobra.Command{
		Use:   "list [PATH]...",
		Short: "List records that pass a filter, in order: the server's, or of logs that lie here",
		Long: `List prints a line a record. With -o json a line holds the record decoded, and its bytes as the Merkle tree holds them
(leaf, base64); the last line is the signed checkpoint. --save writes those lines to a file; one that holds all records
is proven without a server by: heyan log verify --file FILE --key KEY

With paths no server is called: each is a log directory, or what "log export" or "log list --save" wrote. Records of
several logs are merged by time, those of one log stay in its order, and what two paths hold is shown once. A path that
cannot be read is named, the others are listed, and the exit code is 1. Nothing is proven that way: heyan log verify is
for that.`,
		Example: `  heyan log list --since 1h --outcome DENIED
  heyan log list --from 2026-11-01 --to 2026-12-01 --client acme --event 'verification.*' -o json
  heyan log list --save log.jsonl
  heyan log list data/log data/log-node1-5f3a9c0d1e2f3a4b november --seal-key log-seal.key --outcome DENIED`,
		Args: anyPaths(),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Filter = s.read(a)
			switch {
			case len(args) > 0 && save != "":
				return usageError("--save is for what a server lists", "-o json prints what lies here as JSON Lines")
			case len(args) > 0:
				return a.listLocal(cmd.Context(), request, args, sealKeys)
			case len(sealKeys) > 0:
				return usageError("--seal-key is for what lies here: name it by PATH", "")
			}
			return a.listLog(cmd.Context(), request, save, force)
		},
	}
	s.flags(a, cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&request.StartIndex, "start-index", 0, "first index")
	flags.Uint64Var(&request.EndIndex, "end-index", 0, "index after the last one; 0 = the end")
	flags.Uint64Var(&request.Limit, "limit", 0, "at most this many; 0 = no limit")
	addOrigin(cmd, &request.Origin, "only this log; empty = every one that is read, by time, or with an index the server's own")
	addSealKeys(cmd, &sealKeys)
	flags.StringVar(&save, "save", "", "write JSON Lines with leaf bytes and checkpoint to this file")
	flags.BoolVar(&force, "force", false, "with --save: replace a file that is there")
	return cmd
}

func logTail(a *app) *cobra.Command {
	var s span
	request := &heyanv1.ListLogEntriesRequest{}
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Show the newest records, and with -f new ones as they come",
		Example: "  heyan log tail -f\n  heyan log tail -n 100 --category SECURITY",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			request.Filter = s.read(a)
			return a.listLog(cmd.Context(), request, "", false)
		},
	}
	s.flags(a, cmd)
	addOrigin(cmd, &request.Origin, "only this log; empty = every one that the server reads, by time")
	cmd.Flags().BoolVarP(&request.Follow, "follow", "f", false, "go on with new records until interrupted")
	cmd.Flags().Uint32VarP(&request.Last, "number", "n", 20, "how many of the newest")
	return cmd
}

func logGet(a *app) *cobra.Command {
	var sealKeys []string
	cmd := &cobra.Command{
		Use:   "get ORIGIN/INDEX [PATH]...",
		Short: "Show one record, by the text that answers and refusals carry",
		Long:  "Get shows a record of any log that the server reads. With paths no server is called: see heyan log list.",
		Example: `  heyan log get node1-5f3a9c0d1e2f3a4b/812
  heyan log get node1-5f3a9c0d1e2f3a4b/812 -o json
  heyan log get node1-5f3a9c0d1e2f3a4b/812 data/log data/log-node1-5f3a9c0d1e2f3a4b --seal-key log-seal.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("ORIGIN/INDEX")(cmd, args[:min(1, len(args))])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			origin, index, err := parseEntry(args[0])
			switch {
			case err != nil:
				return err
			case len(args) > 1:
				return a.getLocal(cmd.Context(), origin, index, args[1:], sealKeys)
			case len(sealKeys) > 0:
				return usageError("--seal-key is for what lies here: name it by PATH", "")
			}
			return a.getLog(cmd.Context(), origin, index)
		},
	}
	addSealKeys(cmd, &sealKeys)
	return cmd
}

// addOrigin adds the flag that names one log.
func addOrigin(cmd *cobra.Command, target *string, usage string) {
	cmd.Flags().StringVar(target, "origin", "", usage+"; heyan log origins lists them")
}

// silenceText says from when to when no log has a record.
func silenceText(g *heyanv1.LogGap) string {
	return fmt.Sprintf("%s to %s: no record, before %s began", when(g.GetStartTime()), when(g.GetEndTime()), g.GetOrigin())
}

// parseEntry reads origin/index. An origin may hold a slash; an index does not.
func parseEntry(text string) (origin string, index uint64, err error) {
	at := strings.LastIndex(text, "/")
	if at > 0 {
		index, err = strconv.ParseUint(text[at+1:], 10, 63)
	}
	if at < 1 || err != nil {
		return "", 0, usageError("wants ORIGIN/INDEX, as the trailer heyan-log-entry and refusals state it", "what stands before the slash: heyan log origins, first column")
	}
	return text[:at], index, nil
}

func logCoverage(a *app) *cobra.Command {
	var sealKeys []string
	cmd := &cobra.Command{
		Use:   "coverage [PATH]...",
		Short: "Say what time the log covers, and what is missing of six calendar months",
		Long: `Coverage judges all origins ever listed. With paths no server is called, and what lies there is judged together: see heyan
log list. Exit code 1 means that something is missing.`,
		Example: "  heyan log coverage\n  heyan log coverage data/log data/log-node1-5f3a9c0d1e2f3a4b --seal-key log-seal.key",
		Args:    anyPaths(),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return a.coverLocal(cmd.Context(), args, sealKeys)
			case len(sealKeys) > 0:
				return usageError("--seal-key is for what lies here: name it by PATH", "")
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewLogServiceClient(conn).GetLogCoverage(ctx, &heyanv1.GetLogCoverageRequest{})
				if err != nil {
					return err
				}
				table := output.NewTable()
				table.Row("oldest", whenZoned(answer.GetOldestTime()))
				table.Row("newest", whenZoned(answer.GetNewestTime()))
				table.Row("records", output.Count(int64(answer.GetRecords())))
				table.Row("required from", answer.GetRequiredFrom())
				table.Row("missing days", output.Count(int64(answer.GetShortfallDays())))
				for _, origin := range answer.GetMissingOrigins() {
					table.Row("missing origin", origin)
				}
				for _, gap := range answer.GetGaps() {
					if gap.GetReason() == "BETWEEN_ORIGINS" {
						table.Row("gap", silenceText(gap))
					} else {
						table.Row("not held", notHeldText(gap))
					}
				}
				table.Row("next purge", nextPurgeText(answer.GetNextPurge()))
				table.Row("retention", answer.GetRetentionStatement())
				if err := a.print(answer, table); err != nil {
					return err
				}
				notHere := slices.ContainsFunc(answer.GetGaps(), func(g *heyanv1.LogGap) bool { return g.GetReason() == "NOT_HERE" })
				if answer.GetShortfallDays() > 0 || len(answer.GetMissingOrigins()) > 0 || notHere {
					return errNo
				}
				return nil
			})
		},
	}
	addSealKeys(cmd, &sealKeys)
	return cmd
}

func logOrigins(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "origins",
		Short:   "List every log that the store has ever seen, with its key",
		Example: "  heyan log origins -o json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewLogServiceClient(conn).ListOrigins(ctx, &heyanv1.ListOriginsRequest{})
				if err != nil {
					return err
				}
				table := output.NewTable("ORIGIN", "NODE", "LIVE", "READABLE", "SINCE +08:00", "RECORDS", "PREDECESSOR", "CAUSE", "KEY")
				for _, o := range answer.GetOrigins() {
					table.Row(o.GetId(), o.GetNode(), mark(o.GetLive()), mark(o.GetReadable()), when(o.GetFirstTime()),
						output.Count(int64(o.GetCheckpoint().GetSize())), o.GetPredecessor(), o.GetCause(), o.GetVerifierKey())
				}
				for _, problem := range answer.GetProblems() {
					a.note("%s", problem)
				}
				return a.print(answer, table)
			})
		},
	}
}

func logCheckpoint(a *app) *cobra.Command {
	var origin string
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest signed checkpoint, to be kept elsewhere",
		Long: `Checkpoint prints a C2SP signed note: origin, size, root and signature. One that was kept on another machine shows later
whether history was rewritten: heyan log verify --checkpoint FILE`,
		Example: "  heyan log checkpoint > /mnt/elsewhere/$(date +%F).checkpoint",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewLogServiceClient(conn).GetCheckpoint(ctx, &heyanv1.GetCheckpointRequest{Origin: origin})
				if err != nil {
					return err
				}
				if a.json() {
					return output.JSON(a.Out, answer)
				}
				a.note("verifier key %s", answer.GetVerifierKey())
				for line := range strings.Lines(string(answer.GetNote())) {
					if _, err := fmt.Fprintln(a.Out, output.Clean(strings.TrimRight(line, "\n"))); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	addOrigin(cmd, &origin, "the log; empty = this server's")
	return cmd
}

// verifierKey reads a key given as text or as the path of a file that holds it.
func verifierKey(text string) (tree.Verifier, error) {
	if key, err := tree.NewVerifier(text); err == nil {
		return key, nil
	}
	raw, err := os.ReadFile(text)
	if err != nil {
		return tree.Verifier{}, usageError("--key is neither a verifier key nor a file that can be read",
			"an auditor reads keys by: heyan log origins; keep yours in a safer place than the log")
	}
	key, err := tree.NewVerifier(string(raw))
	if err != nil {
		return tree.Verifier{}, usageError("--key: the file holds no verifier key", "")
	}
	return key, nil
}
