package retention

import (
	"time"
)

// Segment is a sealed part of one log.
type Segment struct {
	First, End     uint64    // indexes [First, End)
	Oldest, Latest time.Time // of its records, which need not be in order
	Bytes          int64     // on disk
}

// Hold keeps records of a time range, whatever the policy says. An empty bound is open.
type Hold struct {
	ID       string
	From, To time.Time // records of [From, To)
	Until    time.Time // when it ends by itself; zero = when it is released
}

// touches reports whether the hold may concern a record of the segment, now.
func (h *Hold) touches(s *Segment, now time.Time) bool {
	return (h.Until.IsZero() || now.Before(h.Until)) &&
		(h.To.IsZero() || s.Oldest.Before(h.To)) && (h.From.IsZero() || !s.Latest.Before(h.From))
}

// Clock is what is known of the clock that dates are judged by.
type Clock struct {
	Synchronised bool
	Stepped      time.Time // when it was last set, or the process began; zero = never
	Newest       time.Time // the time of the newest record before this process began; zero = none
	Began        time.Time // when this process began
}

const (
	// Settle is how long after a step, or after a start, the clock has to run before it is trusted again.
	Settle = 24 * time.Hour
	// MaxIdle is how far a start may lie behind the newest record of the log: a clock that was set forward while nobody
	// watched looks like a long stop. Whoever was stopped longer waits for Settle.
	MaxIdle = 7 * 24 * time.Hour
)

// Reason is why a segment stays.
type Reason uint8

// The reasons. The zero Reason means that it may go.
const (
	Purgeable      Reason = iota
	NotYet                // its time is not over
	Held                  // a hold concerns it
	ClockUntrusted        // no date can be judged now
	Behind                // an older segment stays
)

// String returns the name of the reason.
func (r Reason) String() string {
	return [...]string{"PURGEABLE", "NOT_YET", "HELD", "CLOCK_UNTRUSTED", "BEHIND"}[min(r, Behind)]
}

// Decision is what becomes of one segment.
type Decision struct {
	Segment
	Why  Reason
	Hold string    // that keeps it
	From time.Time // when its time is over, holds and clock left aside
}

// trusted reports whether dates can be judged by the clock.
func (c *Clock) trusted(now time.Time) bool {
	if !c.Synchronised || now.Before(c.Stepped.Add(Settle)) && !c.Stepped.IsZero() {
		return false
	}
	idle := !c.Newest.IsZero() && (c.Began.Sub(c.Newest) > MaxIdle || c.Began.Before(c.Newest))
	return !idle || !now.Before(c.Began.Add(Settle))
}

// Plan decides on the segments of one log, which are in order and without gaps.
func (p Policy) Plan(segments []Segment, holds []Hold, clock Clock, now time.Time) []Decision {
	plan, behind := make([]Decision, len(segments)), false
	for i := range segments {
		d := &plan[i]
		d.Segment, d.From = segments[i], p.PurgeableFrom(segments[i].Latest)
		d.Why, d.Hold = p.judge(d, holds, &clock, now)
		if d.Why == Purgeable && behind {
			d.Why = Behind
		}
		behind = behind || d.Why != Purgeable
	}
	return plan
}

func (p Policy) judge(d *Decision, holds []Hold, clock *Clock, now time.Time) (why Reason, hold string) {
	if p.Check() != nil || now.Before(d.From) {
		return NotYet, ""
	}
	for i := range holds {
		if holds[i].touches(&d.Segment, now) {
			return Held, holds[i].ID
		}
	}
	if !clock.trusted(now) {
		return ClockUntrusted, ""
	}
	return Purgeable, ""
}

// Cost is what a hold costs.
type Cost struct {
	Segments int // that it concerns now
	Records  uint64
	Bytes    int64 // on disk, of the segments that it keeps beyond their time: those it concerns and all after them
	// First is when the first segment would have gone without it; zero where it concerns none.
	First time.Time
	// Days is how many days longer than its policy the first segment is kept, to Until, or to now where the hold has no end.
	Days int
	// Daily is how many bytes it keeps more for each day that it lasts beyond First: the log's mean.
	Daily int64
}

// Cost says what a hold would keep: since a log goes from its oldest record on, that is every segment from the first one
// that it concerns.
func (p Policy) Cost(segments []Segment, h Hold, now time.Time) (c Cost) {
	for i := range segments {
		s := &segments[i]
		if h.touches(s, now) {
			c.Segments++
			c.Records += s.End - s.First
			if c.First.IsZero() {
				c.First = p.PurgeableFrom(s.Latest)
			}
		}
		if !c.First.IsZero() {
			c.Bytes += s.Bytes
		}
	}
	if len(segments) > 0 {
		var bytes int64
		for i := range segments {
			bytes += segments[i].Bytes
		}
		span := segments[len(segments)-1].Latest.Sub(segments[0].Oldest)
		c.Daily = int64(float64(bytes) / max(span.Hours()/24, 1))
	}
	if end := h.Until; !c.First.IsZero() {
		if end.IsZero() {
			end = now
		}
		c.Days = max(int(end.Sub(c.First).Hours()/24), 0)
	}
	return c
}
