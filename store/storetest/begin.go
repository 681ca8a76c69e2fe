package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

func beginRestricted(e *env) {
	for _, kind := range []store.Restriction{store.Denied, store.Objected, store.Suppressed} {
		e.must(e.store.Restrict(e.ctx, restrictions("alice"), kind, time.Time{}))
		b := e.requestOf(acme, "r", "alice")
		b.Restrictions = append(restrictions("bob"), b.Restrictions...)
		e.beginRefused(b, fault.SubjectUnavailable)
		e.must(e.store.Unrestrict(e.ctx, restrictions("alice"), kind))
		e.store.Release(e.claim(b).Token)
	}
	e.must(e.store.Restrict(e.ctx, restrictions("alice"), store.Denied, e.now().Add(-time.Second)))
	e.claim(e.requestOf(acme, "over", "alice"))
	e.counter(quota, 0, 1)
}

func beginConsentByID(e *env) {
	c := e.onFile("a", "alice")
	b := under(e.requestOf(acme, "r", "alice"), c)
	begun := e.claim(b)
	e.same("the consent", begun.Consent, c)
	e.store.Release(begun.Token)

	b.Client = "other"
	e.beginRefused(b, fault.ConsentMissing)
	b.Client, b.Consent.ID = acme, e.id()
	e.beginRefused(b, fault.ConsentMissing)

	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	e.beginRefused(under(b, c), fault.ConsentWithdrawn)
}

func idOf(c *consent.Consent) ledger.ID {
	id, _ := ledger.ParseID(c.ID)
	return id
}

func beginConsentByEvidence(e *env) {
	b := e.requestOf(acme, "r", "alice")
	begun := e.claim(b)
	if begun.Consent != nil {
		e.Errorf("a consent that is not on file was found")
	}
	e.store.Release(begun.Token)
	c := e.onFile("r", "alice")
	begun = e.claim(b)
	e.same("the consent", begun.Consent, c)
	e.store.Release(begun.Token)
	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	e.beginRefused(b, fault.ConsentWithdrawn)
}

func beginConsentOfAnother(e *env) {
	c := e.onFile("r", "alice")
	e.beginRefused(under(e.requestOf(acme, "r", "bob"), c), fault.ConsentSubjectMismatch)
	e.beginRefused(e.requestOf(acme, "r", "bob"), fault.ConsentSubjectMismatch)
	b := e.requestOf(acme, "r", "bob")
	b.Handles = append(b.Handles, handles("alice")[1])
	e.claim(b) // one handle in common is enough
}

func beginEvidenceOfAnotherNotice(e *env) {
	e.onFile("r", "alice")
	b := e.requestOf(acme, "r", "bob")
	b.Consent.Notice = "marketing"
	e.beginRefused(b, fault.ConsentSubjectMismatch)
	b.Handles = handles("alice")
	if begun := e.claim(b); begun.Consent != nil {
		e.Errorf("the consent to another notice was taken for this one's")
	}
}

func beginConsentState(e *env) {
	over := e.consentOf(acme, notice)
	over.ExpireTime = e.now().Add(-time.Minute)
	e.onFileAs(over, "over", "alice")
	e.beginRefused(e.requestOf(acme, "over", "alice"), fault.ConsentExpired)
	e.beginRefused(under(e.requestOf(acme, "over", "alice"), over), fault.ConsentExpired)
	old := e.consentOf(acme, notice)
	old.Status = consent.NeedsRenewal
	e.onFileAs(old, "old", "alice")
	e.beginRefused(e.requestOf(acme, "old", "alice"), fault.ConsentRenewalRequired)
	before := e.consentOf(acme, notice)
	e.onFileAs(before, "before", "alice")
	for _, b := range []*ledger.Begin{e.requestOf(acme, "before", "alice"), under(e.requestOf(acme, "before", "alice"), before)} {
		b.Renewal = before.ObtainTime.Add(1)
		e.beginRefused(b, fault.ConsentRenewalRequired)
		b.Renewal = before.ObtainTime
		e.store.Release(e.claim(b).Token)
	}
}

