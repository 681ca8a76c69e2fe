package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func clientCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "client",
		Short: "Register customers, suspend and close them",
		Long:  "Client administers customers. A system administrator does; every administrator may suspend.",
	})
	cmd.AddCommand(
		clientCreate(a), clientGet(a), clientList(a), clientUpdate(a),
		clientState(a, "suspend", "Stop a client's calls at once", heyanv1.Client_STATE_SUSPENDED, true),
		clientState(a, "resume", "Let a suspended client call again", heyanv1.Client_STATE_ACTIVE, false),
		clientClose(a),
	)
	return cmd
}

// clientAnswer makes one call and prints the client that comes back.
func (a *app) clientAnswer(ctx context.Context, call func(context.Context, heyanv1.AdminServiceClient) (*heyanv1.Client, error)) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := call(ctx, heyanv1.NewAdminServiceClient(conn))
		if err != nil {
			return err
		}
		a.logged(conn)
		return a.print(answer, clientTable([]*heyanv1.Client{answer}))
	})
}

func clientFlags(cmd *cobra.Command, client *heyanv1.Client) {
	flags := cmd.Flags()
	flags.StringVar(&client.DisplayName, "name", "", "name, for people")
	flags.Var(prefixesFlag{&client.AllowedSources}, "allowed-source", "address or prefix that calls may come from, e.g. 203.0.113.0/24; repeatable")
	flags.Int32Var(&client.RatePerSecond, "rate", 0, "most calls a second; 0 = the server's default")
	flags.BoolVar(&client.PolicyGate, "policy-gate", false, "calls wait until the client has acknowledged the policy in force")
}

func clientCreate(a *app) *cobra.Command {
	client := &heyanv1.Client{}
	cmd := &cobra.Command{
		Use:     "create ID",
		Short:   "Register a customer",
		Example: `  heyan client create acme --name "Acme 公司" --allowed-source 203.0.113.0/24`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client.Id = args[0]
			return a.clientAnswer(cmd.Context(), func(ctx context.Context, admin heyanv1.AdminServiceClient) (*heyanv1.Client, error) {
				return admin.CreateClient(ctx, &heyanv1.CreateClientRequest{Client: client})
			})
		},
	}
	clientFlags(cmd, client)
	cmd.Flags().StringVar(&client.Establishment, "establishment", "CN", "country where it is established, ISO 3166-1 alpha-2")
	required(cmd, "name")
	return cmd
}

func clientGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "get ID",
		Short:   "Show one client",
		Example: "  heyan client get acme -o json",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clientAnswer(cmd.Context(), func(ctx context.Context, admin heyanv1.AdminServiceClient) (*heyanv1.Client, error) {
				return admin.GetClient(ctx, &heyanv1.GetClientRequest{Id: args[0]})
			})
		},
	}
}

func clientList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List clients",
		Example: "  heyan client list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				admin := heyanv1.NewAdminServiceClient(conn)
				clients, err := pages(func(token string) ([]*heyanv1.Client, string, error) {
					page, err := admin.ListClients(ctx, &heyanv1.ListClientsRequest{PageSize: pageSize, PageToken: token})
					return page.GetClients(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListClientsResponse{Clients: clients}, clientTable(clients))
			})
		},
	}
}

func clientUpdate(a *app) *cobra.Command {
	client := &heyanv1.Client{}
	var reason string
	cmd := &cobra.Command{
		Use:     "update ID",
		Short:   "Change what the flags name, and nothing else",
		Example: "  heyan client update acme --rate 200",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client.Id = args[0]
			mask := &fieldmaskpb.FieldMask{}
			for flag, path := range map[string]string{
				"name": "display_name", "allowed-source": "allowed_sources", "rate": "rate_per_second", "policy-gate": "policy_gate",
			} {
				if cmd.Flags().Changed(flag) {
					mask.Paths = append(mask.Paths, path)
				}
			}
			if len(mask.GetPaths()) == 0 {
				return usageError("nothing to change", "name a member by its flag; see: heyan client update --help")
			}
			mask.Normalize()
			return a.updateClient(cmd.Context(), client, mask, reason)
		},
	}
	clientFlags(cmd, client)
	cmd.Flags().Int64Var(&client.Revision, "revision", 0, "fail where this is not the current revision")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	return cmd
}

func (a *app) updateClient(ctx context.Context, client *heyanv1.Client, mask *fieldmaskpb.FieldMask, reason string) error {
	return a.clientAnswer(ctx, func(ctx context.Context, admin heyanv1.AdminServiceClient) (*heyanv1.Client, error) {
		return admin.UpdateClient(ctx, &heyanv1.UpdateClientRequest{Client: client, UpdateMask: mask, Reason: reason})
	})
}

func clientState(a *app, name, short string, state heyanv1.Client_State, why bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Example: "  heyan client " + name + ` acme --reason "contract 2026-17"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mask := &fieldmaskpb.FieldMask{Paths: []string{"state"}}
			return a.updateClient(cmd.Context(), &heyanv1.Client{Id: args[0], State: state}, mask, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	addYes(cmd)
	if why {
		required(cmd, "reason")
	}
	return cmd
}

func clientClose(a *app) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:     "close ID",
		Short:   "Close a client for ever",
		Example: `  heyan client close acme --reason "contract ended"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.sure(yes, "Close client "+args[0]+" for ever?"); err != nil {
				return err
			}
			return a.clientAnswer(cmd.Context(), func(ctx context.Context, admin heyanv1.AdminServiceClient) (*heyanv1.Client, error) {
				return admin.CloseClient(ctx, &heyanv1.CloseClientRequest{Id: args[0], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	required(cmd, "reason")
	return cmd
}

func clientTable(clients []*heyanv1.Client) *output.Table {
	table := output.NewTable("CLIENT", "NAME", "STATE", "SOURCES", "RATE", "POLICY GATE", "REVISION", "CREATED +08:00", "REASON")
	for _, c := range clients {
		rate := ""
		if c.GetRatePerSecond() > 0 {
			rate = output.Count(int64(c.GetRatePerSecond()))
		}
		table.Row(c.GetId(), c.GetDisplayName(), enumText(c.GetState()), strings.Join(c.GetAllowedSources(), ","), rate,
			mark(c.GetPolicyGate()), output.Count(c.GetRevision()), when(c.GetCreateTime()), c.GetReason())
	}
	return table
}
