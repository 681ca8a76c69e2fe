package journal

import (
	"net/netip"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// At most maxRows records are written of a minute. Addresses are told apart while there are maxExact; further ones are
// counted by /24 and /64 while there are maxCoarse rows in all; then everybody as one, by event, method and reason; and
// at last by event alone, of which there are few.
const (
	maxRows   = 4096
	maxExact  = 3072
	maxCoarse = 3840
	maxTotals = maxRows - 64
)

// Strangers counts the calls of callers without an identity: first and last time with the port, by address,
// method and outcome. It is safe for concurrent use.
type Strangers struct {
	journal *Journal

	mu     sync.Mutex
	rows   map[strangerKey]*strangerRow
	narrow bool
}

type strangerKey struct {
	prefix netip.Prefix // a whole address, a /24 or /64, or none
	via    netip.Addr   // the trusted proxy, of a whole address
	event  record.Event
	method string
	reason string
}

type strangerRow struct {
	tally   record.Tally
	outcome record.Outcome
	attack  string
}

// NewStrangers makes the counter.
func NewStrangers(j *Journal) *Strangers {
	return &Strangers{journal: j, rows: map[strangerKey]*strangerRow{}}
}

// Stranger is one call, or one connection that came to nothing.
type Stranger struct {
	Source  record.Peer
	Via     record.Peer  // the trusted proxy that told of Source
	Event   record.Event // access.bulk for a success, refusal.bulk, tls.handshake_failed, …
	Method  string       // full method; empty for a connection
	Outcome record.Outcome
	Attack  string // of a closed list, for security events
}

// Count counts one.
func (s *Strangers) Count(c Stranger) {
	now := s.journal.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.row(c)
	if row.tally.Count == 0 {
		row.tally.First, row.tally.FirstPort = now, c.Source.Port
	}
	row.tally.Count++
	row.tally.Last, row.tally.LastPort = now, c.Source.Port
}

// Narrow counts by event alone from now on, or no longer: where the disk is nearly full, a minute is a few records.
func (s *Strangers) Narrow(narrow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.narrow = narrow
}

// row finds the finest row that there is room for.
func (s *Strangers) row(c Stranger) *strangerRow {
	address := c.Source.IP.Unmap()
	subnet := 24
	if address.Is6() {
		subnet = 64
	}
	for _, level := range []struct{ bits, limit int }{{address.BitLen(), maxExact}, {subnet, maxCoarse}, {-1, maxTotals}} {
		var prefix netip.Prefix
		if level.bits >= 0 && address.IsValid() {
			prefix, _ = address.Prefix(level.bits)
		}
		key := strangerKey{prefix: prefix, event: c.Event, method: c.Method, reason: c.Outcome.Reason}
		if level.bits == address.BitLen() {
			key.via = c.Via.IP
		}
		if row, ok := s.rows[key]; ok {
			return row
		}
		if len(s.rows) < level.limit && !s.narrow {
			return s.begin(key, strangerRow{outcome: c.Outcome, attack: c.Attack})
		}
	}
	key := strangerKey{event: c.Event}
	if row, ok := s.rows[key]; ok {
		return row
	}
	return s.begin(key, strangerRow{outcome: record.Outcome{Kind: c.Outcome.Kind}})
}

func (s *Strangers) begin(key strangerKey, row strangerRow) *strangerRow {
	s.rows[key] = &row
	return &row
}

// Flush writes what was counted, a record a row, and begins anew. On an error what was not written is kept.
func (s *Strangers) Flush() error {
	s.mu.Lock()
	rows := s.rows
	s.rows = map[strangerKey]*strangerRow{}
	s.mu.Unlock()
	err := writeRows(s.journal, rows, func(key strangerKey, row *strangerRow) *record.Record { return row.record(key) })
	if err != nil {
		s.putBack(rows)
	}
	return err
}

func (s *Strangers) putBack(rows map[strangerKey]*strangerRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, old := range rows {
		if row, ok := s.rows[key]; ok {
			row.tally.Count += old.tally.Count
			row.tally.First, row.tally.FirstPort = old.tally.First, old.tally.FirstPort
		} else {
			s.rows[key] = old
		}
	}
}

func (r *strangerRow) record(key strangerKey) *record.Record {
	tally := r.tally
	out := &record.Record{
		Event: key.event, Action: key.method, Outcome: r.outcome, Tally: &tally, Time: tally.Last,
		Actor: record.Actor{Kind: record.ActorStranger},
	}
	if key.prefix.IsValid() {
		out.Source = record.Peer{IP: key.prefix.Addr(), Port: tally.LastPort}
		if key.prefix.Bits() != key.prefix.Addr().BitLen() {
			out.Source.Port, out.Source.PrefixBits = 0, uint8(key.prefix.Bits())
		}
	}
	out.Via.IP = key.via
	if r.attack != "" {
		out.Security = &record.Security{Attack: r.attack, Target: key.method, Count: tally.Count, Window: time.Minute}
	}
	return out
}
