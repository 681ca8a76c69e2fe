package embedded

import (
	"bytes"
	"context"
	"sync"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

// scanRows is how many rows one call of a list looks at.
const scanRows = 1000

// CreateConsent puts a consent on file.
func (s *Store) CreateConsent(_ context.Context, c *consent.Consent, evidence digest.Digest, handles, restrictions []subject.Handle) (*consent.Consent, error) {
	var result *consent.Consent
	stripe := &s.evidence[s.evidence.of(evidence)]
	err := s.write(lockers{s.acts.RLocker(), stripe}, func(p *pair) error {
		if s.restrictions.any(restrictions, s.options.Now()) {
			return restricted()
		}
		on, others, err := s.standing(evidence, c.Notice, handles)
		if err != nil {
			return err
		}
		if on != nil {
			result, err = s.sameConsent(on, handles)
			return err
		}
		result, err = s.createConsent(p, &newConsent{Consent: c, evidence: evidence, others: others}, handles)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// lockers are locked in their order.
type lockers []sync.Locker

func (l lockers) Lock() {
	for _, lock := range l {
		lock.Lock()
	}
}

func (l lockers) Unlock() {
	for i := len(l) - 1; i >= 0; i-- {
		l[i].Unlock()
	}
}

// sameConsent answers where an equal consent is on file already.
func (s *Store) sameConsent(on *onFile, handles []subject.Handle) (*consent.Consent, error) {
	if on.Status == consent.Withdrawn {
		return nil, withdrawn()
	}
	if err := s.checkPerson(on.n, handles); err != nil {
		return nil, err
	}
	return &on.Consent, nil
}

func (s *Store) createConsent(p *pair, fresh *newConsent, handles []subject.Handle) (*consent.Consent, error) {
	n := s.operation()
	left := person{client: fresh.Client, handles: handles}
	b := scratches.Get().(*scratch)
	defer scratches.Put(b)
	if err := s.putConsent(p, b, fresh, &left, n); err != nil {
		return nil, err
	}
	// The business half of the pair is found by this row after a crash: see recover.go.
	created := addition{n: n, client: fresh.Client, consent: left.consent}
	p.business.Set(operationKey(nil, n), created.append(nil))
	result := *fresh.Consent
	result.Revision = 1
	return &result, nil
}

// readConsent returns a consent at its newest revision, nil where there is none. Empty client = any.
func (s *Store) readConsent(client string, id ledger.ID) (*onFile, error) {
	if client == "" {
		return s.findConsent(id)
	}
	row, found, err := s.business.Get(nil, consentKey(nil, client, id))
	if err != nil || !found {
		return nil, err
	}
	return parseOnFile(row)
}

// findConsent looks for a consent at each client. Rows are ordered by client, because clients list theirs and
// only an officer asks across clients.
func (s *Store) findConsent(id ledger.ID) (*onFile, error) {
	iter, err := s.business.NewIter([]byte{rowConsent})
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	for more := iter.Next(); more; {
		client, _, ok := cutText(iter.Key()[1:])
		if !ok {
			return nil, errRow
		}
		key := consentKey(nil, client, id)
		if more = iter.SeekGE(key); more && bytes.Equal(iter.Key(), key) {
			return parseOnFile(iter.Value())
		}
		// The text's end is 00 01; 00 02 comes after all of the client's rows.
		next := clientKey(nil, rowConsent, client)
		next[len(next)-1] = 2
		more = iter.SeekGE(next)
	}
	return nil, iter.Err()
}

// Consent returns one consent.
func (s *Store) Consent(ctx context.Context, client string, id ledger.ID, revision int64) (result *consent.Consent, err error) {
	err = s.read(ctx, func() error {
		on, err := s.readConsent(client, id)
		if err != nil {
			return err
		}
		if on != nil && revision != 0 && revision != on.Revision {
			on, err = s.readOldConsent(on.Client, id, revision)
			if err != nil {
				return err
			}
		}
		if on == nil {
			return store.ErrNotFound
		}
		result = &on.Consent
		return nil
	})
	return result, err
}

func (s *Store) readOldConsent(client string, id ledger.ID, revision int64) (*onFile, error) {
	row, found, err := s.business.Get(nil, oldConsentKey(nil, client, id, revision))
	if err != nil || !found {
		return nil, err
	}
	return parseOnFile(row)
}

// ConsentByEvidence returns the consent under an evidence.
func (s *Store) ConsentByEvidence(ctx context.Context, evidence digest.Digest, notice string) (result *consent.Consent, err error) {
	err = s.read(ctx, func() error {
		list, err := s.standings(evidence)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].notice != notice || list[i].consent.IsZero() {
				continue
			}
			on, err := s.readConsent(list[i].client, list[i].consent)
			if err != nil {
				return err
			}
			if on != nil {
				result = &on.Consent
				return nil
			}
		}
		return store.ErrNotFound
	})
	return result, err
}

// ListConsents returns a client's consents.
func (s *Store) ListConsents(ctx context.Context, client string, f store.ConsentFilter) (list []*consent.Consent, next ledger.ID, more bool, err error) {
	err = s.read(ctx, func() error {
		next, more, err = scan(s.business, clientKey(nil, rowConsent, client), f.Before, func(row []byte) (bool, error) {
			on, err := parseOnFile(row)
			if err != nil {
				return false, err
			}
			if (f.Notice == "" || f.Notice == on.Notice) && (f.Status == 0 || f.Status == on.StatusAt(f.Now, f.Renewal)) {
				list = append(list, &on.Consent)
			}
			return len(list) == f.Limit, nil
		})
		return err
	})
	return list, next, more, err
}

// scan gives take the values of rows under prefix whose inverted id comes after that of before, until take has
// enough or scanRows were looked at. Where rows are left, more is true and next is the last id looked at.
func scan(db *sealed.DB, prefix []byte, before ledger.ID, take func(row []byte) (enough bool, err error)) (next ledger.ID, more bool, err error) {
	start := prefix
	if !before.IsZero() {
		start = after(appendInverted(bytes.Clone(prefix), before))
	}
	looked, enough := 0, false
	err = each(db, prefix, start, func(key, row []byte) (err error) {
		if enough || looked == scanRows {
			more = true
			return errStop
		}
		looked++
		next, _ = invertedID(key)
		enough, err = take(row)
		return err
	})
	return next, more, err
}
