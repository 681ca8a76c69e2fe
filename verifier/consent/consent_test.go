package consent_test

import (
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Noon of 22 November 2026 at +08:00.
var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func expect(t *testing.T, name string, f *fault.Fault, want fault.Reason) {
	t.Helper()
	if want == 0 && f != nil || want != 0 && (f == nil || f.Reason != want) {
		t.Errorf("%s: got %v, want %v", name, f, want)
	}
}

func value(t *testing.T, kind field.Kind, text string) field.Value {
	t.Helper()
	v, err := (*field.Rules)(nil).Parse(kind, text, now)
	if err != nil {
		t.Fatal(text, err)
	}
	return v
}

// withCheck completes 17 digits to an ID number: a listed prefix and an unknown six-digit code, as MV-6-age14 asks.
func withCheck(digits string) string {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(digits[i]-'0') * w
	}
	return digits + string("10X98765432"[sum%11])
}

// MV-6-age14, MV-6-child-review, MV-6-age-unknown.
func TestAge(t *testing.T) {
	guardian := &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g-1", ObtainTime: now}
	id := func(birth string) field.Value { return value(t, field.IDNumber, withCheck("110199"+birth+"003")) }
	phone := value(t, field.PhoneNumber, "13800138000")
	gate := &consent.Notice{AgeGate: true}
	for name, c := range map[string]struct {
		values   []field.Value
		declared consent.AgeDeclaration
		notice   *consent.Notice
		guardian *consent.Guardian
		at       time.Time
		child    bool
		want     fault.Reason
	}{
		"birthday today":                         {[]field.Value{id("20121122")}, 0, nil, nil, now, true, fault.Under14WithoutGuardian},
		"birthday today, 23:59 at +08:00":        {[]field.Value{id("20121122")}, 0, nil, nil, time.Date(2026, 11, 22, 15, 59, 0, 0, time.UTC), true, fault.Under14WithoutGuardian},
		"birthday yesterday, 00:01 at +08:00":    {[]field.Value{id("20121122")}, 0, nil, nil, time.Date(2026, 11, 22, 16, 1, 0, 0, time.UTC), false, 0},
		"29 February counts as 1 March: still":   {[]field.Value{id("20120229")}, 0, nil, nil, time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC), true, fault.Under14WithoutGuardian},
		"29 February counts as 1 March: no more": {[]field.Value{id("20120229")}, 0, nil, nil, time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC), false, 0},
		"a child with a guardian":                {[]field.Value{id("20200101")}, 0, nil, guardian, now, true, 0},
		"a licence number tells too":             {[]field.Value{value(t, field.DriverLicenseNumber, withCheck("11019920200101003")), phone}, consent.FourteenOrOver, nil, nil, now, true, fault.Under14WithoutGuardian},
		"a declaration does not beat an ID":      {[]field.Value{id("20200101")}, consent.FourteenOrOver, gate, nil, now, true, fault.Under14WithoutGuardian},
		"unknown, not declared":                  {[]field.Value{phone}, 0, nil, nil, now, false, fault.FieldMissing},
		"unknown, declared over":                 {[]field.Value{phone}, consent.FourteenOrOver, nil, nil, now, false, 0},
		"unknown, declared under":                {[]field.Value{phone}, consent.UnderFourteen, nil, nil, now, true, fault.Under14WithoutGuardian},
		"unknown, the notice has an age gate":    {[]field.Value{phone}, 0, gate, nil, now, false, 0},
		"the gate does not beat a declaration":   {[]field.Value{phone}, consent.UnderFourteen, gate, nil, now, true, fault.Under14WithoutGuardian},
		"a guardian of no relation":              {[]field.Value{id("20200101")}, 0, nil, &consent.Guardian{EvidenceRef: "g", ObtainTime: now}, now, true, fault.Under14WithoutGuardian},
		"a guardian who will agree":              {[]field.Value{id("20200101")}, 0, nil, &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g", ObtainTime: now.Add(time.Hour)}, now, true, fault.Under14WithoutGuardian},
	} {
		child, refused := consent.CheckAge(c.values, c.declared, c.notice, c.guardian, c.at, time.Time{})
		expect(t, name, refused, c.want)
		if child != c.child {
			t.Errorf("%s: child %v", name, child)
		}
	}
}

// TestGuardiansConsentEnds: with its lifetime, by a material change, and it cannot be older than the child.
func TestGuardiansConsentEnds(t *testing.T) {
	child := []field.Value{value(t, field.IDNumber, withCheck("11019920200101003"))}
	notice := &consent.Notice{LifetimeDays: 30}
	for name, c := range map[string]struct {
		obtained, renewal time.Time
		want              fault.Reason
	}{
		"in time":                  {now.AddDate(0, 0, -29), time.Time{}, 0},
		"its lifetime is over":     {now.AddDate(0, 0, -31), time.Time{}, fault.ConsentExpired},
		"before a material change": {now.AddDate(0, 0, -2), now.AddDate(0, 0, -1), fault.ConsentRenewalRequired},
		"after one":                {now.AddDate(0, 0, -1), now.AddDate(0, 0, -1), 0},
		"before the birth":         {time.Date(2019, 12, 31, 15, 59, 0, 0, time.UTC), time.Time{}, fault.Under14WithoutGuardian},
	} {
		guardian := &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g", ObtainTime: c.obtained}
		_, refused := consent.CheckAge(child, 0, notice, guardian, now, c.renewal)
		expect(t, name, refused, c.want)
	}
	old := &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g", ObtainTime: now.AddDate(-1, 0, 0)}
	_, refused := consent.CheckAge(child, 0, nil, old, now, time.Time{})
	expect(t, "on a legal basis, which has no lifetime", refused, 0)
}

