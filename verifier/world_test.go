package verifier_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/secret"
	"github.com/heyan-project/heyan/verifier/source"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// world is a Verifier over fakes that note what they are asked.
type world struct {
	*verifier.Verifier
	directory directory
	ledger    fakeLedger
	source    fakeSource
	journal   fakeJournal
	stored    map[ledger.ID]*consent.Consent
}

func newWorld(t testing.TB) *world {
	t.Helper()
	chain, err := digest.NewChain(rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{stored: map[ledger.ID]*consent.Consent{}}
	w.source.answer = source.Answer{Source: "fake", Verdict: product.Match, Billed: true}
	w.directory = directory{
		entitlements: map[product.ID]*product.Entitlement{},
		notices:      map[string]*consent.Notice{"n": fullNotice("n"), "narrow": narrowNotice()},
		bases:        map[string]*consent.LegalBasis{"aml": {ID: "aml", Kind: consent.BasisLegalObligation, Purposes: product.PurposesOf(product.AccountOpening), Expire: now.Add(time.Hour), DailyCap: 5}},
		acknowledged: true,
	}
	for _, p := range catalogue.All() {
		w.directory.entitlements[p.ID] = &product.Entitlement{
			Client: "acme", Product: p.ID, Purposes: product.PurposesOf(product.AccountOpening, product.Payment), Quota: product.Unlimited,
			TestQuota: product.Quota{Limit: 10, Period: product.Daily}, PriceFen: 35, LegalBases: []string{"aml", "other"}, HandlerRole: product.Handler,
			Start: now.Add(-time.Hour), Expire: now.Add(time.Hour), RetentionDays: 30, Detail: true,
		}
	}
	w.Verifier = verifier.New(verifier.Config{
		Catalogue: catalogue, Keys: digest.NewKeyring(chain), Directory: func() verifier.Directory { return &w.directory },
		Ledger: &w.ledger, Consents: w, Sources: w, Now: func() time.Time { return now }, Random: rand.Reader,
	})
	return w
}

func fullNotice(id string) *consent.Notice {
	return &consent.Notice{ID: id, Client: "acme", Fields: field.SetOf(field.Name, field.IDNumber, field.PhoneNumber, field.BankCardNumber, field.LicensePlateNumber, field.DriverLicenseNumber),
		Purposes: product.PurposesOf(product.AccountOpening), Separate: consent.ProvideToHandler | consent.SensitivePI, LifetimeDays: 30, Recipients: []string{"cloud"}}
}

func narrowNotice() *consent.Notice {
	n := fullNotice("narrow")
	n.Fields, n.Separate = field.SetOf(field.Name, field.PhoneNumber), consent.ProvideToHandler
	return n
}

// Consent implements verifier.Consents.
func (w *world) Consent(_ context.Context, client string, id ledger.ID, _ int64) (*consent.Consent, error) {
	if c, ok := w.stored[id]; ok && c.Client == client {
		return c, nil
	}
	return nil, errors.New("not found")
}

// Choose and Recipients implement verifier.Sources.
func (w *world) Choose(_ product.ID, _ bool, allowed func(string) bool) (source.Source, error) {
	if w.source.recipient != "" && !allowed(w.source.recipient) {
		return nil, fault.New(fault.RecipientNotConsented)
	}
	return &w.source, nil
}

func (w *world) Recipients(product.ID) []string { return nil }

type directory struct {
	entitlements map[product.ID]*product.Entitlement
	notices      map[string]*consent.Notice
	bases        map[string]*consent.LegalBasis
	acknowledged bool
	renewal      time.Time
	stopped      *fault.Fault
}

func (d *directory) Access(string, string, time.Time) *fault.Fault { return d.stopped }

func (d *directory) Entitlement(client string, id product.ID) *product.Entitlement {
	if client != "acme" {
		return nil
	}
	return d.entitlements[id]
}
func (d *directory) Notice(_, id string) *consent.Notice      { return d.notices[id] }
func (d *directory) LegalBasis(id string) *consent.LegalBasis { return d.bases[id] }
func (d *directory) Renewal(time.Time) time.Time              { return d.renewal }
func (d *directory) Policy(string, time.Time) (string, bool)  { return "2026-11", d.acknowledged }

// fakeLedger notes claims, commits and releases, and fails as told.
type fakeLedger struct {
	begun     *ledger.Begin
	peeked    *ledger.Begin
	seen      []*fault.Fault // by Peek
	replay    *ledger.Verification
	consent   *consent.Consent
	committed *ledger.Commit
	released  int
	during    func()        // runs while a claim is made
	hang      chan struct{} // what the flush waits for
	refuse    error         // of Begin and Peek
	lose      error         // of Commit
	flush     error         // of Wait
}

func (f *fakeLedger) Begin(_ context.Context, b *ledger.Begin) (ledger.Begun, error) {
	f.begun = b
	if f.during != nil {
		f.during()
	}
	if f.refuse != nil {
		return ledger.Begun{}, f.refuse
	}
	if f.replay != nil {
		return ledger.Begun{Replay: f.replay}, nil
	}
	return ledger.Begun{Token: 1, Consent: f.consent}, nil
}

func (f *fakeLedger) Peek(_ context.Context, b *ledger.Begin) (ledger.Seen, error) {
	f.peeked = b
	return ledger.Seen{Refusals: f.seen, Replay: f.replay, Consent: f.consent}, f.refuse
}

func (f *fakeLedger) Commit(_ context.Context, c *ledger.Commit) (ledger.Wait, error) {
	if f.lose != nil {
		return nil, f.lose
	}
	f.committed = c
	return func() error {
		if f.hang != nil {
			<-f.hang
		}
		return f.flush
	}, nil
}

func (f *fakeLedger) Release(ledger.Token) { f.released++ }

// fakeSource notes what it is asked.
type fakeSource struct {
	recipient string
	asked     *source.Query
	answer    source.Answer
	fail      error
}

func (f *fakeSource) Name() string      { return "fake" }
func (f *fakeSource) Recipient() string { return f.recipient }
func (f *fakeSource) Check(_ context.Context, q *source.Query) (source.Answer, error) {
	f.asked = q
	return f.answer, f.fail
}

// fakeJournal notes records, and fails as told.
type fakeJournal struct {
	answered *verifier.Answer
	voided   *fault.Fault
	refuse   error
	flush    error
}

func (f *fakeJournal) Answered(a *verifier.Answer) (ledger.Position, ledger.Wait, error) {
	if f.refuse != nil {
		return ledger.Position{}, nil, f.refuse
	}
	f.answered = a
	return ledger.Position{Origin: "o", Index: 7}, func() error { return f.flush }, nil
}

func (f *fakeJournal) Voided(_ *verifier.Answer, why *fault.Fault) (ledger.Position, error) {
	f.voided = why
	return ledger.Position{Origin: "o", Index: 8}, nil
}

var acme = verifier.Caller{Client: "acme"}

// lawful is a request that passes every gate.
func lawful() *verifier.Request {
	return &verifier.Request{
		Product:   "id2",
		Fields:    []verifier.Field{{Kind: field.Name, Text: secret.New("王小明")}, {Kind: field.IDNumber, Text: secret.New("11010519491231002X")}},
		RequestID: "r-1",
		Consent:   &verifier.InlineConsent{Notice: "n", ObtainTime: now.Add(-time.Hour), EvidenceRef: "agr-1"},
	}
}

func (w *world) verify(r *verifier.Request) (*verifier.Answer, ledger.Position, error) {
	return w.Verify(context.Background(), acme, r, &w.journal)
}
