package field_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

// vectorTime is 2026-03-01 00:30 in Asia/Shanghai and still February by UTC.
var vectorTime = time.Date(2026, 2, 28, 16, 30, 0, 0, time.UTC)

// vector is one line of testdata/<field>.jsonl: either canonical or reason is set.
type vector struct {
	Field     string    `json:"field"`
	Value     string    `json:"value"`
	Canonical string    `json:"canonical"`
	Reason    string    `json:"reason"`
	Birth     string    `json:"birth"`    // YYYY-MM-DD; unchecked if absent
	Warnings  []string  `json:"warnings"` // none if absent
	Prefixes  []string  `json:"prefixes"` // of cards exempt from Luhn
	Now       time.Time `json:"now"`      // vectorTime if absent
	Note      string    `json:"note"`
}

func readLines[T any](t testing.TB, file string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []T
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var one T
		decoder := json.NewDecoder(strings.NewReader(lines.Text()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&one); err != nil {
			t.Fatalf("%s: %v in %s", file, err, lines.Text())
		}
		list = append(list, one)
	}
	return list
}

func vectors(t testing.TB, kind field.Kind) []vector {
	list := readLines[vector](t, kind.String()+".jsonl")
	for i := range list {
		if list[i].Now.IsZero() {
			list[i].Now = vectorTime
		}
	}
	return list
}

func (v vector) rules(t testing.TB) *field.Rules {
	t.Helper()
	rules, err := field.NewRules(v.Prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestVectors(t *testing.T) {
	for _, kind := range field.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			list := vectors(t, kind)
			if len(list) < 50 {
				t.Fatalf("only %d vectors", len(list))
			}
			for i, v := range list {
				if v.Field != kind.String() || v.Note == "" || (v.Canonical == "") == (v.Reason == "") {
					t.Fatalf("line %d is no vector: %+v", i+1, v)
				}
				got, err := v.rules(t).Parse(kind, v.Value, v.Now)
				if v.Reason != "" {
					assertRefused(t, v, kind, err)
					continue
				}
				if err != nil {
					t.Errorf("line %d %q (%s): refused: %v", i+1, v.Value, v.Note, err)
					continue
				}
				assertAccepted(t, v, got)
			}
		})
	}
}

func assertRefused(t *testing.T, v vector, kind field.Kind, err error) {
	t.Helper()
	cause, ok := field.CauseOf(err)
	if !ok || cause.String() != v.Reason {
		t.Errorf("%q (%s): want %s, got %v", v.Value, v.Note, v.Reason, err)
		return
	}
	f := fault.Of(err)
	want := []fault.Violation{{Field: "fields." + kind.String(), Cause: v.Reason}}
	if f.Reason != fault.FieldMalformed || !slices.Equal(f.Violations, want) {
		t.Errorf("%q: got %v %v", v.Value, f.Reason, f.Violations)
	}
}

func assertAccepted(t *testing.T, v vector, got field.Value) {
	t.Helper()
	if c := got.Canonical().Reveal(); c != v.Canonical {
		t.Errorf("%q (%s): want %q, got %q", v.Value, v.Note, v.Canonical, c)
	}
	if !got.Valid() || got.Form() != got.Kind().Form() {
		t.Errorf("%q: not valid, or of another form", v.Value)
	}
	if names := fmt.Sprint(got.Warnings()); names != fmt.Sprint(v.Warnings) {
		t.Errorf("%q (%s): want warnings %v, got %s", v.Value, v.Note, v.Warnings, names)
	}
	if year, month, day, ok := got.BirthDate(); v.Birth != "" &&
		(!ok || fmt.Sprintf("%04d-%02d-%02d", year, month, day) != v.Birth) {
		t.Errorf("%q (%s): want birth date %s, got %d-%d-%d", v.Value, v.Note, v.Birth, year, month, day)
	}
}

// TestEveryCauseAndWarningHasAVector keeps the closed lists and the vectors together.
func TestEveryCauseAndWarningHasAVector(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range field.Kinds() {
		for _, v := range vectors(t, kind) {
			seen[v.Reason] = true
			for _, w := range v.Warnings {
				seen[w] = true
			}
		}
	}
	for c := field.Empty; c <= field.MixedScript; c++ {
		if !seen[c.String()] {
			t.Errorf("no vector for cause %v", c)
		}
		delete(seen, c.String())
	}
	for w := field.DivisionUnknown; w <= field.CheckDigitExempt; w++ {
		if !seen[w.String()] {
			t.Errorf("no vector for warning %v", w)
		}
		delete(seen, w.String())
	}
	delete(seen, "")
	if len(seen) != 0 {
		t.Errorf("vectors name what is in no list: %v", seen)
	}
}

