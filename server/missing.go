package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// row returns the row of an answer, or nil where it is gone. It is the one place that says what gone means: a row that
// its client deleted was stripped and is there; the row of a settled one is there, whatever its outcome. Whoever comes
// to remove rows for another good reason (their time is over, the person is erased) has to leave here what tells that.
func (c *comparison) row(ctx context.Context, client string, id ledger.ID) (*ledger.Verification, error) {
	v, err := c.store.Verification(ctx, client, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// missing ends the answers that have no row: they are lost where the store is known to be older than they are, and
// voided where the commit that would have made the row was never durable, so that no answer left.
func (c *comparison) missing(ctx context.Context) error {
	ids := byIndex(c.answers)
	var voided, lost atomic.Int64
	err := sideBySide(len(ids), func(i int) error {
		id, index := ids[i], c.answers[ids[i]]
		if e, ended := c.ended[id]; ended { // a stop may have come between the record and the note
			return c.amend(c.at(index), e.event)
		}
		r, err := c.record(ctx, index)
		if err != nil {
			return err
		}
		v, err := c.row(ctx, clientOf(&r), id)
		switch {
		case err != nil:
			return err
		case v != nil && v.Log == c.at(index): // it came back before the stop, from below the mark
			return nil
		case v != nil: // and was not stamped
			return c.back(ctx, v, c.at(index))
		}
		event, counted := record.VerificationVoided, &voided
		if index < c.accepted {
			event, counted = record.VerificationLost, &lost
		}
		if err := c.end(ctx, id, &r, event); err != nil {
			return err
		}
		counted.Add(1)
		return c.amend(c.at(index), event)
	})
	c.done.Voided, c.done.Lost = int(voided.Load()), int(lost.Load())
	return err
}

// end writes that an answer is voided or lost. What is lost was given: the record says, as the newest one of the answer
// did, what it was and whether it was billed.
func (c *comparison) end(ctx context.Context, id ledger.ID, answer *record.Record, event record.Event) error {
	processing, outcome := answer.Processing, record.Outcome{Kind: record.Success}
	if event == record.VerificationVoided {
		outcome = record.Outcome{Kind: record.Denied, Reason: fault.StoreUnavailable.String()}
	} else if index, settled := c.settled[id]; settled {
		r, err := c.record(ctx, index)
		if err != nil {
			return err
		}
		processing = r.Processing
	}
	_, err := c.journal.System(event, func(r *record.Record) {
		r.Actor.OnBehalfOf = clientOf(answer)
		r.Object = record.Object{Type: "verification", ID: id.String()}
		r.Processing, r.Outcome = processing, outcome
	})
	return err
}

// returned recovers answers that are on record as lost, and whose rows are there: the newer store was put back after
// all.
func (c *comparison) returned(ctx context.Context) error {
	for id, e := range c.ended {
		if e.event != record.VerificationLost {
			continue
		}
		r, err := c.record(ctx, e.index)
		if err != nil {
			return err
		}
		v, err := c.row(ctx, clientOf(&r), id)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		at, err := c.journal.System(record.VerificationRecovered, ofRow(v))
		if err != nil {
			return err
		}
		c.done.Recovered++
		if err := c.back(ctx, v, at); err != nil {
			return err
		}
	}
	return nil
}

// back stamps a row that was lost with the record that it is not. The record of the answer is there too, and amended.
func (c *comparison) back(ctx context.Context, v *ledger.Verification, at ledger.Position) error {
	if err := c.amend(v.Log, record.VerificationRecovered); err != nil {
		return err
	}
	return c.store.Restamp(ctx, v.Client, v.ID, at)
}

// atOnce is how many flushes of log and store are shared where many answers are lost.
const atOnce = 64

// sideBySide calls f for each of n, many at once, and returns the first error when all have ended. After one no more are
// begun.
func sideBySide(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	var first error
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil && failed.CompareAndSwap(false, true) {
					first = err
				}
			}
		})
	}
	workers.Wait()
	return first
}
