package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

// Reconciled is what [Reconcile] did.
type Reconciled struct {
	Mark      uint64 // the ledger's mark now, durable
	Compared  int    // records of answers compared
	Voided    int    // records without a ledger row: verification.voided
	Lost      int    // records whose row went with an older store: verification.lost
	Recovered int    // ledger rows without a record: verification.recovered
	Undone    int    // ledger rows of a voided answer: removed
	Settled   int    // pending rows that the log says were settled: settled
	Restated  int    // settled rows without a record of that: verification.reconciled
}

func (r *Reconciled) repairs() int {
	return r.Voided + r.Lost + r.Recovered + r.Undone + r.Settled + r.Restated
}

// Reconcile makes ledger and log agree after a stop, before anything is served. Only records from the durable
// mark on are compared; a log that ends before it is refused with [ErrForeignLog].
//
// An acknowledged answer has both, so after a crash no answer that was given is voided, and none is lost. Answers are
// lost, and none of them voided, where a person chose to go on with an older store (older.go): those recorded before
// that choice. The row of a settled verification follows its record: where it did not, it is settled here as the record
// says. Whatever a stop leaves half done the next start does again, and writes no record twice.
//
// Not guaranteed: anything of an origin that was closed for a new one: its answers stay as they stand in the ledger.
// Nor, of what was recorded between the log's last statement of the mark and a choice for an older store, that it was
// answered: a crash may have come first. It counts as lost all the same.
func Reconcile(ctx context.Context, log *netlog.Log, s store.Store, j *journal.Journal, amend func(ledger.Position, record.Event) error) (Reconciled, error) {
	c := comparison{
		log: log, origin: log.Origin(), store: s, journal: j, amend: amend,
		answers: map[ledger.ID]uint64{}, ended: map[ledger.ID]ending{}, settled: map[ledger.ID]uint64{},
	}
	var err error
	if c.mark, err = s.Mark(ctx, c.origin); err != nil {
		return c.done, err
	}
	size := log.Size()
	if c.mark > size {
		return c.done, fmt.Errorf("%w: %d records, and a mark at %d", ErrForeignLog, size, c.mark)
	}
	if err := log.Read(ctx, c.mark, size, c.read); err != nil {
		return c.done, fmt.Errorf("reading the log from its mark: %w", err)
	}
	c.done.Compared = len(c.answers)
	for _, step := range []func(context.Context) error{c.rows, c.missing, c.returned, c.settlings, c.settledRows} {
		if err := step(ctx); err != nil {
			return c.done, err
		}
	}
	c.done.Mark = log.Size()
	return c.done, s.SetMark(ctx, c.origin, c.done.Mark)
}

// comparison is what the log says from the mark on. It holds places, not records: after an older store was put back
// there are as many as were answered since.
type comparison struct {
	log     *netlog.Log
	origin  string
	mark    uint64
	store   store.Store
	journal *journal.Journal
	amend   func(ledger.Position, record.Event) error

	answers  map[ledger.ID]uint64 // where the row belongs: the record of the answer, or of its recovery
	ended    map[ledger.ID]ending // voided or lost, and not recovered since
	settled  map[ledger.ID]uint64 // the newest verification.reconciled
	accepted uint64               // of answers below this index that have no row it is known that the row is gone
	done     Reconciled
}

// ending is the record that an answer has no row any more.
type ending struct {
	event record.Event
	index uint64
}

// read notes what one record says.
func (c *comparison) read(index uint64, leaf []byte) error {
	r, err := record.Parse(leaf)
	if err != nil {
		return fmt.Errorf("record %d: %w", index, err)
	}
	if r.Event == record.StoreRollbackAccepted {
		c.accepted = index
	}
	if r.Object.Type != "verification" {
		return nil
	}
	id, err := ledger.ParseID(r.Object.ID)
	if err != nil {
		return nil
	}
	switch r.Event {
	case record.VerificationVerify, record.VerificationBatchItem:
		if r.Outcome.Kind == record.Success && r.Processing != nil && !r.Processing.Reused {
			c.answers[id] = index
		}
	case record.VerificationRecovered:
		c.answers[id] = index
		delete(c.ended, id)
	case record.VerificationVoided, record.VerificationLost:
		c.ended[id] = ending{r.Event, index}
	case record.VerificationReconciled:
		c.settled[id] = index
	}
	return nil
}

