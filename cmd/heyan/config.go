package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
)

func configCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "config",
		Short: "Look at configurations",
	})
	check := &cobra.Command{
		Use:     "check FILE",
		Short:   "Say everything that is wrong with a configuration, without starting anything",
		Example: "  heyan config check /etc/heyan/heyan.yaml",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := config.Load(args[0])
			if err != nil {
				return usageError(err.Error(), "")
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
