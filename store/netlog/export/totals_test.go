package export

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/totals"
)

// count writes a total of the records that none counts yet, as a server does.
func (w *world) count() {
	w.t.Helper()
	var at uint64
	for _, leaf := range w.leaves {
		r, err := record.Parse(leaf)
		must(w.t, err)
		if r.Totals != nil {
			at = r.Totals.To
		}
	}
	c := totals.NewCounter(0, at)
	var last record.Record
	for _, leaf := range w.leaves[at:] {
		var err error
		last, err = record.Parse(leaf)
		must(w.t, err)
		c.Add(&last)
	}
	for _, part := range c.Parts() {
		w.add(record.Record{Time: last.Time, Event: record.SystemTotals, Actor: record.Actor{Kind: record.ActorSystem}, Outcome: record.Outcome{Kind: record.Success}, Totals: part})
	}
}

// calls is a log of three hours with a total each: 240 records, of two clients, and three totals.
func calls(t testing.TB) *world {
	w := newWorld(t, 1, 0)
	for i := range 240 {
		r := sample(0)
		r.Time = began.Add(time.Duration(i) * 45 * time.Second)
		r.Actor.ID, r.Action = fmt.Sprint("client-", i%2), fmt.Sprint("/heyan.v1.VerificationService/", []string{"Verify", "GetPolicy"}[i/2%2])
		r.Outcome.Kind = record.OutcomeKind(1 + i/4%2)
		w.add(r)
		if i%80 == 79 {
			w.count()
		}
	}
	return w
}

// filtered asks by a filter that totals know, as a server answers: up to the last total's end.
func (w *world) filtered(f Format, filter Filter) asked {
	w.t.Helper()
	known, err := filter.totals()
	must(w.t, err)
	a := w.whole(f)
	a.filter, a.set = filter, nil
	a.to = w.edge.Size() - 1
	plan, enough := totals.NewPlan(known, 0, a.to), false
	for i, leaf := range w.leaves {
		r, err := record.Parse(leaf)
		must(w.t, err)
		if uint64(i) < a.to && matches(known, &r) {
			a.set = append(a.set, uint64(i))
		}
		if r.Totals != nil && !enough {
			enough = plan.Add(uint64(i), r.Totals)
		}
	}
	a.totals = plan.Indexes()
	return a
}

func matches(f *totals.Filter, r *record.Record) bool {
	return (f.Client == "" || r.Actor.ID == f.Client) && (f.Method == "" || r.Action == f.Method) && strings.HasSuffix(r.Action, f.MethodEnd) &&
		(f.Outcome == 0 || r.Outcome.Kind == f.Outcome) && (f.From.IsZero() || !r.Time.Before(f.From)) && (f.To.IsZero() || r.Time.Before(f.To))
}

// forge writes an export as somebody does who has all of the log but its key: proof, count and sums are right.
func (w *world) forge(a asked) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "out")
	if a.fsys == nil {
		a.fsys = disk.OS()
	}
	out, err := Create(a.fsys, dir, a.layout)
	must(w.t, err)
	must(w.t, w.fill(out, a))
	m := w.manifest(a)
	must(w.t, out.write(&m))
	must(w.t, out.dir.Publish())
	return dir
}

func without(all []uint64, at int) []uint64 { return slices.Delete(slices.Clone(all), at, at+1) }

var filters = map[string]Filter{
	"a client":   {Client: "client-1"},
	"a method":   {Method: "Verify"},
	"by name":    {Method: "/heyan.v1.VerificationService/GetPolicy"},
	"an outcome": {Outcome: "SUCCESS"}, // totals are among the rows
	"an hour":    {StartTime: Time(began.Add(time.Hour)), EndTime: Time(began.Add(2 * time.Hour))},
	"all of it":  {Client: "client-0", Method: "Verify", Outcome: "DENIED", StartTime: Time(began.Add(time.Hour)), EndTime: Time(began.Add(3 * time.Hour))},
}

