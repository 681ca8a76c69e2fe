package storetest

import (
	"fmt"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

func consentsCreate(e *env) {
	c := e.consentOf(acme, notice)
	c.Guardian, c.Test = true, true
	want := *c
	e.same("the new consent", e.onFileAs(c, "r", "alice"), &want)
	got, err := e.store.ConsentByEvidence(e.ctx, evidence("r"), notice)
	e.must(err)
	e.same("by evidence", got, &want)
	_, err = e.store.ConsentByEvidence(e.ctx, evidence("r"), "other")
	e.wants(err, store.ErrNotFound)
	_, err = e.store.ConsentByEvidence(e.ctx, evidence("s"), notice)
	e.wants(err, store.ErrNotFound)
}

func consentsAgain(e *env) {
	first := e.onFile("r", "alice")
	e.same("the same evidence again", e.onFile("r", "alice"), first)
	other := e.onFileAs(e.consentOf(acme, "another"), "r", "alice") // one evidence, two notices
	if other.ID == first.ID {
		e.Errorf("two notices share a consent")
	}
	list, _, _, err := e.store.ListConsents(e.ctx, acme, store.ConsentFilter{Limit: 10, Now: e.now()})
	e.must(err)
	e.same("consents on file", len(list), 2)
}

func consentsRefused(e *env) {
	refused := func(name, to, person string, want fault.Reason) {
		e.Helper()
		_, err := e.store.CreateConsent(e.ctx, e.consentOf(acme, to), evidence(name), handles(person), restrictions(person))
		e.refused(err, want)
	}
	c := e.onFile("r", "alice")
	refused("r", notice, "bob", fault.ConsentSubjectMismatch)
	refused("r", "another", "bob", fault.ConsentSubjectMismatch)
	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	refused("r", notice, "alice", fault.ConsentWithdrawn)
	_, err = e.store.WithdrawEvidence(e.ctx, evidence("s"), notice, e.now())
	e.must(err)
	refused("s", notice, "alice", fault.ConsentWithdrawn)
	e.must(e.store.Restrict(e.ctx, restrictions("carol"), store.Suppressed, time.Time{}))
	refused("t", notice, "carol", fault.SubjectUnavailable)
	list, _, _, err := e.store.ListConsents(e.ctx, acme, store.ConsentFilter{Limit: 10, Now: e.now()})
	e.must(err)
	e.same("consents on file", len(list), 1)
}

func consentsGet(e *env) {
	c := e.onFile("r", "alice")
	e.onFileAs(e.consentOf("zebra", notice), "z", "alice")
	for _, client := range []string{acme, ""} {
		for _, revision := range []int64{0, 1} {
			got, err := e.store.Consent(e.ctx, client, idOf(c), revision)
			e.must(err)
			e.same("the consent", got, c)
		}
	}
	w, err := e.store.WithdrawConsent(e.ctx, acme, idOf(c), e.now())
	e.must(err)
	for revision, want := range map[int64]*consent.Consent{0: w, 1: c, 2: w} {
		got, err := e.store.Consent(e.ctx, acme, idOf(c), revision)
		e.must(err)
		e.same(fmt.Sprint("revision ", revision), got, want)
	}
	for _, miss := range []struct {
		client   string
		id       ledger.ID
		revision int64
	}{{"other", idOf(c), 0}, {acme, e.id(), 0}, {"", e.id(), 0}, {acme, idOf(c), 3}} {
		_, err = e.store.Consent(e.ctx, miss.client, miss.id, miss.revision)
		e.wants(err, store.ErrNotFound)
	}
}

func consentsList(e *env) {
	var made []*consent.Consent
	var renewal time.Time
	for i := range 5 {
		c := e.consentOf(acme, notice)
		switch i {
		case 1:
			c.Notice = "another"
		case 2:
			c.ExpireTime = e.now().Add(-time.Second)
		case 4:
			c.ObtainTime = c.ObtainTime.Add(time.Minute)
			renewal = c.ObtainTime
		}
		made = append(made, e.onFileAs(c, fmt.Sprint(i), fmt.Sprint(i)))
	}
	e.onFileAs(e.consentOf("other", notice), "o", "o")
	var err error
	made[3], err = e.store.WithdrawConsent(e.ctx, acme, idOf(made[3]), e.now())
	e.must(err)
	for name, c := range map[string]struct {
		filter store.ConsentFilter
		want   []int
	}{
		"everything":     {store.ConsentFilter{}, []int{4, 3, 2, 1, 0}},
		"a notice":       {store.ConsentFilter{Notice: "another"}, []int{1}},
		"active":         {store.ConsentFilter{Status: consent.Active}, []int{4, 1, 0}},
		"withdrawn":      {store.ConsentFilter{Status: consent.Withdrawn}, []int{3}},
		"expired":        {store.ConsentFilter{Status: consent.Expired}, []int{2}},
		"renewed":        {store.ConsentFilter{Status: consent.Active, Renewal: renewal}, []int{4}},
		"to be renewed":  {store.ConsentFilter{Status: consent.NeedsRenewal, Renewal: renewal}, []int{1, 0}},
		"before another": {store.ConsentFilter{Before: idOf(made[2])}, []int{1, 0}},
	} {
		for _, c.filter.Limit = range []int{1, 2, 100} {
			f := c.filter
			f.Now = e.now()
			var want, got []*consent.Consent
			for _, i := range c.want {
				want = append(want, made[i])
			}
			for more := true; more; {
				var page []*consent.Consent
				page, f.Before, more, err = e.store.ListConsents(e.ctx, acme, f)
				e.must(err)
				if got = append(got, page...); len(page) > f.Limit || len(got) > len(made) {
					e.Fatalf("%s: a page of %d, %d in all", name, len(page), len(got))
				}
			}
			e.same(name, got, want)
		}
	}
}

func consentsWithdraw(e *env) {
	c := e.onFile("r", "alice")
	_, err := e.store.WithdrawConsent(e.ctx, "other", idOf(c), e.now())
	e.wants(err, store.ErrNotFound)
	_, err = e.store.WithdrawConsent(e.ctx, acme, e.id(), e.now())
	e.wants(err, store.ErrNotFound)
	when := e.now().Truncate(time.Millisecond)
	want := *c
	want.Status, want.WithdrawTime, want.Revision = consent.Withdrawn, when, 2
	for _, client := range []string{"", acme, ""} {
		got, err := e.store.WithdrawConsent(e.ctx, client, idOf(c), when)
		e.must(err)
		e.same("the withdrawn consent", got, &want)
		when = when.Add(time.Hour)
	}
}

func consentsWithdrawEvidence(e *env) {
	c := e.onFile("r", "alice")
	e.onFileAs(e.consentOf(acme, "another"), "r", "alice")
	when := e.now().Truncate(time.Millisecond)
	want := *c
	want.Status, want.WithdrawTime, want.Revision = consent.Withdrawn, when, 2
	for range 2 {
		list, err := e.store.WithdrawEvidence(e.ctx, evidence("r"), notice, when)
		e.must(err)
		e.same("what was withdrawn", list, []*consent.Consent{&want})
		when = when.Add(time.Hour)
	}
	got, err := e.store.ConsentByEvidence(e.ctx, evidence("r"), "another")
	e.must(err)
	e.same("the other notice's consent", got.Status, consent.Active)

	for range 2 {
		list, err := e.store.WithdrawEvidence(e.ctx, evidence("nothing"), notice, when)
		e.must(err)
		e.same("under a tombstone", len(list), 0)
		_, err = e.store.ConsentByEvidence(e.ctx, evidence("nothing"), notice)
		e.wants(err, store.ErrNotFound)
		e.reopen()
	}
	e.beginRefused(e.requestOf(acme, "nothing", "alice"), fault.ConsentWithdrawn)
}

func consentsWithdrawSubject(e *env) {
	mine := []*consent.Consent{e.onFile("a", "alice"), e.onFile("b", "alice")}
	others := e.onFileAs(e.consentOf("other", notice), "c", "alice")
	bobs := e.onFile("d", "bob")
	when := e.now().Truncate(time.Millisecond)
	status := func(c *consent.Consent, want consent.Status) {
		e.Helper()
		got, err := e.store.Consent(e.ctx, "", idOf(c), 0)
		e.must(err)
		e.same("status", got.Status, want)
	}
	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(mine[0]), when)
	e.must(err)
	for range 2 {
		list, err := e.store.WithdrawSubject(e.ctx, acme, append(handles("nobody"), handles("alice")...), when)
		e.must(err)
		if len(list) != 2 || list[0].ID != mine[0].ID || list[1].ID != mine[1].ID || !list[0].WithdrawTime.Equal(e.withdrawTime(mine[0])) {
			e.Errorf("withdrew %d consents, want both of the person's", len(list))
		}
	}
	status(mine[1], consent.Withdrawn)
	status(others, consent.Active)
	status(bobs, consent.Active)
	list, err := e.store.WithdrawSubject(e.ctx, "", handles("alice")[1:], when.Add(time.Hour))
	e.must(err)
	e.same("at all clients", len(list), 3)
	status(others, consent.Withdrawn)
	status(bobs, consent.Active)
	if !e.withdrawTime(mine[0]).Equal(when) {
		e.Errorf("a later withdrawal changed the time of the first")
	}
}

