package journal_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// dial is a plaintext dial from an address and port.
func dial(address netip.Addr, port uint16) journal.Stranger {
	return journal.Stranger{
		Source: record.Peer{IP: address, Port: port}, Event: record.TLSPlaintextDial,
		Outcome: record.Outcome{Kind: record.Denied, Reason: "plaintext"}, Attack: "PLAINTEXT_DIAL",
	}
}

func v4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }

// v6 is addresses of which 1<<16 share a /64.
func v6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, byte(n >> 24), byte(n >> 16), 0, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)})
}

// TestStrangersAreCounted: nothing is written a call; a minute's calls of one address are one record, with first
// and last time and port.
func TestStrangersAreCounted(t *testing.T) {
	w := newWorld(t)
	s := journal.NewStrangers(w.Journal)
	from := w.log.Size()
	for port := range uint16(100) {
		s.Count(dial(v4(1), 40000+port))
		w.pass(time.Second / 2)
	}
	refused := dial(v4(1), 50000)
	refused.Event, refused.Method, refused.Outcome.Reason, refused.Attack = record.RefusalBulk, "/heyan.v1.VerificationService/Verify", "CREDENTIAL_MISSING", ""
	s.Count(refused)
	if got := w.records(from); len(got) != 0 {
		t.Fatalf("%d records before the minute is over", len(got))
	}
	must(t, s.Flush())
	rows := w.records(from)
	if len(rows) != 2 {
		t.Fatalf("%d records, want one an event", len(rows))
	}
	for _, r := range rows {
		if r.Actor.Kind != record.ActorStranger || r.Source.IP != v4(1) || r.Source.PrefixBits != 0 {
			t.Errorf("row of %v from %v", r.Actor.Kind, r.Source)
		}
		switch r.Event {
		case record.TLSPlaintextDial:
			want := record.Tally{Count: 100, First: start, Last: start.Add(99 * time.Second / 2), FirstPort: 40000, LastPort: 40099}
			if !r.Tally.First.Equal(want.First) || !r.Tally.Last.Equal(want.Last) || r.Tally.Count != want.Count || r.Tally.FirstPort != want.FirstPort || r.Tally.LastPort != want.LastPort {
				t.Errorf("tally %+v, want %+v", r.Tally, want)
			}
			if r.Security == nil || r.Security.Attack != "PLAINTEXT_DIAL" || r.Security.Count != 100 {
				t.Errorf("security %+v", r.Security)
			}
		case record.RefusalBulk:
			if r.Action != refused.Method || r.Outcome.Reason != "CREDENTIAL_MISSING" || r.Tally.Count != 1 {
				t.Errorf("row %q %q %d", r.Action, r.Outcome.Reason, r.Tally.Count)
			}
		default:
			t.Errorf("row of %v", r.Event)
		}
	}
	must(t, s.Flush())
	if got := w.records(from); len(got) != 2 {
		t.Errorf("a minute without strangers wrote %d records", len(got)-2)
	}
}

// TestStrangersAreBounded: 4,096 rows at most. 3,072 addresses have rows of their own; further ones are counted by /24 or
// /64, then as one by event, method and reason, then by event. No call is lost.
func TestStrangersAreBounded(t *testing.T) {
	for _, c := range []struct {
		name      string
		address   func(int) netip.Addr
		calls     int
		exact     int
		prefix    int // bits of the coarser rows
		maxRows   int
		wantTotal bool
	}{
		{"3072 addresses", v4, 3072, 3072, 24, 3072, false},
		{"a /16 more", v4, 3072 + 65536, 3072, 24, 3072 + 257, false},
		{"IPv6", v6, 3072 + 4*65536, 3072, 64, 3072 + 5, false},
		{"more networks than rows", func(n int) netip.Addr { return v4(n * 256) }, 3 * 4096, 3072, 24, 3840 + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := journal.NewStrangers(w.Journal)
			from := w.log.Size()
			for n := range c.calls {
				s.Count(dial(c.address(n), 1))
			}
			must(t, s.Flush())
			exact, total, calls := 0, false, uint64(0)
			rows := w.records(from)
			for _, r := range rows {
				calls += r.Tally.Count
				switch {
				case !r.Source.IP.IsValid():
					total = true
				case r.Source.PrefixBits == 0:
					exact++
				case int(r.Source.PrefixBits) != c.prefix || r.Source.Port != 0:
					t.Errorf("a coarse row of %v/%d port %d", r.Source.IP, r.Source.PrefixBits, r.Source.Port)
				}
			}
			if exact != c.exact || len(rows) > c.maxRows || total != c.wantTotal || calls != uint64(c.calls) {
				t.Errorf("%d rows, %d of addresses, total row %v, %d calls; want at most %d, %d, %v, %d",
					len(rows), exact, total, calls, c.maxRows, c.exact, c.wantTotal, c.calls)
			}
		})
	}
}

