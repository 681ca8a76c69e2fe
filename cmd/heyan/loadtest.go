package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/load"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/field"
)

// loading is the flags of `heyan loadtest`.
type loading struct {
	options    load.Options
	product    string
	people     string
	limit      int
	batch      int
	notice     string
	legalBasis string
	purpose    heyanv1.Purpose
	yes        bool
}

func loadtestCommand(a *app) *cobra.Command {
	l := &loading{}
	cmd := &cobra.Command{
		Use:   "loadtest",
		Short: "Put a server under load; latency percentiles, errors by reason",
		Long: `Loadtest verifies sample people as fast as --callers allow (closed loop), or with --rate at a fixed rate, where latency
counts from when a call was due. Every call is a real verification: counted, logged and, unless the credential is a test
credential, billed. So a server that is not on this machine needs --yes.

People are those of the development server beside the profile, or of --people with --notice or --legal-basis: CSV or JSON Lines as "heyan dataset
sample" writes; those under fourteen are left out, since they need a guardian's consent. Exit code 0 means that every
call got a verdict, 1 that some did not.`,
		Example: `  heyan loadtest --product id2 --callers 64 --duration 10s
  heyan loadtest --product phone3 --callers 256 --rate 5000 --count 100000 --people people.csv --notice onboarding-v1 -o json
  heyan loadtest --batch 100 --callers 4 --duration 10s`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.loadtest(cmd.Context(), l) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.product, "product", "id2", "the product")
	flags.IntVar(&l.options.Callers, "callers", 16, "calls at once, 1–4096")
	flags.DurationVar(&l.options.Duration, "duration", 0, "how long; absent = 10s, unless --count is given")
	flags.Int64Var(&l.options.Count, "count", 0, "how many calls")
	flags.Float64Var(&l.options.Rate, "rate", 0, "calls a second over all callers; 0 = closed loop")
	flags.IntVar(&l.batch, "batch", 0, "requests in a BatchVerify, 1–1000; 0 = Verify")
	flags.StringVar(&l.people, "people", "", "file of people; absent = the sample beside the profile")
	flags.IntVar(&l.limit, "people-limit", 100000, "read at most this many of them")
	flags.StringVar(&l.notice, "notice", "", "notice that they agreed to; absent = the sample's")
	flags.StringVar(&l.legalBasis, "legal-basis", "", "a legal basis instead of a notice")
	addEnum(cmd, &l.purpose, "purpose", "what it is for")
	flags.BoolVar(&l.yes, "yes", false, "also against a server that is not on this machine")
	cmd.MarkFlagsMutuallyExclusive("notice", "legal-basis")
	return cmd
}

func (l *loading) check() error {
	switch {
	case l.options.Callers < 1 || l.options.Callers > 4096:
		return usageError("--callers wants a number from 1 to 4096", "")
	case l.people != "" && l.notice == "" && l.legalBasis == "":
		return usageError("--people needs --notice or --legal-basis", "every verification names one; heyan notice list shows those on file")
	case l.batch < 0 || l.batch > 1000:
		return usageError("--batch wants a number from 1 to 1000", "")
	case l.options.Rate < 0 || l.options.Count < 0 || l.options.Duration < 0:
		return usageError("--rate, --count and --duration are not negative", "")
	}
	if l.options.Duration == 0 && l.options.Count == 0 {
		l.options.Duration = 10 * time.Second
	}
	return nil
}

func (a *app) loadtest(ctx context.Context, l *loading) error {
	if err := l.check(); err != nil {
		return err
	}
	target, dir, err := a.resolve()
	if err != nil {
		return err
	}
	if !profile.Loopback(target.Address) && target.Address != "" && !l.yes {
		return usageError("the server is not on this machine", "say --yes if it is meant to be loaded")
	}
	l.options.Now = a.Now
	return a.withStream(ctx, func(ctx context.Context, conn *dial.Connection) error {
		g, err := a.generator(ctx, conn, l, dir)
		if err != nil {
			return err
		}
		a.note("%s, %s", countOf(len(g.models), "sample person"), countOf(l.options.Callers, "caller"))
		return a.printLoad(l, load.Run(ctx, l.options, g.call))
	})
}

// generator makes requests about sample people in turn. What two calls about one person have in common is made once,
// since the generator often shares the machine with the server that it measures.
type generator struct {
	client  heyanv1.VerificationServiceClient
	models  []*heyanv1.VerifyRequest // one a person, all but the request_id; never changed
	run     string                   // makes request_ids and evidence_refs of this run its own
	batch   int
	timeout time.Duration
}

