package people

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/heyan-project/heyan/verifier/workday"
)

// TestLikeness compares a sample with what it claims to look like. The seed is fixed, so the figures
// are too: the bounds leave room for another table, not for chance.
func TestLikeness(t *testing.T) {
	const n = 100_000
	g := sample(t, 2026, n)
	today, _ := workday.NewDate(2026, 1, 1)
	sixty, _ := workday.NewDate(1966, 1, 1)
	count := map[string]int{}
	for p, ok := g.Next(); ok; p, ok = g.Next() {
		tally := func(what string, is bool) {
			if is {
				count[what]++
			}
		}
		runes := []rune(p.Name)
		tally("male", p.Male)
		tally("under 14", workday.UnderFourteen(p.Birth, today))
		tally("60 and over", p.Birth.Before(sixty))
		tally("surname 王", runes[0] == '王')
		tally("surname 陈", runes[0] == '陈')
		tally("surname 欧阳", strings.HasPrefix(p.Name, "欧阳"))
		tally("dotted name", strings.Contains(p.Name, MiddleDot))
		tally("two characters", len(runes) == 2)
		tally("three characters", len(runes) == 3)
		tally("beyond the BMP", strings.ContainsFunc(p.Name, func(r rune) bool { return utf8.RuneLen(r) == 4 }))
		tally("no phone", len(p.Phones) == 0)
		tally("two or more phones", len(p.Phones) > 1)
		tally("two or more cards", len(p.Cards) > 1)
		tally("a vehicle", len(p.Cars) > 0)
		tally("two vehicles", len(p.Cars) > 1)
		tally("a licence", p.Licence != "")
		tally("another licence than the ID", p.Licence != "" && p.Licence != p.ID)
		for _, c := range p.Cars {
			tally("kind "+c.Kind, true)
		}
	}
	for what, want := range map[string][2]int{ // per 100,000
		"male":                        {49_000, 51_000},
		"under 14":                    {15_000, 18_000}, // census of 2020: 17.95 % were 0 to 14
		"60 and over":                 {18_000, 20_000}, // census: 18.70 %
		"surname 王":                   {6_900, 8_300},
		"surname 陈":                   {4_300, 5_300},
		"surname 欧阳":                  {50, 140},
		"dotted name":                 {1_000, 2_000},
		"two characters":              {20_000, 30_000},
		"three characters":            {65_000, 78_000},
		"beyond the BMP":              {20, 120},
		"no phone":                    {12_000, 19_000},
		"two or more phones":          {12_000, 18_000},
		"two or more cards":           {20_000, 27_000},
		"a vehicle":                   {15_000, 21_000},
		"two vehicles":                {1_500, 3_000},
		"a licence":                   {30_000, 45_000},
		"another licence than the ID": {150, 400},
		"kind 02":                     {11_000, 17_000},
		"kind 52":                     {2_000, 4_500},
		"kind 01":                     {500, 1_200},
		"kind 07":                     {500, 1_200},
		"kind 51":                     {50, 300},
		"kind ":                       {200, 600},
	} {
		if got := count[what]; got < want[0] || got > want[1] {
			t.Errorf("%s: %d of 100,000, want %d to %d", what, got, want[0], want[1])
		}
	}
	t.Log(count)
}
