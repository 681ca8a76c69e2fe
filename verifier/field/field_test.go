package field_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

func TestKindsKeepTheirNumbersAndNames(t *testing.T) {
	want := []string{"name", "id_number", "phone_number", "bank_card_number", "license_plate_number", "driver_license_number"}
	for i, kind := range field.Kinds() {
		byName, ok := field.KindByName(want[i])
		if int(kind) != i+1 || kind.String() != want[i] || !ok || byName != kind || !kind.Valid() || kind.Form() != 1 {
			t.Errorf("kind %d is %v, form %d", i+1, kind, kind.Form())
		}
	}
	for _, kind := range []field.Kind{0, 7, 255} {
		if kind.Valid() || kind.String() != "invalid" || kind.Form() != 0 {
			t.Errorf("kind %d must be invalid", kind)
		}
	}
	if _, ok := field.KindByName("invalid"); ok {
		t.Error("an invalid kind has no name to find it by")
	}
}

func TestSetAgainstAMap(t *testing.T) {
	for bits := range 1 << 12 {
		a, b := subset(bits&63), subset(bits>>6)
		inA, inB := map[field.Kind]bool{}, map[field.Kind]bool{}
		for _, k := range a.Kinds() {
			inA[k] = true
		}
		for _, k := range b.Kinds() {
			inB[k] = true
		}
		isSubset := true
		for _, k := range field.Kinds() {
			isSubset = isSubset && (!inA[k] || inB[k])
			if a.Has(k) != inA[k] || a.Union(b).Has(k) != (inA[k] || inB[k]) || a.Minus(b).Has(k) != (inA[k] && !inB[k]) {
				t.Fatalf("%v and %v disagree about %v", a.Names(), b.Names(), k)
			}
		}
		if a.SubsetOf(b) != isSubset || a.Len() != len(inA) || len(a.Names()) != len(inA) {
			t.Fatalf("%v, %v: wrong subset or length", a.Names(), b.Names())
		}
	}
	if field.SetOf(0, 7, 255) != 0 || field.Set(0).Has(0) || field.SetOf(field.Name).Has(9) {
		t.Error("an invalid kind is in no set")
	}
	if got := field.SetOf(field.PhoneNumber, field.Name).Names(); !slices.Equal(got, []string{"name", "phone_number"}) {
		t.Errorf("got %v", got)
	}
}

func subset(bits int) field.Set {
	var s field.Set
	for i, k := range field.Kinds() {
		if bits&(1<<i) != 0 {
			s = s.With(k)
		}
	}
	return s
}

func TestCauseOf(t *testing.T) {
	var rules *field.Rules
	_, err := rules.Parse(field.PhoneNumber, "12800138000", vectorTime)
	if cause, ok := field.CauseOf(fmt.Errorf("wrapped: %w", err)); !ok || cause != field.Prefix {
		t.Errorf("got %v", cause)
	}
	others := []error{
		nil, errors.New("PREFIX"), fault.New(fault.FieldMalformed), fault.New(fault.FieldMissing).WithField("fields.name", "PREFIX"),
		fault.New(fault.FieldMalformed).WithField("fields.name", "INVALID"), fault.New(fault.FieldMalformed).WithField("fields.name", ""),
	}
	for _, other := range others {
		if cause, ok := field.CauseOf(other); ok || cause != 0 {
			t.Errorf("%v has no cause, got %v", other, cause)
		}
	}
	if field.Cause(200).String() != "INVALID" || field.Warning(200).String() != "INVALID" {
		t.Error("outside the lists")
	}
}

