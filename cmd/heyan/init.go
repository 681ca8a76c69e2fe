package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/bootstrap"
	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

// firstStart is what a first start needs to know.
type firstStart struct {
	dir, node, region       string
	listen, statusListen    string
	system, security, audit string
	hosts                   []string
	development             bool
	certificateLife         time.Duration
}

func initCommand(a *app) *cobra.Command {
	f := firstStart{certificateLife: 365 * 24 * time.Hour}
	var next newOrigin
	c := &cobra.Command{
		Use:   "init",
		Short: "Make keys, data directory and configuration, and bind the first three people",
		Long: `Lays out a folder for a production server, offline, on the host that will run it:

  DIR/heyan.yaml   configuration          DIR/keys/   secrets, outside the data directory: keep a copy offline
  DIR/certs/       a CA, the server's certificate, one for each person     DIR/data/   store and network log

There is no built-in account and no super-user. Three people run Heyan, each with a certificate of their own:

  A  system_admin   + privacy_officer   clients, credentials, datasets; policies, consents
  B  security_admin + privacy_officer   entitlements, recipients, operators, activation
  C  audit_admin                        the network log; nobody else reads it

Hand each person their own key, and remove it and certs/ca.key from the host.

With --new-origin nothing of that: it begins a new network log for data that is there already, whose log was restored
from a backup, is a copy of one that lives elsewhere, or is lost. The old log is closed as it is, and stays beside the
new one as log-ORIGIN, for "heyan log verify --dir". The new one's first record names it, its last known checkpoint and
the cause. Receipts of the old log's answers can no longer be read from this server.`,
		Example: `  heyan init --dir /etc/heyan --system li-wei --security wang-fang --audit zhao-min --host verify.example.cn
  heyan serve --config /etc/heyan/heyan.yaml
  heyan init --new-origin restored --config /etc/heyan/heyan.yaml`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if next.cause != "" {
				return next.run(cmd.Context(), a)
			}
			if f.system == "" || f.security == "" || f.audit == "" {
				return usageError("--system, --security and --audit name three people", "heyan init --system li-wei --security wang-fang --audit zhao-min")
			}
			laid, err := f.run(cmd.Context(), a)
			if err != nil {
				return err
			}
			return f.explain(a, laid)
		},
	}
	flags := c.Flags()
	flags.StringVar(&next.cause, "new-origin", "", "begin a new network log for data that is there, because the old one was: "+strings.Join(causes(), ", "))
	flags.StringVar(&next.config, "config", "heyan.yaml", "with --new-origin: configuration file")
	complete(c, "new-origin", causes()...)
	flags.StringVar(&f.dir, "dir", "heyan", "folder to lay out")
	flags.StringVar(&f.node, "node", "node1", "this machine's name in the log")
	flags.StringVar(&f.region, "region", "cn", "mainland region that the data stays in")
	flags.StringVar(&f.listen, "listen", "0.0.0.0:9443", "address for gRPC over TLS")
	flags.StringVar(&f.statusListen, "status-listen", "127.0.0.1:9090", "address for metrics and probes")
	flags.StringVar(&f.system, "system", "", "person A: system administrator and privacy officer")
	flags.StringVar(&f.security, "security", "", "person B: security administrator and privacy officer")
	flags.StringVar(&f.audit, "audit", "", "person C: audit administrator")
	flags.StringSliceVar(&f.hosts, "host", []string{"localhost", "127.0.0.1"}, "names and addresses of the server, for its certificate")
	return c
}

// people is the split of roles over three people.
func (f *firstStart) people() []bootstrap.Person {
	return []bootstrap.Person{
		{ID: f.system, Roles: role.Of(role.SystemAdmin, role.PrivacyOfficer)},
		{ID: f.security, Roles: role.Of(role.SecurityAdmin, role.PrivacyOfficer)},
		{ID: f.audit, Roles: role.Of(role.AuditAdmin)},
	}
}

