package storetest

import (
	"slices"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// peeks checks what a look at a request finds.
func (e *env) peeks(b *ledger.Begin, want ...fault.Reason) ledger.Seen {
	e.Helper()
	seen, err := e.store.Peek(e.ctx, b)
	e.must(err)
	var got []fault.Reason
	for _, f := range seen.Refusals {
		got = append(got, f.Reason)
	}
	if !slices.Equal(got, want) {
		e.Errorf("a look finds %v, want %v", got, want)
	}
	return seen
}

// peekTells puts every cause of refusal into one request, and then each into one of its own.
func peekTells(e *env) {
	b := e.requestOf(acme, "r", "alice")
	v := e.verify(b)
	c, err := e.store.ConsentByEvidence(e.ctx, b.Consent.Evidence, notice)
	e.must(err)
	seen := e.peeks(b)
	e.same("the consent", seen.Consent, c)
	e.same("the replay", seen.Replay, v)
	e.same("the consent by id", e.peeks(under(e.requestOf(acme, "s", "alice"), c)).Consent, c)
	e.peeks(under(e.requestOf("other", "s", "alice"), c), fault.ConsentMissing)

	other := e.requestOf(acme, "r", "alice")
	other.Content = sum("other content")
	e.peeks(other, fault.RequestIDReused)
	person := e.requestOf(acme, "s", "bob")
	person.Consent = b.Consent
	if e.peeks(person, fault.ConsentSubjectMismatch).Consent != nil {
		e.Errorf("a refused consent was shown")
	}
	renewed := *b
	renewed.Renewal = e.now()
	e.peeks(&renewed, fault.ConsentRenewalRequired)
	over := e.consentOf(acme, notice)
	over.ExpireTime = e.now().Add(-time.Minute)
	e.onFileAs(over, "over", "alice")
	e.peeks(e.requestOf(acme, "over", "alice"), fault.ConsentExpired)
	_, err = e.store.WithdrawEvidence(e.ctx, evidence("nobody"), notice, e.now())
	e.must(err)
	e.peeks(e.requestOf(acme, "nobody", "alice"), fault.ConsentWithdrawn) // a tombstone

	full := e.request("full")
	full.Reserves = []ledger.Reserve{
		{Key: quota, Limit: 1, Reason: fault.QuotaExceeded, Name: "the quota"}, {Key: "cap", Limit: 0, Reason: fault.LegalBasisUnsupported, Name: "the cap"}}
	seen = e.peeks(full, fault.QuotaExceeded, fault.LegalBasisUnsupported)
	e.same("the limit's name", seen.Refusals[0].Quota, "the quota")
	b.Reserves = full.Reserves
	e.peeks(b) // a replay takes nothing
	full.Reserves = []ledger.Reserve{{Key: quota, Limit: 2}, {Key: "cap", Limit: -1}}
	e.peeks(full)

	other.Reserves[0].Limit = 1
	e.must(e.store.Restrict(e.ctx, other.Restrictions, store.Denied, time.Time{}))
	_, err = e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	e.peeks(other, fault.SubjectUnavailable, fault.ConsentWithdrawn, fault.RequestIDReused, fault.QuotaExceeded)
}

func peekClaimsNothing(e *env) {
	b := e.request("r")
	b.Reserves[0].Limit = 1
	for range 3 {
		if seen := e.peeks(b); seen.Replay != nil || seen.Consent != nil {
			e.Errorf("a look finds what was never there: %+v", seen)
		}
	}
	e.counter(quota, 0, 0)
	begun := e.claim(b)
	e.peeks(e.request("r"))         // does not wait for its twin
	e.peeks(b, fault.QuotaExceeded) // what is reserved is taken
	e.store.Release(begun.Token)    // and free again
	e.peeks(b)
	e.counter(quota, 0, 0)
}
