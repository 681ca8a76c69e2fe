package product_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

var now = time.Date(2026, 11, 30, 15, 59, 0, 0, time.UTC) // 23:59 at +08:00

func builtin(t *testing.T) *product.Catalogue {
	t.Helper()
	c, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// MV-1.1-whitelist: every subset of the six fields against every product: exactly one fits, and it is named.
func TestWhitelist(t *testing.T) {
	c := builtin(t)
	for _, p := range c.All() {
		for bits := range 1 << 6 {
			var present field.Set
			for i, kind := range field.Kinds() {
				if bits&(1<<i) != 0 {
					present = present.With(kind)
				}
			}
			f := p.CheckFields(present, c.Fitting)
			extra, missing := present.Minus(p.Fields), p.Fields.Minus(present)
			switch {
			case extra.Len() > 0:
				if f == nil || f.Reason != fault.FieldNotInProduct || len(f.Violations) != extra.Len() {
					t.Fatalf("%s with %v: %v", p.ID, present.Names(), f)
				}
				if fitting, ok := c.Fitting(present); ok != (f.Metadata["fitting_product"] == string(fitting) && fitting != "") {
					t.Errorf("%s with %v names %q", p.ID, present.Names(), f.Metadata["fitting_product"])
				}
			case missing.Len() > 0:
				if f == nil || f.Reason != fault.FieldMissing || len(f.Violations) != missing.Len() {
					t.Fatalf("%s with %v: %v", p.ID, present.Names(), f)
				}
			case f != nil:
				t.Errorf("%s with its own fields: %v", p.ID, f)
			}
		}
	}
}

func TestBuiltinCatalogue(t *testing.T) {
	want := map[product.ID]string{
		"id2": "id_number: name", "phone2": "phone_number: name", "phone3": "phone_number: name id_number",
		"card2": "bank_card_number: name", "card3": "bank_card_number: name id_number", "card4": "bank_card_number: name id_number phone_number",
		"plate2": "license_plate_number: name", "plate3": "license_plate_number: name id_number",
		"driver2": "driver_license_number: name", "driver3": "driver_license_number: name id_number",
	}
	c := builtin(t)
	for _, p := range c.All() {
		if got := p.Anchor.String() + ": " + strings.Join(p.Links().Names(), " "); got != want[p.ID] {
			t.Errorf("%s: %s, want %s", p.ID, got, want[p.ID])
		}
		delete(want, p.ID)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestCatalogueRefuses(t *testing.T) {
	good := product.Builtin()[0]
	for name, edit := range map[string]func(*product.Product){
		"no id": func(p *product.Product) { p.ID = "" }, "capital id": func(p *product.Product) { p.ID = "ID2" },
		"no name": func(p *product.Product) { p.Fields = field.SetOf(field.IDNumber) }, "no anchor": func(p *product.Product) { p.Anchor = 0 },
		"name as anchor": func(p *product.Product) { p.Anchor = field.Name }, "anchor outside": func(p *product.Product) { p.Anchor = field.PhoneNumber },
	} {
		p := good
		edit(&p)
		if _, err := product.NewCatalogue([]product.Product{p}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := product.NewCatalogue([]product.Product{good, good}); err == nil {
		t.Error("a product that stands twice was taken")
	}
}

func TestEntitlement(t *testing.T) {
	e := &product.Entitlement{Start: now, Expire: now.Add(time.Hour), TestQuota: product.Quota{Limit: 3, Period: product.Daily}, Quota: product.Unlimited}
	for name, c := range map[string]struct {
		e    *product.Entitlement
		at   time.Time
		want fault.Reason
	}{
		"none": {nil, now, fault.ProductNotEntitled}, "at its start": {e, now, 0}, "before": {e, now.Add(-1), fault.ProductNotEntitled},
		"just before its end": {e, now.Add(time.Hour - 1), 0}, "at its end": {e, now.Add(time.Hour), fault.EntitlementExpired},
	} {
		if f := c.e.Check(c.at); c.want == 0 && f != nil || c.want != 0 && (f == nil || f.Reason != c.want) {
			t.Errorf("%s: %v", name, f)
		}
	}
	if e.QuotaFor(true).Limit != 3 || e.QuotaFor(false).Limit >= 0 {
		t.Error("quota of test and live credentials")
	}
}

// Quotas start anew at 00:00 +08:00.
func TestQuotaPeriods(t *testing.T) {
	next := now.Add(time.Minute)
	for period, want := range map[product.QuotaPeriod][2]string{
		product.Daily: {"2026-11-30", "2026-12-01"}, product.Monthly: {"2026-11", "2026-12"}, product.Total: {"total", "total"},
	} {
		if got := [2]string{period.Key(now), period.Key(next)}; got != want {
			t.Errorf("period %d: %v, want %v", period, got, want)
		}
	}
}

func TestPurposes(t *testing.T) {
	s := product.PurposesOf(product.Payment, product.AccountOpening)
	if s.Has(0) || s.Has(99) || !s.Has(product.Payment) || len(s.List()) != 2 {
		t.Error("a set holds what it does not")
	}
	if _, ok := s.Only(); ok {
		t.Error("two are one")
	}
	if only, ok := s.Both(product.PurposesOf(product.Payment)).Only(); !ok || only != product.Payment {
		t.Error("one is not one")
	}
	// SO-1.2-pii-only-for-identity: no such purpose exists.
	for p := product.Purpose(1); p.Valid(); p++ {
		if p.String() == "" || strings.Contains(p.String(), "MARKETING") || strings.Contains(p.String(), "SCORING") {
			t.Errorf("purpose %d is %q", p, p)
		}
	}
}

func TestSlugsAndReferences(t *testing.T) {
	for s, want := range map[string][2]bool{
		"id2": {true, true}, "": {false, false}, "-a": {false, true}, "a-": {false, true}, "A": {false, true}, "a_b": {false, true},
		"a.b:c_d-E9": {false, true}, "a b": {false, false}, "a/b": {false, false}, "王": {false, false}, "a\x00": {false, false},
		strings.Repeat("a", 64): {true, true}, strings.Repeat("a", 65): {false, false},
	} {
		if got := [2]bool{product.ValidSlug(s), product.ValidReference(s)}; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// Names are read back as what they were printed from, and nothing else is a name.
func TestParseNames(t *testing.T) {
	for v := product.Verdict(0); v == 0 || v.Valid(); v++ {
		if got, ok := product.ParseVerdict(v.String()); !ok || got != v {
			t.Errorf("verdict %q is read as %d, %v", v, got, ok)
		}
	}
	for _, b := range []product.Billing{product.Billed, product.Free, product.BillingUnknown} {
		if got, ok := product.ParseBilling(b.String()); !ok || got != b {
			t.Errorf("billing %q is read as %d, %v", b, got, ok)
		}
	}
	for _, name := range []string{"match", "MATCH ", "1"} {
		if v, ok := product.ParseVerdict(name); ok {
			t.Errorf("%q is the verdict %d", name, v)
		}
	}
	for _, name := range []string{"", "billed", "PAID"} {
		if b, ok := product.ParseBilling(name); ok {
			t.Errorf("%q is the billing %d", name, b)
		}
	}
}
