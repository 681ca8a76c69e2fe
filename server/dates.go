package server

import (
	"context"
	"fmt"
	"time"

	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/retention"
)

// dates is what the server knows of the clock that dates of the log are judged by.
func (s *Server) dates() retention.Clock {
	c := retention.Clock{Synchronised: s.Clock().State == record.ClockSynchronised, Newest: s.newest, Began: s.started}
	if at := s.stepped.Load(); at != nil {
		c.Stepped = *at
	}
	return c
}

// keep begins to answer for what keeps the log's records. It comes before the first record of this start, whose time is this
// clock's own.
func (s *Server) keep(ctx context.Context) error {
	held, err := s.log.Coverage(ctx)
	if err != nil {
		return fmt.Errorf("reading the newest record's time: %w", err)
	}
	s.newest = held.Newest
	s.keeper = retain.New(s.Store, s.Retention, s.dates, s.now)
	return nil
}

// noteStep notes when the clock was last moved.
func (s *Server) noteStep(at time.Time) { s.stepped.Store(&at) }
