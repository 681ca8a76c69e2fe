package totals

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

var began = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// history is a log in memory, with the totals that were written into it.
type history struct {
	records []record.Record
	counter *Counter
}

func newHistory(begin uint64) *history {
	return &history{counter: NewCounter(begin, begin)}
}

func (h *history) add(r record.Record) {
	h.records = append(h.records, r)
	if uint64(len(h.records)) > h.counter.from {
		h.counter.Add(&r)
	}
}

// total writes the total of what was counted, but for the parts that are lost.
func (h *history) total(lost ...uint32) {
	parts := h.counter.Parts()
	if len(lost) == 0 {
		h.counter.next()
	}
	for _, p := range parts {
		if !slices.Contains(lost, p.Part) {
			h.add(record.Record{Time: h.records[len(h.records)-1].Time, Event: record.SystemTotals, Actor: record.Actor{Kind: record.ActorSystem},
				Outcome: record.Outcome{Kind: record.Success}, Totals: p})
		}
	}
}

func call(at time.Time, client, action string, outcome record.OutcomeKind) record.Record {
	return record.Record{Time: at, Event: record.VerificationVerify, Actor: record.Actor{Kind: record.ActorClient, ID: client},
		Action: action, Outcome: record.Outcome{Kind: outcome}}
}

// random is a log of some hours, with a clock that is sometimes set back by minutes.
func random(r *rand.Rand, records int) *history {
	h, at, written := newHistory(0), began, record.HourOf(began)
	for range records {
		if at = at.Add(time.Duration(r.IntN(60)) * time.Second); r.IntN(50) == 0 {
			at = at.Add(-time.Duration(r.IntN(300)) * time.Second)
		}
		h.add(call(at, fmt.Sprint("client-", r.IntN(4)), fmt.Sprint("/s/M", r.IntN(3)), record.OutcomeKind(1+r.IntN(4))))
		if now := record.HourOf(at); now != written {
			h.total()
			written = now
		}
	}
	h.total()
	return h
}

// passes is the filter, as a reader of records has it.
func passes(f *Filter, r *record.Record) bool {
	return (f.Client == "" || r.Actor.Kind == record.ActorClient && r.Actor.ID == f.Client) && (f.Actor == "" || r.Actor.ID == f.Actor) &&
		(f.Method == "" || r.Action == f.Method) && (f.Outcome == 0 || r.Outcome.Kind == f.Outcome) &&
		(f.From.IsZero() || !r.Time.Before(f.From)) && (f.To.IsZero() || r.Time.Before(f.To))
}

// parcel is an export: rows and evidence by their indexes.
type parcel struct{ rows, totals []uint64 }

func (h *history) export(f *Filter, from, to uint64) parcel {
	var p parcel
	plan := NewPlan(f, from, to)
	enough := false
	for i := from; i < uint64(len(h.records)); i++ {
		r := &h.records[i]
		if i < to && passes(f, r) {
			p.rows = append(p.rows, i)
		}
		if r.Totals != nil && !enough {
			enough = plan.Add(i, r.Totals)
		}
	}
	p.totals = plan.Indexes()
	return p
}

// judge holds an export against its totals as a verifier does.
func (h *history) judge(f *Filter, from, to uint64, p parcel) (Result, []Disagreement) {
	var found []Disagreement
	var spans []Span
	for _, i := range p.totals {
		if s := SpanOf(h.records[i].Totals); !slices.Contains(spans, s) {
			spans = append(spans, s)
		}
	}
	j := NewJudge(f, from, to, spans, func(d Disagreement) { found = append(found, d) })
	rows := p.rows
	for _, i := range p.totals {
		for ; len(rows) > 0 && rows[0] < i; rows = rows[1:] {
			j.Row(rows[0], &h.records[rows[0]])
		}
		j.Total(h.records[i].Totals)
	}
	for _, i := range rows {
		j.Row(i, &h.records[i])
	}
	return j.End(), found
}

func filters(r *rand.Rand) *Filter {
	f := &Filter{}
	if r.IntN(2) == 0 {
		f.Client = fmt.Sprint("client-", r.IntN(4))
	}
	if r.IntN(3) == 0 {
		f.Method = fmt.Sprint("/s/M", r.IntN(3))
	}
	if r.IntN(3) == 0 {
		f.Outcome = record.OutcomeKind(1 + r.IntN(4))
	}
	if r.IntN(2) == 0 {
		f.From = began.Add(time.Duration(r.IntN(8)) * time.Hour)
		f.To = f.From.Add(time.Duration(1+r.IntN(3)) * time.Hour)
	}
	return f
}

