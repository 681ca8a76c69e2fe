package embedded

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

// Begin claims a request.
func (s *Store) Begin(ctx context.Context, b *ledger.Begin) (ledger.Begun, error) {
	if err := s.gate.enter(); err != nil {
		return ledger.Begun{}, err
	}
	defer s.gate.leave()
	for now := b.Now; ; now = s.options.Now() {
		begun, twin, err := s.tryBegin(b, now)
		if twin == nil {
			return begun, answer(err)
		}
		if err := s.await(ctx, twin); err != nil {
			return ledger.Begun{}, err
		}
	}
}

// await returns nil when the twin has ended or its lease may be over, and else why nobody can wait longer.
func (s *Store) await(ctx context.Context, twin *twin) error {
	left := time.Second
	var over <-chan time.Time
	if !twin.expires.IsZero() {
		left = twin.expires.Sub(s.options.Now())
		lease := time.NewTimer(max(left, time.Millisecond))
		defer lease.Stop()
		over = lease.C
	}
	// The answer that there is a twin has to reach the caller: it leaves a little before the call's time is over.
	var enough <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		whole := time.Until(deadline)
		timer := time.NewTimer(whole - min(whole/10, farewell))
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-twin.ended:
	case <-over:
	case <-s.gate.shut:
		return s.gate.why()
	case <-enough:
		return inProgress(min(max(left, 100*time.Millisecond), time.Second))
	case <-ctx.Done():
		return inProgress(min(max(left, 100*time.Millisecond), time.Second)).WithCause(ctx.Err())
	}
	return nil
}

// farewell is how long before the end of a call its wait for a twin is given up, at most.
const farewell = 200 * time.Millisecond

func inProgress(retry time.Duration) *fault.Fault {
	return fault.New(fault.RequestInProgress).WithRetryAfter(retry)
}

// tryBegin goes through the gates once. Where a twin has the claim it returns the twin.
func (s *Store) tryBegin(b *ledger.Begin, now time.Time) (begun ledger.Begun, twin *twin, err error) {
	s.acts.RLock()
	defer s.acts.RUnlock()
	if s.restrictions.any(b.Restrictions, now) {
		return begun, nil, restricted()
	}
	cl := &claim{
		key: requestKey{b.Client, b.Request}, credential: b.Credential, product: b.Product, expires: now.Add(b.Lease), content: b.Content,
		handles: b.Handles, restrictions: b.Restrictions, evidence: b.Consent.Evidence, notice: b.Consent.Notice,
	}
	if err := s.beginConsent(b, now, cl, &begun); err != nil {
		return begun, nil, err
	}
	if twin := s.claims.put(cl, now); twin != nil {
		return ledger.Begun{}, twin, nil
	}
	// The claim comes before the look-up: whoever committed before it is found, whoever comes after waits.
	if begun.Replay, err = s.replay(b); err == nil && begun.Replay == nil {
		err = s.reserve(b, cl, now)
	}
	if err != nil || begun.Replay != nil {
		s.claims.drop(cl)
		return begun, nil, err
	}
	begun.Token = cl.token
	return begun, nil, nil
}

// beginConsent is the gate of the consent. It notes in cl what it rests on.
func (s *Store) beginConsent(b *ledger.Begin, now time.Time, cl *claim, begun *ledger.Begun) error {
	var on *onFile
	var err error
	switch use := &b.Consent; {
	case !use.ID.IsZero():
		if on, err = s.readConsent(b.Client, use.ID); err != nil {
			return err
		}
		if on == nil {
			return fault.New(fault.ConsentMissing)
		}
	case !use.Evidence.IsZero():
		cl.version = s.evidence[s.evidence.of(use.Evidence)].version.Load()
		if on, cl.others, err = s.standing(use.Evidence, use.Notice, b.Handles); err != nil {
			return err
		}
		if cl.absent = on == nil; cl.absent {
			return nil
		}
	default:
		return nil
	}
	if f := on.Check(now, b.Renewal); f != nil {
		return f
	}
	if err := s.checkPerson(on.n, b.Handles); err != nil {
		return err
	}
	cl.consent, begun.Consent = on.id, &on.Consent
	return nil
}

// standing returns the consent that stands under evidence and notice, or without one what stands under the
// evidence for other notices. A tombstone is CONSENT_WITHDRAWN, another notice's consent of another person a
// mismatch.
func (s *Store) standing(evidence digest.Digest, notice string, handles []subject.Handle) (*onFile, []standing, error) {
	list, err := s.standings(evidence)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		if list[i].notice != notice {
			continue
		}
		if list[i].consent.IsZero() {
			return nil, nil, withdrawn()
		}
		on, err := s.readConsent(list[i].client, list[i].consent)
		if err == nil && on == nil {
			err = errRow
		}
		return on, nil, err
	}
	for i := range list {
		if list[i].consent.IsZero() {
			continue
		}
		if err := s.checkPerson(list[i].n, handles); err != nil {
			return nil, nil, err
		}
	}
	return nil, list, nil
}

func (s *Store) standings(evidence digest.Digest) ([]standing, error) {
	row, found, err := s.subject.Get(nil, evidenceKey(nil, evidence))
	if err != nil || !found {
		return nil, err
	}
	return parseStandings(row)
}

// checkPerson refuses handles that have none in common with those that operation n put on file.
func (s *Store) checkPerson(n uint64, handles []subject.Handle) error {
	p, found, err := s.readPerson(n)
	if err != nil {
		return err
	}
	if !found || !subject.Common(p.handles, handles) {
		return mismatch()
	}
	return nil
}

func (s *Store) readPerson(n uint64) (person, bool, error) {
	row, found, err := s.subject.Get(nil, subjectKey(nil, n))
	if err != nil || !found {
		return person{}, false, err
	}
	p, err := parsePerson(row)
	return p, err == nil, err
}

// replay returns the stored answer to the same request, nil where there is none.
func (s *Store) replay(b *ledger.Begin) (*ledger.Verification, error) {
	row, found, err := s.business.Get(nil, requestRowKey(nil, b.Client, b.Request))
	if err != nil || !found {
		return nil, err
	}
	a, err := parseAnswered(row)
	if err != nil {
		return nil, err
	}
	reused := fault.New(fault.RequestIDReused)
	p, found, err := s.readPerson(a.n)
	if err != nil {
		return nil, err
	}
	if !found || p.content.IsZero() || subtle.ConstantTimeCompare(p.content[:], b.Content[:]) != 1 {
		return nil, reused
	}
	v, found, err := s.readVerification(b.Client, a.id)
	if err != nil {
		return nil, err
	}
	if !found || v.State == ledger.Deleted {
		return nil, reused
	}
	return v, nil
}

// reserve takes every reserve, or none.
func (s *Store) reserve(b *ledger.Begin, cl *claim, now time.Time) error {
	counters := make([]*counter, 0, len(b.Reserves))
	giveBack := func() {
		for _, c := range counters {
			c.giveBack()
			c.unpin()
		}
	}
	for i := range b.Reserves {
		r := &b.Reserves[i]
		c, err := s.totals.counter(r.Key)
		if err != nil {
			giveBack()
			return err
		}
		taken := c.take(r.Limit)
		if !taken {
			s.claims.sweep(now)
			taken = c.take(r.Limit)
		}
		if !taken {
			c.unpin()
			giveBack()
			return fault.New(r.Reason).WithQuota(r.Name)
		}
		counters = append(counters, c)
	}
	if !s.claims.hold(cl, counters) {
		giveBack()
		return inProgress(100 * time.Millisecond)
	}
	return nil
}
