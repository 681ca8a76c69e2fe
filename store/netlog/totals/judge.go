package totals

import (
	"cmp"
	"slices"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Disagreement is a group of which an export has another number of rows than its total says.
type Disagreement struct {
	Span
	Group record.Group // with the total's count; 0 where the total has no such group
	Has   uint64       // rows of the export
}

// Less tells that rows are missing. Otherwise there are rows that cannot be.
func (d Disagreement) Less() bool { return d.Has < d.Group.Count }

// Range is [From, To) of indexes.
type Range struct{ From, To uint64 }

// Result is what a [Judge] found of the rows.
type Result struct {
	Hours     int     // of which a total within the range was compared, and the filter's time leaves none out
	Totals    int     // that were compared, and lie within the range
	Bounded   bool    // ends of the range, or of the filter's time, divide a total or an hour: rows there are at most what it says
	Older     uint64  // records of the range from before the log had totals
	Uncounted []Range // parts of the range that no total counts, and one ought to
	Unsound   []Span  // totals whose groups do not make up their range: no Keeper writes them
}

// Judge holds the rows of an export against totals, as they come: both in ascending order of their indexes, a total behind
// the rows that it counts. It keeps the groups of the rows whose total has not come yet.
type Judge struct {
	filter   *Filter
	from, to uint64
	report   func(Disagreement)

	spans  []*judged // in order, none reaching into the next
	at     int       // the first whose end the rows have not reached
	hours  map[uint64]bool
	result Result
}

// judged is a total, and the rows in its range.
type judged struct {
	*whole
	rows map[record.Group]uint64
}

// NewJudge returns a Judge of an export of [from, to). spans are the totals that will come; report is told of each
// disagreement.
func NewJudge(f *Filter, from, to uint64, spans []Span, report func(Disagreement)) *Judge {
	j := &Judge{filter: f, from: from, to: to, report: report, hours: map[uint64]bool{}}
	sorted := slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	for _, s := range sorted {
		if n := len(j.spans); n == 0 || j.spans[n-1].To <= s.From {
			j.spans = append(j.spans, &judged{whole: newWhole(s), rows: map[record.Group]uint64{}})
		}
	}
	return j
}

// Row takes a row.
func (j *Judge) Row(index uint64, r *record.Record) {
	for j.at < len(j.spans) && j.spans[j.at].To <= index {
		j.at++
	}
	if j.at < len(j.spans) && j.spans[j.at].From <= index {
		j.spans[j.at].rows[record.GroupOf(r)]++
	}
}

// Total takes a part of a total.
func (j *Judge) Total(t *record.Totals) {
	at, found := slices.BinarySearchFunc(j.spans, t.From, func(s *judged, from uint64) int { return cmp.Compare(s.From, from) })
	if !found || j.spans[at].Span != SpanOf(t) || !j.spans[at].add(t) {
		return
	}
	s := j.spans[at]
	for _, g := range t.Groups {
		key := g
		key.Count = 0
		j.compare(s, g, s.rows[key])
		delete(s.rows, key)
	}
	if s.complete() {
		j.end(s)
	}
}

// within tells that all of a total's records are in the range.
func (j *Judge) within(s *judged) bool { return j.from <= s.From && s.To <= j.to }

func (j *Judge) compare(s *judged, g record.Group, has uint64) {
	pass := j.filter.passing(&g)
	if pass == every && !j.within(s) {
		pass = some
	}
	if j.filter.within(g.Hour) == every && j.within(s) {
		j.hours[g.Hour] = true
	}
	if pass == some && s.From < j.to && j.from < s.To {
		j.result.Bounded = true
	}
	if pass == every && has != g.Count || pass == some && has > g.Count || pass == none && has > 0 {
		if pass == none {
			g.Count = 0
		}
		j.report(Disagreement{s.Span, g, has})
	}
}

// end judges a total whose parts are all there.
func (j *Judge) end(s *judged) {
	for g, has := range s.rows {
		j.report(Disagreement{s.Span, g, has})
	}
	s.rows = nil
	if s.sum != s.To-s.From {
		j.result.Unsound = append(j.result.Unsound, s.Span)
	}
	if j.within(s) {
		j.result.Totals++
	}
}

// End judges the totals as a whole.
func (j *Judge) End() Result {
	j.result.Hours = len(j.hours)
	at := j.from
	var behind bool
	for i, s := range j.spans {
		if !s.complete() {
			continue
		}
		if at < s.From {
			j.gap(at, s, i == 0 && j.filter.before(s.whole))
		}
		at, behind = max(at, s.To), j.filter.behind(s.whole)
	}
	if at < j.to && !behind {
		j.uncounted(at, j.to)
	}
	return j.result
}

// gap judges what lies in front of a total and behind the one before it: what the log did not count yet, or anew, is older
// than its totals.
func (j *Judge) gap(from uint64, s *judged, before bool) {
	to := min(s.From, j.to)
	if older := min(max(s.begin, from), to); !before {
		j.result.Older += older - from
		j.uncounted(older, to)
	}
}

func (j *Judge) uncounted(from, to uint64) {
	if from < to {
		j.result.Uncounted = append(j.result.Uncounted, Range{from, to})
	}
}