// TestEveryDroppedRow: of random logs, an honest export agrees; one without a row, with a foreign one, or without a total,
// does not.
func TestEveryDroppedRow(t *testing.T) {
	rows, bare := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := random(r, 1200)
		size := uint64(len(h.records)) - uint64(len(h.counter.Parts()))
		for range 8 {
			f := filters(r)
			p := h.export(f, 0, size)
			if result, found := h.judge(f, 0, size, p); len(found) > 0 || len(result.Uncounted) > 0 || len(result.Unsound) > 0 || result.Bounded {
				t.Fatalf("seed %d, %+v: %+v %+v", seed, f, result, found)
			}
			if len(p.rows) == 0 {
				bare++
				continue
			}
			rows++
			at := r.IntN(len(p.rows))
			lost := p.rows[at]
			_, found := h.judge(f, 0, size, parcel{slices.Delete(slices.Clone(p.rows), at, at+1), p.totals})
			g := record.GroupOf(&h.records[lost])
			if len(found) != 1 || !found[0].Less() || found[0].Has != found[0].Group.Count-1 || found[0].Group.Compare(g) != 0 {
				t.Fatalf("seed %d, %+v without row %d: %+v", seed, f, lost, found)
			}
			if stranger := uint64(r.IntN(int(size))); !slices.Contains(p.rows, stranger) {
				with := append(slices.Clone(p.rows), stranger)
				slices.Sort(with)
				if within := !f.From.IsZero() && !p.covers(h, stranger); !within {
					if _, found := h.judge(f, 0, size, parcel{with, p.totals}); len(found) != 1 || found[0].Less() {
						t.Fatalf("seed %d, %+v with row %d: %+v", seed, f, stranger, found)
					}
				}
			}
			at = r.IntN(len(p.totals))
			result, _ := h.judge(f, 0, size, parcel{p.rows, slices.Delete(slices.Clone(p.totals), at, at+1)})
			if len(result.Uncounted) != 1 {
				t.Fatalf("seed %d, %+v without total %d of %d: %+v", seed, f, at, len(p.totals), result)
			}
		}
	}
	if rows < 200 || bare > rows {
		t.Errorf("only %d exports with rows, %d without", rows, bare)
	}
}

// covers tells that a total of the export counts an index.
func (p parcel) covers(h *history, index uint64) bool {
	return slices.ContainsFunc(p.totals, func(i uint64) bool {
		t := h.records[i].Totals
		return t.From <= index && index < t.To
	})
}

// TestSumIsTheLog: totals count each record of the log once.
func TestSumIsTheLog(t *testing.T) {
	h := random(rand.New(rand.NewPCG(7, 7)), 5000)
	sum, at := uint64(0), uint64(0)
	for _, r := range h.records {
		if r.Totals == nil {
			continue
		}
		if r.Totals.From != at {
			t.Fatalf("a total begins at %d, the one before ends at %d", r.Totals.From, at)
		}
		at = r.Totals.To
		for _, g := range r.Totals.Groups {
			sum += g.Count
		}
	}
	if sum != at || at < 5000 {
		t.Errorf("totals to %d count %d", at, sum)
	}
}

// TestParts: thousands of clients take several records, each of which can be written.
func TestParts(t *testing.T) {
	h := newHistory(0)
	for i := range 6000 {
		h.add(call(began.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("client-%0100d", i%3000), "/heyan.v1.VerificationService/Verify", record.Success))
	}
	parts := h.counter.Parts()
	if len(parts) < 20 {
		t.Fatalf("%d parts", len(parts))
	}
	for _, p := range parts {
		r := record.Record{Time: began, Clock: record.Clock{State: record.ClockSynchronised, Offset: 1<<63 - 1}, Event: record.SystemTotals,
			Actor: record.Actor{Kind: record.ActorSystem}, Outcome: record.Outcome{Kind: record.Success}, Totals: p}
		leaf, err := record.Append(nil, &r)
		if err != nil || p.Part < p.Parts && len(leaf) < record.MaxSize*3/4 {
			t.Fatalf("part %d of %d: %d bytes, %v", p.Part, p.Parts, len(leaf), err)
		}
	}
	h.total()
	f := &Filter{Client: fmt.Sprintf("client-%0100d", 2999)}
	p := h.export(f, 0, 6000)
	if result, found := h.judge(f, 0, 6000, p); len(p.rows) != 2 || len(p.totals) != len(parts) || result.Totals != 1 || result.Hours != 1 || len(found) > 0 || len(result.Uncounted) > 0 {
		t.Errorf("%d rows, %d totals, %+v %+v", len(p.rows), len(p.totals), result, found)
	}
	for at := range p.totals {
		result, _ := h.judge(f, 0, 6000, parcel{p.rows, slices.Delete(slices.Clone(p.totals), at, at+1)})
		if len(result.Uncounted) != 1 || result.Uncounted[0] != (Range{0, 6000}) {
			t.Errorf("without part %d: %+v", at+1, result)
		}
	}
}

