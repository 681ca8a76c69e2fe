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

func holdCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "hold",
		Short: "Keep records of the network log from being purged",
		Long: `A hold keeps the records of a range of time, for a court, an authority, an audit or a dispute. It binds at once on one
signature, and two persons release it. A log is purged from its oldest record on, so a hold keeps every newer one too.`,
	})
	cmd.AddCommand(holdCreate(a), holdRelease(a), holdList(a))
	return cmd
}

func holdCreate(a *app) *cobra.Command {
	hold := &heyanv1.Hold{LogRange: &heyanv1.Hold_LogRange{}}
	var all, plan, yes bool
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Hold records; shows first what that costs",
		Long: `Create shows which segments the hold keeps, and how many bytes for how many days longer, and asks. --plan only shows. A
hold for an audit or a dispute has to say when it ends; another one is created where it has to last longer.`,
		Example: `  heyan hold create court-17 --cause court --reference "(2026)京0105民初17号" --from 2026-11-01 --to 2026-12-01
  heyan hold create dispute-8841 --cause dispute --reference 8841 --from 2026-11-22 --expire 2027-11-22 --plan`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			hold.Id = args[0]
			if !all && hold.GetLogRange().GetStartTime() == nil && hold.GetLogRange().GetEndTime() == nil {
				return usageError("needs --from or --to, or --all for the whole log", "see: "+cmd.CommandPath()+" --help")
			}
			// Without --timeout: a person reads in between.
			return a.withStream(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				return a.createHold(ctx, conn, hold, plan, yes)
			})
		},
	}
	flags := cmd.Flags()
	addEnum(cmd, &hold.Cause, "cause", "why")
	flags.StringVar(&hold.Reference, "reference", "", "document, case or complaint number")
	flags.StringVar(&hold.Reason, "reason", "", "more, for people; no personal data")
	a.addTime(cmd, &hold.LogRange.StartTime, "from", "records from this time on")
	a.addTime(cmd, &hold.LogRange.EndTime, "to", "records before this time")
	flags.BoolVar(&all, "all", false, "the whole log, now and later")
	a.addTime(cmd, &hold.ExpireTime, "expire", "when the hold ends by itself")
	flags.BoolVar(&plan, "plan", false, "only show what it costs")
	flags.BoolVar(&yes, "yes", false, "do not ask")
	required(cmd, "cause", "reference")
	cmd.MarkFlagsMutuallyExclusive("all", "from")
	cmd.MarkFlagsMutuallyExclusive("all", "to")
	return cmd
}

func (a *app) createHold(ctx context.Context, conn *dial.Connection, hold *heyanv1.Hold, plan, yes bool) error {
	create := func(judgeOnly bool) (*heyanv1.Hold, error) {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		return heyanv1.NewComplianceServiceClient(conn).CreateHold(ctx, &heyanv1.CreateHoldRequest{Hold: hold, ValidateOnly: judgeOnly})
	}
	judged, err := create(true)
	if err != nil {
		return err
	}
	if plan {
		return a.print(judged, holdCostTable(judged))
	}
	if !a.quiet && !a.json() || !yes {
		if _, err := holdCostTable(judged).WriteTo(a.Err); err != nil {
			return err
		}
	}
	if err := a.sure(yes, "Create this hold?"); err != nil {
		return err
	}
	created, err := create(false)
	if err != nil {
		return err
	}
	a.logged(conn)
	return a.print(created, holdTable([]*heyanv1.Hold{created}))
}

