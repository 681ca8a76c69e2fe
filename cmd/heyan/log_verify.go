package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/inspection"
	"github.com/heyan-project/heyan/cmd/heyan/internal/local"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/export"
)

// proving is the flags of `heyan log verify`.
type proving struct {
	file, dir             string
	key                   string   // of the log that is being verified
	keys                  []string // all that were given
	sealKeys              []string
	origin                string
	alone                 bool // no other path is verified with it
	checkpoints, receipts []string
}

func logVerify(a *app) *cobra.Command {
	p := &proving{}
	cmd := &cobra.Command{
		Use:   "verify [PATH]...",
		Short: "Prove that the log is whole: on the server, or here on an export, file or directory",
		Long: `Verify recomputes the Merkle tree from the records and compares it with what was signed. Without a path the server does
it on its own log. PATH is what "log export", "log bundle" or "log list --save" wrote, or a log directory; which of them it is, is found
out. Then nothing is called: the verifier key comes from --key, and should come from a safer place than the log.

Findings are TAMPERED, MISSING or UNVERIFIABLE. Exit code 0 means whole: nothing was found. Of an export, "members" says
that each row is a record of the signed log and shows what that says; "completeness", that no record of its range is
left out, which is proven of an export without filter only. One with a filter is compared with "hourly totals", where
they tell apart what it asks for: client, method, outcome, whole hours. A row that is not there is MISSING, by its hour.

Whether the keeper of the signing key rewrote history as a whole can only be told by what left the machine: give
checkpoints by --checkpoint, receipts by --receipt. An export compares with an older checkpoint where it was made with
it, or begins at index 0 without a filter. A file of many checkpoints, such as log.checkpoints_to makes, is taken as it
is: each of them has to agree. What it holds of other logs is left out.

Of several paths each is verified, under the key of its log: give --key for each. Log directories are also compared with
each other: a log that was begun in place of another states how far it was known then, and that has to be there as it
was. Of two copies of one log, one has to go on where the other ends.`,
		Example: `  heyan log verify
  heyan log verify november --key node1.vkey --checkpoint 2026-11-01.checkpoint
  heyan log verify log.jsonl --key node1.vkey --checkpoint 2026-11-01.checkpoint
  heyan log verify /var/lib/heyan/log --key node1.vkey --seal-key seal.key --checkpoint /mnt/elsewhere/heyan.checkpoints
  heyan log verify data/log data/log-node1-5f3a9c0d1e2f3a4b --key new.vkey --key old.vkey --seal-key seal.key`,
		Args: anyPaths(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return a.proveSeveral(cmd.Context(), p, args)
			}
			if len(p.keys) > 1 {
				return usageError("one log has one key", "further ones are for further paths")
			}
			if len(p.keys) == 1 {
				p.key = p.keys[0]
			}
			p.alone = true
			if err := p.find(args); err != nil {
				return err
			}
			return a.proveLog(cmd.Context(), p)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.file, "file", "", "verify this file, which log list --save wrote; the same as PATH")
	flags.StringVar(&p.dir, "dir", "", "verify this export or log directory; the same as PATH")
	flags.StringSliceVar(&p.keys, "key", nil, "verifier key of the log, or a file that holds it; with several paths repeatable")
	addSealKeys(cmd, &p.sealKeys)
	flags.StringSliceVar(&p.checkpoints, "checkpoint", nil, "file of checkpoints that were kept elsewhere, one or many; repeatable")
	flags.StringSliceVar(&p.receipts, "receipt", nil, "file of a receipt; repeatable; not with a file of log list --save")
	addOrigin(cmd, &p.origin, "without PATH: which of the server's logs; empty = its own")
	cmd.MarkFlagsMutuallyExclusive("file", "dir")
	return cmd
}

// find takes the path for a file or a directory, whichever it is.
func (p *proving) find(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if p.file != "" || p.dir != "" {
		return usageError("PATH, --file and --dir name the same: one is enough", "")
	}
	info, err := os.Stat(args[0])
	switch {
	case err != nil:
		return err
	case info.IsDir():
		p.dir = args[0]
	default:
		p.file = args[0]
	}
	return nil
}

func (a *app) proveLog(ctx context.Context, p *proving) error {
	kept, err := readKept(p.checkpoints)
	if err != nil {
		return err
	}
	switch {
	case len(p.receipts) > 0 && p.file != "":
		return usageError("--receipt is for the server's log, an export or a log directory", "to prove a receipt alone: heyan log receipt verify")
	case p.origin != "" && (p.file != "" || p.dir != ""):
		return usageError("--origin names a log of the server: a PATH is of one", "")
	}
	if p.dir != "" || p.file != "" {
		return a.provePath(ctx, p, kept)
	}
	if p.key != "" || len(p.sealKeys) > 0 {
		return usageError("--key and --seal-key are for what lies here: name it by PATH", "")
	}
	return a.proveOnline(ctx, p, kept)
}

// provePath verifies what lies here.
func (a *app) provePath(ctx context.Context, p *proving, kept []keptFile) error {
	switch {
	case p.dir != "" && inspection.Is(p.dir):
		return a.proveBundle(ctx, p, kept)
	case p.dir != "" && export.Is(p.dir):
		return a.proveExport(ctx, p, kept)
	case p.dir != "":
		return a.proveDir(ctx, p, kept)
	}
	return a.proveFile(p, kept)
}

