package retention

import (
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/workday"
)

// at is a moment of 2026, +08:00.
func at(month time.Month, day, hour int) time.Time {
	return time.Date(2026, month, day, hour, 0, 0, 0, workday.Zone())
}

func TestCover(t *testing.T) {
	now := at(11, 27, 12)
	older := Span{"a", at(10, 1, 8), at(10, 31, 23)}
	live := Span{"b", at(11, 1, 0), now}
	for name, test := range map[string]struct {
		spans     []Span
		first     time.Time
		required  string
		shortfall int
		silences  int
	}{
		"one that is young":                       {[]Span{live}, time.Time{}, "2026-11-01", 0, 0},
		"one, and an older one that is gone":      {[]Span{live}, at(10, 1, 8), "2026-10-01", 31, 0},
		"both, without a day between":             {[]Span{live, older}, at(10, 1, 8), "2026-10-01", 0, 1},
		"an older one that ended early":           {[]Span{live, {"a", at(10, 1, 8), at(10, 20, 1)}}, at(10, 1, 8), "2026-10-01", 11, 1},
		"one within the other":                    {[]Span{{"c", at(10, 2, 0), at(10, 3, 0)}, older, live}, time.Time{}, "2026-10-01", 0, 1},
		"six months are enough":                   {[]Span{{"a", at(1, 1, 0), now}}, at(1, 1, 0), "2026-05-27", 0, 0},
		"what is gone is older than six months":   {[]Span{{"a", at(5, 27, 9), now}}, at(1, 1, 0), "2026-05-27", 0, 0},
		"one that ends yesterday":                 {[]Span{{"a", at(11, 1, 0), at(11, 26, 1)}}, time.Time{}, "2026-11-01", 0, 0},
		"nothing at all":                          {nil, at(11, 1, 0), "2026-11-01", 27, 0},
		"an origin without a record counts as no": {[]Span{{Origin: "x"}, live}, time.Time{}, "2026-11-01", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := Cover(test.spans, test.first, now)
			if c.RequiredFrom.String() != test.required || c.Shortfall != test.shortfall || len(c.Silences) != test.silences {
				t.Errorf("required from %s, %d days short, silences %v", c.RequiredFrom, c.Shortfall, c.Silences)
			}
		})
	}
	c := Cover([]Span{live, older}, time.Time{}, now)
	if want := (Silence{older.Newest, live.Oldest, "a", "b"}); c.Silences[0] != want || !c.Oldest.Equal(older.Oldest) || !c.Newest.Equal(now) {
		t.Errorf("covered %+v", c)
	}
}
