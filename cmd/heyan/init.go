package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
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

	logKey string // verifier key of the network log, once it was begun
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
	flags.StringSliceVar(&f.hosts, "host", []string{"localhost", "127.0.0.1"}, "names and addresses of the server, for its certificate; localhost, 127.0.0.1 and ::1 are always in it")
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
	if err := f.check(); err != nil {
		return nil, err
	}
	laid, err := bootstrap.Lay(bootstrap.Options{
		Dir: f.dir, Node: f.node, Region: f.region, Hosts: f.certified(), Listen: f.listen, StatusListen: f.statusListen,
		Production: !f.development, Reflection: f.development, People: f.people(), Life: f.certificateLife, Now: a.Now(), Random: a.Rand,
	})
	var wrong *config.Errors
	if errors.As(err, &wrong) {
		return nil, usageError(inOneLine(wrong.Named(flagNames)), "see: heyan init --help")
	}
	if err != nil {
		return nil, err
	}
	if err := f.begin(ctx, a, laid); err != nil {
		return nil, errors.Join(err, laid.Undo())
	}
	return laid, nil
}

// flagNames are the flags that state members of the configuration.
var flagNames = map[string]string{"node": "--node", "region": "--region", "listen": "--listen", "status_listen": "--status-listen"}

// check refuses what the configuration does not tell of.
func (f *firstStart) check() error {
	seen := map[string]bool{}
	for _, p := range f.people() {
		if !product.ValidSlug(p.ID) {
			return usageError("a person's name here is a slug: 1 to 64 of a-z, 0-9 and -", "")
		}
		if p.ID == "ca" || p.ID == "server" {
			return usageError("ca and server are no people: certs/ca.pem and certs/server.pem are the installation's own", "")
		}
		if seen[p.ID] {
			return usageError("three different people: one person holds at most one of the three administrator roles", "")
		}
		seen[p.ID] = true
	}
	if len(f.hosts) == 0 {
		return usageError("--host names at least one name or address of the server", "")
	}
	for _, host := range f.hosts {
		if net.ParseIP(host) == nil && !hostName.MatchString(host) {
			return usageError("--host: a DNS name or an address, without port", "e.g. --host verify.example.cn,203.0.113.7")
		}
	}
	return nil
}

// hostName is a DNS name, perhaps with a wildcard in front (RFC 1123, section 2.1; RFC 6125, section 6.4.3).
var hostName = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// certified is what the server's certificate names: its hosts, and always this machine, for probes and first steps.
func (f *firstStart) certified() []string {
	names := slices.Clone(f.hosts)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// begin makes store and log of a folder that is laid out, and binds the people.
func (f *firstStart) begin(ctx context.Context, a *app, laid *bootstrap.Laid) error {
	c, err := config.Load(laid.Config)
	if err != nil {
		return err
	}
	s, err := openState(ctx, c, true, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	f.logKey = s.log.Key()
	return errors.Join(f.bind(ctx, a, s, laid), s.close(), f.profiles(laid))
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
	if host, port, err := net.SplitHostPort(f.listen); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort(f.hosts[0], port)
		}
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

  A  %-20[2]s system_admin, privacy_officer
  B  %-20[3]s security_admin, privacy_officer
  C  %-20[4]s audit_admin

The network log's verifier key. Write this down, away from this machine: with it, and with nothing else that lies here,
anybody proves later that the log is whole.

  %[5]s

Now
  1. copy %[6]s to a safe place, offline
  2. give each person four files, in these places of a folder of theirs, and remove their .key here:
       profiles.yaml   certs/ca.pem   certs/NAME.pem   certs/NAME.key
     then HEYAN_CONFIG_HOME names that folder; move certs/ca.key offline too
  3. heyan serve --config %[7]s

First acts, each by its person (on this machine HEYAN_CONFIG_HOME=%[8]s):
  heyan --profile %[2]s dataset import people.csv --dataset people   # what answers come from
  heyan --profile %[3]s dataset activate people/1   # another person than imported it
  heyan --profile %[2]s client create acme --name "ACME Ltd" --allowed-source 203.0.113.0/24
  heyan --profile %[2]s credential issue acme --api-key --out acme.key
  heyan --profile %[3]s entitlement set acme id2 --purpose account_opening --handler-role handler --expire 2030-01-01
  heyan --profile %[4]s log tail
`, f.dir, f.system, f.security, f.audit, f.logKey, filepath.Join(f.dir, "keys"), laid.Config, shellQuote(f.dir))
	return err
}
