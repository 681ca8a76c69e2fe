package retention_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/workday"
)

func at(t *testing.T, day, clock string) time.Time {
	t.Helper()
	d, err := time.ParseInLocation("2006-01-02 15:04:05", day+" "+clock, workday.Zone())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var sure = retention.Clock{Synchronised: true}

// TestDates (MV-3.2-hold-1-logs): a record of each of these days is kept to the end of its last day, and may go after.
func TestDates(t *testing.T) {
	strict := retention.Policy{Months: retention.Floor}
	for day, last := range map[string]string{
		"2026-01-01": "2026-07-01", "2026-02-28": "2026-08-28", "2026-03-01": "2026-09-01", "2026-03-31": "2026-09-30",
		"2026-08-29": "2027-02-28", "2026-08-31": "2027-02-28", "2027-08-31": "2028-02-29", "2026-12-31": "2027-06-30",
	} {
		for _, clock := range []string{"00:00:00", "23:59:59"} {
			segment := retention.Segment{End: 1, Oldest: at(t, day, clock), Latest: at(t, day, clock)}
			why := func(now time.Time) retention.Reason {
				return strict.Plan([]retention.Segment{segment}, nil, sure, now)[0].Why
			}
			end := at(t, last, "23:59:59")
			if got := why(end); got != retention.NotYet {
				t.Errorf("%s at the end of %s: %v", day, last, got)
			}
			if got := why(end.Add(time.Second)); got != retention.Purgeable {
				t.Errorf("%s after %s: %v", day, last, got)
			}
			graced := retention.Default().Plan([]retention.Segment{segment}, nil, sure, end.AddDate(0, 0, retention.DefaultGrace))[0]
			if graced.Why != retention.NotYet || !graced.From.Equal(end.AddDate(0, 0, retention.DefaultGrace).Add(time.Second)) {
				t.Errorf("%s with its grace: %v from %v", day, graced.Why, graced.From)
			}
		}
	}
}

// TestPeriods (MV-3.2-hold-1-logs): what is shorter than six months, or may be, is refused.
func TestPeriods(t *testing.T) {
	for text, want := range map[string]error{
		"P6M": nil, "P1Y": nil, "P0Y6M": nil, "P1Y6M": nil, "P10Y": nil,
		"P5M": retention.ErrBelowFloor, "P0M": retention.ErrBelowFloor, "P0Y": retention.ErrBelowFloor, "P0Y5M": retention.ErrBelowFloor,
		"P180D": retention.ErrNotMonths, "P183D": retention.ErrNotMonths, "P185D": retention.ErrNotMonths, "P26W": retention.ErrNotMonths,
		"180d": retention.ErrNotMonths, "": retention.ErrNotMonths, "P": retention.ErrNotMonths, "6M": retention.ErrNotMonths, "P6": retention.ErrNotMonths,
		"P6M1D": retention.ErrNotMonths, "PT6M": retention.ErrNotMonths, "-P6M": retention.ErrNotMonths, "P-6M": retention.ErrNotMonths,
		"P6M ": retention.ErrNotMonths, "p6m": retention.ErrNotMonths, "P6.5M": retention.ErrNotMonths, "P1000Y": retention.ErrNotMonths,
		"P11Y": retention.ErrTooLong, "P999M": retention.ErrTooLong,
	} {
		months, err := retention.ParsePeriod(text)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
		if again, err := retention.ParsePeriod(retention.Policy{Months: months}.String()); want == nil && (err != nil || again != months) {
			t.Errorf("%q reads back as %d, %v", text, again, err)
		}
	}
	// A number of days is also told apart by whether it would be too short for some date.
	for text, below := range map[string]bool{
		"P180D": true, "180 days": true, "180d": true, "P183D": true, "183 days": true, "P184D": true, "P26W": true, "1 day": true, "P0D": true,
		"P185D": false, "200 days": false, "P27W": false, "days": false, "P999D": false, "P1000D": false, "6 months": false, "": false,
	} {
		if _, err := retention.ParsePeriod(text); !errors.Is(err, retention.ErrNotMonths) || errors.Is(err, retention.ErrBelowFloor) != below {
			t.Errorf("%q: %v; below the floor: want %v", text, err, below)
		}
	}
	for _, p := range []retention.Policy{{}, {Months: 5}, {Months: 6, Grace: -1}, {Months: -6}} {
		if !errors.Is(p.Check(), retention.ErrBelowFloor) {
			t.Errorf("%+v is allowed", p)
		}
		old := retention.Segment{End: 1, Oldest: at(t, "2020-01-01", "00:00:00"), Latest: at(t, "2020-01-01", "00:00:00")}
		if d := p.Plan([]retention.Segment{old}, nil, sure, at(t, "2026-11-27", "12:00:00"))[0]; d.Why == retention.Purgeable {
			t.Errorf("%+v lets a record go", p)
		}
	}
}

// days makes a segment a day, each of 100 records and 1,000 bytes.
func days(t *testing.T, first string, n int) (list []retention.Segment) {
	start := at(t, first, "00:00:00")
	for i := range n {
		day := start.AddDate(0, 0, i)
		list = append(list, retention.Segment{First: uint64(100 * i), End: uint64(100*i + 100), Oldest: day, Latest: day.Add(24*time.Hour - 1), Bytes: 1000})
	}
	return list
}

// TestLonger: of two policies both are kept.
func TestLonger(t *testing.T) {
	a, b := retention.Policy{Months: 7, Grace: 1}, retention.Policy{Months: 6, Grace: 30}
	if got, want := a.Longer(b), (retention.Policy{Months: 7, Grace: 30}); got != want || b.Longer(a) != want || got.Longer(retention.Policy{}) != want {
		t.Errorf("the longer is %+v, want %+v", got, want)
	}
}

func reasons(plan []retention.Decision) (list []retention.Reason) {
	for _, d := range plan {
		list = append(list, d.Why)
	}
	return list
}

// TestHolds: a hold keeps what it concerns and all after it; it ends when its time is over.
func TestHolds(t *testing.T) {
	segments, now := days(t, "2026-01-01", 5), at(t, "2026-11-27", "12:00:00")
	third := retention.Hold{ID: "h", From: at(t, "2026-01-03", "10:00:00"), To: at(t, "2026-01-03", "11:00:00")}
	const p, h, b = retention.Purgeable, retention.Held, retention.Behind
	over, running := third, third
	over.Until, running.Until = now, now.Add(time.Hour)
	for name, c := range map[string]struct {
		hold *retention.Hold
		want []retention.Reason
	}{
		"none":             {nil, []retention.Reason{p, p, p, p, p}},
		"the third day":    {&third, []retention.Reason{p, p, h, b, b}},
		"still running":    {&running, []retention.Reason{p, p, h, b, b}},
		"over":             {&over, []retention.Reason{p, p, p, p, p}},
		"everything":       {&retention.Hold{}, []retention.Reason{h, h, h, h, h}},
		"from a midnight":  {&retention.Hold{From: segments[3].Oldest}, []retention.Reason{p, p, p, h, h}},
		"before the first": {&retention.Hold{To: segments[0].Oldest}, []retention.Reason{p, p, p, p, p}},
		"to a midnight":    {&retention.Hold{To: segments[1].Oldest}, []retention.Reason{h, b, b, b, b}},
	} {
		var holds []retention.Hold
		if c.hold != nil {
			holds = append(holds, *c.hold)
		}
		plan := retention.Default().Plan(segments, holds, sure, now)
		for i, why := range reasons(plan) {
			if why != c.want[i] {
				t.Errorf("%s: %v, want %v", name, reasons(plan), c.want)
				break
			}
		}
	}
	cost := retention.Default().Cost(segments, third, now)
	if want := at(t, "2026-07-19", "00:00:00"); cost.Segments != 1 || cost.Records != 100 || cost.Bytes != 3000 || !cost.First.Equal(want) || cost.Days != 131 || cost.Daily != 1000 {
		t.Errorf("the cost is %+v, first wanted %v", cost, want)
	}
	if cost := retention.Default().Cost(segments, retention.Hold{From: now}, now); cost.Segments != 0 || cost.Bytes != 0 || cost.Days != 0 {
		t.Errorf("a hold on nothing costs %+v", cost)
	}
}

// TestClock: by a clock that cannot be trusted nothing goes.
func TestClock(t *testing.T) {
	segments, now := days(t, "2026-01-01", 1), at(t, "2026-11-27", "12:00:00")
	for name, c := range map[string]struct {
		clock retention.Clock
		want  retention.Reason
	}{
		"synchronised":             {sure, retention.Purgeable},
		"not synchronised":         {retention.Clock{}, retention.ClockUntrusted},
		"stepped an hour ago":      {retention.Clock{Synchronised: true, Stepped: now.Add(-time.Hour)}, retention.ClockUntrusted},
		"stepped a day ago":        {retention.Clock{Synchronised: true, Stepped: now.Add(-retention.Settle)}, retention.Purgeable},
		"began after a short stop": {retention.Clock{Synchronised: true, Newest: now.Add(-time.Hour), Began: now.Add(-time.Minute)}, retention.Purgeable},
		"began after a long stop":  {retention.Clock{Synchronised: true, Newest: now.AddDate(0, -6, 0), Began: now.Add(-time.Minute)}, retention.ClockUntrusted},
		"the long stop is over":    {retention.Clock{Synchronised: true, Newest: now.AddDate(0, -6, 0), Began: now.Add(-retention.Settle)}, retention.Purgeable},
		"began before the newest":  {retention.Clock{Synchronised: true, Newest: now.Add(time.Hour), Began: now.Add(-time.Minute)}, retention.ClockUntrusted},
	} {
		if got := retention.Default().Plan(segments, nil, c.clock, now)[0].Why; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestWhatGoesIsThePast: whatever the segments and holds, what may go is the oldest part without a gap, and every segment
// of it is older than six months and under no hold.
func TestWhatGoesIsThePast(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	start, gone := at(t, "2026-01-01", "00:00:00"), 0
	for range 2000 {
		var segments []retention.Segment
		for i, day := 0, start; i < 20; i++ {
			day = day.Add(time.Duration(random.IntN(40*24)) * time.Hour)
			segments = append(segments, retention.Segment{First: uint64(i), End: uint64(i + 1), Oldest: day, Latest: day.Add(time.Duration(random.IntN(48)) * time.Hour)})
		}
		from := start.AddDate(0, 0, random.IntN(600))
		hold := retention.Hold{ID: "h", From: from, To: from.AddDate(0, 0, 1+random.IntN(60))}
		now := start.AddDate(0, random.IntN(30), random.IntN(30))
		stays := false
		for _, d := range (retention.Policy{Months: 6}).Plan(segments, []retention.Hold{hold}, sure, now) {
			if d.Why != retention.Purgeable {
				stays = true
				continue
			}
			gone++
			switch {
			case stays:
				t.Fatal("a gap")
			case !d.Oldest.Before(hold.From) && d.Oldest.Before(hold.To):
				t.Fatal("under a hold")
			case workday.DateOf(d.Latest).AddMonths(6).End().After(now):
				t.Fatal("too early")
			}
		}
	}
	if gone < 1000 {
		t.Errorf("only %d went: the test tries too little", gone)
	}
}
