package journal

import (
	"net/netip"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// maxRows is how many addresses are told apart in one minute; further ones are counted by /24 and /64, and
// when those are full too, as one.
const maxRows = 4096

// Strangers counts the calls of callers without an identity: first and last time with the port, by address,
// method and outcome. It is safe for concurrent use.
type Strangers struct {
	journal *Journal

	mu   sync.Mutex
	rows map[strangerKey]*strangerRow
}

type strangerKey struct {
	prefix netip.Prefix // a whole address, a /24 or /64, or none
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

// row finds the finest row that there is room for.
func (s *Strangers) row(c Stranger) *strangerRow {
	address := c.Source.IP.Unmap()
	subnet := 24
	if address.Is6() {
		subnet = 64
	}
	for _, bits := range []int{address.BitLen(), subnet, -1} {
		var prefix netip.Prefix
		if bits >= 0 && address.IsValid() {
			prefix, _ = address.Prefix(bits)
		}
		key := strangerKey{prefix: prefix, event: c.Event, method: c.Method, reason: c.Outcome.Reason}
		if row, ok := s.rows[key]; ok {
			return row
		}
		limit := maxRows
		if bits != address.BitLen() {
			limit = 2 * maxRows // coarser rows have room of their own
		}
		if bits < 0 || len(s.rows) < limit {
			row := &strangerRow{outcome: c.Outcome, attack: c.Attack}
			s.rows[key] = row
			return row
		}
	}
	panic("unreachable: the row of everybody always has room")
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
	if r.attack != "" {
		out.Security = &record.Security{Attack: r.attack, Target: key.method, Count: tally.Count, Window: time.Minute}
	}
	return out
}
