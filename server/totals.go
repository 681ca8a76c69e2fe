package server

import (
	"context"
	"errors"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// countEvery is how often the newest records are counted: often, so that it is never much at once.
const countEvery = 5 * time.Second

// countHours writes the log's hourly totals until the stop.
func (s *Server) countHours() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-s.stop:
		case <-ctx.Done():
		}
	}()
	ticks := time.NewTicker(countEvery)
	defer ticks.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticks.C:
			if err := s.totals.Count(ctx, record.HourOf(s.now())); err != nil && ctx.Err() == nil {
				s.logger.Error("counting the log's hour", "cause", err.Error())
			}
		}
	}
}

// countToNow writes a total of all that is durable.
func (s *Server) countToNow(ctx context.Context) error {
	return s.totals.Write(ctx, record.HourOf(s.now()))
}

// countForExport is countToNow for an export, which goes on without it.
func (s *Server) countForExport(ctx context.Context) {
	if err := s.countToNow(ctx); err != nil && ctx.Err() == nil {
		s.logger.Error("counting the log for an export", "cause", err.Error())
	}
}

// countLast is countToNow for a stop. Where there is no time for it, or the log takes nothing any more, the next start goes
// on where the newest total ends.
func (s *Server) countLast(ctx context.Context) error {
	err := s.countToNow(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) || s.log.Healthy() != nil {
		return nil
	}
	return err
}

// writeTotals writes the parts of a total. They are durable when it returns nil.
func (s *Server) writeTotals(parts []*record.Totals) error {
	waits := make([]ledger.Wait, 0, len(parts))
	var err error
	for _, part := range parts {
		r := &record.Record{Event: record.SystemTotals, Actor: record.Actor{Kind: record.ActorSystem}, Outcome: record.Outcome{Kind: record.Success}, Totals: part}
		var wait ledger.Wait
		if _, wait, err = s.journal.Begin(r); err != nil {
			break
		}
		waits = append(waits, wait)
	}
	for _, wait := range waits {
		err = errors.Join(err, wait())
	}
	return err
}
