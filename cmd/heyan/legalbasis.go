package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func legalBasisCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "legal-basis",
		Short: "Register grounds other than consent",
	})
	cmd.AddCommand(legalBasisCreate(a), legalBasisList(a))
	return cmd
}

func legalBasisCreate(a *app) *cobra.Command {
	basis := &heyanv1.LegalBasis{}
	var document, approval string
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Register a legal basis; some kinds need two persons",
		Long: `Create registers a statute or document that lifts consent, and consent only. National security, public safety and
health, criminal justice, academic research and other laws need two persons: the first call then makes an approval and
says which two commands come next.`,
		Example: `  heyan legal-basis create aml-kyc --kind legal_obligation --citation "反洗钱法 第二十八条" \
      --purpose customer_due_diligence --expire 2027-11-22 --daily-cap 10000`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			basis.Id = args[0]
			if document != "" {
				digest, err := fileDigest(document)
				if err != nil {
					return err
				}
				basis.DocumentSha256 = digest
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewAccessServiceClient(conn).CreateLegalBasis(ctx,
					&heyanv1.CreateLegalBasisRequest{LegalBasis: basis, Approval: approval})
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, legalBasisTable([]*heyanv1.LegalBasis{answer}))
			})
		},
	}
	flags := cmd.Flags()
	addEnum(cmd, &basis.Kind, "kind", "which of the twelve")
	flags.StringVar(&basis.Citation, "citation", "", "statute and article, or authority and document number")
	flags.StringVar(&document, "document", "", "file of the document; its SHA-256 is sent, not the file")
	flags.StringVar(&basis.Client, "client", "", "the client it serves; empty = any whose entitlement names it")
	flags.StringSliceVar(&basis.Products, "product", nil, "products it covers; none = every one; repeatable")
	addEnums(cmd, &basis.Purposes, "purpose", "purposes it covers")
	a.addTime(cmd, &basis.ExpireTime, "expire", "when it ends")
	flags.Int64Var(&basis.DailyCap, "daily-cap", 0, "verdicts a day over all clients, at least 1")
	flags.StringVar(&approval, "approval", "", "approval of a second person, where one is needed")
	required(cmd, "kind", "citation", "purpose", "expire", "daily-cap")
	return cmd
}

func legalBasisList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List legal bases",
		Example: "  heyan legal-basis list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				access := heyanv1.NewAccessServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.LegalBasis, string, error) {
					page, err := access.ListLegalBases(ctx, &heyanv1.ListLegalBasesRequest{PageSize: pageSize, PageToken: token})
					return page.GetLegalBases(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListLegalBasesResponse{LegalBases: all}, legalBasisTable(all))
			})
		},
	}
}

func legalBasisTable(bases []*heyanv1.LegalBasis) *output.Table {
	table := output.NewTable("LEGAL BASIS", "KIND", "PIPL 13(1)", "CITATION", "CLIENT", "PRODUCTS", "PURPOSES", "EXPIRES +08:00",
		"DAILY CAP", "BY", "APPROVED BY")
	for _, b := range bases {
		table.Row(b.GetId(), enumText(b.GetKind()), b.GetPiplItem(), b.GetCitation(), b.GetClient(),
			strings.Join(b.GetProducts(), ","), enumList(b.GetPurposes()), when(b.GetExpireTime()), output.Count(b.GetDailyCap()),
			b.GetCreatedBy(), b.GetApprovedBy())
	}
	return table
}
