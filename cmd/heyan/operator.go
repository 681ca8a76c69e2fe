package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func operatorCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "operator",
		Short: "Bind the people who run Heyan to roles",
	})
	cmd.AddCommand(operatorSet(a), operatorRevoke(a), operatorList(a))
	return cmd
}

func operatorSet(a *app) *cobra.Command {
	operator := &heyanv1.Operator{}
	var issuer, approval string
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Bind a person to roles, or change a binding; two persons",
		Long: `Set states the whole binding: what a flag does not name is unset. The first call makes an approval and says which two
commands come next: another person approves, then this one is repeated with --approval.

One person holds at most one of the three administrator roles; privacy_officer may be added to system_admin or
security_admin, never to audit_admin.`,
		Example: `  heyan operator set li-wei --person li-wei --role system_admin --issuer staff-ca.pem --san spiffe://staff/li-wei
  heyan operator set inspector-7 --person zhao-min --role audit_admin --read-only --expire 2026-12-24 \
      --issuer staff-ca.pem --san spiffe://staff/zhao-min`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			operator.Id = args[0]
			digest, err := certificateDigest(issuer)
			if err != nil {
				return err
			}
			operator.IssuerSha256 = digest
			return a.operatorAnswer(cmd.Context(), func(ctx context.Context, access heyanv1.AccessServiceClient) (*heyanv1.Operator, error) {
				return access.SetOperator(ctx, &heyanv1.SetOperatorRequest{Operator: operator, Approval: approval})
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&operator.PersonId, "person", "", "who it is: a slug that stays the same over all bindings of one human being")
	addEnums(cmd, &operator.Roles, "role", "roles")
	flags.StringVar(&issuer, "issuer", "", "file of the CA that issues the person's certificates, PEM")
	flags.StringVar(&operator.SubjectAltName, "san", "", "URI or DNS subject alternative name of the certificates")
	a.addTime(cmd, &operator.ExpireTime, "expire", "when the binding ends; absent = never")
	flags.BoolVar(&operator.ReadOnly, "read-only", false, "only read methods: an inspector")
	flags.Int64Var(&operator.Revision, "revision", 0, "fail where this is not the current revision")
	flags.StringVar(&approval, "approval", "", "approval of a second person")
	required(cmd, "person", "role", "issuer", "san")
	return cmd
}

func operatorRevoke(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a binding at once",
		Example: `  heyan operator revoke li-wei --reason "left the company"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.operatorAnswer(cmd.Context(), func(ctx context.Context, access heyanv1.AccessServiceClient) (*heyanv1.Operator, error) {
				return access.RevokeOperator(ctx, &heyanv1.RevokeOperatorRequest{Id: args[0], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	addYes(cmd)
	required(cmd, "reason")
	return cmd
}

func operatorList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List operators and their roles",
		Example: "  heyan operator list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				access := heyanv1.NewAccessServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Operator, string, error) {
					page, err := access.ListOperators(ctx, &heyanv1.ListOperatorsRequest{PageSize: pageSize, PageToken: token})
					return page.GetOperators(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListOperatorsResponse{Operators: all}, operatorTable(all))
			})
		},
	}
}

func (a *app) operatorAnswer(ctx context.Context, call func(context.Context, heyanv1.AccessServiceClient) (*heyanv1.Operator, error)) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := call(ctx, heyanv1.NewAccessServiceClient(conn))
		if err != nil {
			return err
		}
		a.logged(conn)
		return a.print(answer, operatorTable([]*heyanv1.Operator{answer}))
	})
}

func operatorTable(operators []*heyanv1.Operator) *output.Table {
	table := output.NewTable("OPERATOR", "PERSON", "ROLES", "STATE", "READ ONLY", "EXPIRES +08:00", "SUBJECT", "BOUND BY",
		"APPROVED BY", "BOUND", "REVISION", "REASON")
	for _, o := range operators {
		table.Row(o.GetId(), o.GetPersonId(), enumList(o.GetRoles()), enumText(o.GetState()), mark(o.GetReadOnly()),
			when(o.GetExpireTime()), o.GetSubjectAltName(), o.GetBoundBy(), o.GetApprovedBy(), when(o.GetBindTime()),
			output.Count(o.GetRevision()), o.GetReason())
	}
	return table
}
