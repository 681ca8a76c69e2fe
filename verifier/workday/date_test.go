package workday

import (
	"math"
	"testing"
	"time"
)

func TestParseDateRefuses(t *testing.T) {
	for _, s := range []string{
		"", "2026", "2026-1-1", "2026-01-1", "2026-00-10", "2026-13-01", "2026-01-00", "2026-01-32", "2026-04-31",
		"2026-02-29", "1900-02-29", "0000-01-01", "2026/01/01", "2026-01-01 ", " 2026-01-01", "2026-01-01T", "+026-01-01",
		"-026-01-01", "2026-0１-1", "20260101xx",
	} {
		if d, err := ParseDate(s); err != ErrDate || !d.IsZero() {
			t.Errorf("ParseDate(%q) = %v, %v; want ErrDate", s, d, err)
		}
	}
}

// The standard library is the second opinion for every day of four centuries and for their borders.
func TestDateAgainstTime(t *testing.T) {
	d := date(t, "1850-01-01")
	for at := time.Date(1850, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2250; at = at.AddDate(0, 0, 1) {
		if got, want := d.String(), at.Format(time.DateOnly); got != want {
			t.Fatalf("day %s, want %s", got, want)
		}
		if back, err := ParseDate(d.String()); err != nil || back != d {
			t.Fatalf("ParseDate(%s) = %v, %v", d, back, err)
		}
		if d.Weekday() != at.Weekday() {
			t.Fatalf("%s is %v, want %v", d, d.Weekday(), at.Weekday())
		}
		if start := at.Add(-8 * time.Hour); !d.Start().Equal(start) || !d.End().Equal(start.Add(24*time.Hour)) {
			t.Fatalf("%s runs from %v to %v", d, d.Start(), d.End())
		}
		if DateOf(d.Start()) != d || DateOf(d.End().Add(-1)) != d {
			t.Fatalf("%s: its first and last instants fall on %s and %s", d, DateOf(d.Start()), DateOf(d.End().Add(-1)))
		}
		next := d.AddDays(1)
		if DateOf(d.End()) != next || next.AddDays(-1) != d || !d.Before(next) || !next.After(d) || d.Compare(next) != -1 ||
			next.Compare(d) != 1 || d.Compare(d) != 0 {
			t.Fatalf("%s and the next day %s are out of order", d, next)
		}
		d = next
	}
}

// Shanghai kept daylight saving time in 1986–1991; the fixed offset does not.
func TestDateOfIgnoresDaylightSaving(t *testing.T) {
	if got := DateOf(time.Date(1988, 7, 1, 15, 30, 0, 0, time.UTC)); got != date(t, "1988-07-01") {
		t.Errorf("23:30 +08:00 fell on %s", got)
	}
}

func TestAddMonths(t *testing.T) {
	for _, c := range []struct {
		day  string
		n    int
		want string
	}{
		{"2026-08-31", 6, "2027-02-28"},
		{"2027-08-31", 6, "2028-02-29"},
		{"2026-03-31", 1, "2026-04-30"},
		{"2026-12-15", 1, "2027-01-15"},
		{"2026-01-31", 0, "2026-01-31"},
		{"2026-01-31", -1, "2025-12-31"},
		{"2026-03-31", -1, "2026-02-28"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-02-29", -48, "2020-02-29"},
		{"2000-02-29", -1200, "1900-02-28"},
		{"0001-01-31", -1, "0001-01-01"},
		{"9999-12-01", 1, "9999-12-31"},
		{"2026-01-01", math.MaxInt, "9999-12-31"},
		{"2026-01-01", math.MinInt, "0001-01-01"},
	} {
		if got := date(t, c.day).AddMonths(c.n); got != date(t, c.want) {
			t.Errorf("%s %+d months = %s, want %s", c.day, c.n, got, c.want)
		}
	}
}

func TestRangeSaturates(t *testing.T) {
	first, last := date(t, "0001-01-01"), date(t, "9999-12-31")
	for _, got := range []Date{first.AddDays(-1), last.AddDays(math.MinInt), DateOf(time.Unix(-1<<40, 0))} {
		if got != first {
			t.Errorf("%s, want the first day", got)
		}
	}
	for _, got := range []Date{last.AddDays(1), first.AddDays(math.MaxInt), DateOf(time.Unix(1<<40, 0))} {
		if got != last {
			t.Errorf("%s, want the last day", got)
		}
	}
}

func TestZeroDate(t *testing.T) {
	var z Date
	if !z.IsZero() || z.String() != "" || !z.AddDays(1).IsZero() || !z.AddMonths(1).IsZero() || !z.Start().IsZero() ||
		!z.End().IsZero() || !z.Before(date(t, "0001-01-01")) {
		t.Error("the zero Date behaves like a day")
	}
	if !PurgeableFrom(z, 0).After(date(t, "9999-12-31").Start()) {
		t.Error("a record without a date is purgeable")
	}
	if !FourteenFrom(z).IsZero() || !RequiredFrom(z).IsZero() {
		t.Error("the zero Date gives a day")
	}
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2026-11-20", "2024-02-29", "2026-02-29", "0000-00-00", "9999-12-31", "２０２６-11-20"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDate(s)
		at, want := time.Parse(time.DateOnly, s)
		// time.DateOnly alone reads the year 0000.
		if (err == nil) != (want == nil && at.Year() > 0) {
			t.Fatalf("ParseDate says %v, package time %v", err, want)
		}
		if err == nil && d.String() != s {
			t.Fatalf("printed as %q", d)
		}
	})
}
