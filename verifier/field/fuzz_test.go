package field_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

func FuzzName(f *testing.F)                { fuzz(f, field.Name) }
func FuzzIDNumber(f *testing.F)            { fuzz(f, field.IDNumber) }
func FuzzPhoneNumber(f *testing.F)         { fuzz(f, field.PhoneNumber) }
func FuzzBankCardNumber(f *testing.F)      { fuzz(f, field.BankCardNumber) }
func FuzzLicensePlateNumber(f *testing.F)  { fuzz(f, field.LicensePlateNumber) }
func FuzzDriverLicenseNumber(f *testing.F) { fuzz(f, field.DriverLicenseNumber) }

// fuzz asserts of any input: no panic; a canonical string is its own canonical string; a refusal holds
// nothing but its kind and cause; and invisible characters and full-width ASCII change nothing.
func fuzz(f *testing.F, kind field.Kind) {
	for _, v := range vectors(f, kind) {
		f.Add(v.Value)
	}
	f.Add("\xff\xfe")
	rules, err := field.NewRules([]string{"95588"})
	if err != nil {
		f.Fatal(err)
	}
	known := hints(f)
	f.Fuzz(func(t *testing.T, input string) {
		got, err := rules.Parse(kind, input, vectorTime)
		if err != nil {
			assertBare(t, kind, err, known)
		} else {
			assertStable(t, rules, got)
		}
		if !utf8.ValidString(input) {
			return
		}
		for _, same := range []string{intersperse(input, '\u2060'), widen(input), " " + input + "\n"} {
			if len(same) > field.MaxBytes || len(input) > field.MaxBytes {
				continue
			}
			again, errAgain := rules.Parse(kind, same, vectorTime)
			cause, _ := field.CauseOf(err)
			if causeAgain, _ := field.CauseOf(errAgain); causeAgain != cause || again.Canonical().Reveal() != got.Canonical().Reveal() {
				t.Errorf("%q gives %v %q, %q gives %v %q", input, err, got.Canonical().Reveal(), same, errAgain, again.Canonical().Reveal())
			}
		}
	})
}

func assertStable(t *testing.T, rules *field.Rules, v field.Value) {
	t.Helper()
	canonical := v.Canonical().Reveal()
	again, err := rules.Parse(v.Kind(), canonical, vectorTime)
	if err != nil || again.Canonical().Reveal() != canonical || !slices.Equal(again.Warnings(), v.Warnings()) {
		t.Errorf("%q becomes %q, %v", canonical, again.Canonical().Reveal(), err)
	}
	y1, m1, d1, ok1 := v.BirthDate()
	if y2, m2, d2, ok2 := again.BirthDate(); y1 != y2 || m1 != m2 || d1 != d2 || ok1 != ok2 {
		t.Errorf("%q loses its birth date", canonical)
	}
	if id, ok := v.IDNumber(); ok {
		asID, err := rules.Parse(field.IDNumber, canonical, vectorTime)
		if err != nil || asID.Canonical().Reveal() != id.Canonical().Reveal() {
			t.Errorf("%q says it is an id_number: %v", canonical, err)
		}
	}
}

func assertBare(t *testing.T, kind field.Kind, err error, known map[string]string) {
	t.Helper()
	cause, ok := field.CauseOf(err)
	refusal := fault.Of(err)
	if !ok || len(refusal.Violations) != 1 || refusal.Violations[0].Field != "fields."+kind.String() ||
		refusal.Metadata != nil || refusal.Cause != nil || refusal.More != nil || refusal.Quota != "" {
		t.Fatalf("not a bare refusal: %v", err)
	}
	hint, seen := known[kind.String()+" "+cause.String()]
	if !seen || refusal.Hint != hint {
		t.Errorf("%v %v has the hint %q", kind, cause, refusal.Hint)
	}
	if want := "FIELD_MALFORMED: fields." + kind.String() + " " + cause.String(); err.Error() != want {
		t.Errorf("got the text %q", err.Error())
	}
}

// FuzzFreeText asserts: no panic, and a phone number beside any text is found unless a letter or digit
// touches it.
func FuzzFreeText(f *testing.F) {
	for _, v := range readLines[freeText](f, "freetext.jsonl") {
		f.Add(v.Text)
	}
	var rules *field.Rules
	f.Fuzz(func(t *testing.T, text string) {
		carries := rules.CarriesValue(text, vectorTime)
		if !rules.CarriesValue(text+"\n13800138000\n"+text, vectorTime) {
			t.Errorf("not found in %q", text)
		}
		if rules.CarriesValue("("+text+")", vectorTime) != carries {
			t.Errorf("parentheses around %q change the answer", text)
		}
	})
}
