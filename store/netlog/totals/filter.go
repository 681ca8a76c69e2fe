package totals

import (
	"math"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Filter is the filter of an export as far as totals know it. Members that are set must all agree.
type Filter struct {
	From, To  time.Time // [From, To)
	Client    string
	Actor     string // its id, or on whose behalf it acted, which totals do not know
	Method    string // full method
	MethodEnd string // "/Verify"
	Outcome   record.OutcomeKind
	Other     bool // something else is filtered by
}

// Comparable tells that there are groups of which every record, or none, passes.
func (f *Filter) Comparable() bool { return !f.Other }

// passing is how many records of a group pass a filter.
type passing uint8

const (
	none passing = iota
	some         // none, some or all
	every
)

// passing decides for the records of a group.
func (f *Filter) passing(g *record.Group) passing {
	if f.Client != "" && (g.Kind != record.ActorClient || g.Actor != f.Client) ||
		f.Method != "" && g.Action != f.Method || !strings.HasSuffix(g.Action, f.MethodEnd) ||
		f.Outcome != 0 && g.Outcome != f.Outcome {
		return none
	}
	within := f.within(g.Hour)
	if within == every && (f.Other || f.Actor != "" && g.Actor != f.Actor) {
		return some
	}
	return within
}

const hour = uint64(time.Hour)

// within decides for the records of an hour by time alone.
func (f *Filter) within(h uint64) passing {
	first, end := h*hour, (h+1)*hour
	from, to := uint64(0), uint64(1<<64-1)
	if !f.From.IsZero() {
		from = nanos(f.From)
	}
	if !f.To.IsZero() {
		to = nanos(f.To)
	}
	switch {
	case end <= from || to <= first:
		return none
	case from <= first && end <= to:
		return every
	}
	return some
}

// nanos is a time as records hold it: what they cannot hold is the nearest that they can.
func nanos(t time.Time) uint64 {
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return uint64(t.UnixNano())
}

// before tells that every record of a total is older than the filter's time.
func (f *Filter) before(w *whole) bool {
	return !f.From.IsZero() && (w.latest+1)*hour <= nanos(f.From)
}

// behind tells that every record of a total is newer than the filter's time.
func (f *Filter) behind(w *whole) bool { return !f.To.IsZero() && w.first*hour >= nanos(f.To) }
