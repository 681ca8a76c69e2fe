package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/simulator"
)

// Values and references of these tests. None of them may be part of a record or a refusal: see world.leaks.
const (
	adultID      = "11010519491231002X"
	unknownRange = "14000013800"
	cardNumber   = "622202123452"
	marked       = "zq-" // begins every reference
)

var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// world is everything that the services stand on, for real: the embedded store, a network log, the verifier. Only the
// authority and the clock are the test's.
type world struct {
	*Deps
	t      testing.TB
	store  *embedded.Store
	script *script
	dates  logkeep.Clock

	mu  sync.Mutex
	now time.Time
}

// script is an authority that answers by name like the simulator, as a billed registry.
type script struct {
	recipient string

	mu   sync.Mutex
	hook func(*source.Query) // runs while the authority is asked
}

func (s *script) Name() string      { return "registry" }
func (s *script) Recipient() string { return s.recipient }

func (s *script) Check(ctx context.Context, q *source.Query) (source.Answer, error) {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(q)
	}
	answer, err := simulator.Source{}.Check(ctx, q)
	answer.Source, answer.Dataset, answer.AsOf, answer.Code = "registry", "people/3", start.AddDate(0, -1, 0), "R0"
	answer.Billed = answer.Verdict == product.Match || answer.Verdict == product.Mismatch
	return answer, err
}

func (s *script) during(hook func(*source.Query)) {
	s.mu.Lock()
	s.hook = hook
	s.mu.Unlock()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: start, script: &script{}, dates: logkeep.Clock{Synchronised: true}}
	clock := func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}
	options := embedded.Options{
		Dir: filepath.Join(t.TempDir(), "store"), SubjectKey: bytes.Repeat([]byte{1}, embedded.KeySize),
		BusinessKey: bytes.Repeat([]byte{2}, embedded.KeySize), RegistryKey: bytes.Repeat([]byte{3}, embedded.KeySize), Now: clock}
	must(t, embedded.Create(options))
	w.store = value(embedded.Open(options))(t)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log := value(netlog.Create(netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "node1", Now: clock, SigningKey: signing}, "init"))(t)
	t.Cleanup(func() { must(t, errors.Join(w.store.Close(), log.Close())) })

	keys := digest.NewKeyring(value(digest.NewChain(rand.Reader, start))(t))
	catalogue := value(product.NewCatalogue(product.Builtin()))(t)
	dir := value(directory.Open(t.Context(), w.store))(t)
	routes := map[product.ID][]source.Source{}
	for _, p := range catalogue.All() {
		routes[p.ID] = []source.Source{w.script}
	}
	routes["card2"] = []source.Source{&script{recipient: "bank-network"}}
	w.Deps = &Deps{
		Store: w.store, Directory: dir, Log: log, Keeper: retain.New(w.store, logkeep.Default(), func() logkeep.Clock { return w.dates }, clock), Keys: keys, Catalogue: catalogue, Now: clock, Random: rand.Reader,
		Journal:       journal.New(log, clock, func() record.Clock { return record.Clock{} }, journal.Hooks{}),
		CloseSessions: func(authn.Kind, string) {}, LastUsed: func(string) time.Time { return time.Time{} },
		Region: "cn-shanghai",
	}
	keeper := totals.NewKeeper(log, func(parts []*record.Totals) error {
		_, err := w.Journal.System(record.SystemTotals, func(r *record.Record) { r.Totals = parts[0] })
		return err
	})
	w.CountLog = func(ctx context.Context) { must(t, keeper.Write(ctx, record.HourOf(clock()))) }
	w.Verifier = verifier.New(verifier.Config{
		Catalogue: catalogue, Keys: keys, Directory: func() verifier.Directory { return dir.Now() }, Ledger: w.store,
		Consents: w.store, Sources: source.NewRouter(routes, simulator.Source{}), Now: clock, Random: rand.Reader})
	w.furnish()
	return w
}

// furnish puts two clients on file with what they bought and what they show people.
func (w *world) furnish() {
	ctx := w.t.Context()
	for _, id := range []string{"acme", "other"} {
		_, err := w.Directory.PutClient(ctx, account.Client{ID: id, DisplayName: strings.ToUpper(id), State: account.Active, CreateTime: start}, 0)
		must(w.t, err)
		for _, p := range []product.ID{"id2", "phone2", "card2"} {
			w.entitle(product.Entitlement{Client: id, Product: p, Detail: p == "id2"})
		}
		w.notice(consent.Notice{ID: "onboarding-v3", Client: id})
	}
	_, err := w.Directory.PutRecipient(ctx, consent.Recipient{ID: "bank-network"}, 0)
	must(w.t, err)
	_, err = w.Directory.PutLegalBasis(ctx, consent.LegalBasis{ID: "aml-kyc", Kind: consent.BasisLegalObligation, Citation: "AML Law art. 29",
		Purposes: product.PurposesOf(product.AccountOpening), Expire: start.AddDate(1, 0, 0), DailyCap: 1000}, 0)
	must(w.t, err)
}

// entitle sells a product; what e leaves out is filled in.
func (w *world) entitle(e product.Entitlement) {
	w.t.Helper()
	if e.Quota == (product.Quota{}) {
		e.Quota = product.Quota{Limit: 5000, Period: product.Daily}
	}
	e.TestQuota = product.Quota{Limit: product.TestQuotaDefault, Period: product.Daily}
	e.Purposes, e.PriceFen, e.HandlerRole = product.PurposesOf(product.AccountOpening), 50, product.Handler
	e.LegalBases, e.Start, e.Expire, e.RetentionDays = []string{"aml-kyc"}, start.AddDate(0, -1, 0), start.AddDate(1, 0, 0), 30
	_, err := w.Directory.PutEntitlement(w.t.Context(), e, e.Revision)
	must(w.t, err)
}

