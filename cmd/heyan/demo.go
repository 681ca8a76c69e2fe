package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// demoPeople is how many invented people the demo imports.
const demoPeople = 100_000

func demoCommand(a *app) *cobra.Command {
	d := demo{app: a}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show everything in one go, on a fresh machine",
		Long: `Starts a server with temporary data and generated certificates, imports 100,000 invented people from a file, has a second
person activate them, and then, through real gRPC and TLS: every product, some forty refusals, a replay, consents, a
withdrawal, a person under 14, callers who never come to an end. It pulls the network log, verifies it offline, checks a
receipt, and prints it all as one table. Exit code 0 means that every step went as it should.`,
		Example: "  heyan demo\n  heyan demo --keep",
		Args:    arguments(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	c.Flags().BoolVar(&d.keep, "keep", false, "leave the server up and print the next three commands")
	return c
}

// demo is one run.
type demo struct {
	*app
	keep bool

	home    string
	i       *instance
	crew    *crew
	client  *dial.Connection // by API key
	other   *dial.Connection // another client
	cases   people.Cases
	calls   []*endlessCall
	steps   []step
	count   int // for fresh ids
	address string
}

// step is one row of the table.
type step struct {
	group, what, want, got string
	ok                     bool
	entry                  string
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.home, err = os.MkdirTemp("", "heyan-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.home)
	start := time.Now()
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop(ctx)) }()
	for _, part := range []func(context.Context) error{
		d.endless, d.load, d.duties, d.products, d.sharing, d.refusals, d.transportRefusals, d.adminRefusals, d.idempotency, d.consents,
		d.children, d.ended, d.logs,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return d.report(ctx, time.Since(start))
}

// start lays out a folder, starts a server and furnishes two clients.
func (d *demo) start(ctx context.Context) error {
	if err := firstDev(ctx, d.app, d.home, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return err
	}
	c, err := config.Load(filepath.Join(d.home, "heyan.yaml"))
	if err != nil {
		return err
	}
	c.Limits.Silence = demoSilence
	s, err := openState(ctx, c, false, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	if d.i, err = startInstance(ctx, s, d.Env); err != nil {
		return errors.Join(err, s.close())
	}
	d.address = d.i.address()
	if d.crew, err = openCrew(d.home, d.address); err != nil {
		return err
	}
	if d.client, err = d.furnish(ctx, tenant{id: "demo-bank", detail: true, priceFen: 35, bases: nil}); err != nil {
		return err
	}
	d.other, err = d.furnish(ctx, tenant{id: "demo-shop", products: []string{"id2"}})
	return err
}

// furnish sets up one client and connects as it.
func (d *demo) furnish(ctx context.Context, t tenant) (*dial.Connection, error) {
	key, err := t.furnish(ctx, d.crew)
	if err != nil {
		return nil, err
	}
	if t.id == "demo-bank" {
		if err := keyfile.Write(filepath.Join(d.home, devKeyFile), []byte(key+"\n")); err != nil {
			return nil, err
		}
		if err := devProfiles(d.home, d.address); err != nil {
			return nil, err
		}
	}
	target := profile.Profile{Address: d.address, CAFile: filepath.Join(d.home, "certs", "ca.pem")}
	conn, err := dial.Open(profile.Layer{Profile: target, APIKey: key}, buildVersion())
	if err != nil {
		return nil, err
	}
	_, err = heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, fullNotice(devNotice, false))
	return conn, err
}

func (d *demo) stop(ctx context.Context) error {
	for _, conn := range []*dial.Connection{d.client, d.other} {
		if conn != nil {
			_ = conn.Close()
		}
	}
	if d.crew != nil {
		d.crew.close()
	}
	if d.i == nil {
		return nil
	}
	return d.i.stop(context.WithoutCancel(ctx))
}

// load imports the people over RPC from a file, and has them activated.
func (d *demo) load(ctx context.Context) error {
	csv := filepath.Join(d.home, "people.csv")
	if err := writePeople(csv, demoPeople, devSeed); err != nil {
		return err
	}
	generator, err := people.New(devSeed, demoPeople)
	if err != nil {
		return err
	}
	if d.cases, err = generator.Cases(); err != nil {
		return err
	}
	begin := time.Now()
	generation, err := d.importDataset(ctx, d.home, csv)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	d.add("data", fmt.Sprintf("%s people from a CSV file, imported over RPC in %.1f s", output.Count(demoPeople), took.Seconds()), "STAGED", d.generation(ctx), "")
	activate := &heyanv1.ActivateDatasetRequest{Dataset: devDataset, Generation: generation}
	d.expectVerify("data", "before activation nothing answers", "SOURCE_UNAVAILABLE", d.request("id2", d.cases.Everything))
	_, err = heyanv1.NewAccessServiceClient(d.crew.system).ActivateDataset(ctx, activate)
	d.refused("data", "activated by its importer, who lacks the role", "ROLE_REQUIRED", err, d.crew.system)
	if _, err := heyanv1.NewAccessServiceClient(d.crew.security).ActivateDataset(ctx, activate); err != nil {
		return err
	}
	d.add("data", "activated by a second person", "ACTIVE", d.generation(ctx), d.crew.security.LogEntry())
	return nil
}

func (d *demo) generation(ctx context.Context) string {
	list, err := heyanv1.NewAdminServiceClient(d.crew.system).ListDatasets(ctx, &heyanv1.ListDatasetsRequest{})
	if err != nil {
		return err.Error()
	}
	for _, dataset := range list.GetDatasets() {
		for _, g := range dataset.GetGenerations() {
			return strings.TrimPrefix(g.GetState().String(), "STATE_")
		}
	}
	return "none"
}

// add adds a row.
func (d *demo) add(group, what, want, got, entry string) {
	d.steps = append(d.steps, step{group: group, what: what, want: want, got: got, ok: want == got, entry: entry})
}

// refused adds a row for a call that has to be refused.
func (d *demo) refused(group, what, want string, err error, conn *dial.Connection) {
	got, _ := reasonAndFact(err, "")
	if got == "" && err == nil {
		got = "answered"
	} else if got == "" {
		got = "no reason"
	}
	entry := ""
	if conn != nil {
		entry = conn.LogEntry()
	}
	d.add(group, what, want, got, entry)
}

// report prints the table.
func (d *demo) report(ctx context.Context, took time.Duration) error {
	failed := 0
	table := output.NewTable("", "PART", "STEP", "ANSWER", "LOG ENTRY")
	group := ""
	for _, s := range d.steps {
		mark, answer, shown := "ok", s.got, s.group
		if !s.ok {
			failed++
			mark, answer = "WRONG", s.got+" (wanted "+s.want+")"
		}
		if s.group == group {
			shown = ""
		}
		group = s.group
		table.Row(mark, shown, s.what, answer, shortEntry(s.entry))
	}
	if _, err := table.WriteTo(d.Out); err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "\n%d steps, %d wrong, %.1f s. Nothing but keyed digests was kept; the data is removed at the end.\n", len(d.steps), failed, took.Seconds())
	if failed > 0 {
		return &exitError{code: exitNo, text: "the demo went wrong"}
	}
	if !d.keep {
		return nil
	}
	if err := writeSamples(d.home, demoPeople, d.Now()); err != nil {
		return err
	}
	fmt.Fprintf(d.Out, `
The server stays up on %s until you interrupt. In another terminal:

  export HEYAN_CONFIG_HOME=%s
  heyan verify id2 --sample
  heyan log tail --profile audit
  curl http://%s/metrics
`, d.address, d.home, d.i.statusAt.Addr())
	<-ctx.Done()
	return nil
}

// shortEntry shows the index of a log entry; all are of one origin.
func shortEntry(entry string) string {
	if _, index, ok := strings.Cut(entry, "/"); ok {
		return index
	}
	return ""
}
