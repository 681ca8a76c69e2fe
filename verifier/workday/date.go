package workday

import (
	"errors"
	"time"
)

// The years a Date can hold.
const (
	minYear = 1
	maxYear = 9999
)

// zone is the civil time of the People's Republic as one fixed offset. It is never looked up in a
// time-zone database: a machine without one, or with an old one, must not shift a deadline.
var zone = time.FixedZone("+08:00", 8*60*60)

// Zone returns civil time of the People's Republic as the fixed offset +08:00. For showing times;
// everything in this package already uses it.
func Zone() *time.Location { return zone }

// ErrDate is what [ParseDate] and [NewDate] answer for anything that is not a date. It does not hold
// the text: a birth date may stand in it.
var ErrDate = errors.New("workday: not a calendar date of the form YYYY-MM-DD")

// Date is one calendar day, without a time of day, of the years 0001 to 9999 of the proleptic
// Gregorian calendar. Dates compare with == and serve as map keys.
//
// The zero Date is no day: [Date.IsZero] tells, its String is empty, arithmetic on it gives the zero
// Date again, and the rules of this package answer on the safe side for it.
//
// Results outside the years above become the first or last of those days instead of wrapping.
type Date struct {
	year  int16
	month uint8
	day   uint8
}

// NewDate returns the date, or [ErrDate] when there is no such day.
func NewDate(year int, month time.Month, day int) (Date, error) {
	if year < minYear || year > maxYear || month < time.January || month > time.December ||
		day < 1 || day > daysIn(year, month) {
		return Date{}, ErrDate
	}
	return Date{int16(year), uint8(month), uint8(day)}, nil
}

// ParseDate reads exactly what [Date.String] prints: ten ASCII characters, YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return Date{}, ErrDate
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 {
		return Date{}, ErrDate
	}
	return NewDate(year, time.Month(month), day)
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// DateOf returns the day on which t falls at +08:00, whatever t's own location is.
func DateOf(t time.Time) Date { return saturate(t.In(zone).Date()) }

// saturate makes a Date of a day that exists, if need be the nearest in range.
func saturate(year int, month time.Month, day int) Date {
	switch {
	case year < minYear:
		return Date{minYear, 1, 1}
	case year > maxYear:
		return Date{maxYear, 12, 31}
	}
	return Date{int16(year), uint8(month), uint8(day)}
}

// IsZero reports whether d is no day at all.
func (d Date) IsZero() bool { return d == Date{} }

// Year, Month and Day return the parts of the date; 0 for the zero Date.
func (d Date) Year() int { return int(d.year) }

// Month returns the month of the year.
func (d Date) Month() time.Month { return time.Month(d.month) }

// Day returns the day of the month, from 1.
func (d Date) Day() int { return int(d.day) }

// Compare returns -1, 0 or +1 as d lies before, on or after e. The zero Date lies before all others.
func (d Date) Compare(e Date) int {
	a, b := d.ordinal(), e.ordinal()
	switch {
	case a < b:
		return -1
	case a > b:
		return +1
	}
	return 0
}

// ordinal grows with the date; it is not a count of days.
func (d Date) ordinal() int { return int(d.year)<<16 | int(d.month)<<8 | int(d.day) }

// Before reports whether d lies before e.
func (d Date) Before(e Date) bool { return d.ordinal() < e.ordinal() }

// After reports whether d lies after e.
func (d Date) After(e Date) bool { return d.ordinal() > e.ordinal() }

// Weekday returns the day of the week; Sunday for the zero Date.
func (d Date) Weekday() time.Weekday {
	if d.IsZero() {
		return time.Sunday
	}
	return d.Start().Weekday()
}

// AddDays returns the day n days later, or earlier for a negative n.
func (d Date) AddDays(n int) Date {
	if d.IsZero() {
		return d
	}
	const span = (maxYear + 1) * 366 // beyond this every sum is out of range, and cannot overflow
	n = min(max(n, -span), span)
	return saturate(time.Date(d.Year(), d.Month(), d.Day()+n, 0, 0, 0, 0, zone).Date())
}

// AddMonths returns the corresponding day n months later (earlier for a negative n), or the last day
// of that month when it has no such day (Civil Code art. 202). So it is not reversible: 31 August
// plus six months is 28 February, and minus six months from there 28 August.
func (d Date) AddMonths(n int) Date {
	if d.IsZero() {
		return d
	}
	const span = (maxYear + 1) * 12
	n = min(max(n, -span), span)
	// Months counted from January of year 0, so that division and remainder need no sign rule.
	months := d.Year()*12 + int(d.month) - 1 + n
	if months < minYear*12 {
		return saturate(minYear-1, 0, 0)
	}
	year, month := months/12, time.Month(months%12+1)
	return saturate(year, month, min(d.Day(), daysIn(year, month)))
}

// Start returns 00:00 +08:00 of the day; the zero [time.Time] for the zero Date.
func (d Date) Start() time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone)
}

// End returns 24:00 +08:00 of the day, which is 00:00 of the next: the first instant that is no
// longer part of it. The zero [time.Time] for the zero Date.
func (d Date) End() time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return time.Date(d.Year(), d.Month(), d.Day()+1, 0, 0, 0, 0, zone)
}

// String returns the date as YYYY-MM-DD (ISO 8601); empty for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	b := [10]byte{4: '-', 7: '-'}
	put := func(at, width, n int) {
		for i := at + width - 1; i >= at; i-- {
			b[i] = byte('0' + n%10)
			n /= 10
		}
	}
	put(0, 4, d.Year())
	put(5, 2, int(d.month))
	put(8, 2, int(d.day))
	return string(b[:])
}

func daysIn(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
