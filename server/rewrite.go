package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// A record that is deleted from a dataset is found by nobody from then on; within 24 hours the file is rewritten
// without it. Deletions are gathered for a while, so that a file is not rewritten for each of them. The store keeps
// since when they wait: a server that was stopped meanwhile looks at its start.
const (
	rewriteEvery  = time.Minute
	rewriteAfter  = 4 * time.Hour
	rewriteWithin = 24 * time.Hour
	rewriteAgain  = 15 * time.Minute // after a failure
)

// generation is one of a dataset.
type generation struct {
	dataset string
	number  int64
}

// rewriter rewrites one file after the other.
type rewriter struct {
	*Server
	later map[generation]time.Time // until when, by the steady clock, one that failed is left alone
}

func (s *Server) rewriteDatasets() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.background.Go(func() {
		<-s.stop
		cancel()
	})
	minutes := time.NewTicker(rewriteEvery)
	defer minutes.Stop()
	r := rewriter{Server: s, later: map[generation]time.Time{}}
	for ctx.Err() == nil {
		r.look(ctx)
		select {
		case <-ctx.Done():
		case <-minutes.C:
		}
	}
}

// look rewrites what is due, unless no record of it could be written.
func (r *rewriter) look(ctx context.Context) {
	if r.log.Healthy() != nil {
		return
	}
	waiting, err := r.Store.ListDeletions(ctx)
	if err != nil {
		r.logger.Error("looking for datasets to rewrite", "cause", causeOf(err))
		return
	}
	failed := map[generation]time.Time{}
	for _, d := range waiting {
		of, steady := generation{d.Dataset, d.Generation}, r.Steady()
		if steady.Before(r.later[of]) {
			failed[of] = r.later[of]
			continue
		}
		if ctx.Err() != nil || !rewriteDue(d.Since, r.now()) {
			continue
		}
		if err := r.rewrite(ctx, of); err != nil && ctx.Err() == nil {
			failed[of] = steady.Add(rewriteAgain)
			r.logger.Error("a dataset could not be rewritten without its deleted records; it is tried again", "dataset", of.dataset,
				"generation", of.number, "deleted_since", d.Since, "overdue", r.now().Sub(d.Since) > rewriteWithin, "cause", causeOf(err))
		}
	}
	r.later = failed
}

// rewriteDue says whether deletions have waited for long enough. A clock that was set back must not make them wait
// for longer.
func rewriteDue(since, now time.Time) bool {
	return now.Before(since) || now.Sub(since) >= rewriteAfter
}

// rewrite rewrites one generation, notes on file what is left of it, and writes the record.
func (r *rewriter) rewrite(ctx context.Context, of generation) error {
	done, err := r.Store.CompactDataset(ctx, of.dataset, of.number)
	if errors.Is(err, store.ErrNotFound) || err == nil && done.Removed == 0 {
		return nil // dropped: its file went by another record
	}
	if err != nil {
		return err
	}
	change, noted := r.admin.Rewritten(context.WithoutCancel(ctx), of.dataset, of.number, done)
	if change == nil {
		change = &record.Change{}
	}
	change.Diff = fmt.Sprintf("generation=%d removed=%d", of.number, done.Removed)
	_, logged := r.journal.System(record.DatasetRewritten, func(entry *record.Record) {
		entry.Object = record.Object{Type: "dataset", ID: of.dataset}
		entry.Change = change
	})
	if err := errors.Join(noted, logged); err != nil {
		r.logger.Error("noting that a dataset was rewritten", "dataset", of.dataset, "generation", of.number, "removed", done.Removed,
			"cause", causeOf(err))
	}
	return nil
}

// causeOf is what an operator has to know of a failure: what is behind a refusal, or the failure itself.
func causeOf(err error) string {
	if f := fault.Of(err); f.Cause != nil {
		return f.Cause.Error()
	}
	return err.Error()
}
