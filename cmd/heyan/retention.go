package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func retentionCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "retention",
		Short: "Say how long the network log is kept",
		Long: `Records of the network log are kept for calendar months and days of grace: what the configuration says, or what is set
here, whichever is longer. Less than six months is refused, and the attempt is in the log.`,
	})
	cmd.AddCommand(retentionShow(a), retentionSet(a))
	return cmd
}

func retentionShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show what is set, what the configuration says, and what is in force",
		Example: "  heyan retention show",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewComplianceServiceClient(conn).GetRetentionPolicy(ctx, &heyanv1.GetRetentionPolicyRequest{})
				if err != nil {
					return err
				}
				return a.print(answer, retentionTable(answer))
			})
		},
	}
}

func retentionSet(a *app) *cobra.Command {
	period, revision := &heyanv1.LogPeriod{}, int64(0)
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Keep the log longer than the configuration says, or no longer so",
		Long: `Set changes what is set here; the configuration still counts where it is longer. A period is written in calendar months,
because a fixed number of days is shorter than six months for some dates.`,
		Example: "  heyan retention set --period P1Y\n  heyan retention set --period P6M --grace-days 15",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			request := &heyanv1.UpdateRetentionPolicyRequest{
				RetentionPolicy: &heyanv1.RetentionPolicy{Log: period, Revision: revision}, UpdateMask: &fieldmaskpb.FieldMask{}}
			for _, member := range []struct{ flag, path string }{{"period", "log.period"}, {"grace-days", "log.grace_days"}} {
				if cmd.Flags().Changed(member.flag) {
					request.UpdateMask.Paths = append(request.UpdateMask.Paths, member.path)
				}
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewComplianceServiceClient(conn).UpdateRetentionPolicy(ctx, request)
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, retentionTable(answer))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&period.Period, "period", "", "calendar months: P6M, P1Y, P1Y6M")
	flags.Int32Var(&period.GraceDays, "grace-days", 0, "days more")
	flags.Int64Var(&revision, "revision", 0, "only if this is still the revision; 0 = whichever")
	addYes(cmd)
	cmd.MarkFlagsOneRequired("period", "grace-days")
	return cmd
}

func retentionTable(p *heyanv1.RetentionPolicy) *output.Table {
	table := output.NewTable()
	table.Row("in force", periodText(p.GetLogEffective()))
	table.Row("set", periodText(p.GetLog()))
	if p.GetRevision() > 0 {
		table.Row("set by", fmt.Sprintf("%s, %s", p.GetSetBy(), whenZoned(p.GetUpdateTime())))
		table.Row("revision", fmt.Sprint(p.GetRevision()))
	}
	table.Row("configuration", periodText(p.GetLogConfigured()))
	table.Row("floor", p.GetLogFloor()+" (Cybersecurity Law art. 23(3), on file)")
	return table
}

func periodText(p *heyanv1.LogPeriod) string {
	if p == nil {
		return "nothing"
	}
	return p.GetPeriod() + " and " + countOf(int(p.GetGraceDays()), "day")
}
