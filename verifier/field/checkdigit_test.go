package field_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/heyan-project/heyan/verifier/field"
)

// Second opinions: check digits, dates and characters computed in another way than the package does.

// withCheck appends the check character by the recursive method of ISO 7064, 7.2 (pure system,
// modulus 11, radix 2), which uses no table of weights.
func withCheck(digits string) string {
	product := 0
	for _, d := range digits {
		product = (product + int(d-'0')) * 2 % 11
	}
	check := (12 - product) % 11
	if check == 10 {
		return digits + "X"
	}
	return digits + string(rune('0'+check))
}

// withLuhn appends the Luhn digit by trying all ten against the doubling table.
func withLuhn(digits string) string {
	doubled := [10]int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}
	for check := range 10 {
		sum := check
		for i, d := range digits {
			if (len(digits)-i)%2 == 1 {
				sum += doubled[d-'0']
			} else {
				sum += int(d - '0')
			}
		}
		if sum%10 == 0 {
			return digits + string(rune('0'+check))
		}
	}
	panic("unreachable: ten digits cover every remainder")
}

func TestExactlyOneCheckCharacterFits(t *testing.T) {
	var rules *field.Rules
	for order := range 1000 {
		for _, head := range []string{"11010119900307", "65280119851231", "81000020000229", "91184019790815"} {
			body := fmt.Sprintf("%s%03d", head, order)
			for _, check := range "0123456789X" {
				id := body + string(check)
				_, err := rules.Parse(field.IDNumber, id, vectorTime)
				if fits := id == withCheck(body); fits != (err == nil) || !fits && !hasCause(err, field.CheckDigit) {
					t.Fatalf("order %03d, check %c: %v", order, check, err)
				}
			}
		}
	}
}

// TestCheckCharacterCatchesTypingErrors: MOD 11-2 detects every single wrong digit and every swap of
// two neighbours; so no such neighbour of a valid number is valid.
func TestCheckCharacterCatchesTypingErrors(t *testing.T) {
	var rules *field.Rules
	id := withCheck("11010119900307775")
	for i := range 17 {
		for d := byte('0'); d <= '9'; d++ {
			if wrong := id[:i] + string(d) + id[i+1:]; wrong != id {
				if _, err := rules.Parse(field.IDNumber, wrong, vectorTime); err == nil {
					t.Errorf("digit %d replaced by %c is accepted", i, d)
				}
			}
		}
		if swapped := id[:i] + string(id[i+1]) + string(id[i]) + id[i+2:]; swapped != id {
			if _, err := rules.Parse(field.IDNumber, swapped, vectorTime); err == nil {
				t.Errorf("digits %d and %d swapped are accepted", i, i+1)
			}
		}
	}
}

func TestFifteenDigitsBecomeTheSameEighteen(t *testing.T) {
	var rules *field.Rules
	for order := range 996 {
		short := fmt.Sprintf("110105491231%03d", order)
		v, err := rules.Parse(field.IDNumber, short, vectorTime)
		if want := withCheck(short[:6] + "19" + short[6:]); err != nil || v.Canonical().Reveal() != want {
			t.Fatalf("order %03d: %v", order, err)
		}
	}
}

