package storetest

import (
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

func commitStores(e *env) {
	b := e.request("r")
	var made *ledger.Commit
	v := e.verify(b, func(c *ledger.Commit) {
		made = c
		v := c.Verification
		v.Test, v.Detail, v.Child = true, true, true
		v.FieldVerdicts.Set(field.Name, product.FieldMismatch)
		v.Source, v.SourceAsOf, v.SourceCode, v.Dataset, v.Recipient = "registry", e.base, "0", "people", "bureau"
		v.ReconcileBy, v.ConsentUse, v.LegalBasis, v.PolicyVersion = e.base.Add(time.Hour), e.id(), "aml", "v1"
		v.Resolution, v.ResolutionReason = ledger.Position{Origin: "node-2", Index: 7}, "by its statement of May"
		v.Remarks = []ledger.Remark{{Field: field.PhoneNumber, Code: "SEGMENT_UNKNOWN"}}
		v.Reference = sum("reference")
		c.UsageKey = usageKeyOf(v)
	})
	got, err := e.store.Verification(e.ctx, acme, v.ID)
	e.must(err)
	e.same("the verification", got, stored(v))
	c, err := e.store.ConsentByEvidence(e.ctx, evidence("r"), notice)
	e.must(err)
	e.same("the consent", c, made.NewConsent)
	e.counter(quota, 1, 0)
	e.usage(1)
	e.same("what is committed", e.committed(origin, 0), []*ledger.Verification{stored(v)})
	e.replays(b, v)
}

func commitDurable(e *env) {
	b := e.request("r")
	v := e.verify(b)
	e.verify(e.request("s"))
	e.store.Release(e.claim(e.request("t")).Token)
	for range 2 {
		e.reopen()
		got, err := e.store.Verification(e.ctx, acme, v.ID)
		e.must(err)
		e.same("the verification", got, stored(v))
		e.counter(quota, 2, 0)
		e.usage(2)
		e.replays(b, v)
		e.same("what is committed", len(e.committed(origin, 0)), 2)
		// The links from the handles are there: they find the consent.
		list, err := e.store.WithdrawSubject(e.ctx, acme, handles("r")[:1], e.now())
		e.must(err)
		e.same("the person's consents", len(list), 1)
		b.Consent = ledger.ConsentUse{}
	}
}

func commitSettles(e *env) {
	b := e.request("r")
	wait, err := e.store.Commit(e.ctx, e.answer(b, e.claim(b)))
	e.must(err)
	e.counter(quota, 0, 1)
	e.must(wait())
	e.counter(quota, 1, 0)
}

func commitWithdrawn(e *env) {
	c := e.onFile("r", "alice")
	byID := e.answer(under(e.requestOf(acme, "r", "alice"), c), e.claim(under(e.requestOf(acme, "r", "alice"), c)))
	b := e.requestOf(acme, "s", "alice")
	b.Consent.Evidence = evidence("r")
	byEvidence := e.answer(b, e.claim(b))
	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	wait, err := e.store.Commit(e.ctx, byID)
	if err == nil {
		e.must(wait())
	}
	e.refused(err, fault.ConsentWithdrawn)
	e.counter(quota, 0, 1)
	e.commitRefused(byEvidence, fault.ConsentWithdrawn)
	e.nothingOf(byID)
	b.Consent = ledger.ConsentUse{}
	e.claim(b) // the claim is gone
}

func commitTombstone(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	_, err := e.store.WithdrawEvidence(e.ctx, evidence("r"), notice, e.now())
	e.must(err)
	e.commitRefused(c, fault.ConsentWithdrawn)
}

func commitRestricted(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	e.must(e.store.Restrict(e.ctx, restrictions("r"), store.Objected, time.Time{}))
	e.commitRefused(c, fault.SubjectUnavailable)
	e.must(e.store.Unrestrict(e.ctx, restrictions("r"), store.Objected))
	e.claim(b)
}

func commitSubject(e *env) {
	b := e.request("r")
	mine := e.answer(b, e.claim(b))
	other := e.requestOf("other", "o", "r")
	others := e.answer(other, e.claim(other))
	_, err := e.store.WithdrawSubject(e.ctx, acme, handles("r")[1:], e.now())
	e.must(err)
	wait, err := e.store.Commit(e.ctx, mine)
	if err == nil {
		e.must(wait())
	}
	e.refused(err, fault.SubjectUnavailable)
	_, err = e.store.Verification(e.ctx, acme, mine.Verification.ID)
	e.wants(err, store.ErrNotFound)
	e.commit(others) // it was at one client only

	again := e.requestOf("other", "p", "r")
	c := e.answer(again, e.claim(again))
	_, err = e.store.WithdrawSubject(e.ctx, "", handles("r")[:1], e.now())
	e.must(err)
	_, err = e.store.Commit(e.ctx, c)
	e.refused(err, fault.SubjectUnavailable)
	fresh := e.request("q")
	fresh.Handles = handles("r")
	e.verify(fresh) // whoever agrees anew is served
}

func commitStruck(e *env) {
	open := func(client, id, credential, product string) *ledger.Commit {
		b := e.requestOf(client, id, id)
		b.Credential, b.Product = credential, product
		return e.answer(b, e.claim(b))
	}
	strike := func(scope ledger.Scope, why fault.Reason, struck *ledger.Commit) {
		e.Helper()
		e.must(e.store.Strike(e.ctx, scope, why))
		wait, err := e.store.Commit(e.ctx, struck)
		if err == nil {
			e.must(wait())
		}
		e.refused(err, why)
		_, err = e.store.Verification(e.ctx, struck.Verification.Client, struck.Verification.ID)
		e.wants(err, store.ErrNotFound)
	}
	one, two, three := open(acme, "r", "key-1", "id2"), open(acme, "s", "key-2", "id2"), open(acme, "t", "key-2", "phone2")
	other := open("other", "o", "key-1", "id2")
	strike(ledger.Scope{Client: acme, Credential: "key-1"}, fault.CredentialInvalid, one)
	strike(ledger.Scope{Client: acme, Product: "phone2"}, fault.ProductNotEntitled, three)
	e.commit(two)
	strike(ledger.Scope{Client: acme}, fault.ClientSuspended, open(acme, "u", "key-2", "id2"))
	e.commit(other)
	e.commit(open(acme, "v", "key-2", "id2")) // what is claimed afterwards is for its caller's gates
	e.counter(quota, 3, 0)
}

func commitCreated(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	dropped := c.NewConsent
	first := e.onFile("r", "r")
	v := e.commit(c)
	e.same("the consent of the answer", v.Consent, idOf(first))
	got, err := e.store.Verification(e.ctx, acme, v.ID)
	e.must(err)
	e.same("the consent of the row", got.Consent, idOf(first))
	_, err = e.store.Consent(e.ctx, acme, idOf(dropped), 0)
	e.wants(err, store.ErrNotFound)
	list, _, _, err := e.store.ListConsents(e.ctx, acme, store.ConsentFilter{Limit: 10, Now: e.now()})
	e.must(err)
	e.same("consents on file", len(list), 1)

	b = e.request("s")
	c = e.answer(b, e.claim(b))
	created := e.onFile("s", "s")
	_, err = e.store.WithdrawConsent(e.ctx, acme, idOf(created), e.now())
	e.must(err)
	_, err = e.store.Commit(e.ctx, c)
	e.refused(err, fault.ConsentWithdrawn)

	b = e.request("t")
	c = e.answer(b, e.claim(b))
	c.Renewal = e.onFile("t", "t").ObtainTime.Add(1)
	_, err = e.store.Commit(e.ctx, c)
	e.refused(err, fault.ConsentRenewalRequired)
}

func commitEvidenceTaken(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	e.onFile("r", "somebody else")
	e.commitRefused(c, fault.ConsentSubjectMismatch)
}

func commitToken(e *env) {
	b := e.request("r")
	c := e.answer(b, e.claim(b))
	c.Token += 1 << 40
	e.commitRefusedOpen(c)
	c.Token = 0
	e.commitRefusedOpen(c)
	c.Token = e.claim(e.request("released")).Token
	e.store.Release(c.Token)
	e.commitRefusedOpen(c)
	b = e.request("twice")
	c = e.answer(b, e.claim(b))
	e.commit(c)
	_, err := e.store.Commit(e.ctx, c)
	e.refused(err, fault.RequestInProgress)
	e.counter(quota, 1, 1)
}

// commitRefusedOpen wants a commit to be no open claim's.
func (e *env) commitRefusedOpen(c *ledger.Commit) {
	e.Helper()
	_, err := e.store.Commit(e.ctx, c)
	e.refused(err, fault.RequestInProgress)
}

func commitRelease(e *env) {
	b := e.request("r")
	begun := e.claim(b)
	e.counter(quota, 0, 1)
	e.store.Release(begun.Token)
	e.store.Release(begun.Token)
	e.store.Release(0)
	e.store.Release(1 << 50)
	e.counter(quota, 0, 0)
	v := e.verify(b)
	e.store.Release(begun.Token)
	e.counter(quota, 1, 0)
	e.replays(b, v)
}

// commitBasis: a legal basis needs no consent and creates none.
func commitBasis(e *env) {
	b := e.request("r")
	b.Consent = ledger.ConsentUse{}
	begun := e.claim(b)
	if begun.Consent != nil {
		e.Errorf("a consent out of nowhere")
	}
	v := e.commit(e.answer(b, begun))
	e.replays(b, v)
	list, _, _, err := e.store.ListConsents(e.ctx, acme, store.ConsentFilter{Limit: 10, Now: e.now()})
	e.must(err)
	e.same("consents on file", len(list), 0)
}
