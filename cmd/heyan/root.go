package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
)

// Groups of the help text, in its order.
const (
	groupUse        = "use"
	groupAdmin      = "admin"
	groupCompliance = "compliance"
	groupAudit      = "audit"
	groupServer     = "server"
)

// subcommand is one entry of the root command.
type subcommand struct {
	group string
	make  func(*app) *cobra.Command
}

// subcommands is every subcommand, in the order of the help text.
func subcommands() []subcommand {
	return []subcommand{
		{groupUse, demoCommand},
		{groupUse, verifyCommand},
		{groupUse, normalizeCommand},
		{groupUse, productCommand},
		{groupUse, whoamiCommand},
		{groupUse, usageCommand},
		{groupAdmin, datasetCommand},
		{groupAdmin, clientCommand},
		{groupAdmin, credentialCommand},
		{groupAdmin, entitlementCommand},
		{groupAdmin, operatorCommand},
		{groupAdmin, recipientCommand},
		{groupAdmin, approvalCommand},
		{groupCompliance, noticeCommand},
		{groupCompliance, consentCommand},
		{groupCompliance, legalBasisCommand},
		{groupCompliance, policyCommand},
		{groupCompliance, holdCommand},
		{groupCompliance, retentionCommand},
		{groupAudit, logCommand},
		{groupServer, initCommand},
		{groupServer, serveCommand},
		{groupServer, testserverCommand},
		{groupServer, configCommand},
		{groupServer, keyCommand},
		{groupServer, healthcheckCommand},
		{groupServer, loadtestCommand},
		{groupServer, versionCommand},
	}
}

// run executes one command line and returns its exit code; see exit.go.
func run(ctx context.Context, args []string, s streams) int {
	a := &app{streams: s, args: args}
	root := rootCommand(a)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	return a.report(root.ExecuteContext(ctx))
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "heyan",
		Short: "Identity verification that can prove what it did 核验",
		Long: `Heyan answers whether a name and a number belong together, and can prove afterwards what it did.

Connection: --profile names an entry of profiles.yaml, which is looked for in $HEYAN_CONFIG_HOME (and only there, where
it is set), then in heyan/ below the user's configuration directory, then in ./heyan-data, where "heyan serve --dev"
writes one. Flags win over the environment, the environment wins over the profile:

  HEYAN_PROFILE        name of the profile
  HEYAN_ADDRESS        host:port
  HEYAN_CA_FILE        authorities of the server's certificate, PEM
  HEYAN_SERVER_NAME    name in the server's certificate, where it is not the address's host
  HEYAN_CERT_FILE      client certificate, PEM, with
  HEYAN_KEY_FILE       its key, or
  HEYAN_API_KEY_FILE   a file that holds an API key, or
  HEYAN_API_KEY        the API key itself

A credential is taken whole from one of the three and never mixed.

Exit codes: 0 ok, 1 the answer is "no", 2 usage or a local file, 3 the server refused, 4 the server gave no answer.

With -o json an error is one line of JSON on standard error: {"error":{"exit_code":…,"message":…,"next":[…]}}, and for a
refusal its code, reason, handling, fields, metadata and log entry beside it.`,
		Example: `  heyan verify id2 --sample
  heyan dataset import people.csv --dataset people
  heyan log list --since 1h --outcome DENIED
  heyan completion bash > /etc/bash_completion.d/heyan`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	parent(root)
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		a.command = cmd
		return checkFlags(cmd)
	}
	root.AddGroup(
		&cobra.Group{ID: groupUse, Title: "Verifying:"},
		&cobra.Group{ID: groupAdmin, Title: "Administration:"},
		&cobra.Group{ID: groupCompliance, Title: "Compliance:"},
		&cobra.Group{ID: groupAudit, Title: "Auditing:"},
		&cobra.Group{ID: groupServer, Title: "Server and operations:"},
	)
	globalFlags(a, root)
	for _, s := range subcommands() {
		command := s.make(a)
		command.GroupID = s.group
		root.AddCommand(command)
	}
	return root
}