// TestDatesAgainstPackageTime tries every number from 0000 to 1399 as month and day in years with and
// without a leap day.
func TestDatesAgainstPackageTime(t *testing.T) {
	var rules *field.Rules
	for _, year := range []int{1849, 1850, 1900, 1999, 2000, 2023, 2024, 2026, 2027} {
		for monthDay := range 1400 {
			id := withCheck(fmt.Sprintf("110101%04d%04d002", year, monthDay))
			day, err := time.Parse("20060102", fmt.Sprintf("%04d%04d", year, monthDay))
			valid := err == nil && year >= 1850 && !day.After(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
			if _, err := rules.Parse(field.IDNumber, id, vectorTime); valid != (err == nil) || !valid && !hasCause(err, field.BirthDate) {
				t.Fatalf("%04d-%04d: %v", year, monthDay, err)
			}
		}
	}
}

func TestEveryDivisionPrefix(t *testing.T) {
	var rules *field.Rules
	accepted := 0
	for prefix := range 10000 {
		id := withCheck(fmt.Sprintf("%04d0119900307123", prefix))
		_, err := rules.Parse(field.IDNumber, id, vectorTime)
		switch {
		case err == nil:
			accepted++
		case prefix >= 9000 && (hasCause(err, field.Nationality) || hasCause(err, field.Division) || hasCause(err, field.BirthDate)):
			// the form of foreign permanent resident cards
		case !hasCause(err, field.Division):
			t.Errorf("prefix %04d: %v", prefix, err)
		}
	}
	if accepted != 591 {
		t.Errorf("%d prefixes are accepted, the table has 591", accepted)
	}
}

func TestEveryCountryNumber(t *testing.T) {
	var rules *field.Rules
	accepted := 0
	for country := range 1000 {
		_, err := rules.Parse(field.IDNumber, withCheck(fmt.Sprintf("911%03d19790815021", country)), vectorTime)
		if err == nil {
			accepted++
		} else if !hasCause(err, field.Nationality) {
			t.Errorf("country %03d: %v", country, err)
		}
	}
	if accepted != 249 {
		t.Errorf("%d countries, ISO 3166-1 assigns 249", accepted)
	}
}

func TestLuhnAgainstATable(t *testing.T) {
	var rules *field.Rules
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		body := fmt.Sprint(1 + random.IntN(9))
		for range 10 + random.IntN(8) {
			body += fmt.Sprint(random.IntN(10))
		}
		right := withLuhn(body)
		for check := range 10 {
			card := body + fmt.Sprint(check)
			_, err := rules.Parse(field.BankCardNumber, card, vectorTime)
			if fits := card == right; fits != (err == nil) || !fits && !hasCause(err, field.CheckDigit) {
				t.Fatalf("%d digits, check %d: %v", len(card), check, err)
			}
		}
	}
}

// TestEveryCharacterOfAName holds the Han table against package unicode, whose Unicode 15.0 property
// must be a part of it, and against the size of the property in Unicode 17.0.
func TestEveryCharacterOfAName(t *testing.T) {
	var rules *field.Rules
	kept := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		v, err := rules.Parse(field.Name, "王"+string(r), vectorTime)
		isKept := err == nil && v.Canonical().Reveal() == "王"+string(r)
		if isKept {
			kept++
		}
		if unicode.Is(unicode.Unified_Ideograph, r) && !isKept {
			t.Errorf("%U is a unified ideograph and refused: %v", r, err)
		}
		if isKept && unicode.In(r, unicode.L, unicode.N, unicode.S, unicode.P, unicode.M, unicode.Co) &&
			!unicode.Is(unicode.Unified_Ideograph, r) && r != '〇' {
			t.Errorf("%U is kept and no unified ideograph", r)
		}
	}
	if kept != 101_996+1 { // Unicode 17.0, and 〇
		t.Errorf("%d characters are kept", kept)
	}
}

// TestEveryLatinLetter: a letter, its small form and both decomposed are one name, and no two capitals
// become one.
func TestEveryLatinLetter(t *testing.T) {
	var rules *field.Rules
	from := map[string]rune{}
	for r := rune(0xC0); r < 0x1F00; r++ {
		v, err := rules.Parse(field.Name, "A"+string(r), vectorTime)
		if err != nil || !unicode.IsUpper(r) {
			continue
		}
		canonical := v.Canonical().Reveal()
		if other, taken := from[canonical]; taken {
			t.Errorf("%U and %U become one name", other, r)
		}
		from[canonical] = r
		small := strings.ToLower(string(r))
		if r == 'İ' { // the dot of its small letter is kept
			small = "i\u0307"
		}
		for _, same := range []string{small, norm.NFD.String(string(r)), norm.NFD.String(small)} {
			v, err := rules.Parse(field.Name, "a"+same, vectorTime)
			if err != nil || v.Canonical().Reveal() != canonical {
				t.Errorf("%U and %+q are two names: %v", r, same, err)
			}
		}
	}
	if len(from) < 300 {
		t.Errorf("only %d letters", len(from))
	}
}
