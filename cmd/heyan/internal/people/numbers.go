package people

import (
	"time"

	"github.com/heyan-project/heyan/verifier/workday"
)

// referenceYear is the year on whose first day the ages are those of the census. A constant, since
// the clock must not change the sample.
const referenceYear = 2026

// fiveYears is the days in a group of the pyramid.
const fiveYears = 1826

// pyramid is the population by groups of five years from 0–4 to 95–99, in 10,000: Seventh National
// Census, 2020, rounded.
var pyramid = [...]int{
	779, 902, 853, 727, 749, 918, 1241, 990, 930, 1142, 1212, 1014, 734, 740, 496, 312, 204, 108, 37, 8,
}

// birth draws a birth date before the reference day.
func (g *Generator) birth(d *dice, i int, r role) workday.Date {
	var days int
	switch {
	case r == child:
		days = 1 + d.below(600) // born in 2024 or 2025
	case r.full():
		days = (5+d.pick(pyramid[5:12]...))*fiveYears + d.below(fiveYears) // 25 to 59
	default:
		days = 1 + d.pick(pyramid[:]...)*fiveYears + d.below(fiveYears)
	}
	// In a sample so large that division and order code repeat, the lap is told by the day.
	if g.laps > 1 {
		lap := i / int(g.ids.n)
		days += (lap - days%g.laps + g.laps) % g.laps
	}
	return workday.DateOf(time.Date(referenceYear, time.January, 1-days, 12, 0, 0, 0, workday.Zone()))
}

// identity joins the parts of an ID number and adds the check character: GB 11643-1999, ISO 7064
// MOD 11-2.
func identity(division string, birth workday.Date, order int) string {
	var b [18]byte
	copy(b[:6], division)
	put(b[6:10], uint64(birth.Year()))
	put(b[10:12], uint64(birth.Month()))
	put(b[12:14], uint64(birth.Day()))
	put(b[14:17], uint64(order))
	sum := 0
	for _, c := range b[:17] {
		sum = (sum + int(c-'0')) * 2
	}
	b[17] = "10X98765432"[sum%11]
	return string(b[:])
}

// put writes n in decimal, with leading zeros, over all of b.
func put(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// phonePrefixes are ranges in use for people's phones; 14x and 174x, for devices and satellites, are
// left out.
var phonePrefixes = [...]string{
	"130", "131", "132", "133", "134", "135", "136", "137", "138", "139", "150", "151", "152", "153", "155", "156", "157",
	"158", "159", "162", "165", "166", "167", "170", "171", "172", "173", "175", "176", "177", "178", "180", "181", "182",
	"183", "184", "185", "186", "187", "188", "189", "190", "191", "192", "193", "195", "196", "197", "198", "199",
}

// slots is how many phones, and how many cards, a person can have.
const slots = 4

func (g *Generator) phone(i, slot int) string {
	x := g.phones.at(uint64(i*slots + slot))
	var b [11]byte
	copy(b[:3], phonePrefixes[x/1e8])
	put(b[3:], x%1e8)
	return string(b[:])
}

// issuers are invented: the first six digits and the length of their cards. 19 is usual for debit and
// 16 for credit cards.
var issuers = [...]struct {
	prefix string
	length int
}{
	{"790011", 19}, {"790023", 19}, {"790037", 19}, {"790041", 19}, {"790058", 16}, {"790064", 16}, {"790072", 18}, {"790085", 17},
}

func (g *Generator) card(d *dice, i, slot int) string {
	issuer := issuers[d.below(uint64(len(issuers)))]
	var room [19]byte
	b := room[:issuer.length]
	last := len(b) - 1
	copy(b, issuer.prefix)
	// Nine digits that no other card has, then chance up to the check digit.
	put(b[6:15], g.cards.at(uint64(i*slots+slot)))
	put(b[15:last], uint64(d.below(1000)))
	b[last] = luhn(b[:last])
	return string(b)
}

// luhn returns the check digit for the digits before it (ISO/IEC 7812-1, annex B).
func luhn(b []byte) byte {
	sum := 0
	for i := range b {
		n := int(b[len(b)-1-i] - '0')
		if i%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return byte('0' + (10-sum%10)%10)
}

// paper is a licence number that is not an ID number: the form of a foreigner's document.
func (g *Generator) paper(i int) string {
	b := [9]byte{'Z'}
	put(b[1:], g.papers.at(uint64(i)))
	return string(b[:])
}
