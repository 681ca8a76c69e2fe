// Package totals counts the records of the network log, so that a filtered export can be held against something.
//
// A total is a statement in the log itself (system.totals) about the records of a range of indexes: how many there are
// of each hour, actor, action and outcome. Totals follow one another without a gap: each begins at the index where the
// one before ends, from record.Totals.Begin on. Every record is counted once, those of totals too, by the next one. The
// hour of a group is that of the record's own time, so a record that comes late, or under a clock that was set back, is
// counted in the hour that it names, whichever total counts it.
//
// Groups that do not fit into one record are split over several, which name the same range and their number. A total
// whose parts are not all in the log, since the machine stopped in between, is none; the next begins where it began.
//
// A [Keeper] makes them. It counts what it reads back from the log, after it is durable, and keeps nothing that a crash
// could take away: a start finds the newest total in the log and counts on from its end. A [Plan] chooses those that an
// export has to carry, a [Judge] holds the export against them.
//
// # Guaranteed
//
//   - Of an export that is filtered by client, method, outcome or whole hours, alone or together, a row that was left out,
//     or added, disagrees with the total of its group, and the judge says which.
//   - A total that is left out of the evidence is a range that nothing counts, and the judge says which. A total states
//     where the counting of its log began, so what is older is told from what is missing.
//
// # Not guaranteed
//
//   - Other filters (source, reason, event, category, product, verification, session) are no members of a group, and an
//     export by them carries no totals. Where a range or a filter's time ends inside of a total or an hour, and for records
//     on an actor's behalf, rows are at most what the total says.
//   - An export filtered by time carries the totals from the last before that time to the first behind it. Where the clock
//     was set back by an hour or more, records of that time further away in the log are counted by totals further away:
//     the exporter adds them, and nothing shows that one who did not has kept them back.
//   - Who holds the signing key can write totals that are wrong.
package totals

import (
	"maps"
	"slices"
	"strings"

	"github.com/heyan-project/heyan/store/netlog/record"
)

const (
	// maxGroups ends a total early: it bounds the memory of who makes or reads one.
	maxGroups = 1 << 16
	// groupBytes is what the groups of one record may take, which leaves room for all else that a record of totals has.
	groupBytes = record.MaxSize - 512
)

// Counter counts records in ascending order of their indexes, without a gap.
type Counter struct {
	begin, from, to uint64
	groups          map[record.Group]uint64
}

// NewCounter returns a Counter whose first record is from, in a log that is counted from begin on.
func NewCounter(begin, from uint64) *Counter {
	return &Counter{begin: begin, from: from, to: from, groups: map[record.Group]uint64{}}
}

// Add counts the next record.
func (c *Counter) Add(r *record.Record) {
	c.to++
	g := record.GroupOf(r)
	n, known := c.groups[g]
	if !known {
		g.Actor, g.Action = strings.Clone(g.Actor), strings.Clone(g.Action)
	}
	c.groups[g] = n + 1
}

// Full tells that the total should end here.
func (c *Counter) Full() bool { return len(c.groups) >= maxGroups }

// Parts returns the total of what was counted; nil of nothing. The groups are sorted, so that it is the same whoever
// counts.
func (c *Counter) Parts() []*record.Totals {
	sorted := slices.SortedFunc(maps.Keys(c.groups), record.Group.Compare)
	var parts []*record.Totals
	room := 0
	for _, g := range sorted {
		if room < g.Size() {
			parts = append(parts, &record.Totals{From: c.from, To: c.to, Begin: c.begin, Part: uint32(len(parts) + 1)})
			room = groupBytes
		}
		room -= g.Size()
		g.Count = c.groups[g]
		last := parts[len(parts)-1]
		last.Groups = append(last.Groups, g)
	}
	for _, p := range parts {
		p.Parts = uint32(len(parts))
	}
	return parts
}

// next begins the total behind this one.
func (c *Counter) next() {
	c.from = c.to
	clear(c.groups)
}

// Span is the range of one total, and in how many parts it is written.
type Span struct {
	From, To uint64
	Parts    uint32
}

// SpanOf returns what a part is a part of.
func SpanOf(t *record.Totals) Span { return Span{t.From, t.To, t.Parts} }

// whole is a total whose parts are counted.
type whole struct {
	Span
	begin         uint64
	first, latest uint64 // hours that have records
	parts         map[uint32]bool
	sum           uint64
}

func newWhole(s Span) *whole { return &whole{Span: s, first: 1<<64 - 1, parts: map[uint32]bool{}} }

// add takes a part; false for one that was taken already.
func (w *whole) add(t *record.Totals) bool {
	if w.parts[t.Part] {
		return false
	}
	w.parts[t.Part], w.begin = true, t.Begin
	for i := range t.Groups {
		g := &t.Groups[i]
		w.first, w.latest, w.sum = min(w.first, g.Hour), max(w.latest, g.Hour), w.sum+g.Count
	}
	return true
}

func (w *whole) complete() bool { return len(w.parts) == int(w.Parts) }
