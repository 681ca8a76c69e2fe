package embedded

import (
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Void and recovery remove verifications by the functions of this file.

// eraseVerification removes from the business store what a commit wrote there, and what it added to totals. A
// consent that the commit created goes with it unless the subject store still knows it.
func (s *Store) eraseVerification(p *pair, v *ledger.Verification, added *addition) error {
	left, found, err := s.readPerson(added.n)
	if err != nil {
		return err
	}
	if !found || left.consent.IsZero() {
		if err := s.eraseConsent(p, v.Client, v.Consent, added.n); err != nil {
			return err
		}
	}
	if err := s.totals.add(added, -1); err != nil {
		return err
	}
	p.business.Delete(verificationKey(nil, v.Client, v.ID))
	p.business.Delete(requestRowKey(nil, v.Client, v.Request))
	p.business.Delete(positionKey(nil, v.Log, v.ID))
	p.business.Delete(pendingKey(nil, v.Client, v.ID))
	p.business.Delete(settledKey(nil, v.Resolution, v.ID))
	s.cover(p)
	return nil
}

// eraseConsent removes a consent from the business store, if operation n created it.
func (s *Store) eraseConsent(p *pair, client string, id ledger.ID, n uint64) error {
	if id.IsZero() {
		return nil
	}
	on, err := s.readConsent(client, id)
	if err != nil || on == nil || on.n != n {
		return err
	}
	for revision := int64(1); revision < on.Revision; revision++ {
		p.business.Delete(oldConsentKey(nil, client, id, revision))
	}
	p.business.Delete(consentKey(nil, client, id))
	return nil
}

// erasePerson removes what an operation left of a person; with keep, all but what belongs to its consent.
func (s *Store) erasePerson(p *pair, left *person, n uint64, keep bool) error {
	if keep {
		b := &scratch{}
		left.verification, left.content = ledger.ID{}, digest.Digest{}
		s.putPerson(p, b, left, left.consent, n)
		return nil
	}
	p.subject.Delete(subjectKey(nil, n))
	for _, h := range left.handles {
		p.subject.Delete(linkKey(nil, h, n))
	}
	if left.consent.IsZero() {
		return nil
	}
	list, err := s.standings(left.evidence)
	if err != nil {
		return err
	}
	stay := list[:0]
	for _, standing := range list {
		if standing.consent != left.consent {
			stay = append(stay, standing)
		}
	}
	s.evidence[s.evidence.of(left.evidence)].version.Add(1)
	if len(stay) == 0 {
		p.subject.Delete(evidenceKey(nil, left.evidence))
	} else {
		p.subject.Set(evidenceKey(nil, left.evidence), appendStandings(nil, stay))
	}
	return nil
}

// consentStays reports whether the consent that an operation created outlives its verification: because it was
// withdrawn, which must be remembered, or because something else rests on it.
func (s *Store) consentStays(left *person) (bool, error) {
	if left.consent.IsZero() {
		return false, nil
	}
	on, err := s.readConsent(left.client, left.consent)
	if err != nil || on == nil {
		return false, err
	}
	stays := on.Revision > 1
	s.claims.each(func(_ *claimShard, cl *claim) { stays = stays || cl.consent == left.consent })
	for _, h := range left.handles {
		if stays {
			break
		}
		err := each(s.subject, append([]byte{rowLink}, h[:]...), nil, func(_, row []byte) error {
			l, err := parseLink(row)
			if err != nil || l.verification.IsZero() || l.verification == left.verification {
				return err
			}
			v, found, err := s.readVerification(l.client, l.verification)
			if err == nil && found && l.client == left.client && v.Consent == left.consent {
				stays = true
				return errStop
			}
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return stays, nil
}