func globalFlags(a *app, root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.profile, "profile", "", "profile to use (HEYAN_PROFILE)")
	flags.StringVar(&a.target.Address, "address", "", "server, host:port (HEYAN_ADDRESS)")
	flags.StringVar(&a.target.CAFile, "ca-file", "", "authorities of the server's certificate (HEYAN_CA_FILE)")
	flags.StringVar(&a.target.ServerName, "server-name", "", "name in the server's certificate (HEYAN_SERVER_NAME)")
	flags.StringVar(&a.target.CertFile, "cert-file", "", "client certificate (HEYAN_CERT_FILE)")
	flags.StringVar(&a.target.KeyFile, "key-file", "", "key of the client certificate (HEYAN_KEY_FILE)")
	flags.StringVar(&a.target.APIKeyFile, "api-key-file", "", "file that holds an API key (HEYAN_API_KEY_FILE)")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	flags.VarP(choice(&a.output, "table", "json"), "output", "o", "table or json")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print the answer only")
	complete(root, "output", "table", "json")
	mustComplete(root.RegisterFlagCompletionFunc("profile",
		func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return profile.Names(a.Env), cobra.ShellCompDirectiveNoFileComp
		}))
}

// parent makes a command that only has subcommands: alone it prints its help, with an argument that is none of them
// it is a usage error. The argument is not repeated: it may be a value that lost its flag.
func parent(command *cobra.Command) *cobra.Command {
	command.Args = cobra.ArbitraryArgs
	command.SuggestionsMinimumDistance = 2
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		problem := "no such subcommand"
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			problem += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usageError(problem, "heyan lists what there is by: "+cmd.CommandPath()+" --help")
	}
	return command
}

// arguments wants exactly these positional arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usageError("wants "+strings.Join(names, " ")+", got "+countOf(len(args), "argument"),
			"see: "+cmd.CommandPath()+" --help")
	}
}

// checkFlags refuses a command line without a flag that is needed, or with flags that exclude each other. Cobra would
// say so later, and not where to read on.
func checkFlags(cmd *cobra.Command) error {
	see := "see: " + cmd.CommandPath() + " --help"
	var missing []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, needed := f.Annotations[cobra.BashCompOneRequiredFlag]; needed && !f.Changed {
			missing = append(missing, "--"+f.Name)
		}
	})
	if len(missing) > 0 {
		return usageError("needs "+strings.Join(missing, ", "), see)
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return usageError(err.Error(), see) // names flags only
	}
	return nil
}

// formOf is what a flag of one of pflag's own types wants.
func formOf(f *pflag.Flag) string {
	switch kind := f.Value.Type(); {
	case kind == "duration":
		return "wants a duration with its unit, such as 500ms, 30s, 10m or 1h"
	case kind == "bool":
		return "wants true or false, after an equals sign"
	case strings.HasPrefix(kind, "uint"):
		return "wants a whole number from 0 on"
	case strings.HasPrefix(kind, "int"):
		return "wants a whole number"
	case strings.HasPrefix(kind, "float"):
		return "wants a number"
	}
	return "not a valid value"
}

// flagError says which flag is wrong and never what was given to it.
func flagError(cmd *cobra.Command, err error) error {
	see := "see: " + cmd.CommandPath() + " --help"
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		text := "--" + invalid.GetFlag().Name + ": " + formOf(invalid.GetFlag())
		var wrong *badValue
		if errors.As(invalid.Unwrap(), &wrong) {
			text = "--" + invalid.GetFlag().Name + ": " + wrong.Error()
		}
		return usageError(text, see)
	}
	var required *pflag.ValueRequiredError
	if errors.As(err, &required) {
		return usageError("--"+required.GetFlag().Name+" needs a value", see)
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return usageError("no such flag"+flagShown(unknown.GetSpecifiedName())+nearFlag(cmd, unknown.GetSpecifiedName()), see)
	}
	return usageError("the command line cannot be read", see)
}

// flagName is a word of lower-case letters. No number of a person is one, and their names are written in Chinese or with
// capitals.
var flagName = regexp.MustCompile(`^[a-z]([a-z-]{0,30}[a-z])?$`)

// flagShown names a flag that there is none of, unless it could be a value that lost its flag.
func flagShown(name string) string {
	if !flagName.MatchString(name) {
		return ""
	}
	if len(name) == 1 {
		return " -" + name
	}
	return " --" + name
}

// nearFlag suggests flags that begin alike.
func nearFlag(cmd *cobra.Command, name string) string {
	var near []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if len(name) > 2 && strings.HasPrefix(f.Name, name[:3]) && !f.Hidden {
			near = append(near, "--"+f.Name)
		}
	})
	if len(near) == 0 {
		return ""
	}
	slices.Sort(near)
	return "; did you mean " + strings.Join(near, " or ") + "?"
}
