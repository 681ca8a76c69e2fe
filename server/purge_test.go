package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/retention"
)

var shanghai = time.FixedZone("+08:00", 8*3600)

// evening is a moment before the end of a day of Asia/Shanghai.
func evening(t *testing.T, date string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", date+" 23:50:00", shanghai)
	must(t, err)
	return at
}

// aged starts a server on an evening and has it seal a segment, which the ledger agrees with.
func aged(t *testing.T, date string, o servertest.Options) *servertest.Server {
	t.Helper()
	o.Start = evening(t, date)
	s := servertest.Start(t, o)
	seal(t, s)
	_, err := s.Mark()
	must(t, err)
	if len(s.Log.Segments()) != 1 {
		t.Fatalf("segments: %+v", s.Log.Segments())
	}
	return s
}

// crowd writes records of now.
func crowd(t *testing.T, s *servertest.Server, n int) {
	t.Helper()
	var last ledger.Wait
	for range n {
		_, wait, err := s.Journal().Begin(&record.Record{Event: record.SystemDegraded, Outcome: record.Outcome{Kind: record.Success}})
		must(t, err)
		last = wait
	}
	must(t, last())
}

// there tells whether the first record is, and fails where its segment is not likewise.
func there(t *testing.T, s *servertest.Server) bool {
	t.Helper()
	_, err := s.Log.Get(t.Context(), 0)
	_, file := os.Stat(filepath.Join(s.Dir, "log", "segments", fmt.Sprintf("%020d.seg", 0)))
	if err != nil && !errors.Is(err, netlog.ErrPurged) || (err == nil) != (file == nil) {
		t.Errorf("the first record: %v; its segment: %v", err, file)
	}
	return err == nil
}

// seal fills a frame and seals it, so that no write-ahead file repeats it.
func seal(t *testing.T, s *servertest.Server) {
	t.Helper()
	crowd(t, s, 256-int(s.Log.Size()%256))
	must(t, s.Log.Seal(t.Context()))
}

// events returns the records of the purge.
func events(s *servertest.Server) (raised, purged []record.Purge) {
	for _, r := range s.Records(s.Log.First()) {
		switch r.Event {
		case record.LogMinimumRaised:
			raised = append(raised, *r.Purge)
		case record.LogPurged:
			purged = append(purged, *r.Purge)
		}
	}
	return raised, purged
}

// TestPurgeDates: a record of each date is there at the end of the last day that it is kept, and of the grace, and goes with
// the next.
func TestPurgeDates(t *testing.T) {
	for date, last := range map[string]string{
		"2026-01-01": "2026-07-01", "2026-02-28": "2026-08-28", "2026-03-01": "2026-09-01", "2026-03-31": "2026-09-30",
		"2026-08-29": "2027-02-28", "2027-08-31": "2028-02-29",
	} {
		t.Run(date, func(t *testing.T) {
			s := aged(t, date, servertest.Options{})
			look := s.Purger(nil)
			end := evening(t, last).Add(10 * time.Minute)
			for _, at := range []time.Time{end, end.AddDate(0, 0, 15)} {
				s.Clock.Set(at.Add(-time.Second))
				if look(t.Context()); !there(t, s) {
					t.Fatalf("gone by %v", at)
				}
			}
			s.Clock.Set(end.AddDate(0, 0, 15))
			if look(t.Context()); there(t, s) {
				t.Fatal("still there")
			}
			raised, purged := events(s)
			if len(raised) != 1 || len(purged) != 1 {
				t.Fatalf("%+v %+v", raised, purged)
			}
			if r := raised[0]; r.From != 0 || r.To != 256 || r.Segments != 1 || r.Bytes == 0 || r.Period != "P6M" || r.GraceDays != 15 || r.Latest.In(shanghai).Format(time.DateOnly) != date {
				t.Errorf("raised by %+v", r)
			}
			if r := purged[0]; r.From != 0 || r.To != 256 || r.Segments != 1 || r.Bytes != raised[0].Bytes {
				t.Errorf("purged by %+v", r)
			}
			if report, err := s.Log.Verify(t.Context()); err != nil || !report.Whole() || report.First != 256 {
				t.Errorf("%v\n%v", err, report)
			}
		})
	}
}

