package embedded

import (
	"context"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Peek tells what Begin would find.
func (s *Store) Peek(ctx context.Context, b *ledger.Begin) (seen ledger.Seen, err error) {
	err = s.read(ctx, func() error {
		s.claims.sweep(b.Now)
		s.acts.RLock()
		defer s.acts.RUnlock()
		return s.peek(b, &seen)
	})
	return seen, err
}

// peek goes through the gates of tryBegin without a claim. The caller holds acts.
func (s *Store) peek(b *ledger.Begin, seen *ledger.Seen) error {
	if s.restrictions.any(b.Restrictions, b.Now) {
		if err := seen.Note(restricted()); err != nil {
			return err
		}
	}
	var begun ledger.Begun
	if err := seen.Note(s.beginConsent(b, b.Now, &claim{}, &begun)); err != nil {
		return err
	}
	seen.Consent = begun.Consent
	replay, err := s.replay(b)
	if err = seen.Note(err); err != nil {
		return err
	}
	if seen.Replay = replay; replay != nil {
		return nil
	}
	for i := range b.Reserves {
		r := &b.Reserves[i]
		c, err := s.totals.counter(r.Key)
		if err != nil {
			return err
		}
		c.Lock()
		full := c.full(r.Limit)
		c.Unlock()
		c.unpin()
		if full {
			if err := seen.Note(fault.New(r.Reason).WithQuota(r.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}
