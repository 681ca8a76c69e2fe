package server

import (
	"testing"
	"time"
)

func TestClockSteps(t *testing.T) {
	start := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	c := clockWatch{wall: start, steady: start}
	wall, steady := start, start
	for i, look := range []struct{ wall, steady, want time.Duration }{
		{5 * time.Second, 5 * time.Second, 0},
		{6 * time.Second, 5 * time.Second, 0},                   // slewed
		{time.Hour + 5*time.Second, 5 * time.Second, time.Hour}, // set ahead
		{5 * time.Second, 5 * time.Second, 0},                   // once only
		{-24*time.Hour + 5*time.Second, 5 * time.Second, -24 * time.Hour},
		{time.Hour, time.Hour, 0}, // a look that came late
	} {
		wall, steady = wall.Add(look.wall), steady.Add(look.steady)
		if got := c.step(wall, steady); got != look.want {
			t.Errorf("look %d: %v, want %v", i, got, look.want)
		}
	}
}

func TestRewriteDue(t *testing.T) {
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		since time.Time
		want  bool
	}{
		"a while ago":                   {now.Add(-rewriteAfter + time.Second), false},
		"long enough ago":               {now.Add(-rewriteAfter), true},
		"nobody noted when":             {time.Time{}, true},
		"before the clock was set back": {now.Add(time.Second), true},
	} {
		if got := rewriteDue(c.since, now); got != c.want {
			t.Errorf("deleted %s: %v, want %v", name, got, c.want)
		}
	}
}
