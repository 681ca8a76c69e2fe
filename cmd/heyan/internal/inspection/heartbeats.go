package inspection

import (
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Status is what the heartbeats say: one a minute, so that silence is told from idleness.
type Status struct {
	Days  []StatusDay
	Gaps  []StatusGap // the newest
	Total uint64      // of gaps
}

// StatusDay is a day at +08:00.
type StatusDay struct {
	Day             string
	Minutes         int // that have a heartbeat
	Expected        int // of the part of the day that the records span
	Calls, Failures uint64
	LeastFree       uint64 // bytes of disk
	Unsynchronised  int    // heartbeats of a clock that was not, or of which it is not known
}

// StatusGap is a time without heartbeat.
type StatusGap struct {
	From, To time.Time
	Why      Why
}

// Why is what is on record of a gap.
type Why uint8

// The reasons.
const (
	Silent  Why = iota // nothing
	Stopped            // the server was stopped in order
	Edge               // the range has no heartbeat, start or stop before it, or none behind it
)

const (
	// slack is how far apart heartbeats may be before it is called a gap: two minutes and what a busy machine is late.
	slack = 150 * time.Second
	// maxGaps bounds what is listed.
	maxGaps = 1000
)

// heartbeats reads them.
type heartbeats struct {
	days    []StatusDay
	first   time.Time // of all records
	minute  int64     // of the newest heartbeat
	last    time.Time
	stopped bool
	gaps    []StatusGap
	total   uint64
}

func (h *heartbeats) add(r *record.Record) {
	if h.first.IsZero() {
		h.first = r.Time
	}
	switch r.Event {
	case record.SystemStopped:
		h.alive(r.Time)
		h.stopped = true
	case record.SystemStarted:
		h.alive(r.Time)
	case record.SystemHeartbeat:
		h.alive(r.Time)
		h.count(r)
	}
}

// alive notes that the server was up, and what lies between this and the time before.
func (h *heartbeats) alive(at time.Time) {
	why := Silent
	if h.stopped {
		why = Stopped
	}
	if !h.last.IsZero() {
		h.gap(h.last, at, why)
	} else {
		h.gap(h.first, at, Edge)
	}
	h.last, h.stopped = at, false
}

// gap notes a time without heartbeat where it is long enough to be one.
func (h *heartbeats) gap(from, to time.Time, why Why) {
	if to.Sub(from) <= slack {
		return
	}
	h.total++
	if len(h.gaps) >= 2*maxGaps {
		h.gaps = append(h.gaps[:0], h.gaps[maxGaps:]...)
	}
	h.gaps = append(h.gaps, StatusGap{from, to, why})
}

func (h *heartbeats) count(r *record.Record) {
	name := r.Time.In(China).Format(time.DateOnly)
	if n := len(h.days); n == 0 || h.days[n-1].Day != name {
		h.days = append(h.days, StatusDay{Day: name})
	}
	day := &h.days[len(h.days)-1]
	if minute := r.Time.Unix() / 60; minute != h.minute {
		h.minute = minute
		day.Minutes++
	}
	if r.Clock.State != record.ClockSynchronised {
		day.Unsynchronised++
	}
	if s := r.Status; s != nil {
		day.Calls += s.Calls
		day.Failures += s.Failures
		if s.DiskTotal > 0 && (day.LeastFree == 0 || s.DiskFree < day.LeastFree) {
			day.LeastFree = s.DiskFree
		}
	}
}

// done says what is between the first record and the last. A day without any heartbeat is a row of its own.
func (h *heartbeats) done(first, last time.Time) Status {
	switch {
	case h.last.IsZero():
		h.gap(first, last, Edge)
	case h.stopped:
		h.gap(h.last, last, Stopped)
	default:
		h.gap(h.last, last, Edge)
	}
	s := Status{Gaps: h.gaps, Total: h.total}
	if len(s.Gaps) > maxGaps {
		s.Gaps = s.Gaps[len(s.Gaps)-maxGaps:]
	}
	if first.IsZero() {
		return s
	}
	seen := map[string]StatusDay{}
	for _, day := range h.days {
		seen[day.Day] = day
	}
	begin := first.In(China)
	for at := time.Date(begin.Year(), begin.Month(), begin.Day(), 0, 0, 0, 0, China); !at.After(last); at = at.AddDate(0, 0, 1) {
		day := seen[at.Format(time.DateOnly)]
		day.Day = at.Format(time.DateOnly)
		from, to := at, at.AddDate(0, 0, 1)
		if first.After(from) {
			from = first
		}
		if last.Before(to) {
			to = last
		}
		day.Expected = int(to.Sub(from) / time.Minute)
		s.Days = append(s.Days, day)
	}
	return s
}
