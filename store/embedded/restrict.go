package embedded

import (
	"context"
	"math"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/subject"
)

// restrictions are all restrictions, by handle and kind: until when, in Unix nanoseconds. Store.acts guards
// them. Rows of the subject store hold the same.
type restrictions map[subject.Handle]*[store.Suppressed + 1]int64

const forEver = math.MaxInt64

func untilNanos(until time.Time) int64 {
	if until.IsZero() {
		return forEver
	}
	return until.UnixNano()
}

// any reports whether some handle is under some restriction.
func (r restrictions) any(handles []subject.Handle, now time.Time) bool {
	if len(r) == 0 {
		return false
	}
	nanos := now.UnixNano()
	for i := range handles {
		if kinds := r[handles[i]]; kinds != nil {
			for _, until := range kinds {
				if nanos < until {
					return true
				}
			}
		}
	}
	return false
}

func (r restrictions) set(handle subject.Handle, kind store.Restriction, until int64) {
	kinds := r[handle]
	if kinds == nil {
		kinds = new([store.Suppressed + 1]int64)
		r[handle] = kinds
	}
	kinds[kind] = until
}

func (r restrictions) lift(handle subject.Handle, kind store.Restriction) {
	if kinds := r[handle]; kinds != nil {
		kinds[kind] = 0
		if *kinds == [store.Suppressed + 1]int64{} {
			delete(r, handle)
		}
	}
}

func loadRestrictions(db *sealed.DB) (restrictions, error) {
	all := make(restrictions)
	err := each(db, []byte{rowRestriction}, nil, func(key, row []byte) error {
		d := decoder{b: row}
		until := d.int()
		var handle subject.Handle
		if len(key) != 1+len(handle)+1 || !validRestriction(store.Restriction(key[len(key)-1])) {
			return errRow
		}
		copy(handle[:], key[1:])
		all.set(handle, store.Restriction(key[len(key)-1]), until)
		return d.done()
	})
	return all, err
}

func validRestriction(r store.Restriction) bool { return r >= store.Denied && r <= store.Suppressed }

// Restrict puts handles under a restriction.
func (s *Store) Restrict(_ context.Context, handles []subject.Handle, r store.Restriction, until time.Time) error {
	return s.alone(func(p *pair) error {
		if !validRestriction(r) {
			return defective(errRow)
		}
		e := encoder{}
		e.int(untilNanos(until))
		for _, h := range handles {
			p.subject.Set(restrictionKey(nil, h, r), e.b)
			s.restrictions.set(h, r, untilNanos(until))
		}
		if untilNanos(until) > s.options.Now().UnixNano() {
			s.claims.strike(fault.SubjectUnavailable, func(cl *claim) bool {
				return subject.Common(cl.restrictions, handles)
			})
		}
		return nil
	})
}

// Unrestrict lifts one kind.
func (s *Store) Unrestrict(_ context.Context, handles []subject.Handle, r store.Restriction) error {
	return s.alone(func(p *pair) error {
		if !validRestriction(r) {
			return defective(errRow)
		}
		for _, h := range handles {
			p.subject.Delete(restrictionKey(nil, h, r))
			s.restrictions.lift(h, r)
		}
		return nil
	})
}

// Restricted reports whether any handle is under a restriction. It reads memory only.
func (s *Store) Restricted(ctx context.Context, handles []subject.Handle, r store.Restriction, now time.Time) (is bool, err error) {
	err = s.read(ctx, func() error {
		s.acts.RLock()
		defer s.acts.RUnlock()
		for i := range handles {
			kinds := s.restrictions[handles[i]]
			is = is || kinds != nil && validRestriction(r) && now.UnixNano() < kinds[r]
		}
		return nil
	})
	return is, err
}