// rows compares the ledger's rows with the log, and leaves in answers those that have none.
func (c *comparison) rows(ctx context.Context) error {
	rows, err := collect(ctx, c.origin, c.mark, c.store.Committed)
	if err != nil {
		return err
	}
	for _, v := range rows {
		at, logged := c.answers[v.ID]
		delete(c.answers, v.ID)
		switch {
		case c.ended[v.ID].event == record.VerificationVoided:
			err = c.undo(ctx, v, at, logged)
		case c.ended[v.ID].event == record.VerificationLost: // returned looks after it
		case logged && at == v.Log.Index:
		case logged: // a recovered one whose row was not stamped before the stop
			err = c.store.Restamp(ctx, v.Client, v.ID, c.at(at))
		default:
			err = c.recover(ctx, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// undo removes a row whose answer was voided. A stop may have come between that record and the note of it.
func (c *comparison) undo(ctx context.Context, v *ledger.Verification, index uint64, logged bool) error {
	if logged {
		if err := c.amend(c.at(index), record.VerificationVoided); err != nil {
			return err
		}
	}
	c.done.Undone++
	return c.store.Void(ctx, v.Client, v.ID)
}

// recover writes the record that a row lacks, and stamps the row with its place.
func (c *comparison) recover(ctx context.Context, v *ledger.Verification) error {
	at, err := c.journal.System(record.VerificationRecovered, ofRow(v))
	if err != nil {
		return err
	}
	c.done.Recovered++
	return c.store.Restamp(ctx, v.Client, v.ID, at)
}

// settlings settles rows that are pending where the log says how they ended.
func (c *comparison) settlings(ctx context.Context) error {
	for _, id := range byIndex(c.settled) {
		at := c.at(c.settled[id])
		r, err := c.record(ctx, at.Index)
		if err != nil {
			return err
		}
		v, err := c.row(ctx, clientOf(&r), id)
		if err != nil {
			return err
		}
		if v == nil || v.State != ledger.Pending {
			continue
		}
		if err := c.settle(ctx, v, &r, at); err != nil {
			return fmt.Errorf("settling as record %d says: %w", at.Index, err)
		}
		c.done.Settled++
	}
	return nil
}

// errOutcome is a record of a settling that no version of Heyan wrote.
var errOutcome = errors.New("server: the record states no outcome")

// settle settles a pending row as its record says: what ResolvePending would have done next.
func (c *comparison) settle(ctx context.Context, v *ledger.Verification, r *record.Record, at ledger.Position) error {
	if r.Processing == nil {
		return errOutcome
	}
	verdict, known := product.ParseVerdict(r.Processing.Verdict)
	billing, stated := product.ParseBilling(r.Processing.Billing)
	if !known || !stated {
		return errOutcome
	}
	after := *v
	delta := after.Settle(verdict, billing)
	after.Resolution = at
	return c.store.ResolvePending(ctx, &after, delta)
}

// settledRows writes what the log lacks of settled rows, and stamps them.
func (c *comparison) settledRows(ctx context.Context) error {
	rows, err := collect(ctx, c.origin, c.mark, c.store.Settled)
	if err != nil {
		return err
	}
	for _, v := range rows {
		index, logged := c.settled[v.ID]
		if logged && index == v.Resolution.Index {
			continue
		}
		at := c.at(index)
		if !logged {
			if at, err = c.journal.System(record.VerificationReconciled, ofRow(v)); err != nil {
				return err
			}
			c.done.Restated++
		}
		if err := c.store.RestampResolution(ctx, v.Client, v.ID, at); err != nil {
			return err
		}
	}
	return nil
}

// at is a place in this log.
func (c *comparison) at(index uint64) ledger.Position {
	return ledger.Position{Origin: c.origin, Index: index}
}

// record reads one record again.
func (c *comparison) record(ctx context.Context, index uint64) (record.Record, error) {
	leaf, err := c.log.Get(ctx, index)
	if err != nil {
		return record.Record{}, fmt.Errorf("reading record %d: %w", index, err)
	}
	return record.Parse(leaf)
}

// ofRow fills in a record about a row.
func ofRow(v *ledger.Verification) func(*record.Record) {
	return func(r *record.Record) {
		r.Actor.OnBehalfOf = v.Client
		r.Object = record.Object{Type: "verification", ID: v.ID.String()}
		r.Processing = journal.Processing(v, false)
	}
}

// clientOf is whose verification a record is about.
func clientOf(r *record.Record) string { return cmp.Or(r.Actor.OnBehalfOf, r.Actor.ID) }

// collect reads a walk of the store to its end, so that the rows may be changed.
func collect(ctx context.Context, origin string, mark uint64, walk func(context.Context, string, uint64, func(*ledger.Verification) error) error) (rows []*ledger.Verification, err error) {
	err = walk(ctx, origin, mark, func(v *ledger.Verification) error {
		rows = append(rows, v)
		return nil
	})
	return rows, err
}

// byIndex returns the keys in the order of the log.
func byIndex(places map[ledger.ID]uint64) []ledger.ID {
	return slices.SortedFunc(maps.Keys(places), func(a, b ledger.ID) int { return cmp.Compare(places[a], places[b]) })
}