// TestPartsThatWereLost: a total that a crash cut is none, and its range is counted by the next.
func TestPartsThatWereLost(t *testing.T) {
	h := newHistory(0)
	for i := range 1000 {
		h.add(call(began, fmt.Sprintf("client-%0100d", i), "/s/M", record.Success))
	}
	h.total(2)
	h.add(call(began.Add(time.Minute), "acme", "/s/M", record.Success))
	h.total()
	f, size := &Filter{Outcome: record.Success}, h.counter.from
	p := h.export(f, 0, size)
	result, found := h.judge(f, 0, size, p)
	if len(found) > 0 || len(result.Uncounted) > 0 || result.Totals != 1 || len(p.rows) != int(size) {
		t.Errorf("%+v %+v", result, found)
	}
	if _, found := h.judge(f, 0, size, parcel{slices.Delete(p.rows, 1000, 1001), p.totals}); len(found) != 1 || !found[0].Less() {
		t.Errorf("without a row: %+v", found)
	}
}

// TestEdges: what totals say of ranges and times that divide them, of an older log, and of filters that they do not know.
func TestEdges(t *testing.T) {
	h := newHistory(10)
	for i := range 130 { // a record a minute, of which the first ten are not counted
		h.add(call(began.Add(time.Duration(i)*time.Minute), "acme", "/s/M", record.Success))
		if i == 60 || i == 120 {
			h.total()
		}
	}
	h.total()
	size := uint64(len(h.records)) - 1
	clock := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	for _, c := range []struct {
		name     string
		filter   Filter
		from, to uint64
		want     Result
		rows     []uint64 // that are left out
		found    int
	}{
		{"a client", Filter{Client: "acme"}, 10, size, Result{Hours: 3, Totals: 3}, nil, 0},
		{"from before totals", Filter{Client: "acme"}, 0, size, Result{Hours: 3, Totals: 3, Older: 10}, nil, 0},
		{"before totals", Filter{Client: "acme"}, 0, 10, Result{Older: 10}, nil, 0},
		{"a row from before totals", Filter{Client: "acme"}, 0, size, Result{Hours: 3, Totals: 3, Older: 10}, []uint64{5}, 0},
		{"the beginning of a total", Filter{Client: "acme"}, 10, 20, Result{Bounded: true}, []uint64{15}, 0},
		{"the end of one", Filter{Client: "acme"}, 50, 61, Result{Bounded: true}, nil, 0},
		{"an hour", Filter{Client: "acme", From: clock(60), To: clock(120)}, 0, size, Result{Hours: 1, Totals: 3, Older: 10}, nil, 0},
		{"an hour without a row", Filter{Client: "acme", From: clock(60), To: clock(120)}, 0, size, Result{Hours: 1, Totals: 3, Older: 10}, []uint64{60}, 1},
		{"half of an hour", Filter{Client: "acme", From: clock(60), To: clock(90)}, 0, size, Result{Totals: 3, Bounded: true, Older: 10}, []uint64{70}, 0},
		{"an hour and a half", Filter{Client: "acme", From: clock(60), To: clock(150)}, 0, size, Result{Hours: 1, Totals: 3, Bounded: true, Older: 10}, []uint64{70}, 1},
		{"a later time", Filter{Client: "acme", From: clock(600)}, 0, size, Result{Totals: 1}, nil, 0},
		{"an earlier time", Filter{Client: "acme", To: clock(-600)}, 10, size, Result{Totals: 1}, nil, 0},
		{"an actor", Filter{Actor: "acme"}, 10, size, Result{Hours: 3, Totals: 3, Bounded: true}, []uint64{70}, 1},
		{"what totals do not know", Filter{Client: "acme", Other: true}, 10, size, Result{Hours: 3, Totals: 3, Bounded: true}, []uint64{70}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := h.export(&c.filter, c.from, c.to)
			p.rows = slices.DeleteFunc(p.rows, func(i uint64) bool { return slices.Contains(c.rows, i) })
			result, found := h.judge(&c.filter, c.from, c.to, p)
			if fmt.Sprint(result) != fmt.Sprint(c.want) || len(found) != c.found {
				t.Errorf("%+v %+v, want %+v", result, found, c.want)
			}
		})
	}
}