// proveOnline asks the server.
func (a *app) proveOnline(ctx context.Context, p *proving, kept []keptFile) error {
	origin := p.origin
	if origin == "" {
		origin = lastOrigin(kept)
	}
	notes := a.evidence(kept, origin)
	if few := spread(notes, maxAsked); len(few) < len(notes) {
		a.note("a server takes %d checkpoints: %d of %d are sent, the newest among them; --file and --dir take all", maxAsked, len(few), len(notes))
		notes = few
	}
	request := &heyanv1.VerifyLogRequest{Origin: p.origin, Checkpoints: notes}
	given := len(notes)
	for _, path := range p.receipts {
		receipt, err := readReceipt(path)
		if err != nil {
			return err
		}
		request.Receipts = append(request.Receipts, receipt)
		if given++; len(receipt.GetResolutionLeaf()) > 0 {
			given++
		}
	}
	// Without --timeout: it takes as long as the log is.
	return a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := heyanv1.NewLogServiceClient(conn).VerifyLog(ctx, request)
		if err != nil {
			return err
		}
		return a.printProof(answer, p.given(given))
	})
}

// outside is what was kept elsewhere of the log of an origin.
func (a *app) outside(p *proving, kept []keptFile, origin string) ([]netlog.Evidence, error) {
	var all []netlog.Evidence
	for _, note := range a.evidence(kept, origin) {
		all = append(all, netlog.Evidence{Checkpoint: note})
	}
	for _, path := range p.receipts {
		receipt, err := readReceipt(path)
		if err != nil {
			return nil, err
		}
		all = append(all, netlog.Evidence{Leaf: receipt.GetLeaf(), Proof: receipt.GetProof()})
		if len(receipt.GetResolutionLeaf()) > 0 {
			all = append(all, netlog.Evidence{Leaf: receipt.GetResolutionLeaf(), Proof: receipt.GetResolutionProof()})
		}
	}
	return all, nil
}

func (a *app) proveFile(p *proving, kept []keptFile) error {
	if p.key == "" {
		return usageError("a file needs --key", "a key that stands in the file would prove nothing; an auditor reads keys by: heyan log origins")
	}
	key, err := verifierKey(p.key)
	if err != nil {
		return err
	}
	notes := a.evidence(kept, key.Origin())
	answer, err := saved.Verify(func() (io.ReadCloser, error) { return os.Open(p.file) }, p.file, key, notes)
	if errors.Is(err, saved.ErrSelection) {
		return usageError(p.file+": "+err.Error(), "what it shows is what its leaves say; to prove a whole log, save it without filter: heyan log list --save FILE")
	}
	if err != nil {
		return err
	}
	return a.printProof(answer, p.given(len(notes)))
}

func (a *app) proveDir(ctx context.Context, p *proving, kept []keptFile) error {
	options := netlog.ReaderOptions{Dir: p.dir}
	if p.key != "" {
		key, err := verifierKey(p.key)
		if err != nil {
			return err
		}
		options.Key = key.Key()
	} else {
		a.note("verified with the key that lies in the directory itself; --key takes one from a safer place")
	}
	sealKeys, err := readSealKeys(p.sealKeys)
	if err != nil {
		return err
	}
	log, err := local.OpenDirectory(options, sealKeys)
	if err != nil {
		return err
	}
	defer log.Close()
	evidence, err := a.outside(p, kept, log.Origin())
	if err != nil {
		return err
	}
	report, err := log.Verify(ctx, evidence...)
	if err != nil {
		return err
	}
	answer := &heyanv1.VerifyLogResponse{
		Whole: report.Whole(), Records: report.Verified, Commits: uint64(report.Commits), Anchored: uint32(report.Anchors),
		Checkpoint: &heyanv1.Checkpoint{Origin: report.Origin, Size: report.Size, Root: report.Root[:],
			Note: log.Checkpoint(), VerifierKey: report.Key},
	}
	for _, f := range report.Findings {
		answer.Findings = append(answer.Findings, &heyanv1.VerifyLogResponse_Finding{
			Kind: strings.ToUpper(f.Verdict.String()), File: f.File, Index: f.From, Text: f.Detail,
		})
	}
	return a.printProof(answer, p.given(len(evidence)))
}

// given says how much evidence there was; empty = none.
func (p *proving) given(n int) string {
	switch {
	case n == 0:
		return ""
	case len(p.receipts) > 0:
		return countOf(n, "outside checkpoint or receipt")
	}
	return countOf(n, "outside checkpoint")
}

func (a *app) printProof(answer *heyanv1.VerifyLogResponse, given string) error {
	if a.json() {
		if err := output.JSON(a.Out, answer); err != nil {
			return err
		}
	} else if err := a.proofTable(answer, given); err != nil {
		return err
	}
	if !answer.GetWhole() {
		return errNo
	}
	return nil
}

func (a *app) proofTable(answer *heyanv1.VerifyLogResponse, given string) error {
	table := output.NewTable()
	verdict := "whole"
	if !answer.GetWhole() {
		verdict = "NOT WHOLE"
	}
	table.Row("log", verdict)
	table.Row("origin", answer.GetCheckpoint().GetOrigin())
	table.Row("records", output.Count(int64(answer.GetRecords())))
	table.Row("checkpoints", output.Count(int64(answer.GetCommits())))
	table.Row("size signed", output.Count(int64(answer.GetCheckpoint().GetSize())))
	anchored := fmt.Sprintf("%d of %s", answer.GetAnchored(), given)
	if given == "" {
		anchored = "not anchored outside"
	}
	table.Row("anchored", anchored)
	if _, err := table.WriteTo(a.Out); err != nil {
		return err
	}
	if len(answer.GetFindings()) == 0 {
		return nil
	}
	findings := output.NewTable("FINDING", "FILE", "INDEX", "WHAT")
	for _, f := range answer.GetFindings() {
		findings.Row(f.GetKind(), f.GetFile(), fmt.Sprint(f.GetIndex()), f.GetText())
	}
	fmt.Fprintln(a.Out)
	_, err := findings.WriteTo(a.Out)
	return err
}
