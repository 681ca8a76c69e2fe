package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/heyan-project/heyan/verifier/account"
)

// rates bounds each client's calls a second by a token bucket of two seconds' depth.
type rates struct {
	byDefault int

	mu      sync.Mutex
	clients map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newRates(byDefault int) *rates {
	return &rates{byDefault: byDefault, clients: map[string]*bucket{}}
}

// allow takes calls of a client's bucket. A batch may ask for more than the bucket ever holds: it passes where
// the bucket is full, and the client waits until the rest has come in.
func (r *rates) allow(c *account.Client, calls int, now time.Time) bool {
	if c == nil {
		return true
	}
	rate := c.RatePerSecond
	if rate == 0 {
		rate = r.byDefault
	}
	if rate == 0 {
		return true
	}
	depth := float64(2 * rate)
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.clients[c.ID]
	if b == nil {
		b = &bucket{left: depth, at: now}
		r.clients[c.ID] = b
	}
	b.left = min(depth, b.left+now.Sub(b.at).Seconds()*float64(rate))
	b.at = now
	taken := float64(min(calls, maxTaken))
	if b.left < min(taken, depth) {
		return false
	}
	b.left -= taken
	return true
}

// maxTaken is what one message takes of a bucket at most: as many requests as a batch may hold. One that holds
// more is refused for that.
const maxTaken = 1000

// sparing lets a line a second pass for each cause, so that a failure that meets every call does not fill the
// operator's log.
type sparing struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *sparing) allow(cause string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, said := s.last[cause]; said && now.Sub(last).Abs() < time.Second {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[cause] = now
	return true
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