func TestScope(t *testing.T) {
	n := consent.Notice{ID: "n", Fields: field.SetOf(field.Name, field.IDNumber), Purposes: product.PurposesOf(product.Payment), Separate: consent.ProvideToHandler | consent.SensitivePI}
	two := field.SetOf(field.Name, field.IDNumber)
	expect(t, "inside", n.CheckScope(two, product.Payment, consent.SensitivePI), 0)
	expect(t, "a field more", n.CheckScope(two.With(field.PhoneNumber), product.Payment, 0), fault.ConsentScope)
	expect(t, "another purpose", n.CheckScope(two, product.Contract, 0), fault.PurposeNotConsented)
	n.Separate = consent.ProvideToHandler
	expect(t, "no separate consent", n.CheckScope(two, product.Payment, consent.SensitivePI), fault.ConsentScope)
}

func TestNeeded(t *testing.T) {
	general, sensitive := field.SetOf(field.Name, field.PhoneNumber), field.SetOf(field.Name, field.BankCardNumber)
	for _, c := range []struct {
		fields     field.Set
		role       product.HandlerRole
		recipients int
		want       consent.Separate
	}{
		{general, product.Handler, 0, consent.ProvideToHandler},
		{sensitive, product.Handler, 0, consent.ProvideToHandler | consent.SensitivePI},
		{general, product.Entrusted, 0, 0},
		{general, product.Entrusted, 1, consent.ProvideToHandler},
		{sensitive, product.Entrusted, 0, consent.SensitivePI},
	} {
		if got := consent.Needed(c.fields, c.role, c.recipients); got != c.want {
			t.Errorf("%v %v %d: %b, want %b", c.fields.Names(), c.role, c.recipients, got, c.want)
		}
	}
}

func TestConsentStates(t *testing.T) {
	c := consent.Consent{Status: consent.Active, ExpireTime: now}
	expect(t, "before its end", c.Check(now.Add(-1), time.Time{}), 0)
	expect(t, "at its end", c.Check(now, time.Time{}), fault.ConsentExpired)
	for status, want := range map[consent.Status]fault.Reason{consent.Withdrawn: fault.ConsentWithdrawn, consent.NeedsRenewal: fault.ConsentRenewalRequired, 0: fault.ConsentMissing} {
		c.Status = status
		expect(t, "status", c.Check(now.Add(-1), time.Time{}), want)
	}
	if c := (consent.Consent{Status: consent.Withdrawn, ExpireTime: now}); c.StatusAt(now.Add(time.Hour), now) != consent.Withdrawn {
		t.Error("a withdrawn consent becomes an expired one")
	}
}

// MV-8-reconsent: a material change asks for every consent that was obtained before it, and for none obtained since.
func TestRenewal(t *testing.T) {
	n := &consent.Notice{LifetimeDays: 30}
	for name, c := range map[string]struct {
		obtained time.Time
		want     fault.Reason
	}{
		"before": {now.Add(-time.Hour - 1), fault.ConsentRenewalRequired},
		"at":     {now.Add(-time.Hour), 0},
		"after":  {now, 0},
		"ended":  {now.AddDate(0, 0, -30), fault.ConsentExpired},
	} {
		stored := consent.Consent{Status: consent.Active, ObtainTime: c.obtained, ExpireTime: n.Expire(c.obtained)}
		expect(t, name+", stored", stored.Check(now, now.Add(-time.Hour)), c.want)
		expect(t, name+", inline", consent.CheckObtained(n, c.obtained, now, now.Add(-time.Hour)), c.want)
	}
	withdrawn := consent.Consent{Status: consent.Withdrawn, ObtainTime: now.Add(-time.Hour)}
	expect(t, "withdrawn", withdrawn.Check(now, now), fault.ConsentWithdrawn)
}

func TestObtained(t *testing.T) {
	n := &consent.Notice{LifetimeDays: 30}
	expect(t, "never", consent.CheckObtained(n, time.Time{}, now, time.Time{}), fault.ConsentMissing)
	expect(t, "a minute ahead", consent.CheckObtained(n, now.Add(time.Minute), now, time.Time{}), 0)
	expect(t, "more ahead", consent.CheckObtained(n, now.Add(time.Minute+1), now, time.Time{}), fault.ConsentMissing)
	expect(t, "just within", consent.CheckObtained(n, now.AddDate(0, 0, -30).Add(1), now, time.Time{}), 0)
	expect(t, "over", consent.CheckObtained(n, now.AddDate(0, 0, -30), now, time.Time{}), fault.ConsentExpired)
}

