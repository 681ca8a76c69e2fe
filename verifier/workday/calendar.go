package workday

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

//go:embed data/*.json
var tables embed.FS

// Calendar knows which days are worked in the mainland of the People's Republic. It is immutable and
// safe for concurrent use. The zero Calendar holds no table, so that every answer is provisional.
type Calendar struct {
	years map[int]bool  // the years a table was read for
	work  map[Date]bool // days that differ from Monday–Friday or are stated anyway: true is worked
}

// China returns the calendar of the embedded tables. They are read once, at the first call; a build
// with a defective table panics there, and its tests fail.
func China() *Calendar { return china() }

var china = sync.OnceValue(func() *Calendar {
	sub, err := fs.Sub(tables, "data")
	if err != nil {
		panic(err)
	}
	c, err := Load(sub)
	if err != nil {
		panic(err)
	}
	return c
})

// table is one year's file.
type table struct {
	Off  []string `json:"off"`  // every day of a holiday, weekends included
	Work []string `json:"work"` // weekend days worked to make up for one
}

// Load reads the yearly tables of fsys: all its files YYYY.json, each an object of two lists of
// dates, "off" and "work". It refuses a date of another year, one listed twice, a day to be worked
// that is no weekend, an unknown member, and a table without New Year's Day or the first of October:
// half a table would be a silent guess.
func Load(fsys fs.FS) (*Calendar, error) {
	names, err := fs.Glob(fsys, "[0-9][0-9][0-9][0-9].json")
	if err != nil {
		return nil, err
	}
	c := &Calendar{years: make(map[int]bool), work: make(map[Date]bool)}
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		year, _ := digits(name[:4])
		if err := c.add(year, text); err != nil {
			return nil, fmt.Errorf("workday: table %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Calendar) add(year int, text []byte) error {
	var t table
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the table")
	}
	for i, s := range append(t.Off, t.Work...) {
		d, err := ParseDate(s)
		if err != nil {
			return err
		}
		worked := i >= len(t.Off)
		if _, twice := c.work[d]; twice || d.Year() != year || worked && isWeekday(d) {
			return fmt.Errorf("%s cannot stand here", d)
		}
		c.work[d] = worked
	}
	for _, month := range []time.Month{time.January, time.October} {
		first, err := NewDate(year, month, 1)
		if err != nil {
			return err
		}
		if worked, stated := c.work[first]; !stated || worked {
			return fmt.Errorf("%s is not off: the table is incomplete", first)
		}
	}
	c.years[year] = true
	return nil
}

func isWeekday(d Date) bool {
	day := d.Weekday()
	return day != time.Saturday && day != time.Sunday
}

// IsWorkday reports whether d is worked. provisional is true when there is no table for d's year:
// the answer is then Monday to Friday, and may change when the table arrives. The zero Date is not
// worked, provisionally.
func (c *Calendar) IsWorkday(d Date) (work, provisional bool) {
	if d.IsZero() {
		return false, true
	}
	if worked, stated := c.work[d]; stated {
		return worked, false
	}
	return isWeekday(d), !c.years[d.Year()]
}

// AddWorkdays returns the n-th working day after d; d itself is not counted (Civil Code art. 201).
// n below 1 returns d. provisional is true when any day that was looked at is.
func (c *Calendar) AddWorkdays(d Date, n int) (due Date, provisional bool) {
	return c.addWorkdays(d, n, Date{maxYear, 12, 31})
}

// addWorkdays counts no further than limit, and returns limit when it gets there first.
func (c *Calendar) addWorkdays(d Date, n int, limit Date) (due Date, provisional bool) {
	if d.IsZero() {
		return d, true
	}
	for n > 0 && d.Before(limit) {
		d = d.AddDays(1)
		work, unsure := c.IsWorkday(d)
		provisional = provisional || unsure
		if work {
			n--
		}
	}
	return d, provisional
}

// The time a subject request may take: whichever of the two ends first.
const (
	SubjectRequestWorkdays = 15 // working days
	SubjectRequestDays     = 30 // calendar days; GB/T 35273-2020 8.7
)

// SubjectRequestDue returns when a subject request received at the given time must be answered: at
// the end of the earlier of its 15th working day and its 30th calendar day, the day of receipt (at
// +08:00) not counted.
//
// due is 24:00 of that day, written as 00:00 +08:00 of the next and not included in the period: an
// answer is in time if it comes before due. The day to show a person is DateOf(due).AddDays(-1).
//
// A 30th day that is a holiday is not moved to the next working day, although Civil Code art. 203
// would allow it: the earlier day satisfies both readings.
//
// provisional is true when the period touches a year without a table; compute it again when the
// table is there, from the same received.
func (c *Calendar) SubjectRequestDue(received time.Time) (due time.Time, provisional bool) {
	day := DateOf(received)
	last, provisional := c.addWorkdays(day, SubjectRequestWorkdays, day.AddDays(SubjectRequestDays))
	return last.End(), provisional
}
