package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func productCommand(a *app) *cobra.Command {
	list := &cobra.Command{
		Use:     "list",
		Short:   "List products, and which of them this client has bought",
		Example: "  heyan product list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewCatalogServiceClient(conn).ListProducts(ctx, &heyanv1.ListProductsRequest{})
				if err != nil {
					return err
				}
				return a.print(answer, productTable(answer.GetProducts()))
			})
		},
	}
	get := &cobra.Command{
		Use:     "get PRODUCT",
		Short:   "Show one product",
		Example: "  heyan product get phone3",
		Args:    arguments("PRODUCT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewCatalogServiceClient(conn).GetProduct(ctx, &heyanv1.GetProductRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.print(answer, productTable([]*heyanv1.Product{answer}))
			})
		},
	}
	cmd := parent(&cobra.Command{Use: "product", Short: "See what can be bought"})
	cmd.AddCommand(list, get)
	return cmd
}

func productTable(products []*heyanv1.Product) *output.Table {
	table := output.NewTable("PRODUCT", "TITLE", "BOUGHT", "DETAIL", "PRICE", "ANCHOR", "FIELDS", "SEPARATE CONSENTS", "RECIPIENTS")
	for _, p := range products {
		price := ""
		if p.PriceFen != nil {
			price = yuan(p.GetPriceFen())
		}
		table.Row(p.GetId(), p.GetTitle(), mark(p.GetEntitled()), mark(p.GetDetail()), price,
			strings.ToLower(enumText(p.GetAnchor())), enumList(p.GetFields()), enumList(p.GetSeparateConsents()),
			strings.Join(p.GetRecipients(), ","))
	}
	return table
}

// yuan prints fen of CNY.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s¥%d.%02d", sign, fen/100, fen%100)
}

func whoamiCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Show who calls: a client's products, quota left and expiry; a person's roles",
		Example: "  heyan whoami\n  heyan whoami -o json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewCatalogServiceClient(conn).GetAccount(ctx, &heyanv1.GetAccountRequest{})
				if err != nil {
					return err
				}
				return a.printAccount(answer)
			})
		},
	}
}

func (a *app) printAccount(account *heyanv1.Account) error {
	head := output.NewTable()
	if account.GetOperator() != "" {
		head.Row("operator", account.GetOperator())
		head.Row("person", account.GetPersonId())
		head.Row("roles", enumList(account.GetRoles()))
		return a.print(account, head)
	}
	head.Row("client", strings.TrimSpace(account.GetClient()+" "+account.GetDisplayName()))
	credential := account.GetCredential()
	if account.GetTest() {
		credential += " (test)"
	}
	head.Row("credential", credential)
	head.Row("  expires", whenZoned(account.GetCredentialExpireTime()))
	head.Row("notices", strings.Join(account.GetNotices(), ","))
	policy := account.GetPolicyVersion()
	if policy != "" && !account.GetPolicyAcknowledged() {
		policy += " (not acknowledged)"
	}
	head.Row("policy", policy)
	if err := a.print(account, head); err != nil || a.json() || len(account.GetLines()) == 0 {
		return err
	}
	table := output.NewTable("PRODUCT", "PURPOSES", "QUOTA LEFT", "OF", "PERIOD", "DETAIL", "LEGAL BASES", "EXPIRES +08:00")
	for _, line := range account.GetLines() {
		left, quota, period := "no limit", "", ""
		if line.Quota != nil {
			left, quota = output.Count(line.GetQuotaLeft()), output.Count(line.GetQuota())
			period = strings.ToLower(enumText(line.GetQuotaPeriod()))
		}
		table.Row(line.GetProduct(), enumList(line.GetPurposes()), left, quota, period, mark(line.GetDetail()),
			strings.Join(line.GetLegalBases(), ","), when(line.GetExpireTime()))
	}
	fmt.Fprintln(a.Out)
	_, err := table.WriteTo(a.Out)
	return err
}

func usageCommand(a *app) *cobra.Command {
	request := &heyanv1.GetUsageRequest{}
	cmd := &cobra.Command{
		Use:     "usage",
		Short:   "Show what was used, by day and product",
		Example: "  heyan usage\n  heyan usage --start 2026-11-01 --end 2026-11-30 --client acme -o json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewCatalogServiceClient(conn).GetUsage(ctx, request)
				if err != nil {
					return err
				}
				return a.print(answer, usageTable(answer.GetRows()))
			})
		},
	}
	cmd.Flags().StringVar(&request.StartDate, "start", "", "first day, YYYY-MM-DD at +08:00; empty = first of this month")
	cmd.Flags().StringVar(&request.EndDate, "end", "", "last day, included; empty = today")
	cmd.Flags().StringVar(&request.Client, "client", "", "for administrators: the client")
	return cmd
}

func usageTable(rows []*heyanv1.UsageRow) *output.Table {
	table := output.NewTable("DATE", "CLIENT", "PRODUCT", "TEST", "MATCH", "MISMATCH", "NO RECORD", "NOT VERIFIABLE",
		"BLOCKED", "PENDING", "REPLAYED", "BILLED", "AMOUNT")
	var billed, amount int64
	for _, r := range rows {
		billed, amount = billed+r.GetBilled(), amount+r.GetAmountFen()
		table.Row(r.GetDate(), r.GetClient(), r.GetProduct(), mark(r.GetTest()), output.Count(r.GetMatch()),
			output.Count(r.GetMismatch()), output.Count(r.GetNoRecord()), output.Count(r.GetNotVerifiable()),
			output.Count(r.GetInstrumentBlocked()), output.Count(r.GetPending()), output.Count(r.GetReplayed()),
			output.Count(r.GetBilled()), yuan(r.GetAmountFen()))
	}
	table.Row("total", "", "", "", "", "", "", "", "", "", "", output.Count(billed), yuan(amount))
	return table
}
