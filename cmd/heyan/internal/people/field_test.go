package people

import (
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/field"
)

// Every value is accepted by the rules that the import uses, is canonical already, and warns of
// nothing but a licence of another document; and an ID number says what the person says.
func TestFieldsAccept(t *testing.T) {
	now := time.Date(referenceYear, time.January, 1, 0, 0, 0, 0, time.FixedZone("+08:00", 8*60*60))
	rules := (*field.Rules)(nil)
	check := func(kind field.Kind, text string, mayWarn bool) field.Value {
		t.Helper()
		v, err := rules.Parse(kind, text, now)
		if err != nil {
			t.Fatalf("%v %q is refused: %v", kind, text, err)
		}
		if got := v.Canonical().Reveal(); got != text {
			t.Fatalf("%v %q is not canonical: %q", kind, text, got)
		}
		if w := v.Warnings(); len(w) > 0 && !mayWarn {
			t.Fatalf("%v %q warns: %v", kind, text, w)
		}
		return v
	}
	g := sample(t, 99, 20_000)
	for p, ok := g.Next(); ok; p, ok = g.Next() {
		check(field.Name, p.Name, false)
		id := check(field.IDNumber, p.ID, false)
		if y, m, d, ok := id.BirthDate(); !ok || y != p.Birth.Year() || m != p.Birth.Month() || d != p.Birth.Day() {
			t.Fatalf("%s: born %d-%d-%d, not %s", p.ID, y, m, d, p.Birth)
		}
		for _, phone := range p.Phones {
			check(field.PhoneNumber, phone, false)
		}
		for _, c := range p.Cards {
			check(field.BankCardNumber, c.Number, false)
		}
		for _, c := range p.Cars {
			check(field.LicensePlateNumber, c.Plate, false)
		}
		if p.Licence != "" {
			check(field.DriverLicenseNumber, p.Licence, p.Licence != p.ID)
		}
	}

	tab := load()
	for _, w := range tab.surnames.words {
		check(field.Name, w+"一", false)
	}
	words := [][]string{tab.rare.words, tab.tibetan[0].words, tab.tibetan[1].words}
	for _, e := range tab.given {
		words = append(words, e.one.words, e.first.words, e.followed.words)
	}
	for _, list := range words {
		for _, w := range list {
			check(field.Name, "王"+w, false)
		}
	}
	for _, list := range [][]string{tab.uyghur[0].words, tab.uyghur[1].words} {
		for _, w := range list {
			check(field.Name, w+MiddleDot+w, false)
		}
	}
	for i, division := range tab.divisions {
		check(field.IDNumber, identity(division, g.At(0).Birth, 1+i%maxOrder), false)
	}
}

// The header names the six fields in their order, then the kind of the plate.
func TestHeader(t *testing.T) {
	var names []string
	for _, kind := range field.Kinds() {
		names = append(names, kind.String())
	}
	if want := strings.Join(names, ",") + ",plate_kind"; Header != want {
		t.Errorf("header %s, want %s", Header, want)
	}
}