// TestPurgeHeld: a hold keeps a segment whose time is over, and its release lets it go; so does a chosen period that is
// longer, and a store that does not answer keeps everything.
func TestPurgeHeld(t *testing.T) {
	faulty := &servertest.Faulty{}
	s := aged(t, "2026-01-01", servertest.Options{Store: faulty.Wrap})
	ctx := t.Context()
	onFile := retain.New(s.Store, logkeep.Default(), func() logkeep.Clock { return logkeep.Clock{} }, s.Clock.Now)
	look, day := s.Purger(nil), evening(t, "2026-08-01")
	next := func(what string, want bool) {
		t.Helper()
		s.Clock.Set(day)
		day = day.AddDate(0, 0, 1)
		if look(ctx); there(t, s) != want {
			t.Errorf("%s: there is %v", what, !want)
		}
	}
	h := retention.Hold{ID: "h", Cause: retention.Court, Reference: "17", From: evening(t, "2026-01-01").Add(-time.Hour), To: evening(t, "2026-01-02")}
	revision, err := onFile.PutHold(ctx, h, 0)
	must(t, err)
	next("under a hold", true)
	h.ReleaseTime = s.Clock.Now()
	_, err = onFile.PutHold(ctx, h, revision)
	must(t, err)
	revision, err = onFile.PutSetting(ctx, retention.Setting{Months: 12}, 0)
	must(t, err)
	next("under a longer period", true)
	_, err = onFile.PutSetting(ctx, retention.Setting{Months: 6}, revision)
	must(t, err)
	faulty.Hook(func(method string) error {
		if method == "ListDocuments" {
			return servertest.ErrDown()
		}
		return nil
	})
	next("with holds that cannot be read", true)
	faulty.Hook(nil)
	next("released", false)
}

// TestPurgeClock: by a clock that cannot be trusted nothing goes, also where nobody but the purge has seen it move.
func TestPurgeClock(t *testing.T) {
	var steady atomic.Int64
	state := record.ClockSynchronised
	steady.Store(evening(t, "2026-01-01").UnixNano())
	s := aged(t, "2026-01-01", servertest.Options{
		Steady: func() time.Time { return time.Unix(0, steady.Load()) }, Clock: func() record.ClockState { return state }})
	look, due := s.Purger(nil), evening(t, "2026-08-01")
	pass := func(d time.Duration) {
		s.Clock.Set(s.Clock.Now().Add(d))
		steady.Add(int64(d))
	}
	want := func(what string, want bool) {
		t.Helper()
		if look(t.Context()); there(t, s) != want {
			t.Errorf("%s: there is %v", what, !want)
		}
	}
	s.Clock.Set(due)
	want("set forward half a year", true)
	pass(25 * time.Hour)
	state = record.ClockUnsynchronised
	want("not synchronised", true)
	pass(25 * time.Hour)
	state = record.ClockSynchronised
	s.Clock.Set(s.Clock.Now().Add(-24 * time.Hour))
	want("set back a day", true)
	pass(23 * time.Hour)
	want("a day is not over", true)
	pass(25 * time.Hour)
	want("trusted", false)
}

// TestPurgeAgreement: what ledger and store do not agree with yet stays.
func TestPurgeAgreement(t *testing.T) {
	faulty := &servertest.Faulty{}
	s := servertest.Start(t, servertest.Options{Start: evening(t, "2026-01-01"), Store: faulty.Wrap})
	faulty.Hook(func(method string) error {
		if method == "SetMark" {
			return servertest.ErrDown()
		}
		return nil
	})
	seal(t, s)
	look := s.Purger(nil)
	s.Clock.Set(evening(t, "2026-08-01"))
	if look(t.Context()); !there(t, s) {
		t.Error("purged from under the mark")
	}
	faulty.Hook(nil)
	_, err := s.Mark()
	must(t, err)
	s.Clock.Set(evening(t, "2026-08-02"))
	if look(t.Context()); there(t, s) {
		t.Error("still there")
	}
}