// TestStrangersTotalsAreBounded: whatever differs, the rows of a minute do not outgrow their bound.
func TestStrangersTotalsAreBounded(t *testing.T) {
	w := newWorld(t)
	s := journal.NewStrangers(w.Journal)
	from := w.log.Size()
	const calls = 3 * 4096
	for n := range calls {
		d := dial(v4(n*256), 1)
		d.Method = fmt.Sprintf("/heyan.v1.Service/Method%d", n)
		s.Count(d)
	}
	must(t, s.Flush())
	rows, counted := w.records(from), uint64(0)
	for _, r := range rows {
		counted += r.Tally.Count
	}
	if len(rows) > 4096 || counted != calls {
		t.Errorf("%d rows of %d calls, want at most 4096 of %d", len(rows), counted, calls)
	}
}

// TestStrangersOnAFullDisk: a minute is one record an event, and no call is lost; later they are told apart again.
func TestStrangersOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	s := journal.NewStrangers(w.Journal)
	from := w.log.Size()
	s.Count(dial(v4(1), 1))
	s.Narrow(true)
	for n := range 1000 {
		s.Count(dial(v4(1+n), 1))
	}
	must(t, s.Flush())
	rows := w.records(from)
	counted := uint64(0)
	for _, r := range rows {
		counted += r.Tally.Count
	}
	if len(rows) != 2 || counted != 1001 { // the address that had a row before keeps it
		t.Errorf("%d rows of %d calls", len(rows), counted)
	}
	s.Narrow(false)
	from = w.log.Size()
	s.Count(dial(v4(1), 1))
	s.Count(dial(v4(2), 1))
	must(t, s.Flush())
	if rows := w.records(from); len(rows) != 2 {
		t.Errorf("%d rows of two addresses", len(rows))
	}
}

// TestStrangersWithoutALog: what could not be written is kept, with what came since.
func TestStrangersWithoutALog(t *testing.T) {
	w := newWorld(t)
	failing := &failingLog{Log: w.log}
	j := journal.New(failing, w.clock, func() record.Clock { return record.Clock{} }, journal.Hooks{})
	s, b := journal.NewStrangers(j), journal.NewBudgets(j)
	from := w.log.Size()
	s.Count(dial(v4(1), 7))
	s.Count(dial(v4(2), 8))
	flood(t, w, b, j, 502)
	failing.broken = true
	for _, flush := range []func() error{s.Flush, b.Flush} {
		var f *fault.Fault
		if err := flush(); !errors.As(err, &f) || f.Reason != fault.LogUnavailable {
			t.Fatalf("flushed with %v", err)
		}
	}
	w.pass(time.Second)
	s.Count(dial(v4(1), 9))
	failing.broken = false
	must(t, errors.Join(s.Flush(), b.Flush()))
	counts := map[netip.Addr]record.Tally{}
	refusals := uint64(0)
	for _, r := range w.records(from) {
		if r.Event == record.RefusalBulk {
			refusals += r.Tally.Count
			continue
		}
		counts[r.Source.IP] = *r.Tally
	}
	one := counts[v4(1)]
	if one.Count != 2 || one.FirstPort != 7 || one.LastPort != 9 || !one.First.Equal(start) || counts[v4(2)].Count != 1 || refusals != 2 {
		t.Errorf("after the second flush: %+v and %d refusals", counts, refusals)
	}
}
