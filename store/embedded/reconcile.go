package embedded

import (
	"context"
	"encoding/binary"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Mark returns the index below which ledger and log agree.
func (s *Store) Mark(ctx context.Context, origin string) (index uint64, err error) {
	err = s.read(ctx, func() error {
		index, err = s.mark(origin)
		return err
	})
	return index, err
}

func (s *Store) mark(origin string) (uint64, error) {
	row, found, err := s.business.Get(nil, markKey(nil, origin))
	if err != nil || !found {
		return 0, err
	}
	if len(row) != 8 {
		return 0, errRow
	}
	return binary.BigEndian.Uint64(row), nil
}

// SetMark raises the mark, and drops what was only kept to compare what is below it.
func (s *Store) SetMark(_ context.Context, origin string, index uint64) error {
	return s.alone(func(p *pair) error {
		old, err := s.mark(origin)
		if err != nil || index <= old {
			return err
		}
		p.business.Set(markKey(nil, origin), binary.BigEndian.AppendUint64(nil, index))
		s.cover(p)
		for _, letter := range []byte{rowLog, rowSettled} {
			p.business.DeleteRange(logKey(nil, letter, origin, old), logKey(nil, letter, origin, index))
		}
		return nil
	})
}

// Committed walks the verifications of an origin from an index on.
func (s *Store) Committed(ctx context.Context, origin string, from uint64, f func(*ledger.Verification) error) error {
	return s.places(ctx, rowLog, origin, from, func(row []byte) (string, error) {
		added, err := parseAddition(row)
		return added.client, err
	}, f)
}

// Settled walks those that were settled from an index on.
func (s *Store) Settled(ctx context.Context, origin string, from uint64, f func(*ledger.Verification) error) error {
	return s.places(ctx, rowSettled, origin, from, func(row []byte) (string, error) { return string(row), nil }, f)
}

// places walks the rows of a letter that stand at places of an origin, at the mark or above it. client reads whose
// verification a row is of.
func (s *Store) places(ctx context.Context, letter byte, origin string, from uint64, client func(row []byte) (string, error), f func(*ledger.Verification) error) error {
	var failed error
	err := s.read(ctx, func() error {
		mark, err := s.mark(origin)
		if err != nil {
			return err
		}
		return each(s.business, clientKey(nil, letter, origin), logKey(nil, letter, origin, max(from, mark)), func(key, row []byte) error {
			owner, err := client(row)
			if err != nil {
				return err
			}
			v, found, err := s.readVerification(owner, ledger.ID(key[len(key)-len(ledger.ID{}):]))
			if err != nil || !found { // voided since the walk began
				return err
			}
			if failed = f(v); failed != nil {
				return errStop
			}
			return nil
		})
	})
	if failed != nil {
		return failed
	}
	return err
}

// Void removes a verification that was never acknowledged. It removes what is in the subject store first and
// waits for that: half of it leaves a verification that can be voided again.
func (s *Store) Void(_ context.Context, client string, id ledger.ID) error {
	err := s.alone(func(p *pair) error {
		_, added, err := s.voidable(client, id)
		if err != nil {
			return err
		}
		left, found, err := s.readPerson(added.n)
		if err != nil || !found {
			return err
		}
		keep, err := s.consentStays(&left)
		if err != nil {
			return err
		}
		return s.erasePerson(p, &left, added.n, keep)
	})
	if err != nil {
		return err
	}
	return s.alone(func(p *pair) error {
		v, added, err := s.voidable(client, id)
		if err != nil {
			return err
		}
		return s.eraseVerification(p, v, &added)
	})
}

// voidable returns a verification and what it added.
func (s *Store) voidable(client string, id ledger.ID) (*ledger.Verification, addition, error) {
	v, err := s.mustRead(client, id)
	if err != nil {
		return nil, addition{}, err
	}
	row, found, err := s.business.Get(nil, positionKey(nil, v.Log, v.ID))
	if err == nil && !found {
		err = store.ErrConflict
	}
	if err != nil {
		return nil, addition{}, err
	}
	added, err := parseAddition(row)
	return v, added, err
}

// Restamp gives a verification another position.
func (s *Store) Restamp(_ context.Context, client string, id ledger.ID, at ledger.Position) error {
	return s.alone(func(p *pair) error {
		v, err := s.mustRead(client, id)
		if err != nil {
			return err
		}
		old := positionKey(nil, v.Log, v.ID)
		row, found, err := s.business.Get(nil, old)
		if err != nil {
			return err
		}
		mark, err := s.mark(at.Origin)
		if err != nil {
			return err
		}
		v.Log = at
		putVerification(p, v)
		if found {
			p.business.Delete(old)
			if at.Index >= mark {
				p.business.Set(positionKey(nil, at, id), row)
			}
			s.cover(p) // what the moved row added must not depend on it
		}
		return nil
	})
}

// RestampResolution gives a settled verification another position of its settling.
func (s *Store) RestampResolution(_ context.Context, client string, id ledger.ID, at ledger.Position) error {
	return s.alone(func(p *pair) error {
		v, err := s.mustRead(client, id)
		if err != nil {
			return err
		}
		if v.Resolution == (ledger.Position{}) {
			return store.ErrConflict
		}
		p.business.Delete(settledKey(nil, v.Resolution, id))
		v.Resolution = at
		putVerification(p, v)
		return s.putSettled(p, v)
	})
}

// putSettled notes at which place of the log a verification was settled, unless the mark has passed it.
func (s *Store) putSettled(p *pair, v *ledger.Verification) error {
	if v.Resolution == (ledger.Position{}) {
		return nil
	}
	mark, err := s.mark(v.Resolution.Origin)
	if err == nil && v.Resolution.Index >= mark {
		p.business.Set(settledKey(nil, v.Resolution, v.ID), []byte(v.Client))
	}
	return err
}
