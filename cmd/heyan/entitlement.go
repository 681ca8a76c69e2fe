package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func entitlementCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "entitlement",
		Short: "Sell products to clients, and end that",
	})
	cmd.AddCommand(entitlementSet(a), entitlementRevoke(a), entitlementList(a))
	return cmd
}

func entitlementSet(a *app) *cobra.Command {
	e := &heyanv1.Entitlement{}
	cmd := &cobra.Command{
		Use:   "set CLIENT PRODUCT",
		Short: "Sell a product to a client, or change what was sold",
		Long:  "Set states the whole entitlement: what a flag does not name is unset, also where it was set before.",
		Example: `  heyan entitlement set acme id2 --purpose account_opening --handler-role entrusted --expire 2027-11-22
  heyan entitlement set acme phone3 --purpose account_opening,payment --quota 100000 --quota-period month \
      --price-fen 35 --detail --handler-role handler --expire 2027-11-22`,
		Args: arguments("CLIENT", "PRODUCT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Client, e.Product = args[0], args[1]
			return a.entitlementAnswer(cmd.Context(), func(ctx context.Context, access heyanv1.AccessServiceClient) (*heyanv1.Entitlement, error) {
				return access.SetEntitlement(ctx, &heyanv1.SetEntitlementRequest{Entitlement: e})
			})
		},
	}
	flags := cmd.Flags()
	addEnums(cmd, &e.Purposes, "purpose", "what it may be used for")
	flags.Var(optionalInt{&e.Quota}, "quota", "verdicts per period; absent = no limit")
	addEnum(cmd, &e.QuotaPeriod, "quota-period", "how often the quota starts anew")
	flags.Var(optionalInt{&e.TestQuota}, "test-quota", "verdicts per period for test credentials; absent = 1000")
	flags.Var(optionalInt{&e.PriceFen}, "price-fen", "price of a billed answer in fen of CNY")
	flags.BoolVar(&e.Detail, "detail", false, "results per field")
	flags.StringSliceVar(&e.LegalBases, "legal-basis", nil, "legal basis that the client may name, by id; repeatable")
	addEnum(cmd, &e.HandlerRole, "handler-role", "on whose behalf Heyan processes")
	flags.StringVar(&e.ContractRef, "contract-ref", "", "reference of the contract")
	a.addTime(cmd, &e.StartTime, "start", "when it begins; absent = now")
	a.addTime(cmd, &e.ExpireTime, "expire", "when it ends")
	flags.Int32Var(&e.RetentionDays, "retention-days", 0, "how long verdicts are kept, 1–1095; 0 = 30")
	flags.Int64Var(&e.Revision, "revision", 0, "fail where this is not the current revision")
	required(cmd, "purpose", "handler-role", "expire")
	return cmd
}

func entitlementRevoke(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "revoke CLIENT PRODUCT",
		Short:   "End an entitlement at once",
		Example: `  heyan entitlement revoke acme id2 --reason "contract ended"`,
		Args:    arguments("CLIENT", "PRODUCT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.entitlementAnswer(cmd.Context(), func(ctx context.Context, access heyanv1.AccessServiceClient) (*heyanv1.Entitlement, error) {
				return access.RevokeEntitlement(ctx,
					&heyanv1.RevokeEntitlementRequest{Client: args[0], Product: args[1], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	addYes(cmd)
	required(cmd, "reason")
	return cmd
}

func entitlementList(a *app) *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List entitlements",
		Example: "  heyan entitlement list --client acme",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				access := heyanv1.NewAccessServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Entitlement, string, error) {
					page, err := access.ListEntitlements(ctx,
						&heyanv1.ListEntitlementsRequest{PageSize: pageSize, PageToken: token, Client: client})
					return page.GetEntitlements(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListEntitlementsResponse{Entitlements: all}, entitlementTable(all))
			})
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "only of this client")
	return cmd
}

func (a *app) entitlementAnswer(ctx context.Context, call func(context.Context, heyanv1.AccessServiceClient) (*heyanv1.Entitlement, error)) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := call(ctx, heyanv1.NewAccessServiceClient(conn))
		if err != nil {
			return err
		}
		a.logged(conn)
		return a.print(answer, entitlementTable([]*heyanv1.Entitlement{answer}))
	})
}

func entitlementTable(entitlements []*heyanv1.Entitlement) *output.Table {
	table := output.NewTable("CLIENT", "PRODUCT", "PURPOSES", "QUOTA", "PERIOD", "PRICE", "DETAIL", "LEGAL BASES",
		"FROM +08:00", "UNTIL", "REVISION", "REVOKED", "REASON")
	for _, e := range entitlements {
		quota, price := "no limit", ""
		if e.Quota != nil {
			quota = output.Count(e.GetQuota())
		}
		if e.PriceFen != nil {
			price = yuan(e.GetPriceFen())
		}
		table.Row(e.GetClient(), e.GetProduct(), enumList(e.GetPurposes()), quota, strings.ToLower(enumText(e.GetQuotaPeriod())),
			price, mark(e.GetDetail()), strings.Join(e.GetLegalBases(), ","), when(e.GetStartTime()), when(e.GetExpireTime()),
			output.Count(e.GetRevision()), mark(e.GetRevoked()), e.GetReason())
	}
	return table
}