func TestValue(t *testing.T) {
	var rules *field.Rules
	parse := func(kind field.Kind, input string) field.Value {
		t.Helper()
		v, err := rules.Parse(kind, input, vectorTime)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Run("zero", func(t *testing.T) {
		var zero field.Value
		_, _, _, born := zero.BirthDate()
		_, id := zero.IDNumber()
		if zero.Valid() || zero.Kind() != 0 || zero.Form() != 0 || !zero.Canonical().Empty() || zero.Warnings() != nil || born || id {
			t.Error("the zero Value must be invalid")
		}
	})
	t.Run("licence that is an id_number", func(t *testing.T) {
		id := parse(field.IDNumber, "110105491231002")
		licence := parse(field.DriverLicenseNumber, "11010519491231002x")
		same, ok := licence.IDNumber()
		if !ok || same.Kind() != field.IDNumber || same.Canonical().Reveal() != id.Canonical().Reveal() {
			t.Error("the licence must give the holder's id_number")
		}
		if itself, ok := id.IDNumber(); !ok || itself.Canonical().Reveal() != id.Canonical().Reveal() {
			t.Error("an id_number must give itself")
		}
		if year, month, day, ok := licence.BirthDate(); !ok || year != 1949 || month != time.December || day != 31 {
			t.Errorf("got %d-%d-%d", year, month, day)
		}
	})
	t.Run("no id_number inside", func(t *testing.T) {
		for kind, input := range map[field.Kind]string{
			field.DriverLicenseNumber: "E12345678", field.PhoneNumber: "13800138000", field.Name: "张三",
			field.BankCardNumber: "4111111111111111", field.LicensePlateNumber: "京A12345",
		} {
			v := parse(kind, input)
			_, id := v.IDNumber()
			if _, _, _, born := v.BirthDate(); id || born {
				t.Errorf("%v gives an id_number or a birth date", kind)
			}
		}
	})
	t.Run("is not printed", func(t *testing.T) {
		v := parse(field.PhoneNumber, "13800138000")
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v) + fmt.Sprintf(verb, &v); strings.Contains(text, "138001") || strings.Contains(text, "313338") {
				t.Errorf("%s shows the value", verb)
			}
		}
	})
}

func TestParseOfAnInvalidKindIsADefectOfTheCaller(t *testing.T) {
	var rules *field.Rules
	for _, kind := range []field.Kind{0, 7} {
		v, err := rules.Parse(kind, "13800138000", vectorTime)
		if v.Valid() || !fault.Is(err, fault.InternalError) {
			t.Errorf("kind %d: got %v", kind, err)
		}
	}
}

// JSON cannot carry these, so they are no vectors.
func TestInvalidUTF8IsRefused(t *testing.T) {
	var rules *field.Rules
	for _, kind := range field.Kinds() {
		for _, input := range []string{"\xff", "138\x8000138000", "张\xe4\xb8", "\xed\xa0\x80三", "\xc0\xaf张三", "\u200b\xfe"} {
			if _, err := rules.Parse(kind, input, vectorTime); !hasCause(err, field.Charset) {
				t.Errorf("%v %q: got %v", kind, input, err)
			}
		}
		if _, err := rules.Parse(kind, strings.Repeat("\xff", 10<<20), vectorTime); !hasCause(err, field.Length) {
			t.Errorf("%v: the cap must come first, got %v", kind, err)
		}
	}
	if rules.CarriesValue("\xff\xfe", vectorTime) || !rules.CarriesValue("\xff13800138000\xfe", vectorTime) {
		t.Error("in free text an invalid byte ends a token")
	}
}

func hasCause(err error, want field.Cause) bool {
	cause, ok := field.CauseOf(err)
	return ok && cause == want
}

func TestNewRules(t *testing.T) {
	for _, bad := range []string{"", "955", "0955", "9558x", "9558 ", "１２３４", "1234567890123", "-955"} {
		if rules, err := field.NewRules([]string{"9558", bad}); err == nil || rules != nil {
			t.Errorf("prefix %q must be refused", bad)
		} else if !strings.Contains(err.Error(), "card prefix 1 ") {
			t.Errorf("the error must name the position: %v", err)
		}
	}
	prefixes := []string{"95588", "955880123456", "9558", "9558"}
	rules, err := field.NewRules(prefixes)
	if err != nil {
		t.Fatal(err)
	}
	prefixes[0], prefixes[1], prefixes[2], prefixes[3] = "1111", "1111", "1111", "1111"
	if _, err := rules.Parse(field.BankCardNumber, "9558801234567890121", vectorTime); err != nil {
		t.Errorf("rules must not change with the caller's slice: %v", err)
	}
}

func TestVersion(t *testing.T) {
	v := field.Version()
	if len(v) != 64 || strings.Trim(v, "0123456789abcdef") != "" || v != field.Version() {
		t.Errorf("got %q", v)
	}
}

// TestMovingThroughMidnight: a birth date is refused until its day begins in Asia/Shanghai, whatever
// zone the clock is set to.
func TestMovingThroughMidnight(t *testing.T) {
	var rules *field.Rules
	id := withCheck("11010120260301002")
	midnight := time.Date(2026, 2, 28, 16, 0, 0, 0, time.UTC)
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 14*3600), time.FixedZone("", -12*3600)} {
		if _, err := rules.Parse(field.IDNumber, id, midnight.Add(-time.Nanosecond).In(zone)); !hasCause(err, field.BirthDate) {
			t.Errorf("%v: a nanosecond early, got %v", zone, err)
		}
		if _, err := rules.Parse(field.IDNumber, id, midnight.In(zone)); err != nil {
			t.Errorf("%v: at midnight, got %v", zone, err)
		}
	}
}