// holdCostTable is what a hold costs, for whoever decides.
func holdCostTable(h *heyanv1.Hold) *output.Table {
	c := h.GetCost()
	table := output.NewTable()
	table.Row("hold", h.GetId())
	table.Row("records of", rangeText(h.GetLogRange()))
	table.Row("to", until(h))
	if c.GetSegments() == 0 {
		table.Row("keeps", "no sealed segment yet: only what is not sealed, or is still to come")
		return table
	}
	table.Row("concerns", fmt.Sprintf("%s, %s records", countOf(int(c.GetSegments()), "segment"), output.Count(int64(c.GetRecords()))))
	table.Row("keeps", fmt.Sprintf("%s on disk, from %s on: those segments and all newer ones", output.Bytes(c.GetBytes()), whenZoned(c.GetFirstTime())))
	table.Row("longer by", countOf(int(c.GetDays()), "day"))
	table.Row("a day more", "about "+output.Bytes(c.GetDailyBytes()))
	return table
}

// rangeText prints a range of time; an open bound is left out.
func rangeText(r *heyanv1.Hold_LogRange) string {
	from, to := when(r.GetStartTime()), when(r.GetEndTime())
	switch {
	case from == "" && to == "":
		return "the whole log"
	case to == "":
		return "from " + from + " on"
	case from == "":
		return "before " + to
	}
	return from + " to " + to
}

// until prints when a hold ends.
func until(h *heyanv1.Hold) string {
	if h.GetExpireTime() == nil {
		return "its release"
	}
	return whenZoned(h.GetExpireTime())
}

func holdRelease(a *app) *cobra.Command {
	request := &heyanv1.ReleaseHoldRequest{}
	cmd := &cobra.Command{
		Use:   "release ID",
		Short: "Let a hold end; needs two persons",
		Long: `The first call makes an approval and says which two commands come next. What the hold kept beyond its time may go with
the next purge.`,
		Example: `  heyan hold release court-17 --reason "the case is closed"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Id = args[0]
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewComplianceServiceClient(conn).ReleaseHold(ctx, request)
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, holdTable([]*heyanv1.Hold{answer}))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Reason, "reason", "", "why, for people")
	flags.Int64Var(&request.Revision, "revision", 0, "only if this is still the hold's revision; 0 = whichever")
	flags.StringVar(&request.Approval, "approval", "", "approval of a second person")
	addYes(cmd)
	required(cmd, "reason")
	return cmd
}

func holdList(a *app) *cobra.Command {
	var state heyanv1.Hold_State
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List holds, and what each keeps by now",
		Example: "  heyan hold list --state active",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				compliance := heyanv1.NewComplianceServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Hold, string, error) {
					page, err := compliance.ListHolds(ctx, &heyanv1.ListHoldsRequest{PageSize: pageSize, PageToken: token, State: state})
					return page.GetHolds(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListHoldsResponse{Holds: all}, holdTable(all))
			})
		},
	}
	addEnum(cmd, &state, "state", "only in this state")
	return cmd
}

func holdTable(holds []*heyanv1.Hold) *output.Table {
	table := output.NewTable("HOLD", "STATE", "CAUSE", "REFERENCE", "RECORDS OF +08:00", "ENDS +08:00", "BY", "CREATED", "SEGMENTS", "KEEPS", "DAYS LONGER", "RELEASED", "RELEASED BY", "REASON")
	for _, h := range holds {
		segments, keeps, days := "", "", ""
		if c := h.GetCost(); c != nil {
			segments, keeps, days = output.Count(int64(c.GetSegments())), output.Bytes(c.GetBytes()), output.Count(int64(c.GetDays()))
		}
		reason := h.GetReason()
		if h.GetReleaseReason() != "" {
			reason = h.GetReleaseReason()
		}
		table.Row(h.GetId(), enumText(h.GetState()), enumText(h.GetCause()), h.GetReference(), rangeText(h.GetLogRange()), when(h.GetExpireTime()), h.GetCreatedBy(),
			when(h.GetCreateTime()), segments, keeps, days, when(h.GetReleaseTime()), both(h.GetReleasedBy(), h.GetReleaseApprovedBy()), reason)
	}
	return table
}

// both names who carried out an act and who approved it.
func both(by, approved string) string {
	return strings.Trim(by+", "+approved, ", ")
}
