package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func noticeCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "notice",
		Short: "Register what people are shown before they agree",
	})
	cmd.AddCommand(noticeCreate(a), noticeList(a))
	return cmd
}

func noticeCreate(a *app) *cobra.Command {
	n := &heyanv1.Notice{}
	var text string
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Register a notice; it can never be changed",
		Example: `  heyan notice create onboarding-v3 --text notice.txt --version 3 --field name,id_number \
      --purpose account_opening --separate-consent provide_to_handler,sensitive_pi --lifetime-days 365`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Id = args[0]
			digest, err := fileDigest(text)
			if err != nil {
				return err
			}
			n.TextSha256 = digest
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, &heyanv1.CreateNoticeRequest{Notice: n})
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, noticeTable([]*heyanv1.Notice{answer}))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&text, "text", "", "file of the text; its SHA-256 is sent, not the file")
	flags.StringVar(&n.Version, "version", "", "your own version of it")
	addEnums(cmd, &n.Fields, "field", "fields that it tells people of")
	addEnums(cmd, &n.Purposes, "purpose", "purposes that it tells people of")
	flags.StringSliceVar(&n.Recipients, "recipient", nil, "recipient that it names, by id; repeatable")
	addEnums(cmd, &n.SeparateConsents, "separate-consent", "separate consents that people give on it")
	flags.Int32Var(&n.LifetimeDays, "lifetime-days", 365, "how long a consent to it lasts, 1–3650")
	flags.BoolVar(&n.AgeGate, "age-gate", false, "your process lets nobody under 14 through")
	required(cmd, "text", "field", "purpose")
	return cmd
}

func noticeList(a *app) *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List notices",
		Example: "  heyan notice list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				consents := heyanv1.NewConsentServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Notice, string, error) {
					page, err := consents.ListNotices(ctx,
						&heyanv1.ListNoticesRequest{PageSize: pageSize, PageToken: token, Client: client})
					return page.GetNotices(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListNoticesResponse{Notices: all}, noticeTable(all))
			})
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "for the privacy officer: the client")
	return cmd
}

func noticeTable(notices []*heyanv1.Notice) *output.Table {
	table := output.NewTable("NOTICE", "CLIENT", "VERSION", "FIELDS", "PURPOSES", "RECIPIENTS", "SEPARATE CONSENTS",
		"DAYS", "AGE GATE", "CREATED +08:00")
	for _, n := range notices {
		table.Row(n.GetId(), n.GetClient(), n.GetVersion(), enumList(n.GetFields()), enumList(n.GetPurposes()),
			strings.Join(n.GetRecipients(), ","), enumList(n.GetSeparateConsents()), output.Count(int64(n.GetLifetimeDays())),
			mark(n.GetAgeGate()), when(n.GetCreateTime()))
	}
	return table
}