// Honest exports agree with their totals, in every format. One without a row, however well that is covered up, does not,
// and neither does one with a row that does not pass, or without a total.
func TestTotalsOfForgedExports(t *testing.T) {
	w := calls(t)
	r := rand.New(rand.NewPCG(1, 2))
	for name, filter := range filters {
		for _, layout := range []Layout{{Format: JSONL, Lang: English}, {Format: CSV, Lang: Chinese, BOM: true}} {
			t.Run(name+" "+string(layout.Format), func(t *testing.T) {
				w.t = t
				a := w.filtered(layout.Format, filter)
				a.layout = layout
				report := w.verify(w.export(a))
				if !report.Whole() || !report.Members || report.Totals != TotalsAgree || report.Counted.Hours == 0 || len(a.set) < 10 {
					t.Fatalf("%d rows: %+v", len(a.set), report)
				}
				lost := a
				at := r.IntN(len(a.set))
				for filter.Outcome != "" && bytes.Contains(w.leaves[a.set[at]], []byte("system.totals")) { // which would be a total too
					at = r.IntN(len(a.set))
				}
				lost.set = without(a.set, at)
				report = w.verify(w.forge(lost))
				wants(t, report, "missing: "+EntriesFile(layout.Format)+": totals disagree, indexes ")
				if report.Totals != TotalsDisagree || len(report.Findings) != 1 || !report.Members {
					t.Errorf("a row dropped: %+v", report)
				}
				more := a
				foreign := a.set[0] + 1
				for slices.Contains(a.set, foreign) {
					foreign++
				}
				more.set = slices.Sorted(slices.Values(append(slices.Clone(a.set), foreign)))
				wants(t, w.verify(w.forge(more)), "no such record passes the filter")
				for at := range a.totals {
					fewer := a
					fewer.totals = without(a.totals, at)
					report := w.verify(w.forge(fewer))
					wants(t, report, "missing: "+TotalsFile(layout.Format)+": no total counts records ")
					if report.Totals != TotalsIncomplete {
						t.Errorf("without total %d: %+v", at, report)
					}
				}
				none := a
				none.totals = nil
				wants(t, w.verify(w.forge(none)), "no total counts records 0 to ")
			})
		}
	}
}

// What is done to the file of totals itself is found.
func TestChangedTotals(t *testing.T) {
	w := calls(t)
	name := TotalsFile(JSONL)
	a := w.filtered(JSONL, Filter{Client: "client-1"})
	for what, c := range map[string]struct {
		change func(rows [][]byte) [][]byte
		want   string
	}{
		"a row dropped": {func(rows [][]byte) [][]byte { return rows[1:] }, "rows and proof do not give the signed root"},
		"rows swapped":  {func(rows [][]byte) [][]byte { return [][]byte{rows[1], rows[0], rows[2]} }, "row 2, index 80, column index: stands behind"},
		"a row of rows": {func(rows [][]byte) [][]byte { return append([][]byte{w.line(1)}, rows...) }, "row 1, index 1, column leaf: is no record of totals"},
		"no row":        {func(rows [][]byte) [][]byte { return append([][]byte{[]byte("x\n")}, rows...) }, "row 1, index 0: is no row of an export"},
		"a cut row":     {func(rows [][]byte) [][]byte { rows[2] = rows[2][:40]; return rows }, "missing: totals.jsonl, row 3, index 162: the file ends inside"},
		"an edited count": {func(rows [][]byte) [][]byte {
			rows[0] = bytes.Replace(rows[0], []byte(`"from":0`), []byte(`"from":1`), 1)
			return rows
		}, "row 1, index 80: shows something else than its leaf"},
	} {
		t.Run(what, func(t *testing.T) {
			w.t = t
			dir := w.export(a)
			edit(t, dir, name, func(b []byte) []byte {
				rows := bytes.SplitAfter(b, []byte("\n"))
				return bytes.Join(c.change(rows[:len(rows)-1]), nil)
			})
			resum(t, w, dir, uint64(len(a.set)))
			wants(t, w.verify(dir), c.want)
		})
	}
	w.t = t
	dir := w.export(a)
	must(t, os.Remove(filepath.Join(dir, name)))
	wants(t, w.verify(dir), "missing: totals.jsonl: the file is gone")
	if report := w.verify(dir); report.Members || report.Totals != TotalsUnproven {
		t.Errorf("%+v", report)
	}
	// A row that is in both files, with other bytes in one of them.
	a = w.filtered(JSONL, Filter{Outcome: "SUCCESS"})
	dir = w.export(a)
	lines(t, dir, func(rows [][]byte) [][]byte {
		at := slices.IndexFunc(rows, func(line []byte) bool { return bytes.Contains(line, []byte("system.totals")) })
		rows[at] = bytes.Replace(w.line(1), []byte(`{"index":1,`), rows[at][:bytes.IndexByte(rows[at], ',')+1], 1)
		return rows
	})
	resum(t, w, dir, uint64(len(a.set)))
	wants(t, w.verify(dir), "is another record than the row of this index")
}

