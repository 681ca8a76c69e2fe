package embedded

import (
	"context"
	"errors"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Verification returns one of a client's verifications.
func (s *Store) Verification(ctx context.Context, client string, id ledger.ID) (v *ledger.Verification, err error) {
	err = s.read(ctx, func() (err error) {
		v, err = s.mustRead(client, id)
		return err
	})
	return v, err
}

// readVerification reads a V row, or says that there is none.
func (s *Store) readVerification(client string, id ledger.ID) (*ledger.Verification, bool, error) {
	row, found, err := s.business.Get(nil, verificationKey(nil, client, id))
	if err != nil || !found {
		return nil, false, err
	}
	v := new(ledger.Verification)
	if err := ledger.ParseVerification(row, v); err != nil {
		return nil, false, err
	}
	return v, true, nil
}

// mustRead reads a V row, or answers ErrNotFound.
func (s *Store) mustRead(client string, id ledger.ID) (*ledger.Verification, error) {
	v, found, err := s.readVerification(client, id)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return v, err
}

// ListVerifications returns a client's verifications.
func (s *Store) ListVerifications(ctx context.Context, client string, f store.VerificationFilter) (list []*ledger.Verification, next ledger.ID, more bool, err error) {
	err = s.read(ctx, func() error {
		next, more, err = scan(s.business, clientKey(nil, rowVerification, client), f.Before, func(row []byte) (bool, error) {
			v := new(ledger.Verification)
			if err := ledger.ParseVerification(row, v); err != nil {
				return false, err
			}
			if selected(v, &f) {
				list = append(list, v)
			}
			return len(list) == f.Limit, nil
		})
		return err
	})
	return list, next, more, err
}

func selected(v *ledger.Verification, f *store.VerificationFilter) bool {
	switch {
	case v.State == ledger.Deleted,
		!f.Start.IsZero() && v.VerifyTime.Before(f.Start),
		!f.End.IsZero() && !v.VerifyTime.Before(f.End),
		f.Product != "" && f.Product != string(v.Product),
		f.LegalBasis != "" && f.LegalBasis != v.LegalBasis,
		f.State != 0 && f.State != v.State,
		!f.Reference.IsZero() && f.Reference != v.Reference,
		!f.Request.IsZero() && f.Request != v.Request:
		return false
	}
	return true
}

// putVerification writes a V row.
func putVerification(p *pair, v *ledger.Verification) {
	p.business.Set(verificationKey(nil, v.Client, v.ID), ledger.AppendVerification(nil, v))
}

// operationOf returns the number of the operation that committed v.
func (s *Store) operationOf(v *ledger.Verification) (uint64, error) {
	row, found, err := s.business.Get(nil, requestRowKey(nil, v.Client, v.Request))
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, errRow
	}
	a, err := parseAnswered(row)
	if err == nil && a.id != v.ID {
		err = errRow
	}
	return a.n, err
}

// DeleteVerification strips one.
func (s *Store) DeleteVerification(_ context.Context, client string, id ledger.ID) error {
	return s.alone(func(p *pair) error {
		v, err := s.mustRead(client, id)
		if err != nil {
			return err
		}
		if v.State == ledger.Pending {
			return store.ErrConflict
		}
		v.Strip()
		putVerification(p, v)
		return s.forgetContent(p, v)
	})
}

// forgetContent removes the content digest, and leaves the links for an erasure to find.
func (s *Store) forgetContent(p *pair, v *ledger.Verification) error {
	n, err := s.operationOf(v)
	if err != nil {
		return err
	}
	left, found, err := s.readPerson(n)
	if err != nil || !found {
		return err
	}
	left.content = digest.Digest{}
	p.subject.Set(subjectKey(nil, n), left.append(nil))
	return nil
}

// ListPending returns pending verifications.
func (s *Store) ListPending(ctx context.Context, client, afterClient string, afterID ledger.ID, limit int) (list []*ledger.Verification, err error) {
	err = s.read(ctx, func() error {
		prefix, start := []byte{rowPending}, after(pendingKey(nil, afterClient, afterID))
		if client != "" {
			prefix = clientKey(nil, rowPending, client)
		}
		return each(s.business, prefix, start, func(key, _ []byte) error {
			if len(list) == limit {
				return errStop
			}
			owner, id, ok := cutText(key[1:])
			if !ok || len(id) != len(ledger.ID{}) {
				return errRow
			}
			v, found, err := s.readVerification(owner, ledger.ID(id))
			if found && v.State == ledger.Pending { // it may have been settled since the walk began
				list = append(list, v)
			}
			return err
		})
	})
	return list, err
}

// ResolvePending settles one.
func (s *Store) ResolvePending(_ context.Context, v *ledger.Verification, delta usage.Counts) error {
	return s.alone(func(p *pair) error {
		old, err := s.mustRead(v.Client, v.ID)
		if err != nil {
			return err
		}
		if old.State != ledger.Pending || old.Request != v.Request {
			return store.ErrConflict
		}
		if v.State == ledger.Pending {
			return defective(errors.New("embedded: a pending verification is settled as pending"))
		}
		keys, err := s.pendingCounters(v)
		if err != nil {
			return err
		}
		used := int64(1)
		if v.Verdict == 0 && v.State == ledger.Deleted {
			used = 0
			if err := s.forgetContent(p, old); err != nil {
				return err
			}
		}
		settled := *v
		settled.Log = old.Log
		p.business.Delete(pendingKey(nil, v.Client, v.ID))
		putVerification(p, &settled)
		if err := s.putSettled(p, &settled); err != nil {
			return err
		}
		if err := s.resettle(p, old, delta, keys[:int(used)*len(keys)]); err != nil {
			return err
		}
		return s.settlePending(p, old, keys, used, delta)
	})
}

// settlePending moves the units of a pending verification.
func (s *Store) settlePending(p *pair, old *ledger.Verification, keys []string, used int64, delta usage.Counts) error {
	key := usage.Key{Day: workday.DateOf(old.VerifyTime), Client: old.Client, Product: old.Product, Test: old.Test}
	if err := s.totals.load(&addition{key: key, counters: keys}); err != nil {
		return err
	}
	if err := s.totals.count(key, &delta); err != nil {
		return err
	}
	if err := s.totals.move(keys, used, -1); err != nil {
		return err
	}
	s.cover(p)
	return nil
}

// pendingCounters returns the counters that a pending verification holds.
func (s *Store) pendingCounters(v *ledger.Verification) ([]string, error) {
	row, found, err := s.business.Get(nil, pendingKey(nil, v.Client, v.ID))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRow
	}
	d := decoder{b: row}
	keys := d.texts()
	return keys, d.done()
}

// resettle changes what a verification is on record to have added, in case it is voided later.
func (s *Store) resettle(p *pair, v *ledger.Verification, delta usage.Counts, used []string) error {
	key := positionKey(nil, v.Log, v.ID)
	row, found, err := s.business.Get(nil, key)
	if err != nil || !found {
		return err
	}
	added, err := parseAddition(row)
	if err != nil {
		return err
	}
	added.counts.Add(delta)
	added.counters, added.pending = used, false
	p.business.Set(key, added.append(nil))
	return nil
}
