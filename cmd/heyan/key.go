package main

import (
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/verifier/digest"
)

func keyCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "key",
		Short: "Make and look at the key file of digests",
		Long: `Key works on the file that all keyed digests derive from. Whoever loses it can match no stored row again; whoever holds
it and the data can find any value by trial. It belongs outside the data directory and its backups.`,
	})
	cmd.AddCommand(keyGenerate(a), keyStatus(a))
	return cmd
}

func keyGenerate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "generate FILE",
		Short:   "Make a new key file, readable by you only; never over an old one",
		Example: "  heyan key generate /etc/heyan/keys/digest.key",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			content, err := digest.GenerateKeyFile(a.Rand, a.Now())
			if err != nil {
				return err
			}
			file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			if _, err = file.Write(content); err == nil {
				err = file.Sync()
			}
			if err := joinClose(err, file); err != nil {
				return err
			}
			chain, err := digest.ParseKeyFile(content)
			if err != nil {
				return err
			}
			a.note("keep a copy in a safe place: without it the data is of no use")
			return a.printKey(args[0], chain)
		},
	}
}

func keyStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status FILE",
		Short:   "Show which keys a file holds, by id; never the keys",
		Example: "  heyan key status /etc/heyan/keys/digest.key",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			const others fs.FileMode = 0o077
			if runtime.GOOS != "windows" && info.Mode().Perm()&others != 0 {
				return &exitError{exitNo, args[0] + ": a key that others can read; the server refuses it", "run: chmod 600 " + shellQuote(args[0])}
			}
			content, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			chain, err := digest.ParseKeyFile(content)
			if err != nil {
				return err
			}
			return a.printKey(args[0], chain)
		},
	}
}

func (a *app) printKey(path string, chain *digest.Chain) error {
	if a.json() {
		return output.Value(a.Out, map[string]any{
			"file": path, "ids": chain.IDs(), "suite": chain.Suite(), "created": chain.Created().UTC().Format(time.RFC3339),
		})
	}
	table := output.NewTable()
	table.Row("file", path)
	table.Row("keys", strings.Join(chain.IDs(), " "))
	table.Row("suite", chain.Suite())
	table.Row("newest since", chain.Created().In(beijing).Format("2006-01-02 15:04:05"))
	_, err := table.WriteTo(a.Out)
	return err
}