// MV-1.3-exempt-01 … -12: registration of each of the twelve.
func TestLegalBases(t *testing.T) {
	twoPersons := map[consent.BasisKind]bool{2: true, 3: true, 4: true, 11: true, 12: true}
	e := &product.Entitlement{Client: "acme", Product: "id2", LegalBases: []string{"b"}}
	for kind := consent.BasisLegalObligation; kind <= consent.BasisOtherLaw; kind++ {
		b := consent.LegalBasis{ID: "b", Kind: kind, Citation: "Anti-Money Laundering Law art. 29", Purposes: product.PurposesOf(product.Payment), Expire: now.Add(time.Hour), DailyCap: 1}
		if kind.TwoPersons() != twoPersons[kind] || kind.String() == "" {
			t.Errorf("%v: two persons %v", kind, kind.TwoPersons())
		}
		if kind == consent.BasisServiceSafety {
			expect(t, "registered", b.CheckRegistration(now), fault.LegalBasisUnsupported)
			expect(t, "used", b.CheckUse(e, product.Payment, now), fault.LegalBasisUnsupported)
			continue
		}
		expect(t, "registered", b.CheckRegistration(now), 0)
		if twoPersons[kind] {
			expect(t, "used before its approval", b.CheckUse(e, product.Payment, now), fault.LegalBasisUnsupported)
			b.ApprovedBy = "b"
		}
		expect(t, "used", b.CheckUse(e, product.Payment, now), 0)
		for name, edit := range map[string]func(*consent.LegalBasis){
			"no citation": func(b *consent.LegalBasis) { b.Citation = "" }, "no purpose": func(b *consent.LegalBasis) { b.Purposes = 0 },
			"expired": func(b *consent.LegalBasis) { b.Expire = now }, "no cap": func(b *consent.LegalBasis) { b.DailyCap = 0 },
		} {
			bad := b
			edit(&bad)
			if bad.CheckRegistration(now) == nil {
				t.Errorf("%v was registered with %s", kind, name)
			}
		}
		for name, edit := range map[string]func(*consent.LegalBasis){
			"of another client": func(b *consent.LegalBasis) { b.Client = "other" }, "for another product": func(b *consent.LegalBasis) { b.Products = []string{"id3"} },
			"expired": func(b *consent.LegalBasis) { b.Expire = now }, "not named": func(b *consent.LegalBasis) { b.ID = "c" },
		} {
			bad := b
			edit(&bad)
			expect(t, kind.String()+" "+name, bad.CheckUse(e, product.Payment, now), fault.LegalBasisUnsupported)
		}
	}
	bad := consent.LegalBasis{}
	expect(t, "no kind", bad.CheckRegistration(now), fault.FieldMissing)
}

// FR-3.3-third-party, ME-2-no-provide, SO-1.3-entrust-contract, MV-3.2-region.
func TestRecipient(t *testing.T) {
	good := consent.Recipient{ID: "cloud", DisplayName: "Cloud", Nature: "cloud service", Use: "verification", Contact: "tel", Fields: field.SetOf(field.Name),
		Purposes: product.PurposesOf(product.Payment), Basis: consent.RecipientSeparateConsent, ContractSHA256: make([]byte, 32), ContractExpire: now.Add(1), Region: "cn-beijing", Enabled: true}
	expect(t, "complete", good.Check(now), 0)
	for name, c := range map[string]struct {
		edit func(*consent.Recipient)
		want fault.Reason
	}{
		"no nature":     {func(r *consent.Recipient) { r.Nature = "" }, fault.FieldMissing},
		"no use":        {func(r *consent.Recipient) { r.Use = "" }, fault.FieldMissing},
		"no basis":      {func(r *consent.Recipient) { r.Basis = 0 }, fault.FieldMissing},
		"Hong Kong":     {func(r *consent.Recipient) { r.Region = "cn-hongkong" }, fault.RegionForbidden},
		"abroad":        {func(r *consent.Recipient) { r.Region = "ap-southeast-1" }, fault.RegionForbidden},
		"no contract":   {func(r *consent.Recipient) { r.ContractSHA256 = nil }, fault.ContractMissing},
		"contract over": {func(r *consent.Recipient) { r.ContractExpire = now }, fault.ContractMissing},
	} {
		r := good
		c.edit(&r)
		expect(t, name, r.Check(now), c.want)
	}
	good.Enabled, good.ContractSHA256 = false, nil
	expect(t, "not enabled needs no contract", good.Check(now), 0)
}

func TestNoticeSame(t *testing.T) {
	a := consent.Notice{ID: "n", Recipients: []string{"x"}}
	b := a
	if !a.Same(&b) {
		t.Error("equal notices differ")
	}
	b.Recipients = []string{"y"}
	if a.Same(&b) || !a.Names("x") || a.Names("y") || !a.Names("") {
		t.Error("recipients")
	}
}
