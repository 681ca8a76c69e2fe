package embedded

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// committing is one commit from apply to the end of its Wait.
type committing struct {
	pair
	claim   *claim
	pending bool
	begun   time.Time
}

// Commit stores an answer.
func (s *Store) Commit(_ context.Context, c *ledger.Commit) (ledger.Wait, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	cl := s.claims.begin(c.Token, c.Now)
	if cl == nil {
		return nil, inProgress(time.Second)
	}
	w := &committing{claim: cl, pending: c.Verification.State == ledger.Pending, begun: time.Now()}
	s.acts.RLock()
	err := s.commit(w, c)
	s.acts.RUnlock()
	if err != nil {
		s.claims.drop(cl)
		return nil, answer(err)
	}
	return w.wait, nil
}

// commit checks what the claim rests on, and applies. The caller holds acts, so nothing of that changes.
func (s *Store) commit(w *committing, c *ledger.Commit) error {
	v := c.Verification
	if w.claim.struck != 0 {
		return fault.New(w.claim.struck)
	}
	if v.Client != w.claim.key.client || v.Request != w.claim.key.request {
		return defective(errors.New("embedded: the verification is not of the claim's client and request"))
	}
	if c.NewConsent == nil {
		return s.applyCommit(w, c, nil)
	}
	fresh := newConsent{Consent: c.NewConsent, evidence: c.Evidence}
	stripe := &s.evidence[s.evidence.of(c.Evidence)]
	stripe.Lock()
	defer stripe.Unlock()
	known := w.claim.absent && w.claim.evidence == c.Evidence && w.claim.notice == fresh.Notice &&
		w.claim.version == stripe.version.Load()
	if known {
		fresh.others = w.claim.others
	} else {
		on, others, err := s.standing(c.Evidence, fresh.Notice, c.Handles)
		if err != nil {
			return err
		}
		if on != nil {
			return s.commitUnder(w, c, on)
		}
		fresh.others = others
	}
	return s.applyCommit(w, c, &fresh)
}

// commitUnder commits under an equal consent that came on file since the claim.
func (s *Store) commitUnder(w *committing, c *ledger.Commit, on *onFile) error {
	if f := on.Check(c.Now, c.Renewal); f != nil {
		return f
	}
	if err := s.checkPerson(on.n, c.Handles); err != nil {
		return err
	}
	c.Verification.Consent = on.id
	return s.applyCommit(w, c, nil)
}

// newConsent is a consent to be put on file, and what stands under its evidence for other notices.
type newConsent struct {
	*consent.Consent
	evidence digest.Digest
	others   []standing
}

// scratch is room for one row.
type scratch struct{ key, value []byte }

var scratches = sync.Pool{New: func() any {
	return &scratch{make([]byte, 0, 128), make([]byte, 0, 1024)}
}}

// applyCommit writes the rows of one commit. Here, with both batches durable, is where it exists.
func (s *Store) applyCommit(w *committing, c *ledger.Commit, fresh *newConsent) error {
	v, n := c.Verification, s.operation()
	b := scratches.Get().(*scratch)
	defer scratches.Put(b)
	w.pair = s.newPair()

	left := person{client: v.Client, verification: v.ID, content: w.claim.content, handles: c.Handles}
	if fresh != nil {
		if err := s.putConsent(&w.pair, b, fresh, &left, n); err != nil {
			return errors.Join(err, w.drop())
		}
	} else {
		s.putPerson(&w.pair, b, &left, v.Consent, n)
	}

	set(w.business, b, verificationKey(b.key[:0], v.Client, v.ID), ledger.AppendVerification(b.value[:0], v))
	a := answered{v.ID, n}
	set(w.business, b, requestRowKey(b.key[:0], v.Client, v.Request), a.append(b.value[:0]))
	added := addition{n: n, client: v.Client, key: c.UsageKey, counts: c.Usage, pending: w.pending}
	if len(w.claim.counters) > 0 {
		added.counters = make([]string, len(w.claim.counters))
		for i, counter := range w.claim.counters {
			added.counters[i] = counter.key
		}
	}
	set(w.business, b, positionKey(b.key[:0], v.Log, v.ID), added.append(b.value[:0]))
	if w.pending {
		e := encoder{b.value[:0]}
		e.texts(added.counters)
		set(w.business, b, pendingKey(b.key[:0], v.Client, v.ID), e.b)
	}
	if err := s.totals.count(c.UsageKey, &c.Usage); err != nil {
		return errors.Join(err, w.drop())
	}
	for _, counter := range w.claim.counters {
		counter.commit(w.pending)
	}
	return w.apply()
}

// set writes a row whose key and value were built in b's buffers, and keeps those that grew.
func set(batch *sealed.Batch, b *scratch, key, value []byte) {
	batch.Set(key, value)
	b.key, b.value = key, value
}

// putPerson writes what operation n leaves of a person. Its links name the consent that it created, or rests on: whoever
// withdraws by a value that came with a later call meets the consent, too.
func (s *Store) putPerson(p *pair, b *scratch, left *person, under ledger.ID, n uint64) {
	set(p.subject, b, subjectKey(b.key[:0], n), left.append(b.value[:0]))
	to := link{left.client, left.verification, under}
	for _, h := range left.handles {
		set(p.subject, b, linkKey(b.key[:0], h, n), to.append(b.value[:0]))
	}
}

// putConsent writes a consent and what operation n leaves of the person. The caller holds the evidence's lock
// and knows that nothing stands under evidence and notice.
func (s *Store) putConsent(p *pair, b *scratch, fresh *newConsent, left *person, n uint64) error {
	id, err := parseID(fresh.ID)
	if err != nil {
		return err
	}
	on := onFile{Consent: *fresh.Consent, id: id, n: n}
	on.Revision = 1
	set(p.business, b, consentKey(b.key[:0], fresh.Client, id), on.append(b.value[:0]))

	list := append(fresh.others, standing{fresh.Notice, fresh.Client, id, n})
	set(p.subject, b, evidenceKey(b.key[:0], fresh.evidence), appendStandings(b.value[:0], list))
	left.consent, left.evidence, left.notice = id, fresh.evidence, fresh.Notice
	s.putPerson(p, b, left, id, n)
	return nil
}

// wait returns when the commit is durable; only then do twins see it and are its units used.
func (w *committing) wait() error {
	s := w.store
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := w.pair.wait(); err != nil {
		return answer(err)
	}
	for _, counter := range w.claim.counters {
		if !w.pending {
			counter.settle()
		}
		counter.unpin()
	}
	s.claims.end(w.claim)
	s.checkpoints.committed()
	s.options.Committed(time.Since(w.begun))
	return nil
}

// Strike takes the right to commit from the open claims of a scope. What holds acts now has been applied before.
func (s *Store) Strike(_ context.Context, scope ledger.Scope, why fault.Reason) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.acts.Lock()
	defer s.acts.Unlock()
	s.claims.strike(why, func(cl *claim) bool { return scope.Holds(cl.key.client, cl.credential, cl.product) })
	return nil
}

// Release gives up a claim.
func (s *Store) Release(token ledger.Token) {
	if s.gate.enter() == nil {
		s.claims.release(token)
		s.gate.leave()
	}
}
