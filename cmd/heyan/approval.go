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

func approvalCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "approval",
		Short: "See, approve and reject what needs a second person",
		Long: `Some acts need two persons. Who asks gets an approval's id; another person reads what it would do, and approves it; then
who asked repeats the command with --approval ID.`,
	})
	cmd.AddCommand(approvalList(a), approvalApprove(a), approvalReject(a))
	return cmd
}

func approvalList(a *app) *cobra.Command {
	var state heyanv1.Approval_State
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List acts that wait, or waited, for a second person",
		Example: "  heyan approval list --state waiting",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				all, err := approvals(ctx, conn, state)
				if err != nil {
					return err
				}
				table := output.NewTable("APPROVAL", "STATE", "ACT", "ASKED BY", "PERSON", "DECIDED BY", "LAPSES +08:00", "SUMMARY")
				for _, p := range all {
					table.Row(p.GetId(), enumText(p.GetState()), actName(p.GetMethod()), p.GetRequestedBy(), p.GetRequesterPerson(),
						p.GetDecidedBy(), when(p.GetExpireTime()), strings.Join(p.GetSummary(), "; "))
				}
				return a.print(&heyanv1.ListApprovalsResponse{Approvals: all}, table)
			})
		},
	}
	addEnum(cmd, &state, "state", "only in this state")
	return cmd
}

func approvals(ctx context.Context, conn *dial.Connection, state heyanv1.Approval_State) ([]*heyanv1.Approval, error) {
	compliance := heyanv1.NewComplianceServiceClient(conn)
	return pages(func(token string) ([]*heyanv1.Approval, string, error) {
		page, err := compliance.ListApprovals(ctx,
			&heyanv1.ListApprovalsRequest{PageSize: pageSize, PageToken: token, State: state})
		return page.GetApprovals(), page.GetNextPageToken(), err
	})
}

// actName is the last part of a full method.
func actName(method string) string { return method[strings.LastIndex(method, "/")+1:] }

func approvalApprove(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "approve ID",
		Short:   "Approve what another person asked for",
		Long:    `Approve shows what the act would do, asks, and sends the digest of exactly what was shown: nothing unseen is approved.`,
		Example: "  heyan approval approve 0190…",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Without --timeout: a person reads in between.
			return a.withStream(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				return a.approve(ctx, conn, args[0], yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) approve(ctx context.Context, conn *dial.Connection, id string, yes bool) error {
	listing, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	waiting, err := approvals(listing, conn, heyanv1.Approval_STATE_WAITING)
	if err != nil {
		return err
	}
	var found *heyanv1.Approval
	for _, p := range waiting {
		if p.GetId() == id {
			found = p
		}
	}
	if found == nil {
		return &exitError{exitNo, "no approval of this id waits", "see: heyan approval list"}
	}
	a.showApproval(found)
	if err := a.sure(yes, "Approve this?"); err != nil {
		return err
	}
	deciding, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	answer, err := heyanv1.NewComplianceServiceClient(conn).Approve(deciding,
		&heyanv1.ApproveRequest{Id: id, RequestSha256: found.GetRequestSha256()})
	if err != nil {
		return err
	}
	table := output.NewTable()
	table.Row("approval", answer.GetId())
	table.Row("state", enumText(answer.GetState()))
	table.Row("log entry", entryText(answer.GetLogEntry()))
	table.Row("next", found.GetRequestedBy()+" repeats the command with --approval "+answer.GetId())
	return a.print(answer, table)
}

// showApproval writes what is about to be approved to standard error: standard output is for the answer.
func (a *app) showApproval(p *heyanv1.Approval) {
	fmt.Fprintf(a.Err, "%s, asked by %s (%s) on %s\n", output.Clean(actName(p.GetMethod())), output.Clean(p.GetRequestedBy()),
		output.Clean(p.GetRequesterPerson()), whenZoned(p.GetCreateTime()))
	for _, line := range p.GetSummary() {
		fmt.Fprintln(a.Err, "  "+output.Clean(line))
	}
}

func approvalReject(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "reject ID",
		Short:   "Reject it; who asked takes it back so",
		Example: `  heyan approval reject 0190… --reason "wrong role"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewComplianceServiceClient(conn).Reject(ctx, &heyanv1.RejectRequest{Id: args[0], Reason: reason})
				if err != nil {
					return err
				}
				a.logged(conn)
				table := output.NewTable()
				table.Row("approval", answer.GetId())
				table.Row("state", enumText(answer.GetState()))
				return a.print(answer, table)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	required(cmd, "reason")
	return cmd
}
