package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/workday"
)

// The network log is kept for its time and no longer: addresses are personal data. At the start, and on each day of
// Asia/Shanghai, the segments whose time is over are purged, unless a hold or the policy on file keeps them, the clock
// cannot be trusted, or one of the two cannot be told.
const (
	purgeLook   = time.Minute
	purgeAgain  = time.Hour        // after a failure
	purgeNotice = 10 * time.Minute // between the record that gives segments up and the removal of the first
)

// Purges is what the server counts of the end of log records.
type Purges interface {
	LogPurged(records, bytes uint64)
	LogPurgeFailed()
	// LogPurgeDue says when the oldest sealed records may go by the policy in force; the zero time = none are sealed.
	LogPurgeDue(time.Time)
}

// purger is the one who purges.
type purger struct {
	*Server
	clock clockWatch
	notes func(context.Context) error // waits for purgeNotice
	done  workday.Date                // the day of the last look that came to an end
	again time.Time                   // by the steady clock: not before, after a failure
}

func (s *Server) purger() *purger {
	return &purger{Server: s, clock: clockWatch{wall: s.now(), steady: s.Steady()}, notes: func(ctx context.Context) error {
		wait(ctx, purgeNotice)
		return ctx.Err()
	}}
}

func (s *Server) purgeLog() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.background.Go(func() {
		<-s.stop
		cancel()
	})
	minutes := time.NewTicker(purgeLook)
	defer minutes.Stop()
	p := s.purger()
	p.recordRemoval(s.Recovery.Purged)
	for ctx.Err() == nil {
		p.look(ctx)
		select {
		case <-ctx.Done():
		case <-minutes.C:
		}
	}
}

// look purges what is due, once a day. The clock is compared with the steady one right before: a step that nobody has
// noticed yet must not end what it makes look old.
func (p *purger) look(ctx context.Context) {
	now, steady := p.now(), p.Steady()
	if p.clock.step(now, steady) != 0 {
		p.noteStep(now)
	}
	if p.log.Healthy() != nil || p.done == workday.DateOf(now) || steady.Before(p.again) {
		return
	}
	err := p.purge(ctx)
	switch {
	case err == nil:
		p.done = workday.DateOf(now)
	case ctx.Err() == nil:
		p.again = steady.Add(purgeAgain)
		p.metrics.LogPurgeFailed()
		p.logger.Error("the network log could not be purged; it is tried again", "cause", causeOf(err))
	}
}

// purge gives up what is due, waits, and removes it. What a stop in between leaves, the next start removes.
func (p *purger) purge(ctx context.Context) error {
	if err := p.remove(); err != nil {
		return err
	}
	var raised record.Purge
	err := p.keeper.Alone(func() (err error) { // with the decision: no hold comes between the two
		raised, err = p.raise(ctx)
		return err
	})
	if err != nil || raised.To == 0 {
		return err
	}
	p.logger.Info("network log: records were given up", "from", raised.From, "to", raised.To, "segments", raised.Segments, "bytes", raised.Bytes,
		"latest", raised.Latest, "removed_in", purgeNotice.String())
	if err := p.notes(ctx); err != nil {
		return err
	}
	return p.remove()
}

// remove removes what was given up, and records it.
func (p *purger) remove() error {
	removed, err := p.log.RemovePurged()
	if err == nil {
		p.recordRemoval(removed)
	}
	return err
}

func (p *purger) recordRemoval(of record.Purge) {
	if of.Segments == 0 {
		return
	}
	p.metrics.LogPurged(of.To-of.From, of.Bytes)
	p.logger.Info("network log purged", "from", of.From, "to", of.To, "segments", of.Segments, "bytes", of.Bytes)
	if _, err := p.journal.System(record.LogPurged, func(r *record.Record) { r.Purge = &of }); err != nil {
		p.logger.Error("recording a purge", "cause", err.Error())
	}
}

