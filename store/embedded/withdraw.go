package embedded

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

// WithdrawConsent withdraws one by id.
func (s *Store) WithdrawConsent(_ context.Context, client string, id ledger.ID, now time.Time) (*consent.Consent, error) {
	var result *consent.Consent
	err := s.alone(func(p *pair) error {
		on, err := s.readConsent(client, id)
		if err != nil {
			return err
		}
		if on == nil {
			return store.ErrNotFound
		}
		s.withdraw(p, on, now)
		result = &on.Consent
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// withdraw makes a consent withdrawn, if it is not, and strikes the claims under it. The caller holds acts for
// writing. The next commit that would use the consent has either been applied already or finds its claim
// struck; a claim made before the consent reads it at its commit.
func (s *Store) withdraw(p *pair, on *onFile, now time.Time) {
	if on.Status == consent.Withdrawn {
		return
	}
	p.business.Set(oldConsentKey(nil, on.Client, on.id, on.Revision), on.append(nil))
	on.Status, on.WithdrawTime, on.Revision = consent.Withdrawn, now.UTC(), on.Revision+1
	p.business.Set(consentKey(nil, on.Client, on.id), on.append(nil))
	s.claims.strike(fault.ConsentWithdrawn, func(cl *claim) bool { return cl.consent == on.id })
}

// WithdrawEvidence withdraws what stands under an evidence, or leaves a tombstone.
func (s *Store) WithdrawEvidence(_ context.Context, evidence digest.Digest, notice string, now time.Time) ([]*consent.Consent, error) {
	var result []*consent.Consent
	err := s.alone(func(p *pair) error {
		list, err := s.standings(evidence)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].notice != notice {
				continue
			}
			if list[i].consent.IsZero() {
				return nil // the tombstone is there
			}
			on, err := s.readConsent(list[i].client, list[i].consent)
			if err != nil {
				return err
			}
			if on == nil {
				return errRow
			}
			s.withdraw(p, on, now)
			result = append(result, &on.Consent)
			return nil
		}
		// A claim that found nothing here reads it again at its commit: the version says so.
		s.evidence[s.evidence.of(evidence)].version.Add(1)
		list = append(list, standing{notice: notice})
		p.subject.Set(evidenceKey(nil, evidence), appendStandings(nil, list))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// WithdrawSubject withdraws what stands under any of the handles.
func (s *Store) WithdrawSubject(_ context.Context, client string, handles []subject.Handle, now time.Time) ([]*consent.Consent, error) {
	var result []*consent.Consent
	err := s.alone(func(p *pair) error {
		links, err := s.consentLinks(client, handles)
		if err != nil {
			return err
		}
		for _, l := range links {
			on, err := s.readConsent(l.client, l.consent)
			if err != nil {
				return err
			}
			if on == nil && !l.verification.IsZero() {
				continue // of a use: the consent was voided with the call that created it
			}
			if on == nil {
				return errRow
			}
			s.withdraw(p, on, now)
			result = append(result, &on.Consent)
		}
		s.claims.strike(fault.SubjectUnavailable, func(cl *claim) bool {
			return (client == "" || client == cl.key.client) && subject.Common(cl.handles, handles)
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// consentLinks returns the links to consents under handles, each consent once, by id.
func (s *Store) consentLinks(client string, handles []subject.Handle) ([]link, error) {
	var found []link
	for _, h := range handles {
		err := each(s.subject, append([]byte{rowLink}, h[:]...), nil, func(_, row []byte) error {
			l, err := parseLink(row)
			if err == nil && !l.consent.IsZero() && (client == "" || client == l.client) {
				found = append(found, l)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b link) int { return bytes.Compare(a.consent[:], b.consent[:]) })
	return slices.CompactFunc(found, func(a, b link) bool { return a.consent == b.consent }), nil
}