// notice registers a notice; what n leaves out is filled in.
func (w *world) notice(n consent.Notice) {
	w.t.Helper()
	if n.Fields == 0 {
		n.Fields = field.SetOf(field.Name, field.IDNumber, field.PhoneNumber)
	}
	n.Purposes, n.Separate = product.PurposesOf(product.AccountOpening), consent.ProvideToHandler|consent.SensitivePI
	n.LifetimeDays, n.CreateTime = 365, start
	_, err := w.Directory.PutNotice(w.t.Context(), n, 0)
	must(w.t, err)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// client is a customer's backend, officer and auditor are people of the operator.
func (w *world) client(id string) authn.Principal {
	return authn.Principal{
		Kind: authn.Client, ID: id, Roles: role.Of(role.Client), Credential: "0190b1a0-0000-7000-8000-000000000001", Method: authn.ByAPIKey,
		Client: &w.Directory.Now().Clients[id].Value, Expire: start.AddDate(1, 0, 0)}
}

func operator(r role.Role) authn.Principal {
	return authn.Principal{Kind: authn.Operator, ID: "op-" + strings.ReplaceAll(r.String(), "_", "-"), Person: "person-1", Roles: role.Of(r),
		Method: authn.ByCertificate, Operator: &role.Operator{}}
}

// outcome is how a call ended.
type outcome[R any] struct {
	reply   R
	refused *fault.Fault
	record  record.Record
	call    *journal.Call
}

// run makes one call as the chain does, and reads its record back.
func run[Q, R any](w *world, p authn.Principal, method func(context.Context, Q) (R, error), request Q) outcome[R] {
	w.t.Helper()
	return runIn(w, w.t.Context(), p, method, request)
}

func runIn[Q, R any](w *world, ctx context.Context, p authn.Principal, method func(context.Context, Q) (R, error), request Q) outcome[R] {
	w.t.Helper()
	call := &journal.Call{
		Journal: w.Journal, Principal: p, Method: "/heyan.v1.Test/Call", Event: record.AccountRead, Start: w.Now(),
		Connection: journal.Connection{Session: "s-1", Source: record.Peer{IP: netip.MustParseAddr("192.0.2.1"), Port: 4711}},
		Codes:      func(f *fault.Fault) uint32 { return uint32(rpcerr.Code(f.Kind())) },
	}
	reply, err := method(journal.With(ctx, call), request)
	end := outcome[R]{reply: reply, refused: rpcerr.FromError(err), call: call}
	if end.refused != nil {
		w.leaks([]byte(rpcerr.Status(end.refused, "").String()), "a refusal")
		if end.refused.Reason == fault.LogUnavailable {
			return end
		}
	}
	at, err := call.Finish(end.refused)
	must(w.t, err)
	end.record = w.read(at.Index)
	return end
}

// read returns a record of the log, after making sure that it holds nothing that it must not.
func (w *world) read(index uint64) record.Record {
	w.t.Helper()
	leaf := value(w.Log.Get(context.Background(), index))(w.t)
	w.leaks(leaf, "record "+strconv.FormatUint(index, 10))
	return value(record.Parse(leaf))(w.t)
}

func (w *world) leaks(b []byte, where string) {
	w.t.Helper()
	for _, text := range []string{adultID, unknownRange, cardNumber, marked, "测试"} {
		if bytes.Contains(b, []byte(text)) {
			w.t.Errorf("%s holds %q: %q", where, text, b)
		}
	}
}

// verifyRequest is a request for id2 that nothing refuses, always about one person. n makes it a request of its own.
func verifyRequest(n int, name string) *heyanv1.VerifyRequest {
	number := adultID
	return &heyanv1.VerifyRequest{
		Product: "id2", Fields: &heyanv1.Fields{Name: &name, IdNumber: &number}, RequestId: marked + "order-" + strconv.Itoa(n),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: "onboarding-v3", ObtainTime: timestamppb.New(start.Add(-time.Hour)), EvidenceRef: marked + "agr"}},
	}
}

// identity completes 17 digits by the check character of GB 11643-1999 (ISO 7064 MOD 11-2).
func identity(digits string) string {
	sum := 0
	for _, c := range digits {
		sum = (sum + int(c-'0')) * 2
	}
	return digits + string("10X98765432"[sum%11])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// refusedFor checks a refusal: its reason, and the violations "field cause" in their order.
func refusedFor(t testing.TB, f *fault.Fault, reason fault.Reason, violations ...string) {
	t.Helper()
	if f == nil {
		t.Fatalf("not refused, want %v", reason)
	}
	var got []string
	for _, v := range f.Violations {
		got = append(got, strings.TrimSpace(v.Field+" "+v.Cause))
	}
	if f.Reason != reason || strings.Join(got, ", ") != strings.Join(violations, ", ") {
		t.Errorf("got %v %q (cause %v), want %v %q", f.Reason, got, f.Cause, reason, violations)
	}
}

// accepted fails the test on a refusal and returns the reply.
func accepted[R any](t testing.TB, o outcome[R]) R {
	t.Helper()
	if o.refused != nil {
		t.Fatalf("refused: %v, cause %v", o.refused, o.refused.Cause)
	}
	if o.record.Outcome.Kind != record.Success {
		t.Errorf("its record says %+v", o.record.Outcome)
	}
	return o.reply
}
