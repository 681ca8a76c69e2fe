package embedded

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/heyan-project/heyan/verifier/ledger"
)

// A checkpoint writes every total that changed, and a W row of two numbers. Operations below the first, covered,
// are part of the totals as they are stored; what later ones added stands in their L and O rows. Operations
// below the second, whole, are durable in both databases; later ones may be so in one only.
//
// The first is exact because a checkpoint holds acts for writing, when no operation is between taking its number
// and applying its rows. The second is the first of an earlier checkpoint whose pair of flushes has ended since.

// checkpointEvery is how many commits make a checkpoint due: as many rows are read at Open after a crash.
const checkpointEvery = 4096

// checkpointer writes checkpoints in the background.
type checkpointer struct {
	commits atomic.Uint64
	due     chan struct{}
	done    chan struct{}
	ended   sync.WaitGroup

	whole   atomic.Uint64
	removed uint64 // O rows below are gone; guarded by acts
}

func (c *checkpointer) start(s *Store) {
	c.due, c.done = make(chan struct{}, 1), make(chan struct{})
	c.ended.Go(func() {
		for {
			select {
			case <-c.done:
				return
			case <-c.due:
				// A failure stops the store, and the next call says so.
				_ = s.alone(s.checkpoint)
			}
		}
	})
}

func (c *checkpointer) stop() {
	if c.done != nil {
		close(c.done)
		c.ended.Wait()
	}
}

// committed counts a commit.
func (c *checkpointer) committed() {
	if c.commits.Add(1)%checkpointEvery == 0 {
		select {
		case c.due <- struct{}{}:
		default:
		}
	}
}

// durable notes that every operation below n is whole.
func (c *checkpointer) durable(n uint64) {
	for {
		whole := c.whole.Load()
		if n <= whole || c.whole.CompareAndSwap(whole, n) {
			return
		}
	}
}

func (s *Store) checkpoint(p *pair) error {
	s.cover(p)
	return nil
}

// cover adds a checkpoint to a pair that is certain to be applied. The caller holds acts for writing.
func (s *Store) cover(p *pair) {
	s.totals.write(p.business)
	whole := s.checkpoints.whole.Load()
	p.covered = s.next.Load() + 1
	row := binary.BigEndian.AppendUint64(nil, p.covered)
	p.business.Set([]byte{rowCovered}, binary.BigEndian.AppendUint64(row, whole))
	if s.checkpoints.removed < whole {
		p.business.DeleteRange(operationKey(nil, s.checkpoints.removed), operationKey(nil, whole))
		s.checkpoints.removed = whole
	}
}

func (s *Store) readCovered() (covered, whole uint64, err error) {
	row, found, err := s.business.Get(nil, []byte{rowCovered})
	switch {
	case err != nil:
		return 0, 0, err
	case !found:
		return 1, 1, nil
	case len(row) != 16:
		return 0, 0, errRow
	}
	return binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:]), nil
}

// recovery is what Open finds to be half.
type recovery struct {
	*Store
	covered, whole uint64
	last           uint64
	repairs        []func(*pair) error
}

// recover adds up the totals, removes half commits, and writes a checkpoint. Half of the repairs may be done
// when a crash comes: the next Open finds the rest.
func (s *Store) recover() error {
	covered, whole, err := s.readCovered()
	if err != nil {
		return err
	}
	s.checkpoints.whole.Store(whole)
	r := recovery{Store: s, covered: covered, whole: whole, last: covered - 1}
	for _, walk := range []func() error{r.walkLog, r.walkOperations, r.walkSubjects} {
		if err := walk(); err != nil {
			return err
		}
	}
	s.next.Store(r.last)
	s.repaired = len(r.repairs)
	if len(r.repairs) > 0 {
		s.options.Logger.Info("removing commits that a crash left half done; none was acknowledged", "count", len(r.repairs))
	}
	for _, repair := range append(r.repairs, s.checkpoint) {
		if err := s.writeInside(&s.acts, repair); err != nil {
			return err
		}
	}
	return nil
}

// add adds what an operation added, unless that is part of the totals already. Half commits are added too:
// their repair takes it off again, whenever it comes.
func (r *recovery) add(a *addition) error {
	r.last = max(r.last, a.n)
	if a.n < r.covered {
		return nil
	}
	return r.totals.add(a, 1)
}

// walkLog adds what commits added, and finds those that are not in the subject store.
func (r *recovery) walkLog() error {
	return each(r.business, []byte{rowLog}, nil, func(key, row []byte) error {
		added, err := parseAddition(row)
		if err == nil {
			err = r.add(&added)
		}
		if err != nil || added.n < r.whole {
			return err
		}
		_, found, err := r.readPerson(added.n)
		if err != nil || found {
			return err
		}
		id := ledger.ID(key[len(key)-len(ledger.ID{}):])
		r.repairs = append(r.repairs, func(p *pair) error {
			v, err := r.mustRead(added.client, id)
			if err != nil {
				return err
			}
			return r.eraseVerification(p, v, &added)
		})
		return nil
	})
}

// walkOperations does the same for other operations.
func (r *recovery) walkOperations() error {
	return each(r.business, []byte{rowOperation}, nil, func(_, row []byte) error {
		added, err := parseAddition(row)
		if err == nil {
			err = r.add(&added)
		}
		if err != nil || added.n < r.whole || added.consent.IsZero() {
			return err
		}
		_, found, err := r.readPerson(added.n)
		if err != nil || found {
			return err
		}
		r.repairs = append(r.repairs, func(p *pair) error {
			return r.eraseConsent(p, added.client, added.consent, added.n)
		})
		return nil
	})
}

// walkSubjects finds what is in the subject store alone. An operation that a stored checkpoint covers is in the
// business store for certain: the checkpoint came after it in the same log.
func (r *recovery) walkSubjects() error {
	return each(r.subject, []byte{rowSubject}, subjectKey(nil, r.covered), func(key, row []byte) error {
		n := binary.BigEndian.Uint64(key[1:])
		r.last = max(r.last, n)
		left, err := parsePerson(row)
		if err != nil {
			return err
		}
		if !left.verification.IsZero() {
			if _, found, err := r.readVerification(left.client, left.verification); err != nil || found {
				return err
			}
		}
		if !left.consent.IsZero() {
			if on, err := r.readConsent(left.client, left.consent); err != nil || on != nil {
				return err
			}
		}
		r.repairs = append(r.repairs, func(p *pair) error { return r.erasePerson(p, &left, n, false) })
		return nil
	})
}