// run lays out the folder, makes store and log, and binds the people: records 0…n of the log.
func (f *firstStart) run(ctx context.Context, a *app) (*bootstrap.Laid, error) {
	seen := map[string]bool{}
	for _, p := range f.people() {
		if !product.ValidSlug(p.ID) {
			return nil, usageError("a person's name here is a slug: 1 to 64 of a-z, 0-9 and -", "")
		}
		if seen[p.ID] {
			return nil, usageError("three different people: one person holds at most one of the three administrator roles", "")
		}
		seen[p.ID] = true
	}
	laid, err := bootstrap.Lay(bootstrap.Options{
		Dir: f.dir, Node: f.node, Region: f.region, Hosts: f.hosts, Listen: f.listen, StatusListen: f.statusListen,
		Production: !f.development, Reflection: f.development, People: f.people(), Life: f.certificateLife, Now: a.Now(), Random: a.Rand,
	})
	if err != nil {
		return nil, err
	}
	c, err := config.Load(laid.Config)
	if err != nil {
		return nil, err
	}
	s, err := openState(ctx, c, true, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return nil, err
	}
	return laid, errors.Join(f.bind(ctx, a, s, laid), s.close(), f.profiles(laid))
}

// bind binds the first people. They are bound by nobody.
func (f *firstStart) bind(ctx context.Context, a *app, s *state, laid *bootstrap.Laid) error {
	j := s.offlineJournal()
	if _, err := j.System(record.KeyCreated, func(r *record.Record) { r.Change = &record.Change{Digests: s.digests()} }); err != nil {
		return err
	}
	for _, p := range f.people() {
		operator := role.Operator{
			ID: p.ID, IssuerSHA256: laid.CA.SHA256(), SubjectAltName: p.URI(), State: role.Active,
			Binding: role.Binding{Person: p.ID, Roles: p.Roles, BoundAt: s.now()},
		}
		if f := operator.Roles.CheckOperator(); f != nil {
			return f
		}
		if _, err := s.directory.PutOperator(ctx, operator, 0); err != nil {
			return fault.Of(err)
		}
		if _, err := j.System(record.OperatorSet, func(r *record.Record) {
			r.Object = record.Object{Type: "operator", ID: p.ID}
			r.Change = &record.Change{Diff: "roles=" + p.Roles.String()}
		}); err != nil {
			return err
		}
	}
	return nil
}

// profiles writes a profile for each person beside the configuration.
func (f *firstStart) profiles(laid *bootstrap.Laid) error {
	file := &profile.File{Profiles: map[string]profile.Profile{}}
	address := f.listen
	if host, port, ok := strings.Cut(f.listen, ":"); ok && (host == "0.0.0.0" || host == "") {
		address = f.hosts[0] + ":" + port
	}
	for _, p := range f.people() {
		file.Profiles[p.ID] = profile.Profile{
			Address: address, CAFile: filepath.Join("certs", "ca.pem"),
			CertFile: filepath.Join("certs", p.ID+".pem"), KeyFile: filepath.Join("certs", p.ID+".key"),
		}
	}
	return profile.Save(filepath.Join(f.dir, profile.FileName), file)
}

func (f *firstStart) explain(a *app, laid *bootstrap.Laid) error {
	_, err := fmt.Fprintf(a.Out, `%[1]s is ready. Three people run it, and nobody else has an account:

  A  %-20[2]s system_admin, privacy_officer     %[3]s
  B  %-20[4]s security_admin, privacy_officer   %[5]s
  C  %-20[6]s audit_admin                       %[7]s

Now
  1. copy %[8]s to a safe place, offline
  2. give each person their own .key and remove it here; move certs/ca.key offline too
  3. heyan serve --config %[9]s

First acts, each by its person (HEYAN_CONFIG_HOME=%[1]s):
  heyan --profile %[2]s client create acme --name "ACME Ltd" --allowed-source 203.0.113.0/24
  heyan --profile %[2]s credential issue acme --api-key --out acme.key
  heyan --profile %[4]s entitlement set acme id2 --purpose account_opening --handler-role handler --expire 2030-01-01
  heyan --profile %[6]s log tail
`, f.dir, f.system, laid.File(f.system+".pem"), f.security, laid.File(f.security+".pem"), f.audit, laid.File(f.audit+".pem"),
		filepath.Join(f.dir, "keys"), laid.Config)
	return err
}
