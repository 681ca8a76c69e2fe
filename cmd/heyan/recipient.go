package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func recipientCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "recipient",
		Short: "Register authorities and other parties that values may be passed to",
	})
	cmd.AddCommand(recipientSet(a), recipientList(a))
	return cmd
}

func recipientSet(a *app) *cobra.Command {
	r := &heyanv1.Recipient{}
	var contract string
	var pins []string
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Register a recipient, or change one",
		Long: `Set states the whole recipient: what a flag does not name is unset, also where it was set before. A new recipient is a
material change: once policies are published, it needs a version that lists recipients among its changes.`,
		Example: `  heyan policy publish 2027-01 --effective 2027-01-01 --text policy.md --material-change recipients
  heyan recipient set tencent --policy-version 2027-01 --name 腾讯云计算（北京）有限责任公司 --nature "cloud service, mainland China" \
      --use "comparison with authority data" --contact privacy@recipient.example --field name,id_number \
      --purpose account_opening --basis separate_consent --contract contract.pdf --contract-expire 2027-11-22 \
      --region cn-beijing --endpoint https://recipient.example --enabled`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Id = args[0]
			for _, pin := range pins {
				digest, err := parseBytes(pin, 32)
				if err != nil {
					return errors.New("--pin " + err.Error())
				}
				r.PinsSha256 = append(r.PinsSha256, digest)
			}
			if contract != "" {
				digest, err := fileDigest(contract)
				if err != nil {
					return err
				}
				r.ContractSha256 = digest
			}
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewAccessServiceClient(conn).SetRecipient(ctx, &heyanv1.SetRecipientRequest{Recipient: r})
				if err != nil {
					return err
				}
				a.logged(conn)
				return a.print(answer, recipientTable([]*heyanv1.Recipient{answer}))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.DisplayName, "name", "", "its full name")
	flags.StringVar(&r.Nature, "nature", "", "what it is")
	flags.StringVar(&r.Use, "use", "", "what it uses the values for")
	flags.StringVar(&r.Contact, "contact", "", "how people reach it")
	addEnums(cmd, &r.Fields, "field", "fields that it gets")
	addEnums(cmd, &r.Purposes, "purpose", "purposes that it may be asked for")
	addEnum(cmd, &r.Basis, "basis", "on what ground values are passed")
	flags.StringVar(&contract, "contract", "", "file of the contract; its SHA-256 is sent, not the file")
	a.addTime(cmd, &r.ContractExpireTime, "contract-expire", "when the contract ends")
	flags.StringVar(&r.Region, "region", "", "mainland region where it processes, e.g. cn-beijing")
	flags.StringVar(&r.Endpoint, "endpoint", "", "where it is asked, https://host[:port]; empty for a party that is no source")
	flags.StringSliceVar(&pins, "pin", nil, "SHA-256 of a public key (SPKI) that its endpoint may present; repeatable")
	flags.BoolVar(&r.Enabled, "enabled", false, "it may be passed values")
	flags.StringVar(&r.PolicyVersion, "policy-version", "", "policy version that names it")
	flags.Int64Var(&r.Revision, "revision", 0, "fail where this is not the current revision")
	required(cmd, "name")
	return cmd
}

func recipientList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List recipients",
		Example: "  heyan recipient list",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				access := heyanv1.NewAccessServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Recipient, string, error) {
					page, err := access.ListRecipients(ctx, &heyanv1.ListRecipientsRequest{PageSize: pageSize, PageToken: token})
					return page.GetRecipients(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListRecipientsResponse{Recipients: all}, recipientTable(all))
			})
		},
	}
}

func recipientTable(recipients []*heyanv1.Recipient) *output.Table {
	table := output.NewTable("RECIPIENT", "NAME", "ENABLED", "BASIS", "FIELDS", "PURPOSES", "REGION", "ENDPOINT",
		"CONTRACT UNTIL +08:00", "POLICY", "REVISION")
	for _, r := range recipients {
		table.Row(r.GetId(), r.GetDisplayName(), mark(r.GetEnabled()), enumText(r.GetBasis()), enumList(r.GetFields()),
			enumList(r.GetPurposes()), r.GetRegion(), r.GetEndpoint(), when(r.GetContractExpireTime()), r.GetPolicyVersion(),
			output.Count(r.GetRevision()))
	}
	return table
}