func (a *app) generator(ctx context.Context, conn *dial.Connection, l *loading, dir string) (*generator, error) {
	sample := &sampleFile{}
	var err error
	if l.people != "" {
		sample, err = a.readPeople(l.people, l.limit)
	} else if sample, err = a.samplePeople(dir, l.limit); err != nil {
		return nil, usageError("no sample people beside the profile", "name a file: --people; heyan dataset sample makes one")
	}
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	product, err := heyanv1.NewCatalogServiceClient(conn).GetProduct(call, &heyanv1.GetProductRequest{Id: l.product})
	if err != nil {
		return nil, err
	}
	model := &heyanv1.VerifyRequest{Product: l.product, Purpose: l.purpose}
	if l.purpose == 0 && sample.Purpose != "" {
		if model.Purpose, err = parseEnum[heyanv1.Purpose](sample.Purpose); err != nil {
			return nil, usageError("the sample's purpose "+err.Error(), "")
		}
	}
	notice := l.notice
	if notice == "" && l.legalBasis == "" {
		notice = sample.Notice
	}
	people := slices.DeleteFunc(sample.matching(product), func(p samplePerson) bool { return child(p, a.Now()) })
	if len(people) == 0 {
		return nil, usageError("no sample person of fourteen or older has all the fields of this product", "")
	}
	g := &generator{client: heyanv1.NewVerificationServiceClient(conn), batch: l.batch, timeout: a.timeout}
	if g.run, err = a.newID("load-"); err != nil {
		return nil, err
	}
	at := stamp(a.Now())
	for i, p := range people {
		g.models = append(g.models, g.model(model, p, i, notice, l.legalBasis, at))
	}
	return g, nil
}

// samplePeople are those beside a profile: all that the development server imported, where its file is there.
func (a *app) samplePeople(dir string, limit int) (*sampleFile, error) {
	sample, err := readSample(filepath.Join(dir, sampleName))
	if err != nil {
		return nil, err
	}
	if all, err := a.readPeople(filepath.Join(dir, devPeopleFile), limit); err == nil {
		sample.People = append(sample.People, all.People...)
	}
	return sample, nil
}

// child is whether a person's values tell that they are under fourteen: they would need a guardian's consent.
func child(p samplePerson, now time.Time) bool {
	var values []field.Value
	for _, kind := range field.Kinds() {
		if text := getField(p.Fields, kind); text != nil {
			// A value that does not parse is the server's to refuse.
			if value, err := (*field.Rules)(nil).Parse(kind, *text, now); err == nil {
				values = append(values, value)
			}
		}
	}
	under, _ := consent.CheckAge(values, consent.FourteenOrOver, nil, nil, now, time.Time{})
	return under
}

// model is what all requests about person i have in common.
func (g *generator) model(all *heyanv1.VerifyRequest, p samplePerson, i int, notice, basis string, at *timestamppb.Timestamp) *heyanv1.VerifyRequest {
	m := &heyanv1.VerifyRequest{Product: all.GetProduct(), Purpose: all.GetPurpose(), Fields: p.Fields, PlateKind: p.PlateKind}
	switch {
	case basis != "":
		m.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: basis}
	case notice != "":
		m.Ground = &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: notice, EvidenceRef: g.run + "-p" + strconv.Itoa(i), ObtainTime: at,
		}}
	}
	return m
}

// readPeople reads rows as people, up to a limit.
func (a *app) readPeople(path string, limit int) (*sampleFile, error) {
	s, err := openSource(path, "auto", a.In)
	if err != nil {
		return nil, err
	}
	defer closeSources([]*inputFile{s})
	sample := &sampleFile{}
	for len(sample.People) < limit {
		row, problem, err := s.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &exitError{exitUsage, path + ": cannot be read to its end", ""}
		}
		if problem == nil {
			sample.People = append(sample.People, samplePerson{row.Fields, row.PlateKind})
		}
	}
	return sample, nil
}

func (g *generator) request(n int64) *heyanv1.VerifyRequest {
	m := g.models[n%int64(len(g.models))]
	return &heyanv1.VerifyRequest{
		Product: m.Product, Purpose: m.Purpose, Fields: m.Fields, PlateKind: m.PlateKind, Ground: m.Ground,
		RequestId: g.run + "-" + strconv.FormatInt(n, 10),
	}
}

func (g *generator) call(ctx context.Context, n int64) []load.Outcome {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if g.batch == 0 {
		answer, err := g.client.Verify(ctx, g.request(n))
		return []load.Outcome{outcomeOf(answer.GetVerification(), err)}
	}
	request := &heyanv1.BatchVerifyRequest{}
	for i := range g.batch {
		request.Requests = append(request.Requests, g.request(n*int64(g.batch)+int64(i)))
	}
	outcomes := make([]load.Outcome, g.batch)
	answer, err := g.client.BatchVerify(ctx, request)
	for i := range outcomes {
		switch {
		case err != nil:
			outcomes[i] = outcomeOf(nil, err)
		case i >= len(answer.GetItems()):
			outcomes[i] = load.Outcome{Name: "NO_ANSWER"}
		case answer.GetItems()[i].GetStatus() != nil:
			outcomes[i] = outcomeOf(nil, status.FromProto(answer.GetItems()[i].GetStatus()).Err())
		default:
			outcomes[i] = outcomeOf(answer.GetItems()[i].GetResponse().GetVerification(), nil)
		}
	}
	return outcomes
}

func outcomeOf(v *heyanv1.Verification, err error) load.Outcome {
	if err != nil {
		r := refusalOf(status.Convert(err), "")
		if r.Reason == "" {
			return load.Outcome{Name: r.Code}
		}
		return load.Outcome{Name: r.Reason}
	}
	name := enumText(v.GetVerdict())
	if name == "" {
		name = enumText(v.GetState())
	}
	return load.Outcome{Name: name, OK: true}
}
