package retention

import (
	"slices"
	"time"

	"github.com/heyan-project/heyan/verifier/workday"
)

// Span is the time that the records of one origin cover, as far as they can be read.
type Span struct {
	Origin         string
	Oldest, Newest time.Time
}

// Silence is time between two origins, of which no record can be read.
type Silence struct {
	From, To      time.Time
	After, Before string // origins
}

// Coverage is what several origins cover together.
type Coverage struct {
	Oldest, Newest time.Time
	RequiredFrom   workday.Date // first day that has to be covered today
	Shortfall      int          // days since then, up to the newest record, of which no origin has any record
	Silences       []Silence
}

// Cover judges what the spans cover of what has to be covered on the day of now: from six calendar months back, or from
// first, the earliest first record of every origin there ever was, whichever is later. A zero first is the spans' own.
func Cover(spans []Span, first, now time.Time) Coverage {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return s.Oldest.IsZero() })
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Oldest.Compare(b.Oldest) })
	today := workday.DateOf(now)
	c := Coverage{RequiredFrom: workday.RequiredFrom(today)}
	last := ""
	for i, s := range spans {
		if i == 0 {
			c.Oldest = s.Oldest
		} else if s.Oldest.After(c.Newest) {
			c.Silences = append(c.Silences, Silence{c.Newest, s.Oldest, last, s.Origin})
		}
		if i == 0 || s.Newest.After(c.Newest) {
			c.Newest, last = s.Newest, s.Origin
		}
	}
	if first.IsZero() {
		first = c.Oldest
	}
	if day := workday.DateOf(first); !first.IsZero() && day.After(c.RequiredFrom) {
		c.RequiredFrom = day
	}
	end := today
	if newest := workday.DateOf(c.Newest); len(spans) > 0 && newest.Before(today) {
		end = newest
	}
	for day := c.RequiredFrom; !day.After(end); day = day.AddDays(1) {
		if !slices.ContainsFunc(spans, func(s Span) bool { return s.covers(day) }) {
			c.Shortfall++
		}
	}
	return c
}

// covers tells whether a day lies within the span.
func (s Span) covers(day workday.Date) bool {
	return !day.Before(workday.DateOf(s.Oldest)) && !day.After(workday.DateOf(s.Newest))
}