// consentsWithdrawLater: a consent is met by the values of any call that was committed under it, not only by those it was
// put on file with (MV-5.4-withdraw).
func consentsWithdrawLater(e *env) {
	for name, rest := range map[string]func(*ledger.Begin, *consent.Consent, digest.Digest){
		"by id":  func(b *ledger.Begin, c *consent.Consent, _ digest.Digest) { under(b, c) },
		"inline": func(b *ledger.Begin, _ *consent.Consent, ref digest.Digest) { b.Consent.Evidence = ref },
	} {
		c := e.onFile(name, "alice")
		card := sum("card of alice, " + name)
		b := e.requestOf(acme, "later "+name, "alice")
		rest(b, c, evidence(name))
		b.Handles = append(b.Handles, card)
		e.commit(e.answer(b, e.begin(b)))
		list, err := e.store.WithdrawSubject(e.ctx, acme, []subject.Handle{card}, e.now())
		e.must(err)
		if len(list) != 1 || list[0].ID != c.ID {
			e.Errorf("%s: withdrew %d consents, want the one that the card was used under", name, len(list))
		}
		again := e.requestOf(acme, "again "+name, "alice")
		_, err = e.store.Begin(e.ctx, under(again, c))
		e.refused(err, fault.ConsentWithdrawn)
	}
}

func (e *env) withdrawTime(c *consent.Consent) time.Time {
	e.Helper()
	got, err := e.store.Consent(e.ctx, "", idOf(c), 0)
	e.must(err)
	return got.WithdrawTime
}

func consentsDurable(e *env) {
	kept, gone := e.onFile("a", "alice"), e.onFile("b", "alice")
	_, err := e.store.WithdrawConsent(e.ctx, acme, idOf(gone), e.now())
	e.must(err)
	e.reopen()
	got, err := e.store.ConsentByEvidence(e.ctx, evidence("a"), notice)
	e.must(err)
	e.same("the consent", got, kept)
	e.beginRefused(e.requestOf(acme, "b", "alice"), fault.ConsentWithdrawn)
	e.beginRefused(e.requestOf(acme, "a", "bob"), fault.ConsentSubjectMismatch)
	e.claim(under(e.requestOf(acme, "a", "alice"), kept))
}