// TestPurgeStopped: a stop between the new minimum index and the removal leaves that to the next start, which records it; and
// a log whose birth is gone goes on.
func TestPurgeStopped(t *testing.T) {
	s := aged(t, "2026-01-01", servertest.Options{})
	s.Clock.Set(evening(t, "2026-08-01"))
	ctx, stop := context.WithCancel(t.Context())
	s.Purger(func(ctx context.Context) error {
		stop()
		return ctx.Err()
	})(ctx)
	if raised, purged := events(s); s.Log.First() != 256 || len(raised) != 1 || len(purged) != 0 {
		t.Errorf("%+v %+v", raised, purged)
	}
	for range 2 { // the first start of the two removes, the second has its record
		s.Stop()
		s = servertest.Start(t, servertest.Options{Start: s.Clock.Now(), Dir: s.Dir, Keys: s.Keys})
		if there(t, s) {
			t.Error("still there")
		}
		if _, err := s.Mark(); err != nil {
			t.Error(err)
		}
	}
	if _, purged := events(s); len(purged) != 1 || purged[0].To != 256 || purged[0].Segments != 1 || purged[0].Bytes == 0 {
		t.Errorf("recorded %+v", purged)
	}
}

// TestPurgeAnchors: of each day the newest checkpoint that left the machine stays provable, if it is of this log; where they
// cannot be read nothing goes.
func TestPurgeAnchors(t *testing.T) {
	var known []tree.Checkpoint
	var fault error
	s := servertest.Start(t, servertest.Options{Start: evening(t, "2026-01-01"), Anchors: func(_ context.Context, from, to uint64) ([]tree.Checkpoint, error) {
		if from != 0 || to != 512 {
			t.Errorf("asked for (%d, %d]", from, to)
		}
		return known, fault
	}})
	verifier, err := tree.NewVerifier(s.Log.Key())
	must(t, err)
	notes := map[uint64][]byte{}
	note := func() {
		n := s.Log.Checkpoint()
		c, err := verifier.Open(n)
		must(t, err)
		known, notes[c.Size] = append(known, c), n
	}
	var early, late []byte
	crowd(t, s, 99)
	note()
	crowd(t, s, 50)
	note()
	early = s.Log.Checkpoint()
	known = append(known, tree.Checkpoint{Origin: s.Log.Origin(), Size: 201, Root: tree.LeafHash([]byte("another"))})
	seal(t, s)
	s.Clock.Set(evening(t, "2026-01-02"))
	crowd(t, s, 45)
	note()
	late = s.Log.Checkpoint()
	seal(t, s)
	_, err = s.Mark()
	must(t, err)
	look := s.Purger(nil)
	s.Clock.Set(evening(t, "2026-08-01"))
	fault = errors.New("injected")
	if look(t.Context()); !there(t, s) {
		t.Fatal("purged, and nobody knows what is elsewhere")
	}
	fault = nil
	s.Clock.Set(evening(t, "2026-08-02"))
	if look(t.Context()); there(t, s) {
		t.Fatal("still there")
	}
	raised, _ := events(s)
	if len(raised) != 1 || raised[0].Kept != 2 {
		t.Errorf("%+v", raised)
	}
	report, err := s.Log.Verify(t.Context(), netlog.Evidence{Checkpoint: early}, netlog.Evidence{Checkpoint: late})
	if err != nil || !report.Whole() || report.Anchors != 2 {
		t.Errorf("%v\n%v", err, report)
	}
}
