package server

import (
	"context"
	"fmt"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// A store that was put back from a backup or a snapshot knows less than the log beside it: answers that were given have
// no row there. After a crash, too, records may have no row, of answers that never left. To tell the two apart the log
// states, at each start, each minute and at a stop, the mark up to which the ledger agreed; the store had made that mark
// durable before. So no crash leaves a store whose mark is below what the log states, and an older store is one whose
// mark is.
//
// Not noticed: a store that was put back from after the newest statement, that is from within the last minute before the
// server ended without a stop. What it lacks is then voided, as after a crash. Nor one whose log was put back with it.

// OlderStoreError refuses a store that is older than its log. What it lacks was answered, and is not voided unasked.
type OlderStoreError struct {
	Origin string
	Ledger uint64    // the ledger agrees with so many of the log's first records
	Log    uint64    // and the log says that it agreed with so many
	Since  time.Time // of the first record that the ledger may not know
}

// Error implements error.
func (e *OlderStoreError) Error() string {
	return fmt.Sprintf("the store is older than its network log: its ledger agrees with the first %d records of %s, until %s, and the log says that it agreed with %d; "+
		"answers after that were given, and their rows are gone; gone too are the withdrawals, deletions, restrictions, revocations and quota of that time",
		e.Ledger, e.Origin, e.Since.UTC().Format(time.RFC3339), e.Log)
}

// olderStore returns the refusal that a store has earned, or nil.
func olderStore(ctx context.Context, log *netlog.Log, s store.Reconciliation) (*OlderStoreError, error) {
	mark, err := s.Mark(ctx, log.Origin())
	if err != nil {
		return nil, err
	}
	stated, err := statedMark(ctx, log, mark)
	if err != nil || stated <= mark {
		return nil, err
	}
	leaf, err := log.Get(ctx, mark)
	if err != nil {
		return nil, fmt.Errorf("reading record %d: %w", mark, err)
	}
	r, err := record.Parse(leaf)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", mark, err)
	}
	return &OlderStoreError{Origin: log.Origin(), Ledger: mark, Log: stated, Since: r.Time}, nil
}

// statedMark returns the newest mark that a record from an index on states; 0 = none does. What an earlier record
// states cannot be above that index: no record states a mark beyond itself. It reads backwards, in windows that grow, so
// that it is quick to find that a store is years old.
func statedMark(ctx context.Context, log *netlog.Log, from uint64) (stated uint64, err error) {
	found := false
	to := log.Size()
	for window := uint64(1024); to > from && !found; window *= 2 {
		low := to - min(window, to-from)
		err := log.Read(ctx, low, to, func(index uint64, leaf []byte) error {
			r, err := record.Parse(leaf)
			if err != nil {
				return fmt.Errorf("record %d: %w", index, err)
			}
			switch {
			case r.Status != nil && r.Status.LedgerMark > 0:
				stated, found = r.Status.LedgerMark, true
			case r.Event == record.StoreRollbackAccepted: // of a store without any mark
				stated, found = 0, true
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("reading the log for what it states of the ledger: %w", err)
		}
		to = low
	}
	return stated, nil
}

// admitStore refuses an older store, unless it is the one that a person chose to go on with. That choice goes into the
// log before anything else is done: it states the mark of the older store, so that a start after a crash goes on where
// this one stopped, without being asked again.
func (s *Server) admitStore(ctx context.Context) error {
	older, err := olderStore(ctx, s.log, s.Store)
	if err != nil || older == nil {
		return err
	}
	if older.Log != s.AcceptOlderStore {
		return older
	}
	s.logger.Warn("going on with a store that is older than its network log: what it lacks is recorded as lost", "origin", older.Origin, "ledger", older.Ledger, "log", older.Log)
	_, err = s.journal.System(record.StoreRollbackAccepted, func(r *record.Record) {
		r.Object = record.Object{Type: "origin", ID: older.Origin}
		r.Change = &record.Change{Diff: fmt.Sprintf("ledger_mark=%d stated=%d", older.Ledger, older.Log)}
		r.Status = &record.Status{LedgerMark: older.Ledger}
	})
	return err
}
