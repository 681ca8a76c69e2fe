package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func consentCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "consent",
		Short: "Record that people agreed, and that they withdrew",
	})
	cmd.AddCommand(consentCreate(a), consentGet(a), consentList(a), consentWithdraw(a))
	return cmd
}

func consentCreate(a *app) *cobra.Command {
	request := &heyanv1.CreateConsentRequest{}
	guardian := &heyanv1.Guardian{}
	var person values
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Record a consent ahead of any verification",
		Example: `  heyan consent create --notice onboarding-v3 --evidence-ref agr-8841 --obtain-time "2026-11-22 16:00" \
      --stdin < person.json`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if request.Subject, err = person.read(a); err != nil {
				return err
			}
			if guardian.GetEvidenceRef() != "" || guardian.GetRelation() != 0 || guardian.GetObtainTime() != nil {
				request.Guardian = guardian
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewConsentServiceClient(conn).CreateConsent(ctx, request)
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, consentTable([]*heyanv1.Consent{answer}))
			})
		},
	}
	person.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&request.Notice, "notice", "", "notice that the person agreed to")
	flags.StringVar(&request.EvidenceRef, "evidence-ref", "", "your reference to the evidence")
	a.addTime(cmd, &request.ObtainTime, "obtain-time", "when the person agreed")
	addEnum(cmd, &request.AgeDeclaration, "age-declaration", "what the person declares")
	addEnum(cmd, &guardian.Relation, "guardian-relation", "for a person under 14, who agreed")
	flags.StringVar(&guardian.EvidenceRef, "guardian-evidence-ref", "", "your reference to the guardian's consent")
	a.addTime(cmd, &guardian.ObtainTime, "guardian-obtain-time", "when the guardian agreed")
	required(cmd, "notice", "evidence-ref", "obtain-time")
	return cmd
}

func consentGet(a *app) *cobra.Command {
	request := &heyanv1.GetConsentRequest{}
	evidence := &heyanv1.Evidence{}
	cmd := &cobra.Command{
		Use:   "get [ID]",
		Short: "Show one consent, by id or by its evidence",
		Example: `  heyan consent get 0190…
  heyan consent get --notice onboarding-v3 --evidence-ref agr-8841`,
		Args: oneOrEvidence(evidence),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				request.Id = args[0]
			} else {
				request.Evidence = evidence
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewConsentServiceClient(conn).GetConsent(ctx, request)
				if err != nil {
					return err
				}
				return a.print(answer, consentTable([]*heyanv1.Consent{answer}))
			})
		},
	}
	evidenceFlags(cmd, evidence)
	cmd.Flags().Int64Var(&request.Revision, "revision", 0, "an older revision; 0 = the newest")
	return cmd
}

func evidenceFlags(cmd *cobra.Command, evidence *heyanv1.Evidence) {
	flags := cmd.Flags()
	flags.StringVar(&evidence.Notice, "notice", "", "the notice, with --evidence-ref instead of an id")
	flags.StringVar(&evidence.EvidenceRef, "evidence-ref", "", "the reference that was sent")
	flags.StringVar(&evidence.Client, "client", "", "for the privacy officer: the client")
}

// oneOrEvidence wants either an id or an evidence.
func oneOrEvidence(evidence *heyanv1.Evidence) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		byEvidence := evidence.GetNotice() != "" && evidence.GetEvidenceRef() != ""
		if len(args) == 1 && evidence.GetNotice() == "" && evidence.GetEvidenceRef() == "" || len(args) == 0 && byEvidence {
			return nil
		}
		return usageError("wants an ID, or --notice with --evidence-ref", "see: "+cmd.CommandPath()+" --help")
	}
}

func consentList(a *app) *cobra.Command {
	request := &heyanv1.ListConsentsRequest{PageSize: pageSize}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List consents, newest first",
		Example: "  heyan consent list --notice onboarding-v3 --state withdrawn",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				consents := heyanv1.NewConsentServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Consent, string, error) {
					request.PageToken = token
					page, err := consents.ListConsents(ctx, request)
					return page.GetConsents(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListConsentsResponse{Consents: all}, consentTable(all))
			})
		},
	}
	cmd.Flags().StringVar(&request.Notice, "notice", "", "only of this notice")
	addEnum(cmd, &request.State, "state", "only in this state")
	cmd.Flags().StringVar(&request.Client, "client", "", "for the privacy officer: the client")
	return cmd
}

func consentWithdraw(a *app) *cobra.Command {
	evidence := &heyanv1.Evidence{}
	var person values
	cmd := &cobra.Command{
		Use:   "withdraw [ID]",
		Short: "Withdraw a consent, or all of a person; at once",
		Long: `Withdraw names its target by id, by --notice with --evidence-ref, or by the person's values, a name with at least one
number. It binds before it answers, also for calls under way. Repeating it changes nothing.`,
		Example: `  heyan consent withdraw 0190…
  heyan consent withdraw --notice onboarding-v3 --evidence-ref agr-8841
  heyan consent withdraw --stdin < person.json`,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if person.stdin || person.given() {
			if evidence.GetNotice() != "" || evidence.GetEvidenceRef() != "" {
				return usageError("wants one target: a person's values, or --notice with --evidence-ref", "")
			}
			return arguments()(cmd, args)
		}
		return oneOrEvidence(evidence)(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := &heyanv1.WithdrawConsentRequest{}
		switch {
		case len(args) == 1:
			request.Target = &heyanv1.WithdrawConsentRequest_Id{Id: args[0]}
		case evidence.GetNotice() != "":
			request.Target = &heyanv1.WithdrawConsentRequest_Evidence{Evidence: evidence}
		default:
			subject, err := person.read(a)
			if err != nil {
				return err
			}
			request.Target = &heyanv1.WithdrawConsentRequest_Subject{Subject: subject}
			request.Client = evidence.GetClient()
		}
		return a.withdraw(cmd.Context(), request)
	}
	evidenceFlags(cmd, evidence)
	person.add(cmd)
	return cmd
}

func (a *app) withdraw(ctx context.Context, request *heyanv1.WithdrawConsentRequest) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := heyanv1.NewConsentServiceClient(conn).WithdrawConsent(ctx, request)
		if err != nil {
			return err
		}
		a.logged(conn)
		table := output.NewTable()
		for _, id := range answer.GetConsents() {
			table.Row("withdrawn", id)
		}
		table.Row("from", whenZoned(answer.GetWithdrawTime()))
		table.Row("consents", fmt.Sprint(len(answer.GetConsents())))
		return a.print(answer, table)
	})
}

func consentTable(consents []*heyanv1.Consent) *output.Table {
	table := output.NewTable("CONSENT", "CLIENT", "NOTICE", "STATE", "OBTAINED +08:00", "EXPIRES", "WITHDRAWN", "GUARDIAN", "TEST", "REVISION")
	for _, c := range consents {
		table.Row(c.GetId(), c.GetClient(), c.GetNotice(), enumText(c.GetState()), when(c.GetObtainTime()),
			when(c.GetExpireTime()), when(c.GetWithdrawTime()), mark(c.GetGuardian()), mark(c.GetTest()), output.Count(c.GetRevision()))
	}
	return table
}
