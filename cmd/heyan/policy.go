package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func policyCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "policy",
		Short: "Publish, read and acknowledge policies",
	})
	cmd.AddCommand(policyPublish(a), policyList(a), policyGet(a), policyAcknowledge(a))
	return cmd
}

func policyPublish(a *app) *cobra.Command {
	p := &heyanv1.Policy{}
	var text string
	cmd := &cobra.Command{
		Use:   "publish VERSION",
		Short: "Publish a policy version; it can never be changed",
		Example: `  heyan policy publish 2026-11 --title 核验服务个人信息保护政策 --text policy.txt --effective 2026-12-22 \
      --change "first version" --contact "privacy@heyan.example, +86 10 0000 0000"`,
		Args: arguments("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(text)
			if err != nil {
				return err
			}
			p.Version, p.Text = args[0], string(raw)
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewComplianceServiceClient(conn).PublishPolicy(ctx, &heyanv1.PublishPolicyRequest{Policy: p})
				if err != nil {
					return err
				}
				a.logged(conn)
				for _, remark := range answer.GetLint() {
					a.note("remark: %s", remark)
				}
				return a.print(answer, policyTable([]*heyanv1.Policy{answer}))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.Title, "title", "", "title")
	flags.StringVar(&text, "text", "", "file of the text, UTF-8")
	a.addTime(cmd, &p.EffectiveTime, "effective", "from when it applies")
	flags.StringArrayVar(&p.ChangeSummary, "change", nil, "what changed against the version before; repeatable")
	flags.BoolVar(&p.ReducesRights, "reduces-rights", false, "it reduces rights")
	flags.BoolVar(&p.RequiresReconsent, "requires-reconsent", false, "consents have to be renewed once it applies")
	addEnums(cmd, &p.MaterialChanges, "material-change", "significant changes that it makes")
	flags.StringVar(&p.Contact, "contact", "", "who answers for personal information")
	flags.StringVar(&p.Language, "language", "zh-CN", "language of the text, BCP 47")
	required(cmd, "title", "text", "effective", "change", "contact")
	return cmd
}

func policyList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List every version ever published; needs no credential",
		Example: "  heyan policy list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				catalog := heyanv1.NewCatalogServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Policy, string, error) {
					page, err := catalog.ListPolicies(ctx, &heyanv1.ListPoliciesRequest{PageSize: pageSize, PageToken: token})
					return page.GetPolicies(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListPoliciesResponse{Policies: all}, policyTable(all))
			})
		},
	}
}

func policyGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "get [VERSION]",
		Short:   "Print the text of a version, or of the one in force; needs no credential",
		Example: "  heyan policy get > policy.txt\n  heyan policy get 2026-11 -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return arguments("[VERSION]")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &heyanv1.GetPolicyRequest{}
			if len(args) == 1 {
				request.Version = args[0]
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewCatalogServiceClient(conn).GetPolicy(ctx, request)
				if err != nil {
					return err
				}
				if a.json() {
					return output.JSON(a.Out, answer)
				}
				a.note("%s %s, SHA-256 %s", answer.GetVersion(), answer.GetTitle(), hex.EncodeToString(answer.GetTextSha256()))
				for line := range strings.Lines(answer.GetText()) {
					if _, err := fmt.Fprintln(a.Out, output.Clean(strings.TrimRight(line, "\r\n"))); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func policyAcknowledge(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "acknowledge VERSION",
		Short:   "State that this client has taken note of a version",
		Example: "  heyan policy acknowledge 2026-11",
		Args:    arguments("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				_, err := heyanv1.NewCatalogServiceClient(conn).AcknowledgePolicy(ctx, &heyanv1.AcknowledgePolicyRequest{Version: args[0]})
				if err != nil {
					return err
				}
				a.logged(conn)
				a.note("acknowledged %s", args[0])
				return nil
			})
		},
	}
}

func policyTable(policies []*heyanv1.Policy) *output.Table {
	table := output.NewTable("VERSION", "IN FORCE", "TITLE", "PUBLISHED +08:00", "EFFECTIVE", "LANGUAGE", "MATERIAL CHANGES", "CHANGES")
	for _, p := range policies {
		table.Row(p.GetVersion(), mark(p.GetInForce()), p.GetTitle(), when(p.GetPublishTime()), when(p.GetEffectiveTime()),
			p.GetLanguage(), enumList(p.GetMaterialChanges()), strings.Join(p.GetChangeSummary(), "; "))
	}
	return table
}