// line is a record as a row.
func (w *world) line(index uint64) []byte {
	w.t.Helper()
	s, err := newSheet(Layout{Format: JSONL, Lang: English})
	must(w.t, err)
	r := &row{index: index, leaf: w.leaves[index]}
	r.record, err = record.Parse(r.leaf)
	must(w.t, err)
	return s.line(nil, r)
}

// Filters that totals do not know are said, and so is what is from before the log had totals.
func TestTotalsThatSayNothing(t *testing.T) {
	w := calls(t)
	if report := w.verify(w.export(w.some(JSONL, 3, 4))); report.Totals != TotalsNotComparable || !report.Whole() {
		t.Errorf("%+v", report)
	}
	older := newWorld(t, 1, 20)
	c := totals.NewCounter(20, 20)
	last := sample(20)
	older.add(last)
	c.Add(&last)
	older.add(record.Record{Time: last.Time, Event: record.SystemTotals, Outcome: record.Outcome{Kind: record.Success}, Totals: c.Parts()[0]})
	a := older.filtered(JSONL, Filter{Client: "client-0"})
	a.to, a.set = 20, slices.DeleteFunc(a.set, func(i uint64) bool { return i >= 20 })
	if report := older.verify(older.export(a)); report.Totals != TotalsNone || !report.Whole() || report.Counted.Older != 20 {
		t.Errorf("%+v", report)
	}
	a.totals = nil
	wants(t, older.verify(older.forge(a)), "no total counts records 0 to 19")
}

// An export whose log could not be counted to its end is made all the same, and says so.
func TestUncountedExport(t *testing.T) {
	w := calls(t)
	for i := range 5 {
		r := sample(0)
		r.Time = began.Add(4*time.Hour + time.Duration(i)*time.Second)
		w.add(r)
	}
	a := w.filtered(JSONL, Filter{Client: "client-1"})
	out, err := Create(disk.OS(), filepath.Join(t.TempDir(), "out"), a.layout)
	must(t, err)
	must(t, w.fill(out, a))
	m := w.manifest(a)
	must(t, out.Commit(t.Context(), &m))
	if left := out.Uncounted(); !slices.Equal(left, []totals.Range{{From: 242, To: 247}}) {
		t.Errorf("uncounted %v", left)
	}
}

// The longest record of totals is a row that can be read again.
func TestTheLongestTotal(t *testing.T) {
	w := newWorld(t, 1, 0)
	for i := range 4000 {
		r := sample(0)
		r.Time, r.Actor.ID, r.Action = began.Add(time.Duration(i)*time.Hour), "", ""
		w.add(r)
	}
	w.count()
	for _, f := range []Format{JSONL, CSV} {
		a := w.filtered(f, Filter{Outcome: "SUCCESS"})
		a.to, a.set = 4000, span(0, 4000)
		if report := w.verify(w.export(a)); report.Totals != TotalsAgree || report.Counted.Hours != 4000 {
			t.Errorf("%+v", report)
		}
	}
}
