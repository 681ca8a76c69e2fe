package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/inspection"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/export"
)

// bundling is the flags of `heyan log bundle`, and one run of it.
type bundling struct {
	*app
	out, key, lang        string
	zip                   bool
	rows, samples         int
	since                 time.Duration
	filter                *heyanv1.LogFilter
	checkpoints, receipts []string

	first, behind uint64 // indexes of the period; behind 0: the end
	facts         inspection.Facts
	dir           *disk.PendingDir
	proof         *exportProof
}

func logBundle(a *app) *cobra.Command {
	b := &bundling{app: a, filter: &heyanv1.LogFilter{}}
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Pack what an on-site inspection asks for: printable pages, exports, proofs, sums",
		Long: `Bundle makes a directory to be handed over on a USB stick. index.zh-CN.html and index.en.html are read in any browser and
printed on A4: accounts and roles, log-in and log-out, coverage, who read the log, history of configuration,
administration and approvals, security events, retention, operation status, samples; on the cover the fingerprint of the
log's key, and what verification said. Beside them lie the records as CSV and JSON Lines with what proves them, the
newest checkpoint and those given by --checkpoint, and SHA256SUMS. README.txt says how to verify, in three commands.

Without --since, --from and --to it is the whole log. Either way "log verify" proves that no record between the first and
the last is left out. What it does not prove stands on the same page as what it does. The directory is there whole,
flushed and verified, or not at all.

--key is the log's verifier key from a safer place, such as what heyan init printed; where the server's is another one,
nothing is made. Exit code 1 with a bundle that was made means that it says: not whole.`,
		Example: `  heyan log bundle --out inspection --zip
  heyan log bundle --from 2026-05-01 --to 2026-11-01 --key node1.vkey --checkpoint 2026-05-01.checkpoint --out inspection`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&b.since, "since", 0, "only of the last 24h, 720h, …")
	a.addTime(cmd, &b.filter.StartTime, "from", "from this time on")
	a.addTime(cmd, &b.filter.EndTime, "to", "before this time")
	flags.StringVar(&b.out, "out", "", "directory to make")
	flags.BoolVar(&b.zip, "zip", false, "also make OUT.zip of it")
	flags.StringVar(&b.key, "key", "", "verifier key of the log from a safer place, or a file that holds it, to compare the server's with")
	b.lang = string(export.Chinese)
	addWord(cmd, &b.lang, "lang", "language of the heading of CSV", string(export.Chinese), string(export.English))
	flags.StringSliceVar(&b.checkpoints, "checkpoint", nil, "file of checkpoints that were kept elsewhere, one or many; repeatable")
	flags.StringSliceVar(&b.receipts, "receipt", nil, "file of a receipt; repeatable")
	flags.IntVar(&b.samples, "samples", 1, "records of each event to show with all columns")
	flags.IntVar(&b.rows, "rows", 2000, "most rows of a table; the newest are shown, all are in the exports")
	cmd.MarkFlagsMutuallyExclusive("since", "from")
	required(cmd, "out")
	return cmd
}

// run makes the bundle, and leaves nothing behind where that does not come to its end.
func (b *bundling) run(ctx context.Context) (err error) {
	if b.rows < 1 || b.samples < 0 {
		return usageError("--rows wants a number from 1 on, --samples one from 0 on", "")
	}
	if b.since > 0 {
		b.filter.StartTime = stamp(b.Now().Add(-b.since))
	}
	kept, err := readKept(b.checkpoints)
	if err != nil {
		return err
	}
	if err := b.begin(); err != nil {
		return err
	}
	defer func() {
		if err != nil && !errors.Is(err, errNo) {
			b.abort()
		}
	}()
	if err := b.fill(ctx, kept); err != nil {
		return err
	}
	packed, err := b.publish(ctx)
	if err != nil {
		return err
	}
	return b.tell(packed)
}

