// Package retention decides when records of the network log may go: never before six calendar months, never under a
// hold, never by a clock that cannot be trusted. It removes nothing itself.
//
// # Guaranteed
//
//   - A record of local date D (Asia/Shanghai) is kept to the end of D + 6 calendar months, clipped to the month's end
//     (Cybersecurity Law art. 23(3); Civil Code art. 202). No [Policy] is shorter: [ParsePeriod] and [Policy.Check]
//     refuse it with [ErrBelowFloor], and a length in days or weeks with [ErrNotMonths], because no fixed number of days
//     below 185 is six months for every date.
//   - Segments go whole, judged by the latest record in them, from the oldest on without a gap: what is left is one
//     range, as the minimum index of C2SP's tlog-tiles demands. A segment that stays keeps every one after it.
//   - A hold that touches a segment keeps it, and so all after it, until it is released or ends by itself. [Policy.Cost]
//     says beforehand what that will be.
//   - While the clock is not synchronised, was stepped within [Settle], or has moved on from the newest record by more
//     than [MaxIdle], nothing is purgeable.
//
// # Not guaranteed
//
//   - That a purge happens: this package only permits one.
//   - That records are gone on the first day on which they may be: the grace, and the size of segments, come on top.
package retention

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/heyan-project/heyan/verifier/workday"
)

var (
	// ErrBelowFloor is a period shorter than six calendar months, or a grace below zero.
	ErrBelowFloor = errors.New("retention: shorter than the six calendar months that the law asks for")
	// ErrNotMonths is a period that is not written in years and months.
	ErrNotMonths = errors.New("retention: not a period of calendar months; write P6M, P1Y or P1Y6M: a fixed number of days is shorter than six months for some dates")
	// ErrTooLong is a period or grace that no law asks for: addresses are personal data, kept no longer than needed.
	ErrTooLong = errors.New("retention: longer than ten years")
)

// Floor is the shortest period, in calendar months.
const Floor = workday.LogMonths

// DefaultGrace is how many days after the last day to keep records go, in days.
const DefaultGrace = 15

// most is the longest period, in months, and the longest grace, in days.
const (
	mostMonths = 120
	mostGrace  = 3653
)

// Policy says how long records are kept. The zero Policy is below the floor: use [Default].
type Policy struct {
	Months int // calendar months, at least Floor
	Grace  int // days more
}

// Default keeps the floor and the default grace, and no longer.
func Default() Policy { return Policy{Months: Floor, Grace: DefaultGrace} }

// Longer returns a policy that keeps every record at least as long as both do: the larger number of months, and the larger
// grace.
func (p Policy) Longer(q Policy) Policy {
	return Policy{Months: max(p.Months, q.Months), Grace: max(p.Grace, q.Grace)}
}

// Check refuses a policy that may not be.
func (p Policy) Check() error {
	switch {
	case p.Months < Floor || p.Grace < 0:
		return ErrBelowFloor
	case p.Months > mostMonths || p.Grace > mostGrace:
		return ErrTooLong
	}
	return nil
}

var (
	period = regexp.MustCompile(`^P(?:(\d{1,3})Y)?(?:(\d{1,3})M)?$`)
	// inDays is a length in days or weeks, as ISO 8601 writes it or as people do.
	inDays = regexp.MustCompile(`(?i)^P?(\d{1,3}) ?(d|days?|w|weeks?)$`)
	// errDays is a number of days that is shorter than six months for some dates.
	errDays = fmt.Errorf("%w; %w", ErrNotMonths, ErrBelowFloor)
)

// enoughDays is the fewest days that are six calendar months for every date.
const enoughDays = 185

// notMonths is why a text is no period of calendar months: one that is a number of days which keeps some record too short
// is also [ErrBelowFloor].
func notMonths(s string) error {
	parts := inDays.FindStringSubmatch(s)
	if parts == nil {
		return ErrNotMonths
	}
	days, _ := strconv.Atoi(parts[1]) // at most three digits
	if parts[2][0]|0x20 == 'w' {
		days *= 7
	}
	if days < enoughDays {
		return errDays
	}
	return ErrNotMonths
}

// ParsePeriod reads an ISO 8601 duration of years and months, such as "P6M" or "P1Y". It refuses what is below the floor.
func ParsePeriod(s string) (months int, err error) {
	parts := period.FindStringSubmatch(s)
	if parts == nil || s == "P" {
		return 0, notMonths(s)
	}
	years, _ := strconv.Atoi(parts[1]) // at most three digits, or none
	months, _ = strconv.Atoi(parts[2])
	p := Policy{Months: 12*years + months}
	return p.Months, p.Check()
}

// String writes the period as [ParsePeriod] reads it.
func (p Policy) String() string { return fmt.Sprintf("P%dM", p.Months) }

// LastKept returns the last day on which a record of that time must still be there.
func (p Policy) LastKept(t time.Time) workday.Date { return workday.DateOf(t).AddMonths(p.Months) }

// PurgeableFrom returns the first instant at which a record of that time may go, if nothing else keeps it.
func (p Policy) PurgeableFrom(t time.Time) time.Time { return p.LastKept(t).AddDays(p.Grace).End() }
