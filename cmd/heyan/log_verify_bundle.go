package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heyan-project/heyan/cmd/heyan/internal/inspection"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// bundleProof is what `log verify` answers of a bundle.
type bundleProof struct {
	Whole       bool           `json:"whole"`
	Fingerprint string         `json:"key_sha256"`
	Files       []fileProblem  `json:"files"`
	Exports     []*exportProof `json:"exports"` // JSON Lines, then CSV
}

type fileProblem struct {
	File string `json:"file"`
	What string `json:"what"`
}

// proveBundle verifies a bundle without a server: the list of its files, both exports, the checkpoint and the key.
func (a *app) proveBundle(ctx context.Context, p *proving, kept []keptFile) error {
	switch {
	case p.key == "":
		return usageError("a bundle needs --key", "best from a safer place; the one in it is log.vkey: compare its SHA-256 with the cover and with what heyan init printed")
	case len(p.sealKeys) > 0:
		return usageError("--seal-key is for a log directory: a bundle is not sealed", "")
	}
	key, err := verifierKey(p.key)
	if err != nil {
		return err
	}
	bar := output.NewProgress(a.progressOut(), a.Now, "verified", 0, output.Bytes)
	answer, err := a.judgeBundle(ctx, p, kept, key, bar.Add)
	bar.Done()
	if err != nil {
		return err
	}
	return a.printBundle(answer)
}

func (a *app) judgeBundle(ctx context.Context, p *proving, kept []keptFile, key tree.Verifier, read func(int64)) (*bundleProof, error) {
	answer := &bundleProof{Fingerprint: fingerprint(key.Key()), Files: []fileProblem{}}
	problems, err := inspection.CheckSums(ctx, p.dir, read)
	if errors.Is(err, inspection.ErrSums) {
		problems, err = []inspection.Problem{{File: inspection.SumsFile, What: "cannot be read: no file is compared"}}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, problem := range problems {
		answer.Files = append(answer.Files, fileProblem(problem))
	}
	evidence, err := a.bundleEvidence(p, kept, key)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{inspection.JSONLDir, inspection.CSVDir} {
		report, err := export.Verify(ctx, filepath.Join(p.dir, name), export.Options{Key: key, Outside: evidence, Read: read})
		if errors.Is(err, export.ErrNoExport) {
			answer.Files = append(answer.Files, fileProblem{name, "no export"})
			continue
		}
		if err != nil {
			return nil, err
		}
		answer.Exports = append(answer.Exports, exportProofOf(&report, key.Origin()))
	}
	answer.Files = append(answer.Files, signedFiles(p.dir, key, answer.Exports)...)
	return answer, nil
}

// bundleEvidence is what was given, and what lies in the bundle.
func (a *app) bundleEvidence(p *proving, kept []keptFile, key tree.Verifier) ([]netlog.Evidence, error) {
	all := proving{receipts: p.receipts}
	for n := 1; ; n++ {
		path := filepath.Join(p.dir, fmt.Sprintf(inspection.ReceiptFile, n))
		if _, err := os.Stat(path); err != nil {
			break
		}
		all.receipts = append(all.receipts, path)
	}
	for n := 1; ; n++ {
		more, err := readKept([]string{filepath.Join(p.dir, fmt.Sprintf(inspection.OutsideFile, n))})
		if errors.Is(err, fs.ErrNotExist) {
			return a.outside(&all, kept, key.Origin())
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, more...)
	}
}

// signedFiles compares the key and the checkpoint that lie beside the exports. A file that is gone was found by its sum.
func signedFiles(dir string, key tree.Verifier, exports []*exportProof) (all []fileProblem) {
	if text, err := os.ReadFile(filepath.Join(dir, inspection.KeyFile)); err == nil {
		if in, err := tree.NewVerifier(string(text)); err != nil || in.Key() != key.Key() {
			all = append(all, fileProblem{inspection.KeyFile, "is not the key that was given"})
		}
	}
	if note, err := os.ReadFile(filepath.Join(dir, inspection.CheckpointFile)); err == nil {
		c, err := key.Open(note)
		if err != nil || len(exports) == 0 || c.Size != exports[0].Size {
			all = append(all, fileProblem{inspection.CheckpointFile, "is not the checkpoint of the export, signed by this key"})
		}
	}
	return all
}

func (a *app) printBundle(answer *bundleProof) error {
	answer.Whole = len(answer.Files) == 0 && len(answer.Exports) == 2
	for _, e := range answer.Exports {
		answer.Whole = answer.Whole && e.Whole
	}
	if a.json() {
		if err := output.Value(a.Out, answer); err != nil {
			return err
		}
	} else if err := a.bundleTable(answer); err != nil {
		return err
	}
	if !answer.Whole {
		return errNo
	}
	return nil
}

func (a *app) bundleTable(answer *bundleProof) error {
	table := output.NewTable()
	verdict, files := "whole", "as SHA256SUMS says"
	if !answer.Whole {
		verdict = "NOT WHOLE"
	}
	if len(answer.Files) > 0 {
		files = "NOT as they should be"
	}
	table.Row("bundle", verdict)
	table.Row("key sha256", answer.Fingerprint)
	table.Row("files", files)
	for _, problem := range answer.Files {
		table.Row("", problem.File+": "+problem.What)
	}
	if _, err := table.WriteTo(a.Out); err != nil {
		return err
	}
	for _, e := range answer.Exports {
		fmt.Fprintln(a.Out)
		if err := exportTable(a.Out, e); err != nil {
			return err
		}
	}
	return nil
}
