package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
)

func configCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "config",
		Short: "Look at configurations",
	})
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a configuration, without starting anything",
		Long: `Check reads a configuration and the keys and certificates that it names, as a start would. It opens neither store nor
log, so a key of the right kind that is not the data's own is only found by a start.`,
		Example: "  heyan config check /etc/heyan/heyan.yaml",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := config.Load(args[0])
			if err != nil {
				return usageError(inOneLine(err), "")
			}
			if err := checkFiles(c); err != nil {
				return usageError(inOneLine(err), "")
			}
			products, err := c.Products()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s is well: node %s in %s, %d products, production %v\n", args[0], c.Node, c.Region, len(products.All()), c.Production)
			return err
		},
	}
	cmd.AddCommand(check)
	return cmd
}

// inOneLine is an error that joins several, for a terminal.
func inOneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// checkFiles reads the files that a configuration names, as a start would, and says everything that is wrong.
func checkFiles(c *config.Config) error {
	_, digestErr := keyfile.ReadDigest(c.Keys.Digest)
	_, signErr := keyfile.ReadSigning(c.Keys.LogSign)
	wrong := []error{digestErr, signErr}
	for _, key := range []struct {
		path string
		kind keyfile.Kind
	}{
		{c.Keys.Subject, keyfile.SubjectSeal}, {c.Keys.Business, keyfile.BusinessSeal}, {c.Keys.Registry, keyfile.RegistrySeal},
		{c.Keys.LogSeal, keyfile.LogSeal},
	} {
		_, err := keyfile.Read(key.path, key.kind)
		wrong = append(wrong, err)
	}
	_, err := (&state{config: c}).certificates()
	return errors.Join(append(wrong, err)...)
}