func beginTombstone(e *env) {
	none, err := e.store.WithdrawEvidence(e.ctx, evidence("r"), notice, e.now())
	e.must(err)
	e.same("what was withdrawn", len(none), 0)
	e.beginRefused(e.requestOf(acme, "r", "alice"), fault.ConsentWithdrawn)
	e.claim(e.requestOf(acme, "other", "alice"))
	b := e.requestOf(acme, "r", "alice")
	b.Consent.Notice = "marketing" // a tombstone is of one notice
	e.claim(b)
}

// beginOrder puts every cause of refusal into one request and takes away one after the other.
func beginOrder(e *env) {
	b := e.requestOf(acme, "r", "alice")
	e.verify(b)
	b.Reserves[0].Limit = 0
	b.Content = sum("other content")
	e.must(e.store.Restrict(e.ctx, b.Restrictions, store.Denied, time.Time{}))
	_, err := e.store.WithdrawEvidence(e.ctx, b.Consent.Evidence, notice, e.now())
	e.must(err)
	e.beginRefused(b, fault.SubjectUnavailable)
	e.must(e.store.Unrestrict(e.ctx, b.Restrictions, store.Denied))
	e.beginRefused(b, fault.ConsentWithdrawn)
	b.Consent.Evidence = evidence("of nobody")
	e.beginRefused(b, fault.RequestIDReused)
	b.Request = sum("another request")
	e.beginRefused(b, fault.QuotaExceeded)
}

func beginReplay(e *env) {
	b := e.request("r")
	v := e.verify(b)
	b.Reserves[0].Limit = 0 // a replay takes nothing
	e.replays(b, v)
	e.replays(b, v)
	renewed := *b
	renewed.Renewal = e.now().Add(time.Hour) // and is under the consent all the same
	e.beginRefused(&renewed, fault.ConsentRenewalRequired)
	e.counter(quota, 1, 0)
	e.usage(1)
}

func beginOtherContent(e *env) {
	b := e.request("r")
	e.verify(b)
	b.Content = sum("other")
	e.beginRefused(b, fault.RequestIDReused)
	e.counter(quota, 1, 0)
}

func beginOtherClient(e *env) {
	e.verify(e.request("r"))
	b := e.requestOf("other", "s", "bob")
	b.Request, b.Content = e.request("r").Request, e.request("r").Content
	e.claim(b) // neither a replay nor a twin
	e.store.Release(e.claim(e.request("t")).Token)
}

func beginTwinDeadline(e *env) {
	b := e.request("r")
	e.claim(b)
	ctx, cancel := context.WithTimeout(e.ctx, 30*time.Millisecond)
	defer cancel()
	_, err := e.store.Begin(ctx, b)
	e.refused(err, fault.RequestInProgress)
	var f *fault.Fault
	if errors.As(err, &f) && f.RetryAfter <= 0 {
		e.Errorf("no RetryAfter")
	}
	e.counter(quota, 0, 1)
}

// later runs Begin beside the case and gives what it returned.
func (e *env) later(b *ledger.Begin) <-chan result {
	done := make(chan result, 1)
	go func() {
		begun, err := e.store.Begin(e.ctx, b)
		done <- result{begun, err}
	}()
	return done
}

type result struct {
	ledger.Begun
	err error
}

// pause gives the other goroutine time to get where it will wait. A case holds without it, and then shows less.
func pause() { time.Sleep(20 * time.Millisecond) }

func beginTwinAnswer(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	twin := e.later(e.request("r"))
	pause()
	wait, err := e.store.Commit(e.ctx, c)
	e.must(err)
	pause()
	select {
	case <-twin:
		e.Errorf("the twin saw an answer before it was durable")
		e.must(wait())
		return
	default:
	}
	e.must(wait())
	got := <-twin
	e.must(got.err)
	e.same("the replay", got.Replay, stored(c.Verification))
	e.counter(quota, 1, 0)
}

func beginTwinOtherContent(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	other := e.request("r")
	other.Content = sum("other")
	twin := e.later(other)
	pause()
	e.commit(c)
	e.refused((<-twin).err, fault.RequestIDReused)
}

func beginTwinRelease(e *env) {
	b := e.request("r")
	begun := e.claim(b)
	twin := e.later(e.request("r"))
	pause()
	e.store.Release(begun.Token)
	got := <-twin
	e.must(got.err)
	if got.Token == 0 || got.Token == begun.Token {
		e.Errorf("the twin has no claim of its own")
	}
	e.counter(quota, 0, 1)
}

