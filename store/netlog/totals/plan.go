package totals

import (
	"slices"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// placed is a total, and where its parts stand.
type placed struct {
	*whole
	indexes []uint64
}

// assembly puts totals together, in the order of the log. Totals that begin before the end of the one before, which no
// Keeper writes, are left out.
type assembly struct {
	list []*placed
	open []*placed // parts are missing
}

// add takes a part, and returns the total that it completes.
func (a *assembly) add(index uint64, t *record.Totals) *placed {
	span := SpanOf(t)
	at := slices.IndexFunc(a.open, func(p *placed) bool { return p.Span == span })
	if at < 0 {
		at = len(a.open)
		a.open = append(a.open, &placed{whole: newWhole(span)})
	}
	p := a.open[at]
	if p.add(t) {
		p.indexes = append(p.indexes, index)
	}
	if !p.complete() {
		return nil
	}
	// What began before it and is not complete by now never will be: a Keeper writes one after the other.
	a.open = nil
	if n := len(a.list); n > 0 && p.From < a.list[n-1].To {
		return nil
	}
	a.list = append(a.list, p)
	return p
}

// Plan chooses which records of totals an export of a range carries as evidence.
type Plan struct {
	filter   *Filter
	from, to uint64
	assembly
}

// NewPlan returns a Plan for an export of [from, to).
func NewPlan(f *Filter, from, to uint64) *Plan { return &Plan{filter: f, from: from, to: to} }

// Add takes the next record of totals, in the order of the log, from the range's first index on. It tells when no further
// one is needed.
func (p *Plan) Add(index uint64, t *record.Totals) (enough bool) {
	done := p.add(index, t)
	return done != nil && done.To >= p.to
}

// Indexes returns where the records are, in ascending order: of every total that counts a record of the range; and, where
// the filter has a time, of these from the last before it to the first behind it. Of a range that nothing counts it is the
// first total, which says so.
func (p *Plan) Indexes() []uint64 {
	list := p.list
	if len(list) > 0 && list[0].From < p.to {
		list = slices.DeleteFunc(slices.Clone(list), func(t *placed) bool { return t.To <= p.from || t.From >= p.to })
	}
	first := slices.IndexFunc(list, func(t *placed) bool { return !p.filter.before(t.whole) })
	if first < 0 {
		first = len(list)
	}
	end := len(list)
	for end > 0 && p.filter.behind(list[end-1].whole) {
		end--
	}
	var indexes []uint64
	for _, t := range list[max(first-1, 0):min(end+1, len(list))] {
		indexes = append(indexes, t.indexes...)
	}
	slices.Sort(indexes)
	return indexes
}
