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
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
)

// proving is the flags of `heyan log verify`.
type proving struct {
	file, dir, key, sealKey string
	checkpoints             []string
}

func logVerify(a *app) *cobra.Command {
	p := &proving{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the log is whole: on the server, or here on a file or directory",
		Long: `Verify recomputes the Merkle tree from the records and compares it with what was signed. Without --file and --dir the
server does it on its own log. With them nothing is called: the verifier key then comes from --key, and should come
from a safer place than the log.

Findings are TAMPERED, MISSING or UNVERIFIABLE. Exit code 0 means whole: nothing was found. Whether the keeper of the
signing key rewrote history as a whole can only be told by checkpoints that left the machine: give them by --checkpoint.
A file of many, such as log.checkpoints_to makes, is taken as it is: each of them has to agree. What it holds of other
logs is left out.`,
		Example: `  heyan log verify
  heyan log verify --file log.jsonl --key node1.vkey --checkpoint 2026-11-01.checkpoint
  heyan log verify --dir /var/lib/heyan/log --key node1.vkey --seal-key seal.key --checkpoint /mnt/elsewhere/heyan.checkpoints`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.proveLog(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&p.file, "file", "", "verify this file, which log list --save wrote")
	flags.StringVar(&p.dir, "dir", "", "verify this log directory")
	flags.StringVar(&p.key, "key", "", "verifier key of the log, or a file that holds it")
	flags.StringVar(&p.sealKey, "seal-key", "", "with --dir: file of the key that opens sealed records")
	flags.StringSliceVar(&p.checkpoints, "checkpoint", nil, "file of checkpoints that were kept elsewhere, one or many; repeatable")
	cmd.MarkFlagsMutuallyExclusive("file", "dir")
	return cmd
}

func (a *app) proveLog(ctx context.Context, p *proving) error {
	kept, err := readKept(p.checkpoints)
	if err != nil {
		return err
	}
	switch {
	case p.file != "":
		return a.proveFile(p, kept)
	case p.dir != "":
		return a.proveDir(ctx, p, kept)
	}
	if p.key != "" || p.sealKey != "" {
		return usageError("--key and --seal-key are for --file and --dir", "")
	}
	notes := a.evidence(kept, lastOrigin(kept))
	if few := spread(notes, maxAsked); len(few) < len(notes) {
		a.note("a server takes %d checkpoints: %d of %d are sent, the newest among them; --file and --dir take all", maxAsked, len(few), len(notes))
		notes = few
	}
	// Without --timeout: it takes as long as the log is.
	return a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := heyanv1.NewLogServiceClient(conn).VerifyLog(ctx, &heyanv1.VerifyLogRequest{Checkpoints: notes})
		if err != nil {
			return err
		}
		return a.printProof(answer, len(notes))
	})
}

func (a *app) proveFile(p *proving, kept []keptFile) error {
	if p.key == "" {
		return usageError("--file needs --key", "a key that stands in the file would prove nothing; an auditor reads keys by: heyan log origins")
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
	return a.printProof(answer, len(notes))
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
	if p.sealKey != "" {
		sealKey, err := keyfile.Read(p.sealKey, keyfile.LogSeal)
		if err != nil {
			return err
		}
		options.SealKey = sealKey
	}
	log, err := netlog.OpenReader(options)
	if err != nil {
		return err
	}
	defer log.Close()
	notes := a.evidence(kept, log.Origin())
	evidence := make([]netlog.Evidence, len(notes))
	for i, note := range notes {
		evidence[i].Checkpoint = note
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
	return a.printProof(answer, len(notes))
}

func (a *app) printProof(answer *heyanv1.VerifyLogResponse, given int) error {
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

func (a *app) proofTable(answer *heyanv1.VerifyLogResponse, given int) error {
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
	anchored := fmt.Sprintf("%d of %s", answer.GetAnchored(), countOf(given, "outside checkpoint"))
	if given == 0 {
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
