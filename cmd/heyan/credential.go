package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func credentialCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "credential",
		Short: "Issue and revoke ways to prove who calls",
	})
	cmd.AddCommand(credentialIssue(a), credentialList(a), credentialRevoke(a), credentialUnlock(a))
	return cmd
}

func credentialIssue(a *app) *cobra.Command {
	request := &heyanv1.IssueCredentialRequest{}
	var apiKey bool
	var issuer, out string
	cmd := &cobra.Command{
		Use:   "issue CLIENT",
		Short: "Issue an API key, or accept a client certificate",
		Long: `Issue makes a credential. An API key is shown this once; with --out it goes to a file that only you can read, and is
not printed. For a client that has a credential or an entitlement already, a second person has to approve: the command
then says how, and is repeated with --approval.`,
		Example: `  heyan credential issue acme --api-key --out acme.key
  heyan credential issue acme --api-key --test
  heyan credential issue acme --issuer acme-ca.pem --san spiffe://acme/backend`,
		Args: arguments("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Client = args[0]
			switch {
			case apiKey:
				request.Kind = heyanv1.Credential_KIND_API_KEY
			case issuer != "" && request.GetSubjectAltName() != "":
				digest, err := certificateDigest(issuer)
				if err != nil {
					return err
				}
				request.Kind, request.IssuerSha256 = heyanv1.Credential_KIND_CERTIFICATE, digest
			default:
				return usageError("state --api-key, or --issuer and --san of a certificate", "")
			}
			return a.issueCredential(cmd.Context(), request, out)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&apiKey, "api-key", false, "an API key")
	flags.StringVar(&issuer, "issuer", "", "a certificate: file of the CA that issues it, PEM")
	flags.StringVar(&request.SubjectAltName, "san", "", "a certificate: its URI or DNS subject alternative name")
	flags.BoolVar(&request.Test, "test", false, "a test credential: answers from the simulator, unbilled")
	flags.Int32Var(&request.LifetimeDays, "days", 0, "days until it expires, 1–825; 0 = 365")
	flags.StringSliceVar(&request.AllowedSources, "allowed-source", nil, "address prefix that it may be used from; repeatable")
	flags.StringVar(&request.Label, "label", "", "for people")
	flags.StringVar(&request.Approval, "approval", "", "approval of a second person, where one is needed")
	flags.StringVar(&out, "out", "", "write the API key to this new file and do not print it")
	cmd.MarkFlagsMutuallyExclusive("api-key", "issuer")
	cmd.MarkFlagsMutuallyExclusive("api-key", "san")
	return cmd
}

func (a *app) issueCredential(ctx context.Context, request *heyanv1.IssueCredentialRequest, out string) error {
	var file *os.File
	if out != "" {
		// Made before the call, so that a key is never issued that cannot be kept.
		var err error
		if file, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
	}
	err := a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := heyanv1.NewAdminServiceClient(conn).IssueCredential(ctx, request)
		if err != nil {
			return err
		}
		a.logged(conn)
		return a.printIssued(answer, file)
	})
	if file == nil {
		return err
	}
	if err = joinClose(err, file); err != nil {
		removeEmpty(out)
	}
	return err
}

// removeEmpty takes back a file that got no key. One that got it stays, whatever failed after.
func removeEmpty(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		_ = os.Remove(path)
	}
}

func (a *app) printIssued(answer *heyanv1.IssueCredentialResponse, file *os.File) error {
	if file != nil && answer.GetApiKey() != "" {
		if _, err := fmt.Fprintln(file, answer.GetApiKey()); err != nil {
			return err
		}
		answer.ApiKey = ""
		a.note("API key written to %s", file.Name())
	}
	table := credentialTable([]*heyanv1.Credential{answer.GetCredential()})
	if err := a.print(answer, table); err != nil || a.json() || answer.GetApiKey() == "" {
		return err
	}
	_, err := fmt.Fprintf(a.Out, "\nAPI key, shown this once:\n%s\n", output.Clean(answer.GetApiKey()))
	return err
}

func credentialList(a *app) *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List credentials, without secrets",
		Example: "  heyan credential list --client acme",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				admin := heyanv1.NewAdminServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.Credential, string, error) {
					page, err := admin.ListCredentials(ctx,
						&heyanv1.ListCredentialsRequest{PageSize: pageSize, PageToken: token, Client: client})
					return page.GetCredentials(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.print(&heyanv1.ListCredentialsResponse{Credentials: all}, credentialTable(all))
			})
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "only of this client")
	return cmd
}

func credentialRevoke(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke a credential at once and close its connections",
		Example: `  heyan credential revoke 0190… --reason "laptop lost"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.credentialAnswer(cmd.Context(), func(ctx context.Context, conn *dial.Connection) (*heyanv1.Credential, error) {
				return heyanv1.NewAdminServiceClient(conn).RevokeCredential(ctx,
					&heyanv1.RevokeCredentialRequest{Id: args[0], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	addYes(cmd)
	required(cmd, "reason")
	return cmd
}

func credentialUnlock(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "unlock ID",
		Short:   "Unlock a credential that was locked after misuse",
		Example: `  heyan credential unlock 0190… --reason "wrong deployment, fixed"`,
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.credentialAnswer(cmd.Context(), func(ctx context.Context, conn *dial.Connection) (*heyanv1.Credential, error) {
				return heyanv1.NewAccessServiceClient(conn).UnlockCredential(ctx,
					&heyanv1.UnlockCredentialRequest{Id: args[0], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	required(cmd, "reason")
	return cmd
}

func (a *app) credentialAnswer(ctx context.Context, call func(context.Context, *dial.Connection) (*heyanv1.Credential, error)) error {
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		answer, err := call(ctx, conn)
		if err != nil {
			return err
		}
		a.logged(conn)
		return a.print(answer, credentialTable([]*heyanv1.Credential{answer}))
	})
}

func credentialTable(credentials []*heyanv1.Credential) *output.Table {
	table := output.NewTable("CREDENTIAL", "CLIENT", "KIND", "TEST", "STATE", "EXPIRES +08:00", "LAST USED", "SUBJECT", "ISSUER", "LABEL", "REASON")
	for _, c := range credentials {
		issuer := hex.EncodeToString(c.GetIssuerSha256())
		if len(issuer) > 12 {
			issuer = issuer[:12] + "…"
		}
		table.Row(c.GetId(), c.GetClient(), enumText(c.GetKind()), mark(c.GetTest()), enumText(c.GetState()),
			when(c.GetExpireTime()), minute(c.GetLastUsedTime()), c.GetSubjectAltName(), issuer, c.GetLabel(), c.GetReason())
	}
	return table
}
