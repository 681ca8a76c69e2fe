package workday

import (
	"testing"
	"time"
)

func TestRetentionVectors(t *testing.T) {
	for _, row := range rows(t, "retention.tsv", 4) {
		t.Run("MV-3.2-hold-1-logs/"+row[0], func(t *testing.T) {
			d := date(t, row[0])
			if got := LastKept(d); got != date(t, row[1]) {
				t.Errorf("last kept %s, want %s", got, row[1])
			}
			for i, grace := range []int{0, 15} {
				if got := PurgeableFrom(d, grace); !got.Equal(date(t, row[2+i]).Start()) {
					t.Errorf("grace %d: purgeable from %v, want the start of %s", grace, got, row[2+i])
				}
			}
			if !PurgeableFrom(d, -400).Equal(PurgeableFrom(d, 0)) {
				t.Error("a negative grace shortens the six months")
			}
		})
	}
}

// sixMonthsLater says when six calendar months are over, by package time and without this package's
// own month arithmetic: the corresponding day, or day 0 of the month after.
func sixMonthsLater(year int, month time.Month, day int) time.Time {
	end := time.Date(year, month+6, day, 0, 0, 0, 0, zone)
	if end.Day() != day {
		end = time.Date(year, month+7, 0, 0, 0, 0, 0, zone)
	}
	return end.AddDate(0, 0, 1)
}

// MV-3.2-hold-1-logs: for every start date of 2024–2032, purging is never possible before six
// calendar months are over and is possible at that instant; and RequiredFrom agrees.
func TestNeverBeforeSixMonths(t *testing.T) {
	last := date(t, "2032-12-31")
	tooEarly := map[int]int{180: 0, 183: 0, 184: 0, 185: 0}
	days := 0
	for d := date(t, "2024-01-01"); !d.After(last); d = d.AddDays(1) {
		days++
		over := sixMonthsLater(d.Year(), d.Month(), d.Day())
		if got := PurgeableFrom(d, 0); !got.Equal(over) {
			t.Fatalf("%s is purgeable from %v; six months are over at %v", d, got, over)
		}
		if over.Sub(d.End()) < 180*24*time.Hour {
			t.Fatalf("%s: six months took %v", d, over.Sub(d.End()))
		}
		for n := range tooEarly {
			if d.AddDays(n).Start().Before(over) {
				tooEarly[n]++
			}
		}

		// d as today: the first day required is still kept, the day before it is not.
		from := RequiredFrom(d)
		if PurgeableFrom(from, 0).Before(d.End()) {
			t.Fatalf("today %s: %s is required but may be purged", d, from)
		}
		if before := from.AddDays(-1); PurgeableFrom(before, 0).After(d.Start()) {
			t.Fatalf("today %s: %s must still be there, but the first required day is %s", d, before, from)
		}
	}
	// What the package doc says of fixed numbers of days.
	if tooEarly[180] != days || tooEarly[184] == 0 || tooEarly[185] != 0 {
		t.Errorf("of %d start dates a fixed number of days is too early for %v", days, tooEarly)
	}
	if share := float64(tooEarly[183]) / float64(days); share < 0.53 || share > 0.55 {
		t.Errorf("183 days are too early for %.3f of the start dates", share)
	}
}

func TestUnderFourteen(t *testing.T) {
	for _, row := range rows(t, "age.tsv", 4) {
		t.Run("MV-6-age14/"+row[0]+"/"+row[1], func(t *testing.T) {
			birth, today := date(t, row[0]), DateOf(instant(t, row[1]))
			if got, want := UnderFourteen(birth, today), chance(t, row[2], "yes", "no"); got != want {
				t.Errorf("under fourteen = %v, want %v (%s)", got, want, row[3])
			}
		})
	}
}

// MV-6-age14: for every birth date of three decades the rule turns exactly once, on the day after the
// fourteenth birthday.
func TestUnderFourteenTurnsOnce(t *testing.T) {
	for birth := date(t, "1999-12-31"); birth.Before(date(t, "2030-01-01")); birth = birth.AddDays(1) {
		// time.Date carries 29 February of a common year over to 1 March.
		birthday := DateOf(time.Date(birth.Year()+14, birth.Month(), birth.Day(), 12, 0, 0, 0, zone))
		if !UnderFourteen(birth, birthday) || UnderFourteen(birth, birthday.AddDays(1)) || FourteenFrom(birth) != birthday.AddDays(1) {
			t.Fatalf("born %s: birthday %s, fourteen from %s", birth, birthday, FourteenFrom(birth))
		}
	}
}

// MV-6-age14: what is not known is not taken for an age.
func TestUnknownBirthIsUnderFourteen(t *testing.T) {
	if !UnderFourteen(Date{}, date(t, "2026-11-20")) || !UnderFourteen(date(t, "1980-01-01"), Date{}) {
		t.Error("a zero Date passes for fourteen or over")
	}
}