// begin makes sure that nothing is there under the names of what is made.
func (b *bundling) begin() (err error) {
	b.out = filepath.Clean(b.out)
	if b.zip {
		if _, err := os.Lstat(b.packed()); !errors.Is(err, fs.ErrNotExist) {
			return usageError(b.packed()+" is there already", "a bundle replaces nothing: give another --out")
		}
	}
	b.dir, err = disk.NewDir(disk.OS(), b.out)
	if errors.Is(err, fs.ErrExist) {
		return usageError(b.out+" is there already", "a bundle replaces nothing: name another directory")
	}
	return err
}

// packed is the name of the archive.
func (b *bundling) packed() string { return b.out + ".zip" }

// abort removes what was written, as far as that can be done.
func (b *bundling) abort() {
	for _, name := range []string{inspection.JSONLDir, inspection.CSVDir} {
		_ = os.RemoveAll(filepath.Join(b.dir.Path(), name))
	}
	b.dir.Abort()
}

// fill writes the files, the list of their sums last.
func (b *bundling) fill(ctx context.Context, kept []keptFile) error {
	if err := b.ask(ctx, kept); err != nil {
		return err
	}
	if err := b.export(ctx, kept); err != nil {
		return err
	}
	if err := b.verify(ctx, kept); err != nil {
		return err
	}
	for _, part := range []func() error{b.copyEvidence, b.writeAnswers, b.writePages} {
		if err := part(); err != nil {
			return err
		}
	}
	bar := output.NewProgress(b.progressOut(), b.Now, "summed", 0, output.Bytes)
	sums, err := inspection.Sums(ctx, b.dir.Path(), bar.Add)
	bar.Done()
	if err != nil {
		return err
	}
	return b.file(inspection.SumsFile, sums)
}

// file writes a file of the bundle.
func (b *bundling) file(name string, content []byte) error {
	f, err := b.dir.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Finish()
}

// publish gives the bundle its name, and the archive of it.
func (b *bundling) publish(ctx context.Context) (packed string, err error) {
	if !b.zip {
		return "", b.dir.Publish()
	}
	archive, err := disk.Replace(disk.OS(), b.packed())
	if err != nil {
		return "", err
	}
	bar := output.NewProgress(b.progressOut(), b.Now, "packed", 0, output.Bytes)
	err = inspection.Pack(ctx, archive, b.dir.Path(), filepath.Base(b.out), b.facts.Made, bar.Add)
	bar.Done()
	if err == nil {
		err = b.dir.Publish()
	}
	if err != nil {
		archive.Abort()
		return "", err
	}
	return b.packed(), archive.Commit()
}

// bundleAnswer is what `log bundle` answers a program.
type bundleAnswer struct {
	Directory   string       `json:"directory"`
	Archive     string       `json:"archive,omitempty"`
	Origin      string       `json:"origin"`
	Records     uint64       `json:"records"`
	Whole       bool         `json:"whole"`
	VerifierKey string       `json:"verifier_key"`
	Fingerprint string       `json:"key_sha256"`
	Export      *exportProof `json:"export"`
}

// tell says what was made.
func (b *bundling) tell(packed string) error {
	f := &b.facts
	answer := bundleAnswer{b.out, packed, f.Origin, f.Log.Records, f.Proof.Whole && f.Proof.ServerWhole, f.Key, f.Fingerprint, b.proof}
	if b.json() {
		if err := output.Value(b.Out, answer); err != nil {
			return err
		}
	} else {
		table := output.NewTable()
		verdict := "whole"
		if !answer.Whole {
			verdict = "NOT WHOLE"
		}
		table.Row("bundle", answer.Directory)
		if packed != "" {
			table.Row("archive", packed)
		}
		table.Row("log", verdict)
		table.Row("records", output.Count(int64(answer.Records)))
		table.Row("key sha256", answer.Fingerprint)
		if _, err := table.WriteTo(b.Out); err != nil {
			return err
		}
	}
	b.note("read %s, or %s", filepath.Join(b.out, inspection.PageFile(inspection.Chinese)), filepath.Join(b.out, inspection.PageFile(inspection.English)))
	b.note("verify it by: heyan log verify %s --key KEY", b.out)
	if !answer.Whole {
		return errNo
	}
	return nil
}

// fingerprint is the SHA-256 of the file that holds a verifier key.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key + "\n"))
	return hex.EncodeToString(sum[:])
}
