package storetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// env is one case at work.
type env struct {
	reporter
	ctx   context.Context
	store store.Store
	open  func() (store.Store, error)
	base  time.Time
	made  atomic.Int64 // ids and log positions
}

const (
	acme   = "acme"
	notice = "onboarding"
	quota  = "quota/acme"
	origin = "node-1"
)

// reopen closes the store, if it is open, and opens it again.
func (e *env) reopen() {
	e.Helper()
	if e.store != nil {
		e.must(e.store.Close())
	}
	s, err := e.open()
	if err != nil {
		e.Fatalf("open: %v", err)
	}
	e.store = s
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%v", err)
	}
}

// refused wants a fault of a reason.
func (e *env) refused(err error, want fault.Reason) {
	e.Helper()
	if !fault.Is(err, want) {
		e.Errorf("got %v, want %v", err, want)
	}
}

// wants wants an error of the store's own.
func (e *env) wants(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("got %v, want %v", err, want)
	}
}

// same compares deeply.
func (e *env) same(what string, got, want any) {
	e.Helper()
	if !reflect.DeepEqual(got, want) {
		e.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func sum(text string) digest.Digest { return sha256.Sum256([]byte(text)) }

// id makes ids in ascending order.
func (e *env) id() ledger.ID {
	e.Helper()
	id, err := ledger.NewID(e.base.Add(time.Duration(e.made.Add(1))*time.Millisecond), rand.Reader)
	e.must(err)
	return id
}

func (e *env) now() time.Time { return time.Now().UTC() }

// handles are those of an invented person.
func handles(person string) []subject.Handle {
	return []subject.Handle{sum("id of " + person), sum("phone of " + person)}
}

func restrictions(person string) []subject.Handle {
	return []subject.Handle{sum("restriction of " + person)}
}

func evidence(name string) digest.Digest { return sum("evidence " + name) }

// request is a request of a person of its own under an inline consent of its own.
func (e *env) request(name string) *ledger.Begin { return e.requestOf(acme, name, name) }

func (e *env) requestOf(client, name, person string) *ledger.Begin {
	return &ledger.Begin{
		Client: client, Request: sum("request " + client + name), Content: sum("content " + client + name),
		Consent: ledger.ConsentUse{Notice: notice, Evidence: evidence(name)},
		Handles: handles(person), Restrictions: restrictions(person),
		Reserves: []ledger.Reserve{{Key: quota, Limit: 1000, Reason: fault.QuotaExceeded, Name: "quota"}},
		Lease:    time.Minute, Now: e.now(),
	}
}

// under makes a request use a stored consent.
func under(b *ledger.Begin, c *consent.Consent) *ledger.Begin {
	id, _ := ledger.ParseID(c.ID)
	b.Consent = ledger.ConsentUse{ID: id}
	return b
}

func (e *env) begin(b *ledger.Begin) ledger.Begun {
	e.Helper()
	begun, err := e.store.Begin(e.ctx, b)
	e.must(err)
	if (begun.Token == 0) == (begun.Replay == nil) {
		e.Fatalf("Begin returned %+v, which is not exactly one of a token and a replay", begun)
	}
	return begun
}

// claim begins a request that must not be a replay.
func (e *env) claim(b *ledger.Begin) ledger.Begun {
	e.Helper()
	begun := e.begin(b)
	if begun.Replay != nil {
		e.Fatalf("a replay where a claim was expected")
	}
	return begun
}

// beginRefused wants Begin to fail.
func (e *env) beginRefused(b *ledger.Begin, want fault.Reason) {
	e.Helper()
	begun, err := e.store.Begin(e.ctx, b)
	e.refused(err, want)
	e.store.Release(begun.Token)
}

// consentOf makes a consent to a notice, not on file yet.
func (e *env) consentOf(client, to string) *consent.Consent {
	now := e.now()
	return &consent.Consent{
		ID: e.id().String(), Client: client, Notice: to, ObtainTime: now.Add(-time.Hour), ExpireTime: now.Add(24 * time.Hour),
		Status: consent.Active, Revision: 1, CreateTime: now,
	}
}

// onFile puts a consent of acme's on file.
func (e *env) onFile(name, person string) *consent.Consent {
	e.Helper()
	return e.onFileAs(e.consentOf(acme, notice), name, person)
}

func (e *env) onFileAs(c *consent.Consent, name, person string) *consent.Consent {
	e.Helper()
	made, err := e.store.CreateConsent(e.ctx, c, evidence(name), handles(person), restrictions(person))
	e.must(err)
	return made
}

// answer makes an answer to a claimed request: a billed MATCH, with a new consent where one is needed.
func (e *env) answer(b *ledger.Begin, begun ledger.Begun) *ledger.Commit {
	now := e.now()
	v := &ledger.Verification{
		ID: e.id(), Client: b.Client, Product: "id2", Purpose: product.AccountOpening,
		Fields: field.SetOf(field.Name, field.IDNumber), Verdict: product.Match, Billing: product.Billed, PriceFen: 30,
		VerifyTime: now, ExpireTime: now.Add(24 * time.Hour), State: ledger.Active, Request: b.Request,
		Log: ledger.Position{Origin: origin, Index: uint64(e.made.Add(1))},
	}
	c := &ledger.Commit{Token: begun.Token, Verification: v, Handles: b.Handles, Evidence: b.Consent.Evidence,
		Usage: usage.Of(v.Verdict, v.Billing, v.PriceFen), UsageKey: usageKeyOf(v), Now: now}
	if len(b.Reserves) > 0 {
		v.QuotaKey = b.Reserves[0].Key
	}
	switch {
	case begun.Consent != nil:
		v.Consent, _ = ledger.ParseID(begun.Consent.ID)
	case !b.Consent.Evidence.IsZero():
		c.NewConsent = e.consentOf(b.Client, b.Consent.Notice)
		v.Consent, _ = ledger.ParseID(c.NewConsent.ID)
	}
	return c
}

func usageKeyOf(v *ledger.Verification) usage.Key {
	return usage.Key{Day: workday.DateOf(v.VerifyTime), Client: v.Client, Product: v.Product, Test: v.Test}
}

// commit commits and waits.
func (e *env) commit(c *ledger.Commit) *ledger.Verification {
	e.Helper()
	wait, err := e.store.Commit(e.ctx, c)
	e.must(err)
	e.must(wait())
	return c.Verification
}

// commitRefused wants Commit to fail and to have left nothing.
func (e *env) commitRefused(c *ledger.Commit, want fault.Reason) {
	e.Helper()
	wait, err := e.store.Commit(e.ctx, c)
	if err == nil {
		e.must(wait())
	}
	e.refused(err, want)
	e.nothingOf(c)
}

// nothingOf wants no trace of a commit.
func (e *env) nothingOf(c *ledger.Commit) {
	e.Helper()
	v := c.Verification
	_, err := e.store.Verification(e.ctx, v.Client, v.ID)
	e.wants(err, store.ErrNotFound)
	e.same("what is committed", len(e.committed(v.Log.Origin, 0)), 0)
	e.usage(0)
	e.counter(quota, 0, 0)
	if c.NewConsent != nil {
		id, _ := ledger.ParseID(c.NewConsent.ID)
		_, err = e.store.Consent(e.ctx, v.Client, id, 0)
		e.wants(err, store.ErrNotFound)
	}
}

// verify runs a request to its end.
func (e *env) verify(b *ledger.Begin, change ...func(*ledger.Commit)) *ledger.Verification {
	e.Helper()
	c := e.answer(b, e.claim(b))
	for _, f := range change {
		f(c)
	}
	return e.commit(c)
}

// pend makes an answer pending.
func pend(c *ledger.Commit) {
	c.Verification.State, c.Verification.Verdict, c.Verification.Billing = ledger.Pending, 0, product.BillingUnknown
	c.Usage = usage.Of(0, product.BillingUnknown, 0)
}

// replays wants a request to be answered by v as it is stored.
func (e *env) replays(b *ledger.Begin, v *ledger.Verification) {
	e.Helper()
	b.Now = e.now()
	begun := e.begin(b)
	if begun.Replay == nil {
		e.store.Release(begun.Token)
		e.Errorf("a claim where a replay was expected")
		return
	}
	e.same("the replay", begun.Replay, stored(v))
}

// stored is v as it comes back: times in UTC.
func stored(v *ledger.Verification) *ledger.Verification {
	back := *v
	for _, t := range []*time.Time{&back.SourceAsOf, &back.VerifyTime, &back.ExpireTime, &back.ReconcileBy} {
		if !t.IsZero() {
			*t = t.UTC()
		}
	}
	return &back
}

// counter wants a counter to stand at used and reserved.
func (e *env) counter(key string, used, reserved int64) {
	e.Helper()
	u, r, err := e.store.Counter(e.ctx, key)
	e.must(err)
	if u != used || r != reserved {
		e.Errorf("counter: %d used and %d reserved, want %d and %d", u, r, used, reserved)
	}
}

// usage wants acme's rows to hold verdicts MATCH and nothing else.
func (e *env) usage(verdicts int64) {
	e.Helper()
	var total usage.Counts
	today := workday.DateOf(e.now())
	rows, err := e.store.Usage(e.ctx, acme, today.AddDays(-1), today.AddDays(1))
	e.must(err)
	for _, row := range rows {
		total.Add(row.Counts)
	}
	want := usage.Counts{Billed: verdicts, AmountFen: 30 * verdicts}
	want.Verdicts[product.Match] = verdicts
	e.same("usage", total, want)
}

func (e *env) committed(at string, from uint64) []*ledger.Verification {
	e.Helper()
	var list []*ledger.Verification
	e.must(e.store.Committed(e.ctx, at, from, func(v *ledger.Verification) error {
		list = append(list, v)
		return nil
	}))
	return list
}

func ids(list []*ledger.Verification) []ledger.ID {
	all := make([]ledger.ID, len(list))
	for i, v := range list {
		all[i] = v.ID
	}
	return all
}
