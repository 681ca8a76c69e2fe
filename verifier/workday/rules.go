package workday

import "time"

// LogMonths is how long a network log must be kept at least, in calendar months: Cybersecurity Law
// art. 23(3) (art. 21(3) before 2026-01-01), "not less than six months".
const LogMonths = 6

// LastKept returns the last day on which a log record of day d must still be there: six calendar
// months later, or the end of that month (Civil Code art. 202). The zero Date for the zero Date.
func LastKept(d Date) Date { return d.AddMonths(LogMonths) }

// PurgeableFrom returns the first instant at which a log record of day d may be purged: 00:00 +08:00
// after [LastKept], plus the grace in days. A negative grace counts as none. The zero Date is never
// purgeable: the answer is the last day there is.
//
// What else forbids a purge (a hold, a clock that is not trusted) is not known here.
func PurgeableFrom(d Date, graceDays int) time.Time {
	if d.IsZero() {
		return Date{maxYear, 12, 31}.End()
	}
	return LastKept(d).AddDays(max(graceDays, 0)).End()
}

// RequiredFrom returns the earliest day whose log records must still be there today: the earliest D
// with LastKept(D) ≥ today. It never moves back as today moves on.
func RequiredFrom(today Date) Date {
	// Six months back, clipped to a month's end, is at most three days too early.
	d := today.AddMonths(-LogMonths)
	for LastKept(d).Before(today) {
		d = d.AddDays(1)
	}
	return d
}

// adultEnough is the age from which the rules for children no longer apply: Personal Information
// Protection Law arts. 28 and 31, "minors under the age of 14".
const adultEnough = 14

// FourteenFrom returns the first day on which a person born on birth no longer counts as under
// fourteen: the day after the fourteenth birthday. Who is born on 29 February has the birthday on
// 1 March. The zero Date for the zero Date.
func FourteenFrom(birth Date) Date {
	if birth.IsZero() {
		return birth
	}
	// AddMonths clips 29 February to the 28th (a leap year plus 14 is never one); the later reading
	// protects the child for a day longer.
	birthday := birth.AddMonths(12 * adultEnough)
	if birthday.Day() != birth.Day() {
		birthday = birthday.AddDays(1)
	}
	return birthday.AddDays(1)
}

// UnderFourteen reports whether a person born on birth counts as under fourteen on the day today: up
// to and including the whole fourteenth birthday. A zero Date on either side is no proof of age, so
// the answer is true.
func UnderFourteen(birth, today Date) bool {
	return birth.IsZero() || today.IsZero() || today.Before(FourteenFrom(birth))
}