// wrong is a log of ten records and a total of two parts, which a change made wrong.
func wrong(change func(first, second *record.Totals)) (*history, parcel) {
	h := newHistory(0)
	for i := range 10 {
		h.add(call(began, fmt.Sprint("client-", i%2), "/s/M", record.Success))
	}
	groups := h.counter.Parts()[0].Groups
	first := &record.Totals{To: 10, Part: 1, Parts: 2, Groups: groups[:1]}
	second := &record.Totals{To: 10, Part: 2, Parts: 2, Groups: groups[1:]}
	change(first, second)
	for _, part := range []*record.Totals{first, second} {
		h.add(record.Record{Time: began, Event: record.SystemTotals, Totals: part})
	}
	return h, parcel{[]uint64{1, 3, 5, 7, 9}, []uint64{10, 11}}
}

// TestWrongTotals: what no Keeper writes is not agreed with.
func TestWrongTotals(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(first, second *record.Totals)
		filter  Filter
		found   int
		unsound int
		open    int
	}{
		{"right", func(_, _ *record.Totals) {}, Filter{Client: "client-1"}, 0, 0, 0},
		{"a group counted short", func(_, second *record.Totals) { second.Groups[0].Count = 4 }, Filter{Client: "client-1"}, 1, 1, 0},
		{"and only bounded", func(_, second *record.Totals) { second.Groups[0].Count = 4 }, Filter{Client: "client-1", From: began.Add(-time.Minute), To: began.Add(time.Minute)}, 1, 1, 0},
		{"another group counted short", func(first, _ *record.Totals) { first.Groups[0].Count = 4 }, Filter{Client: "client-1"}, 0, 1, 0},
		{"a group that is not there", func(_, second *record.Totals) { second.Groups[0].Actor = "client-2" }, Filter{Client: "client-1"}, 1, 0, 0},
		{"a part twice", func(first, second *record.Totals) { second.Part, second.Groups = 1, first.Groups }, Filter{Client: "client-0"}, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, p := wrong(c.change)
			if c.filter.Client == "client-0" {
				p.rows = []uint64{0, 2, 4, 6, 8}
			}
			result, found := h.judge(&c.filter, 0, 10, p)
			if len(found) != c.found || len(result.Unsound) != c.unsound || len(result.Uncounted) != c.open {
				t.Errorf("%+v %+v", result, found)
			}
		})
	}
}

// TestCountedAnew: a log that is counted from a later index on again, and totals that reach into another.
func TestCountedAnew(t *testing.T) {
	h := newHistory(0)
	for range 20 {
		h.add(call(began, "acme", "/s/M", record.Success))
	}
	h.total()
	for range 20 {
		h.add(call(began, "acme", "/s/M", record.Success))
	}
	h.counter = NewCounter(41, 41)
	for range 20 {
		h.add(call(began, "acme", "/s/M", record.Success))
	}
	h.total()
	f := &Filter{Client: "acme"}
	p := h.export(f, 0, 61)
	if result, found := h.judge(f, 0, 61, p); len(found) > 0 || len(result.Uncounted) > 0 || result.Older != 21 || result.Totals != 2 {
		t.Errorf("%+v %+v", result, found)
	}
	var a assembly
	for i, span := range []Span{{0, 10, 1}, {5, 15, 1}, {10, 20, 1}} {
		a.add(uint64(20+i), &record.Totals{From: span.From, To: span.To, Part: 1, Parts: 1})
	}
	if len(a.list) != 2 || a.list[1].From != 10 {
		t.Errorf("%d totals", len(a.list))
	}
}

// TestNamesakes: an operator of a client's name is not the client.
func TestNamesakes(t *testing.T) {
	h := newHistory(0)
	h.add(call(began, "acme", "/s/M", record.Success))
	r := call(began, "acme", "/s/M", record.Success)
	r.Actor.Kind = record.ActorOperator
	h.add(r)
	h.total()
	f := &Filter{Client: "acme"}
	p := h.export(f, 0, 2)
	if _, found := h.judge(f, 0, 2, p); len(found) > 0 || len(p.rows) != 1 {
		t.Errorf("%d rows, %+v", len(p.rows), found)
	}
}
