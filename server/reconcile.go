package server

import (
	"context"
	"fmt"

	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Reconciled is what [Reconcile] did.
type Reconciled struct {
	Compared  int // records of answers compared
	Voided    int // records without a ledger row: verification.voided
	Recovered int // ledger rows without a record: verification.recovered
	Undone    int // ledger rows of a voided answer: removed
}

// Reconcile makes ledger and log agree after a stop, before anything is served. Only records from the durable
// mark on are compared; a log that ends before it is refused with [ErrForeignLog]. An acknowledged answer
// has both, so after a crash none is voided.
//
// Not guaranteed: that a store put back from before its log is noticed: answers that it lacks are then voided. Nor
// anything of an origin that was closed for a new one: its answers stay as they stand in the ledger.
func Reconcile(ctx context.Context, log *netlog.Log, s store.Store, j *journal.Journal, amend func(ledger.Position, record.Event)) (Reconciled, error) {
	origin := log.Origin()
	mark, err := s.Mark(ctx, origin)
	if err != nil {
		return Reconciled{}, err
	}
	c := comparison{store: s, journal: j, amend: amend, answered: map[ledger.ID]answered{}, voided: map[ledger.ID]bool{}}
	size := log.Size()
	if mark > size {
		return Reconciled{}, fmt.Errorf("%w: %d records, and a mark at %d", ErrForeignLog, size, mark)
	}
	if err := log.Read(ctx, mark, size, c.read); err != nil {
		return Reconciled{}, fmt.Errorf("reading the log from its mark: %w", err)
	}
	c.done.Compared = len(c.answered)
	var rows []*ledger.Verification
	if err := s.Committed(ctx, origin, mark, func(v *ledger.Verification) error {
		rows = append(rows, v)
		return nil
	}); err != nil {
		return c.done, err
	}
	for _, v := range rows {
		if err := c.row(ctx, v); err != nil {
			return c.done, err
		}
	}
	for id, a := range c.answered {
		if err := c.missing(id, a, origin); err != nil {
			return c.done, err
		}
	}
	return c.done, s.SetMark(ctx, origin, log.Size())
}

// answered is the record of an answer that no row has matched yet.
type answered struct {
	index      uint64
	actor      record.Actor
	processing *record.Processing
}

type comparison struct {
	store    store.Store
	journal  *journal.Journal
	amend    func(ledger.Position, record.Event)
	answered map[ledger.ID]answered
	voided   map[ledger.ID]bool
	done     Reconciled
}

// read notes what the log says of verifications.
func (c *comparison) read(index uint64, leaf []byte) error {
	r, err := record.Parse(leaf)
	if err != nil {
		return fmt.Errorf("record %d: %w", index, err)
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
			c.answered[id] = answered{index, r.Actor, r.Processing}
		}
	case record.VerificationRecovered:
		c.answered[id] = answered{index, r.Actor, r.Processing}
	case record.VerificationVoided:
		c.voided[id] = true
	}
	return nil
}

// row compares one ledger row.
func (c *comparison) row(ctx context.Context, v *ledger.Verification) error {
	a, logged := c.answered[v.ID]
	delete(c.answered, v.ID)
	switch {
	case c.voided[v.ID]:
		c.done.Undone++
		c.amended(a, logged, v.Log.Origin)
		return c.store.Void(ctx, v.Client, v.ID)
	case logged && a.index == v.Log.Index:
		return nil
	case logged: // a recovered one whose row was not stamped before the stop
		return c.store.Restamp(ctx, v.Client, v.ID, ledger.Position{Origin: v.Log.Origin, Index: a.index})
	}
	at, err := c.journal.System(record.VerificationRecovered, func(r *record.Record) {
		r.Actor.OnBehalfOf = v.Client
		r.Object = record.Object{Type: "verification", ID: v.ID.String()}
		r.Processing = journal.Processing(v, false)
	})
	if err != nil {
		return err
	}
	c.done.Recovered++
	return c.store.Restamp(ctx, v.Client, v.ID, at)
}

// amended notes once more that an answer was voided: a stop may have come between the record and the note.
func (c *comparison) amended(a answered, logged bool, origin string) {
	if logged {
		c.amend(ledger.Position{Origin: origin, Index: a.index}, record.VerificationVoided)
	}
}

// missing voids the record of an answer that has no row, and so never left.
func (c *comparison) missing(id ledger.ID, a answered, origin string) error {
	if c.voided[id] {
		c.amended(a, true, origin)
		return nil
	}
	_, err := c.journal.System(record.VerificationVoided, func(r *record.Record) {
		r.Actor.OnBehalfOf = a.actor.ID
		r.Object = record.Object{Type: "verification", ID: id.String()}
		r.Processing = a.processing
		r.Outcome = record.Outcome{Kind: record.Denied, Reason: fault.StoreUnavailable.String()}
	})
	if err != nil {
		return err
	}
	c.done.Voided++
	c.amend(ledger.Position{Origin: origin, Index: a.index}, record.VerificationVoided)
	return nil
}
