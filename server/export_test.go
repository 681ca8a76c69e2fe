package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/role"
)

// Rule is a row of the policy.
type Rule struct {
	Event                  record.Event
	Roles                  role.Set
	Anonymous, Read, Quiet bool
	Stream, Spare          bool
}

// Policy returns the policy by full method.
func Policy() map[string]Rule {
	policy := make(map[string]Rule, len(rules))
	for method, r := range rules {
		policy[method] = Rule{Event: r.event, Roles: r.roles, Anonymous: r.anonymous, Read: r.read, Quiet: r.quiet, Stream: r.stream, Spare: r.spare}
	}
	return policy
}

// Flush writes what was counted, as the minute does.
func (s *Server) Flush() error { return s.flush() }

// Heartbeat writes the minute's operation status.
func (s *Server) Heartbeat() error { return s.heartbeat() }

// StepClock looks at the clock as if it had been moved since the last look.
func (s *Server) StepClock(by time.Duration) error {
	return s.clockStep(&clockWatch{wall: s.now().Add(-by), steady: s.Steady()})
}

// Count counts the log's hour, as every few seconds.
func (s *Server) Count() error { return s.totals.Count(context.Background(), record.HourOf(s.now())) }

// CountToNow writes a total of the log.
func (s *Server) CountToNow(ctx context.Context) error { return s.countToNow(ctx) }

// Mark raises the ledger's mark and returns to where.
func (s *Server) Mark() (uint64, error) {
	return s.journal.Settled(s.log.Size()), s.mark(context.Background())
}

// Rewriter returns what looks for datasets to rewrite, as the minute does.
func (s *Server) Rewriter() (look func()) {
	r := rewriter{Server: s, later: map[generation]time.Time{}}
	return func() { r.look(context.Background()) }
}

// StatedMark is the newest mark that a record from an index on states.
func StatedMark(ctx context.Context, log *netlog.Log, from uint64) (uint64, error) {
	return statedMark(ctx, log, from)
}

// SetDraining makes the server refuse new calls, as a stop does.
func (s *Server) SetDraining(draining bool) { s.draining.Store(draining) }

// Waiting is how many unary calls are open whose message has not come.
func (s *Server) Waiting() int {
	s.arrivals.mu.Lock()
	defer s.arrivals.mu.Unlock()
	return len(s.arrivals.open)
}

// BreakHeaders makes whatever looks at the headers of a call panic. It has to come before the first connection.
func (s *Server) BreakHeaders() { s.authenticator = nil }

// CountLogins counts log-ins from an address, and Logins says how many there are in this hour.
func (s *Server) CountLogins(from string, n int) {
	for range n {
		s.sources.count(netip.MustParseAddr(from))
	}
}

func (s *Server) Logins() int {
	if s.sources == nil {
		return 0
	}
	s.sources.mu.Lock()
	defer s.sources.mu.Unlock()
	return s.sources.all
}

// ForgetLogins begins the hour anew.
func (s *Server) ForgetLogins() { *s.sources = *newSources(s.now()) }

// LookAtSpace looks at the room for the log, as every second does.
func (s *Server) LookAtSpace() { s.lookAtSpace() }

// Purger returns what purges the log, as each minute does; waited is run in place of the wait.
func (s *Server) Purger(waited func(context.Context) error) (look func(context.Context)) {
	p := s.purger()
	if p.notes = waited; waited == nil {
		p.notes = func(context.Context) error { return nil }
	}
	return p.look
}
