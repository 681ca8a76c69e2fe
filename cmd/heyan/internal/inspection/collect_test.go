package inspection

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// TestSessions: log-in and log-out of a person stand on one row, also where many are open at once; clients are counted.
func TestSessions(t *testing.T) {
	r := &reading{Collector: NewCollector(2, 0)}
	acme := record.Actor{Kind: record.ActorClient, ID: "acme"}
	r.add(t, 0, record.Record{Event: record.SessionClosed, Session: "before", Actor: auditor()})
	for i := range 7 {
		r.add(t, 1+i, record.Record{Event: record.SessionOpened, Session: fmt.Sprint("s", i), Actor: auditor()})
	}
	r.add(t, 10, record.Record{Event: record.SessionOpened, Session: "c", Actor: acme})
	r.add(t, 11, record.Record{Event: record.VerificationVerify, Actor: acme})
	r.add(t, 12, record.Record{Event: record.VerificationVerify, Actor: acme, Outcome: record.Outcome{Kind: record.Denied}})
	r.add(t, 20, record.Record{Event: record.SessionClosed, Session: "s5", Actor: auditor()})
	r.add(t, 21, record.Record{Event: record.SessionClosed, Session: "s0", Actor: auditor()}) // its row is gone
	r.add(t, 8*3600, record.Record{Event: record.SessionClosed, Session: "c", Actor: acme})   // the next day in China
	log := r.Done()
	rows := log.Sessions.Rows
	if len(rows) != 2 || log.Sessions.Total != 8 || rows[0].Session != "s5" || rows[0].Until != noon.Add(20*time.Second) || !rows[1].Until.IsZero() {
		t.Errorf("%d sessions, shown %+v", log.Sessions.Total, rows)
	}
	want := []ClientDay{{"2026-11-22", "acme", 1, 0, 2, 1}, {"2026-11-23", "acme", 0, 1, 0, 0}}
	if len(log.Days) != 2 || log.Days[0] != want[0] || log.Days[1] != want[1] {
		t.Errorf("days %+v", log.Days)
	}
	if log.Failures.Total != 0 {
		t.Errorf("%d failures", log.Failures.Total)
	}
}

// TestHeartbeats: a time without heartbeat is named, and told apart from a stop that is on record.
func TestHeartbeats(t *testing.T) {
	r := &reading{Collector: NewCollector(10, 0)}
	beat := func(minute int) {
		r.add(t, 60*minute, record.Record{Event: record.SystemHeartbeat, Clock: record.Clock{State: record.ClockSynchronised},
			Status: &record.Status{Calls: 2, Failures: 1, DiskFree: uint64(9 - minute%3), DiskTotal: 9}})
	}
	for minute := range 4 {
		beat(minute)
	}
	r.add(t, 200, record.Record{Event: record.SystemStopped})
	r.add(t, 600, record.Record{Event: record.SystemStarted})
	beat(11)
	beat(20)          // nine minutes of silence
	beat(22)          // two minutes are none
	beat(3 * 24 * 60) // a day without any between
	log := r.Done()
	s := log.Status
	if s.Total != 3 || len(s.Gaps) != 3 || s.Gaps[0].Why != Stopped || s.Gaps[1].Why != Silent || s.Gaps[2].Why != Silent ||
		s.Gaps[1].From != noon.Add(11*time.Minute) || s.Gaps[1].To != noon.Add(20*time.Minute) {
		t.Errorf("gaps %+v", s.Gaps)
	}
	if len(s.Days) != 4 || s.Days[0] != (StatusDay{"2026-11-22", 7, 8 * 60, 14, 7, 7, 0}) || s.Days[1].Minutes != 0 || s.Days[1].Expected != 1440 ||
		s.Days[3].Day != "2026-11-25" || s.Days[3].Minutes != 1 || s.Days[3].Expected != 16*60 {
		t.Errorf("days %+v", s.Days)
	}
}

// TestRangeWithoutHeartbeat: a range that begins or ends in silence says so, and one without any heartbeat is one gap.
func TestRangeWithoutHeartbeat(t *testing.T) {
	for name, c := range map[string]struct {
		events []record.Event // ten minutes apart
		want   []Why
	}{
		"none":      {[]record.Event{record.ClientListed, record.ClientListed}, []Why{Edge}},
		"edges":     {[]record.Event{record.ClientListed, record.SystemHeartbeat, record.ClientListed}, []Why{Edge, Edge}},
		"a restart": {[]record.Event{record.SystemStopped, record.SystemStarted}, []Why{Stopped}},
		"a stop":    {[]record.Event{record.SystemStopped, record.TLSPlaintextDial}, []Why{Stopped}},
	} {
		r := &reading{Collector: NewCollector(10, 0)}
		for i, e := range c.events {
			r.add(t, 600*i, record.Record{Event: e})
		}
		var got []Why
		for _, g := range r.Done().Status.Gaps {
			got = append(got, g.Why)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestTables: each record stands where it belongs, and what does not fit is counted.
func TestTables(t *testing.T) {
	r := &reading{Collector: NewCollector(3, 1)}
	for i, e := range record.Events() {
		for range 4 {
			r.add(t, i, record.Record{Event: e})
		}
	}
	log := r.Done()
	counts := map[record.Category]uint64{}
	for _, e := range record.Events() {
		counts[e.Category()] += 4
	}
	for name, c := range map[string]struct {
		got  *Newest
		want uint64
	}{
		"readings": {log.Readings, counts[record.CategoryLogAccess]}, "config": {log.Config, counts[record.CategoryConfig]},
		"admin": {log.Admin, counts[record.CategoryAdmin]}, "security": {log.Security, counts[record.CategorySecurity]},
		"failures": {log.Failures, counts[record.CategoryAuthentication] - 8}, "system": {log.System, counts[record.CategorySystem] - 8},
	} {
		if c.got.Total != c.want || len(c.got.Rows) != 3 || c.want == 0 {
			t.Errorf("%s: %d records, %d shown; want %d and 3", name, c.got.Total, len(c.got.Rows), c.want)
		}
	}
	if last := log.Config.Rows[2]; last.Event != record.KeyDestroyed.String() {
		t.Errorf("the newest is %s", last.Event)
	}
	if log.Records != uint64(4*len(record.Events())) || len(log.Samples) != len(record.Events()) {
		t.Errorf("%d records, %d samples", log.Records, len(log.Samples))
	}
	if log.Samples[3].Cells[0] != (Cell{"index", "12"}) {
		t.Errorf("a sample begins with %v", log.Samples[3].Cells[0])
	}
	if err := r.Add(r.next, []byte("no record")); err == nil {
		t.Error("what is no record is read")
	}
}
