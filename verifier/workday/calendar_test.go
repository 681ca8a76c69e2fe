package workday

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestSubjectRequestDue(t *testing.T) {
	c := China()
	for _, row := range rows(t, "due.tsv", 4) {
		t.Run("MV-5.5-15wd/"+row[0], func(t *testing.T) {
			due, provisional := c.SubjectRequestDue(instant(t, row[0]))
			if want := date(t, row[1]); !due.Equal(want.End()) || DateOf(due).AddDays(-1) != want {
				t.Errorf("due %v, want the end of %s (%s)", due, want, row[3])
			}
			if want := chance(t, row[2], "provisional", "final"); provisional != want {
				t.Errorf("provisional = %v, want %v (%s)", provisional, want, row[3])
			}
			if due.Format("15:04:05 -07:00") != "00:00:00 +08:00" {
				t.Errorf("due is shown as %v", due)
			}
		})
	}
}

// Counted again from the days themselves, for every day of receipt that ends within the tables.
func TestSubjectRequestDueCounts(t *testing.T) {
	c := China()
	for day := date(t, "2024-01-01"); day.Before(date(t, "2026-12-10")); day = day.AddDays(1) {
		due, provisional := c.SubjectRequestDue(day.Start().Add(13 * time.Hour))
		last := DateOf(due).AddDays(-1)
		worked := 0
		for d := day.AddDays(1); !d.After(last); d = d.AddDays(1) {
			if work, _ := c.IsWorkday(d); work {
				worked++
			}
		}
		if work, _ := c.IsWorkday(last); worked != 15 || !work || provisional || last.After(day.AddDays(30)) {
			t.Fatalf("received %s, due %s: %d working days, ends on a working day %v, provisional %v", day, last, worked, work, provisional)
		}
	}
}

// MV-5.5-15wd, SO-3.1/3.2-30d: no holiday of 2024–2026 is long enough for 15 working days to take
// more than 30 days, so the tables here are invented.
func TestThirtyDays(t *testing.T) {
	long := Date{2026, 2, 2}
	off := []string{`"2026-01-01"`, `"2026-10-01"`}
	for i := range 14 {
		off = append(off, `"`+long.AddDays(i).String()+`"`)
	}
	c, err := Load(fstest.MapFS{"2026.json": {Data: []byte(`{"off":[` + strings.Join(off, ",") + `]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ received, last string }{
		{"2026-01-30", "2026-03-01"}, // two weeks off: the 15th working day would be 6 March, day 30 is a Sunday
		{"2026-01-23", "2026-02-22"}, // five days before them: 27 February against day 30
		{"2026-01-12", "2026-02-11"}, // one working day short when they begin: 16 February against day 30
		{"2026-01-09", "2026-01-30"}, // done on the last day before them
		{"2026-02-13", "2026-03-06"}, // in their last days
	} {
		due, provisional := c.SubjectRequestDue(date(t, k.received).Start())
		if last := DateOf(due).AddDays(-1); last != date(t, k.last) || provisional {
			t.Errorf("received %s: due %s, want %s; provisional %v", k.received, last, k.last, provisional)
		}
	}
}

func TestIsWorkday(t *testing.T) {
	for _, k := range []struct {
		day               string
		work, provisional bool
	}{
		{"2026-11-20", true, false},
		{"2026-11-21", false, false},
		{"2026-10-01", false, false},
		{"2026-10-10", true, false}, // a Saturday, worked
		{"2026-02-28", true, false},
		{"2024-02-29", true, false},
		{"2027-01-01", true, true}, // New Year's Day, but no table: said to be provisional
		{"2027-01-02", false, true},
		{"2023-12-29", true, true},
	} {
		if work, provisional := China().IsWorkday(date(t, k.day)); work != k.work || provisional != k.provisional {
			t.Errorf("%s: work %v provisional %v, want %v %v", k.day, work, provisional, k.work, k.provisional)
		}
	}
	if work, provisional := China().IsWorkday(Date{}); work || !provisional {
		t.Error("the zero Date counts as a known or worked day")
	}
	if work, provisional := new(Calendar).IsWorkday(date(t, "2026-10-01")); !work || !provisional {
		t.Error("a Calendar without tables must count Monday to Friday, provisionally")
	}
}

// Working days a year as the notices of the State Council imply them: weekdays minus holidays that
// fall on weekdays plus weekend days worked.
func TestTablesAreWhole(t *testing.T) {
	for year, want := range map[int]int{2024: 251, 2025: 248, 2026: 248} {
		got := 0
		for d := (Date{int16(year), 1, 1}); d.Year() == year; d = d.AddDays(1) {
			if work, provisional := China().IsWorkday(d); work {
				got++
			} else if provisional {
				t.Fatalf("%s is provisional", d)
			}
		}
		if got != want {
			t.Errorf("%d has %d working days, want %d", year, got, want)
		}
	}
}

func TestAddWorkdays(t *testing.T) {
	for _, k := range []struct {
		day  string
		n    int
		want string
	}{
		{"2026-11-20", 1, "2026-11-23"},
		{"2026-11-21", 1, "2026-11-23"},
		{"2026-09-30", 1, "2026-10-08"},
		{"2026-10-09", 1, "2026-10-10"},
		{"2026-11-20", 0, "2026-11-20"},
		{"2026-11-21", -3, "2026-11-21"},
	} {
		if got, provisional := China().AddWorkdays(date(t, k.day), k.n); got != date(t, k.want) || provisional {
			t.Errorf("%s + %d = %s (provisional %v), want %s", k.day, k.n, got, provisional, k.want)
		}
	}
	if _, provisional := China().AddWorkdays(date(t, "2026-12-31"), 1); !provisional {
		t.Error("a day of 2027 is not provisional")
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":            `{"off":`,
		"unknown member":      `{"off":["2026-01-01","2026-10-01"],"work":[],"extra":[]}`,
		"text after":          `{"off":["2026-01-01","2026-10-01"]} {}`,
		"no date":             `{"off":["2026-01-01","2026-10-01","2026-02-30"]}`,
		"another year":        `{"off":["2026-01-01","2026-10-01","2025-10-01"]}`,
		"twice":               `{"off":["2026-01-01","2026-10-01","2026-10-01"]}`,
		"off and worked":      `{"off":["2026-01-01","2026-10-01","2026-10-03"],"work":["2026-10-03"]}`,
		"worked on a weekday": `{"off":["2026-01-01","2026-10-01"],"work":["2026-10-12"]}`,
		"cut off":             `{"off":["2026-01-01"]}`,
		"begins late":         `{"off":["2026-10-01"]}`,
		"empty":               `{}`,
	} {
		if c, err := Load(fstest.MapFS{"2026.json": {Data: []byte(text)}}); err == nil || c != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good := fstest.MapFS{"2026.json": {Data: []byte(`{"off":["2026-01-01","2026-10-01"],"work":["2026-10-10"]}`)}, "NOTICE": {}}
	if _, err := Load(good); err != nil {
		t.Errorf("a whole table: %v", err)
	}
}

func BenchmarkSubjectRequestDue(b *testing.B) {
	c, at := China(), date2026(b)
	b.ReportAllocs()
	for b.Loop() {
		c.SubjectRequestDue(at)
	}
}

func date2026(b *testing.B) time.Time {
	d, err := NewDate(2026, time.November, 20)
	if err != nil {
		b.Fatal(err)
	}
	return d.Start()
}
