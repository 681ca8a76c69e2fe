package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func configCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "config",
		Short: "Look at configurations",
	})
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a configuration, without starting anything",
		Long: `Check reads a configuration, the keys and certificates that it names, and whether the keys are those of the data that is
there. It changes nothing and needs no server to be stopped. What only a start finds out: whether the digest key is the
data's own, and whether the log is as the store knows it.`,
		Example: "  heyan config check /etc/heyan/heyan.yaml",
		Args:    arguments("FILE"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.checkConfig(args[0]) },
	}
	cmd.AddCommand(check)
	return cmd
}

// inOneLine is an error that joins several, for a terminal.
func inOneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