// TestVectorsUnderChangesThatDoNotMatter reads each vector again with an invisible character between
// all characters, with full-width ASCII, and with white space around.
func TestVectorsUnderChangesThatDoNotMatter(t *testing.T) {
	changes := map[string]func(string) string{
		"invisible":  func(s string) string { return intersperse(s, '\u200b') },
		"full-width": widen,
		"around":     func(s string) string { return "\t\n " + s + "\r\n\u3000" },
	}
	for _, kind := range field.Kinds() {
		for _, v := range vectors(t, kind) {
			for name, change := range changes {
				changed := change(v.Value)
				if len(changed) > field.MaxBytes || len(v.Value) > field.MaxBytes {
					continue
				}
				got, err := v.rules(t).Parse(kind, changed, v.Now)
				cause, _ := field.CauseOf(err)
				if v.Reason != "" && cause.String() != v.Reason || got.Canonical().Reveal() != v.Canonical {
					t.Errorf("%v %s %q (%s): want %s%s, got %v %q", kind, name, v.Value, v.Note,
						v.Canonical, v.Reason, err, got.Canonical().Reveal())
				}
			}
		}
	}
}

func intersperse(s string, between rune) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteRune(between)
	}
	return b.String()
}

func widen(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '!' && r <= '~' {
			return r - '!' + 0xFF01
		}
		return r
	}, s)
}

// hints has the one hint that every refusal of a kind and cause carries.
func hints(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, kind := range field.Kinds() {
		for _, v := range vectors(t, kind) {
			if v.Reason == "" {
				continue
			}
			_, err := v.rules(t).Parse(kind, v.Value, v.Now)
			key := kind.String() + " " + v.Reason
			hint, seen := all[key]
			got := fault.Of(err).Hint
			if seen && got != hint {
				t.Fatalf("%s has two hints", key)
			}
			all[key] = got
		}
	}
	return all
}

// TestRefusalsHoldNothingOfTheInput: the text of a refusal depends on kind and cause alone.
func TestRefusalsHoldNothingOfTheInput(t *testing.T) {
	for key, hint := range hints(t) {
		if strings.ContainsFunc(hint, func(r rune) bool { return r == utf8.RuneError || r == '%' }) {
			t.Errorf("%s: the hint %q looks like a format or a broken string", key, hint)
		}
	}
}

type freeText struct {
	Text    string `json:"text"`
	Carries bool   `json:"carries"`
	Note    string `json:"note"`
}

func TestFreeText(t *testing.T) {
	var rules *field.Rules
	for _, v := range readLines[freeText](t, "freetext.jsonl") {
		if got := rules.CarriesValue(v.Text, vectorTime); got != v.Carries {
			t.Errorf("%q (%s): got %v", v.Text, v.Note, got)
		}
	}
}

// TestFreeTextFindsEveryAcceptedNumber: whatever the vectors accept is found inside a sentence, but
// for what the documentation of CarriesValue leaves out.
func TestFreeTextFindsEveryAcceptedNumber(t *testing.T) {
	found := 0
	for _, kind := range []field.Kind{field.IDNumber, field.PhoneNumber, field.BankCardNumber, field.LicensePlateNumber} {
		for _, v := range vectors(t, kind) {
			if v.Canonical == "" || kind == field.LicensePlateNumber && !strings.ContainsFunc(v.Canonical, isWide) {
				continue
			}
			if !v.rules(t).CarriesValue("见“"+v.Canonical+"”。", v.Now) {
				t.Errorf("%v %q is not found", kind, v.Canonical)
			}
			if v.rules(t).CarriesValue("x0"+v.Canonical+"0x", v.Now) && !strings.ContainsFunc(v.Canonical, isWide) {
				t.Errorf("%v %q is found inside a longer token", kind, v.Canonical)
			}
			found++
		}
	}
	if found < 300 {
		t.Errorf("only %d looked for", found)
	}
}

func isWide(r rune) bool { return r >= utf8.RuneSelf }
