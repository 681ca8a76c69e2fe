package field_test

import (
	"strings"
	"testing"

	"github.com/heyan-project/heyan/verifier/field"
)

// typed is what callers send: first in canonical form, then as people type it. allocations is the most
// that reading one may cost; one of them is the secret's own.
var typed = []struct {
	name        string
	kind        field.Kind
	input       string
	allocations float64
}{
	{"name/han", field.Name, "欧阳娜娜", 1},
	{"name/han with dot", field.Name, "阿卜杜热合曼·买买提", 1},
	{"name/extension B", field.Name, "王𠮷", 1},
	{"name/latin", field.Name, "JOHN SMITH", 1},
	{"name/latin small", field.Name, "John Smith", 2},
	{"name/accents", field.Name, "Nguyễn Văn Anh", 3},
	{"id_number/18", field.IDNumber, "11010519491231002X", 1},
	{"id_number/18 with spaces", field.IDNumber, "110105 19491231 002x", 2},
	{"id_number/15", field.IDNumber, "110105491231002", 2},
	{"phone_number/11", field.PhoneNumber, "13800138000", 1},
	{"phone_number/+86", field.PhoneNumber, "+86 138-0013-8000", 2},
	{"phone_number/full-width", field.PhoneNumber, "１３８００１３８０００", 2},
	{"bank_card_number/16", field.BankCardNumber, "4111111111111111", 1},
	{"bank_card_number/groups", field.BankCardNumber, "4111 1111 1111 1111", 2},
	{"license_plate_number/plain", field.LicensePlateNumber, "京A12345", 1},
	{"license_plate_number/dot", field.LicensePlateNumber, "京A·12345", 2},
	{"license_plate_number/new energy", field.LicensePlateNumber, "沪AD12345", 1},
	{"driver_license_number/id", field.DriverLicenseNumber, "11010519491231002X", 1},
	{"driver_license_number/foreign", field.DriverLicenseNumber, "E12345678", 1},
}

func TestAllocations(t *testing.T) {
	var rules *field.Rules
	for _, c := range typed {
		if got := testing.AllocsPerRun(100, func() { _, _ = rules.Parse(c.kind, c.input, vectorTime) }); got > c.allocations {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.allocations)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	var rules *field.Rules
	for _, c := range typed {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rules.Parse(c.kind, c.input, vectorTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefuse(b *testing.B) {
	var rules *field.Rules
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Parse(field.IDNumber, "110105194912310021", vectorTime); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkCarriesValue(b *testing.B) {
	var rules *field.Rules
	for name, text := range map[string]string{
		"ascii":  "The person asked for a correction on 2026-03-01, see reference 4711 of the letter.",
		"han":    "当事人于2026年3月1日来函，要求更正其地址，详见第4711号来函。",
		"digits": strings.Repeat("12 34 5678 ", 40),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if rules.CarriesValue(text, vectorTime) {
					b.Fatal("found")
				}
			}
		})
	}
}
