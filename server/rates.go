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

// allow takes one call of a client's bucket.
func (r *rates) allow(c *account.Client, now time.Time) bool {
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
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