// beginLease: a twin that waits takes over at the end of the lease, and the late owner has nothing left.
func beginLease(e *env) {
	b := e.request("r")
	b.Lease = 60 * time.Millisecond
	alone := e.request("nobody else wants it")
	alone.Lease = b.Lease
	over := e.answer(alone, e.claim(alone))
	late := e.answer(b, e.claim(b))
	next := e.request("r")
	begun := e.claim(next)
	wait, err := e.store.Commit(e.ctx, late)
	if err == nil {
		e.must(wait())
	}
	e.refused(err, fault.RequestInProgress)
	over.Now = e.now()
	wait, err = e.store.Commit(e.ctx, over)
	if err == nil {
		e.must(wait())
	}
	e.refused(err, fault.RequestInProgress)
	e.store.Release(late.Token)
	e.counter(quota, 0, 1)
	v := e.commit(e.answer(next, begun))
	e.replays(next, v)
	e.counter(quota, 1, 0)
}

// beginLeaseCommit: an answer on its way to the disk is not answered a second time.
func beginLeaseCommit(e *env) {
	b := e.request("r")
	b.Lease = 40 * time.Millisecond
	c := e.answer(b, e.claim(b))
	wait, err := e.store.Commit(e.ctx, c)
	e.must(err)
	time.Sleep(60 * time.Millisecond)
	twin := e.later(e.request("r"))
	pause()
	select {
	case got := <-twin:
		e.Errorf("the twin did not wait for the answer: token %d, %v", got.Token, got.err)
		e.must(wait())
		return
	default:
	}
	e.must(wait())
	got := <-twin
	e.must(got.err)
	e.same("the replay", got.Replay, stored(c.Verification))
	e.counter(quota, 1, 0)
}

func beginLeaseReserves(e *env) {
	b := e.request("r")
	b.Lease, b.Reserves[0].Limit = 40*time.Millisecond, 1
	late := e.answer(b, e.claim(b))
	time.Sleep(60 * time.Millisecond)
	next := e.request("s")
	next.Reserves[0].Limit = 1
	begun := e.claim(next)
	_, err := e.store.Commit(e.ctx, late)
	e.refused(err, fault.RequestInProgress)
	e.commit(e.answer(next, begun))
	e.counter(quota, 1, 0)
}

func beginReopen(e *env) {
	b := e.request("r")
	b.Lease = 200 * time.Millisecond
	late := e.claim(b)
	e.reopen()
	b = e.request("r")
	begun := e.claim(b) // within e.ctx, which is longer than the lease
	e.store.Release(late.Token)
	e.counter(quota, 0, 1)
	e.commit(e.answer(b, begun))
}

func beginReserves(e *env) {
	reserves := []ledger.Reserve{
		{Key: "plenty", Limit: 5, Reason: fault.QuotaExceeded, Name: "the plenty"},
		{Key: "scarce", Limit: 1, Reason: fault.LegalBasisUnsupported, Name: "the scarce"},
		{Key: "never", Limit: 0, Reason: fault.BudgetExceeded, Name: "the never"},
	}
	b := e.request("r")
	b.Reserves = reserves[:2]
	first := e.claim(b)
	b = e.request("s")
	b.Reserves = reserves
	_, err := e.store.Begin(e.ctx, b)
	e.refused(err, fault.LegalBasisUnsupported)
	var f *fault.Fault
	if errors.As(err, &f) {
		e.same("the limit's name", f.Quota, "the scarce")
	}
	e.counter("plenty", 0, 1)
	e.counter("scarce", 0, 1)
	e.counter("never", 0, 0)
	e.store.Release(first.Token)
	e.beginRefused(b, fault.BudgetExceeded)
	for _, key := range []string{"plenty", "scarce", "never"} {
		e.counter(key, 0, 0)
	}
	b.Reserves = reserves[:2]
	e.commit(e.answer(b, e.claim(b))) // a refused request left no claim behind
	e.counter("plenty", 1, 0)
	b = e.request("t")
	b.Reserves = reserves[:2]
	e.beginRefused(b, fault.LegalBasisUnsupported)
}

func beginUnlimited(e *env) {
	for _, name := range []string{"a", "b", "c"} {
		b := e.request(name)
		b.Reserves[0].Limit = -1
		e.claim(b)
	}
	e.counter(quota, 0, 3)
}