// raise gives up the segments that are due; none is the zero Purge.
func (p *purger) raise(ctx context.Context) (record.Purge, error) {
	segments, err := p.log.Expendable()
	if err != nil {
		return record.Purge{}, err
	}
	plan, err := p.keeper.Plan(ctx, segments)
	if err != nil {
		return record.Purge{}, fmt.Errorf("asking what keeps the log: %w", err)
	}
	policy, err := p.keeper.RetentionPolicy(ctx)
	if err != nil {
		return record.Purge{}, fmt.Errorf("asking what keeps the log: %w", err)
	}
	agreed, err := p.agreedSize(ctx)
	if err != nil {
		return record.Purge{}, err
	}
	n := due(plan, agreed)
	p.announceDue(plan)
	if n == 0 {
		return record.Purge{}, nil
	}
	keep, err := p.anchors(ctx, segments[:n])
	if err != nil {
		return record.Purge{}, fmt.Errorf("reading checkpoints elsewhere: %w", err)
	}
	return p.log.Raise(netlog.Purging{To: segments[n-1].End, Keep: keep, Record: func(r record.Purge) (uint64, error) {
		r.Period, r.GraceDays = policy.String(), uint64(policy.Grace)
		at, err := p.journal.System(record.LogMinimumRaised, func(e *record.Record) { e.Purge = &r })
		return at.Index, err
	}})
}

// due counts the segments, from the oldest on, that may go, and that ledger and store need no more.
func due(plan []retention.Decision, agreed uint64) int {
	for i := range plan {
		if plan[i].Why != retention.Purgeable || plan[i].End > agreed {
			return i
		}
	}
	return len(plan)
}

// announceDue says when the oldest records may go, and tells the operator what keeps those whose time is over.
func (p *purger) announceDue(plan []retention.Decision) {
	if len(plan) == 0 {
		p.metrics.LogPurgeDue(time.Time{})
		return
	}
	oldest := &plan[0]
	p.metrics.LogPurgeDue(oldest.From)
	switch oldest.Why {
	case retention.Held:
		p.logger.Info("the oldest records of the network log are due, and kept by a hold", "hold", oldest.Hold, "due", oldest.From)
	case retention.ClockUntrusted:
		p.logger.Warn("the oldest records of the network log are due, and kept because the clock is not trusted", "due", oldest.From)
	}
}

// agreedSize is below what the next start compares: the ledger's mark, and the checkpoint by which the store knows the log.
func (p *purger) agreedSize(ctx context.Context) (uint64, error) {
	mark, err := p.Store.Mark(ctx, p.log.Origin())
	if err != nil {
		return 0, err
	}
	row, err := store.TableOf[api.OriginRow](p.Store, store.Origins).Get(ctx, p.log.Origin())
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	verifier, err := tree.NewVerifier(p.log.Key())
	if err != nil {
		return 0, err
	}
	known, err := verifier.Open(row.Value.Checkpoint)
	return min(mark, known.Size), err
}

// anchors returns the sizes that the log is to stay provable against without those segments: of each day the newest
// checkpoint of this log that left the machine.
func (p *purger) anchors(ctx context.Context, segments []netlog.Manifest) (keep []uint64, err error) {
	if p.Anchors == nil {
		return nil, nil
	}
	begins, ends := segments[0].First, segments[len(segments)-1].End
	known, err := p.Anchors(ctx, begins, ends)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(known, func(a, b tree.Checkpoint) int { return cmp.Compare(b.Size, a.Size) })
	for i := len(segments) - 1; i >= 0; {
		end, day := segments[i].End, workday.DateOf(segments[i].Latest)
		for i >= 0 && workday.DateOf(segments[i].Latest) == day {
			begins, i = segments[i].First, i-1
		}
		size, err := p.newestOf(known, begins, end)
		if err != nil {
			return nil, err
		}
		if size > 0 {
			keep = append(keep, size)
		}
	}
	return keep, nil
}

// newestOf returns the largest size in (begins, end] of a checkpoint that is of this log; 0 = there is none. A text that
// only says so costs a look, and is left out.
func (p *purger) newestOf(known []tree.Checkpoint, begins, end uint64) (uint64, error) {
	for _, c := range known {
		if c.Size > end || c.Size <= begins {
			continue
		}
		then, err := tree.Load(c.Size, p.log)
		if err != nil {
			return 0, err
		}
		if then.Root() == c.Root {
			return c.Size, nil
		}
	}
	return 0, nil
}
