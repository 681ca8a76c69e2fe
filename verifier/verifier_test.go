package verifier_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/secret"
)

func text(kind field.Kind, s string) verifier.Field {
	return verifier.Field{Kind: kind, Text: secret.New(s)}
}

// Each gate refuses with its reason, and leaves nothing: no claim, no question to a source, no record.
func TestGates(t *testing.T) {
	child := "110105201501010033"
	for name, c := range map[string]struct {
		want fault.Reason
		edit func(*world, *verifier.Request)
	}{
		"no product":                  {fault.FieldMissing, func(_ *world, r *verifier.Request) { r.Product = "" }},
		"unknown product":             {fault.ProductNotEntitled, func(_ *world, r *verifier.Request) { r.Product = "face2" }},
		"not bought":                  {fault.ProductNotEntitled, func(w *world, _ *verifier.Request) { delete(w.directory.entitlements, "id2") }},
		"revoked":                     {fault.ProductNotEntitled, func(w *world, _ *verifier.Request) { w.directory.entitlements["id2"].Revoked = true }},
		"not begun":                   {fault.ProductNotEntitled, func(w *world, _ *verifier.Request) { w.directory.entitlements["id2"].Start = now.Add(time.Second) }},
		"FR-6-term-amend: term over":  {fault.EntitlementExpired, func(w *world, _ *verifier.Request) { w.directory.entitlements["id2"].Expire = now }},
		"policy not acknowledged":     {fault.PolicyVersionRequired, func(w *world, _ *verifier.Request) { w.directory.acknowledged = false }},
		"MV-0-purpose: not entitled":  {fault.PurposeNotEntitled, func(_ *world, r *verifier.Request) { r.Purpose = product.Employment }},
		"MV-0-purpose: not consented": {fault.PurposeNotConsented, func(_ *world, r *verifier.Request) { r.Purpose = product.Payment }},
		"purpose not settled": {fault.FieldMissing, func(w *world, _ *verifier.Request) {
			w.directory.notices["n"].Purposes |= product.PurposesOf(product.Payment)
		}},
		"no purpose in common": {fault.PurposeNotConsented, func(w *world, _ *verifier.Request) {
			w.directory.notices["n"].Purposes = product.PurposesOf(product.Employment)
		}},
		"MV-1.1-whitelist: extra field": {fault.FieldNotInProduct, func(_ *world, r *verifier.Request) {
			r.Fields = append(r.Fields, text(field.PhoneNumber, "13800138000"))
		}},
		"MV-1.1-necessary-or-no-service": {fault.FieldMissing, func(_ *world, r *verifier.Request) { r.Fields = r.Fields[:1] }},
		"MV-0-minimum: empty string":     {fault.FieldMissing, func(_ *world, r *verifier.Request) { r.Fields[1].Text = secret.New("") }},
		"malformed":                      {fault.FieldMalformed, func(_ *world, r *verifier.Request) { r.Fields[1] = text(field.IDNumber, "110105194912310021") }},
		"no request_id":                  {fault.FieldMissing, func(_ *world, r *verifier.Request) { r.RequestID = "" }},
		"request_id of another form":     {fault.RequestMalformed, func(_ *world, r *verifier.Request) { r.RequestID = "a b" }},
		"reference of another form":      {fault.RequestMalformed, func(_ *world, r *verifier.Request) { r.Reference = "王" }},
		"evidence of another form":       {fault.RequestMalformed, func(_ *world, r *verifier.Request) { r.Consent.EvidenceRef = "a/b" }},
		"plate kind without a plate":     {fault.RequestMalformed, func(_ *world, r *verifier.Request) { r.PlateKind = "02" }},
		"MV-6-child-review: no guardian": {fault.Under14WithoutGuardian, func(_ *world, r *verifier.Request) { r.Fields[1] = text(field.IDNumber, child) }},
		"a guardian without evidence": {fault.Under14WithoutGuardian, func(_ *world, r *verifier.Request) {
			r.Fields[1] = text(field.IDNumber, child)
			r.Guardian = &consent.Guardian{Relation: consent.Parent, ObtainTime: now}
		}},
		"MGV-8-minor-use: basis, no guard": {fault.Under14WithoutGuardian, func(_ *world, r *verifier.Request) {
			r.Fields[1] = text(field.IDNumber, child)
			r.Consent = nil
			r.LegalBasis = "aml"
		}},
		"MV-6-age-unknown": {fault.FieldMissing, func(_ *world, r *verifier.Request) {
			r.Product = "phone2"
			r.Fields[1] = text(field.PhoneNumber, "13800138000")
		}},
		"MV-1.3-consent: none":          {fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent = nil }},
		"notice not on file":            {fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent.Notice = "x" }},
		"no evidence":                   {fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent.EvidenceRef = "" }},
		"obtained in the future":        {fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent.ObtainTime = now.Add(time.Hour) }},
		"lifetime over":                 {fault.ConsentExpired, func(_ *world, r *verifier.Request) { r.Consent.ObtainTime = now.AddDate(0, 0, -30) }},
		"MV-8-reconsent":                {fault.ConsentRenewalRequired, func(w *world, _ *verifier.Request) { w.directory.renewal = now }},
		"MV-1.3-consent: outside scope": {fault.ConsentScope, func(_ *world, r *verifier.Request) { r.Consent.Notice = "narrow" }},
		"MGV-2.2-classification":        {fault.ConsentScope, func(w *world, _ *verifier.Request) { w.directory.notices["n"].Separate = consent.ProvideToHandler }},
		"consent id not on file": {fault.ConsentMissing, func(_ *world, r *verifier.Request) {
			r.Consent = nil
			r.ConsentID = "01900000-0000-7000-8000-000000000000"
		}},
		"consent id of another form": {fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent = nil; r.ConsentID = "13800138000" }},
		"basis not on file":          {fault.LegalBasisUnsupported, func(_ *world, r *verifier.Request) { r.Consent = nil; r.LegalBasis = "x" }},
		"basis not entitled": {fault.LegalBasisUnsupported, func(w *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			w.directory.entitlements["id2"].LegalBases = nil
		}},
		"basis expired": {fault.LegalBasisUnsupported, func(w *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			w.directory.bases["aml"].Expire = now
		}},
		"basis for another purpose": {fault.LegalBasisUnsupported, func(_ *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			r.Purpose = product.Payment
		}},
		"basis without its approval": {fault.LegalBasisUnsupported, func(w *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			w.directory.bases["aml"].Kind = consent.BasisOtherLaw
		}},
		"MV-1.3-exempt-09": {fault.LegalBasisUnsupported, func(w *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			w.directory.bases["aml"].Kind = consent.BasisServiceSafety
		}},
		"MV-1.3-exempt-limits": {fault.FieldNotInProduct, func(_ *world, r *verifier.Request) {
			r.Consent = nil
			r.LegalBasis = "aml"
			r.Fields = append(r.Fields, text(field.PhoneNumber, "13800138000"))
		}},
		"MV-2.1-share-separate": {fault.RecipientNotConsented, func(w *world, _ *verifier.Request) { w.source.recipient = "somebody" }},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld(t), lawful()
			c.edit(w, r)
			_, _, err := w.verify(r)
			if !fault.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if w.ledger.begun != nil || w.source.asked != nil || w.journal.answered != nil {
				t.Error("a refused request was claimed, asked about, or recorded as answered")
			}
			violations, _ := w.Validate(context.Background(), acme, r)
			if len(violations) == 0 || !contains(violations, c.want) {
				t.Errorf("validate_only found %v, without %v", violations, c.want)
			}
		})
	}
}

func contains(list []*fault.Fault, want fault.Reason) bool {
	for _, f := range list {
		if f.Reason == want {
			return true
		}
	}
	return false
}

// A malformed field hides whether its value would have told the age.
func TestValidateDoesNotGuess(t *testing.T) {
	w, r := newWorld(t), lawful()
	r.Fields[1] = text(field.IDNumber, "110105194912310021")
	r.RequestID = ""
	violations, _ := w.Validate(context.Background(), acme, r)
	if len(violations) != 2 || violations[0].Reason != fault.FieldMalformed || violations[1].Violations[0].Field != "request_id" {
		t.Errorf("%v", violations)
	}
	r = lawful()
	if violations, purpose := w.Validate(context.Background(), acme, r); len(violations) != 0 || purpose != product.AccountOpening {
		t.Errorf("a lawful request: %v, %v", violations, purpose)
	}
	if w.ledger.begun != nil {
		t.Error("validate_only claimed a request")
	}
}

// Of two wrong things the earlier gate answers.
func TestTheEarliestGateWins(t *testing.T) {
	edits := []struct {
		want fault.Reason
		edit func(*world, *verifier.Request)
	}{
		{fault.ProductNotEntitled, func(w *world, _ *verifier.Request) { delete(w.directory.entitlements, "id2") }},
		{fault.PurposeNotEntitled, func(_ *world, r *verifier.Request) { r.Purpose = product.Employment }},
		{fault.FieldNotInProduct, func(_ *world, r *verifier.Request) { r.Fields = append(r.Fields, text(field.PhoneNumber, "1")) }},
		{fault.RequestMalformed, func(_ *world, r *verifier.Request) { r.RequestID = "a b" }},
		{fault.Under14WithoutGuardian, func(_ *world, r *verifier.Request) { r.Fields[1] = text(field.IDNumber, "110105201501010033") }},
		{fault.ConsentMissing, func(_ *world, r *verifier.Request) { r.Consent.Notice = "x" }},
	}
	for first := range edits {
		w, r := newWorld(t), lawful()
		for i := len(edits) - 1; i >= first; i-- {
			edits[i].edit(w, r)
		}
		if _, _, err := w.verify(r); !fault.Is(err, edits[first].want) {
			t.Errorf("from gate %d on all refuse: got %v, want %v", first, err, edits[first].want)
		}
	}
}

func TestAnswer(t *testing.T) {
	w := newWorld(t)
	a, at, err := w.verify(lawful())
	if err != nil || at != (ledger.Position{}) {
		t.Fatal(at, err)
	}
	v := a.Verification
	if v.Verdict != product.Match || v.Billing != product.Billed || v.State != ledger.Active || v.Purpose != product.AccountOpening ||
		v.PriceFen != 35 || v.PolicyVersion != "2026-11" || v.Log != (ledger.Position{Origin: "o", Index: 7}) ||
		!v.ExpireTime.Equal(now.AddDate(0, 0, 30)) || v.Consent.IsZero() || v.ConsentUse.IsZero() || v.Consent == v.ConsentUse {
		t.Errorf("%+v", v)
	}
	commit := w.ledger.committed
	if commit.NewConsent == nil || commit.NewConsent.ID != v.Consent.String() || commit.NewConsent.Guardian || len(commit.Handles) != 1 || commit.Evidence.IsZero() {
		t.Errorf("%+v", commit)
	}
	if commit.Usage.Billed != 1 || commit.Usage.AmountFen != 35 || commit.Usage.Verdicts[product.Match] != 1 {
		t.Errorf("%+v", commit.Usage)
	}
	if w.ledger.released != 0 {
		t.Error("a committed claim was released")
	}
}

// MGV-2.3-strict-necessity: a source gets exactly the product's fields.
func TestSourceGetsTheProductsFields(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.verify(lawful()); err != nil {
		t.Fatal(err)
	}
	var got field.Set
	for _, v := range w.source.asked.Values {
		got = got.With(v.Kind())
	}
	if got != field.SetOf(field.Name, field.IDNumber) || len(w.source.asked.Values) != 2 {
		t.Errorf("the source got %v", got.Names())
	}
}

func TestTestCredentialsAreNeverBilled(t *testing.T) {
	w := newWorld(t)
	a, _, err := w.Verify(context.Background(), verifier.Caller{Client: "acme", Test: true}, lawful(), &w.journal)
	if err != nil || a.Verification.Billing != product.Free || !a.Verification.Test {
		t.Fatalf("%+v %v", a, err)
	}
	if limit := w.ledger.begun.Reserves[0].Limit; limit != 10 {
		t.Errorf("reserved against a quota of %d, want the test quota", limit)
	}
}

func TestPending(t *testing.T) {
	w := newWorld(t)
	w.source.answer.Verdict, w.source.answer.Pending, w.source.answer.Billed = 0, true, false
	a, _, err := w.verify(lawful())
	if err != nil || a.Verification.State != ledger.Pending || a.Verification.Billing != product.BillingUnknown || a.Verification.Verdict != 0 ||
		!a.Verification.ReconcileBy.After(now) || w.ledger.committed.Usage.Verdicts[0] != 1 {
		t.Fatalf("%+v %v", a, err)
	}
}

// A source that fails, a log or a ledger that cannot be written: no answer leaves, and the claim is given back
// where nothing was stored.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		edit     func(*world)
		want     fault.Reason
		released int
		voided   bool
	}{
		"source":                  {func(w *world) { w.source.fail = fault.New(fault.SourceUnavailable) }, fault.SourceUnavailable, 1, false},
		"log refuses":             {func(w *world) { w.journal.refuse = broken }, fault.LogUnavailable, 1, false},
		"log does not flush":      {func(w *world) { w.journal.flush = broken }, fault.LogUnavailable, 0, false},
		"ledger does not flush":   {func(w *world) { w.ledger.flush = fault.New(fault.StoreUnavailable) }, fault.StoreUnavailable, 0, true},
		"a withdrawal came first": {func(w *world) { w.ledger.lose = fault.New(fault.ConsentWithdrawn) }, fault.ConsentWithdrawn, 0, true},
		"claim refused":           {func(w *world) { w.ledger.refuse = fault.New(fault.QuotaExceeded) }, fault.QuotaExceeded, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.edit(w)
			a, at, err := w.verify(lawful())
			if a != nil || !fault.Is(err, c.want) {
				t.Errorf("got %v, %v", a, err)
			}
			if w.ledger.released != c.released || (w.journal.voided != nil) != c.voided {
				t.Errorf("released %d times, voided %v", w.ledger.released, w.journal.voided)
			}
			if c.voided != (at == ledger.Position{Origin: "o", Index: 8}) {
				t.Errorf("the trailer would name %v", at)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.ledger.replay = &ledger.Verification{ID: ledger.ID{1}, Verdict: product.Mismatch, State: ledger.Active, ExpireTime: now.Add(time.Hour)}
	a, _, err := w.verify(lawful())
	if err != nil || !a.Reused || a.Verification.Verdict != product.Mismatch || a.Opening == [32]byte{} || a.Commitment == [32]byte{} {
		t.Fatalf("%+v %v", a, err)
	}
	if w.source.asked != nil || w.ledger.committed != nil {
		t.Error("a replay asked a source or committed")
	}
	for name, gone := range map[string]*ledger.Verification{
		"expired": {State: ledger.Active, ExpireTime: now},
		"deleted": {State: ledger.Deleted, ExpireTime: now.Add(time.Hour)},
	} {
		w.ledger.replay = gone
		if _, _, err := w.verify(lawful()); !fault.Is(err, fault.RequestIDReused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A replay has to agree in product, purpose, fields, plate kind, ground; not in references.
func TestContent(t *testing.T) {
	content := func(edit func(*verifier.Request)) [32]byte {
		r := lawful()
		edit(r)
		if _, _, err := shared.verify(r); err != nil {
			t.Fatal(err)
		}
		return shared.ledger.begun.Content
	}
	same := content(func(*verifier.Request) {})
	if same != content(func(r *verifier.Request) { r.Reference = "order-7" }) {
		t.Error("client_reference counts as content")
	}
	if same != content(func(r *verifier.Request) { r.Fields[1] = text(field.IDNumber, " 11010519491231002x") }) {
		t.Error("the same canonical value counts as other content")
	}
	stated := func(r *verifier.Request) { r.Purpose = product.AccountOpening }
	if same != content(stated) {
		t.Error("stating the only purpose that is left counts as other content")
	}
	for name, edit := range map[string]func(*verifier.Request){
		"name":     func(r *verifier.Request) { r.Fields[0] = text(field.Name, "王小红") },
		"evidence": func(r *verifier.Request) { r.Consent.EvidenceRef = "agr-2" },
		"ground":   func(r *verifier.Request) { r.Consent = nil; r.LegalBasis = "aml" },
		"id":       func(r *verifier.Request) { r.RequestID = "r-2" },
	} {
		if same == content(edit) {
			t.Errorf("another %s counts as the same content", name)
		}
	}
	shared.directory.notices["both"] = fullNotice("both")
	shared.directory.notices["both"].Purposes |= product.PurposesOf(product.Payment)
	under := func(p product.Purpose) [32]byte {
		return content(func(r *verifier.Request) { r.Consent.Notice, r.Purpose = "both", p })
	}
	if under(product.AccountOpening) == under(product.Payment) {
		t.Error("another purpose counts as the same content")
	}
}

var shared = newWorld(new(testing.B))

// The commitment is over the published bytes of heyan.log.v1.
func TestCommitmentIsThePublishedOne(t *testing.T) {
	w := newWorld(t)
	a, _, err := w.verify(lawful())
	if err != nil {
		t.Fatal(err)
	}
	content := record.Committed("id2", []record.CommittedField{
		{Number: 1, Form: 1, Canonical: []byte("王小明")}, {Number: 2, Form: 1, Canonical: []byte("11010519491231002X")}})
	if !record.Opens(a.Commitment, a.Opening[:], content) {
		t.Error("the opening and the values do not open the commitment")
	}
	other := record.Committed("id2", []record.CommittedField{
		{Number: 1, Form: 1, Canonical: []byte("王小红")}, {Number: 2, Form: 1, Canonical: []byte("11010519491231002X")}})
	if record.Opens(a.Commitment, a.Opening[:], other) {
		t.Error("other values open the commitment")
	}
}

func TestGuardianAndStoredConsent(t *testing.T) {
	child := text(field.IDNumber, "110105201501010033")
	guardian := &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g-1", ObtainTime: now}
	w, r := newWorld(t), lawful()
	r.Fields[1], r.Guardian = child, guardian
	if a, _, err := w.verify(r); err != nil || !a.Verification.Child || !w.ledger.committed.NewConsent.Guardian {
		t.Fatalf("with a guardian: %v", err)
	}
	id := ledger.ID{6: 0x70, 8: 0x80, 15: 1}
	stored := &consent.Consent{ID: id.String(), Client: "acme", Notice: "n", Status: consent.Active, ExpireTime: now.Add(time.Hour)}
	w.stored[id], w.ledger.consent = stored, stored
	r.Consent, r.ConsentID = nil, id.String()
	if _, _, err := w.verify(r); !fault.Is(err, fault.Under14WithoutGuardian) || w.ledger.released != 1 {
		t.Errorf("a stored consent that is not a guardian's: %v, released %d", err, w.ledger.released)
	}
	r.Fields[1] = lawful().Fields[1]
	w.ledger.committed = nil
	if a, _, err := w.verify(r); err != nil || a.Verification.Consent != id || w.ledger.committed.NewConsent != nil {
		t.Errorf("by consent_id: %v", err)
	}
}

// MV-8-reconsent: what is on file is judged by the same time, by the claim and by validate_only.
func TestRenewalOfAStoredConsent(t *testing.T) {
	w, r := newWorld(t), lawful()
	w.directory.renewal = now.Add(-time.Hour)
	if _, _, err := w.verify(r); err != nil {
		t.Errorf("obtained since: %v", err)
	}
	if !w.ledger.begun.Renewal.Equal(now.Add(-time.Hour)) || !w.ledger.committed.Renewal.Equal(now.Add(-time.Hour)) {
		t.Error("the ledger is not told since when")
	}
	id := ledger.ID{6: 0x70, 8: 0x80, 15: 1}
	stored := &consent.Consent{ID: id.String(), Client: "acme", Notice: "n", Status: consent.Active, ObtainTime: now.Add(-2 * time.Hour), ExpireTime: now.Add(time.Hour)}
	w.stored[id], w.ledger.consent = stored, stored
	r.Consent, r.ConsentID = nil, id.String()
	if _, _, err := w.verify(r); !fault.Is(err, fault.ConsentRenewalRequired) {
		t.Errorf("obtained before: %v", err)
	}
	if violations, _ := w.Validate(context.Background(), acme, r); !contains(violations, fault.ConsentRenewalRequired) {
		t.Errorf("validate_only found %v", violations)
	}
}

// validate_only tells what the ledger would refuse, and leaves no claim; where a gate refuses before, nothing is looked up.
func TestValidateLooksAtTheLedger(t *testing.T) {
	visible := &ledger.Verification{State: ledger.Active, ExpireTime: now.Add(time.Hour)}
	for name, c := range map[string]struct {
		edit func(*world, *verifier.Request)
		want []fault.Reason
	}{
		"nothing":  {func(*world, *verifier.Request) {}, nil},
		"a replay": {func(w *world, _ *verifier.Request) { w.ledger.replay = visible }, nil},
		"an expired answer": {func(w *world, _ *verifier.Request) {
			w.ledger.replay = &ledger.Verification{State: ledger.Active, ExpireTime: now}
		}, []fault.Reason{fault.RequestIDReused}},
		"two refusals": {func(w *world, _ *verifier.Request) {
			w.ledger.seen = []*fault.Fault{fault.New(fault.ConsentWithdrawn), fault.New(fault.QuotaExceeded)}
		}, []fault.Reason{fault.ConsentWithdrawn, fault.QuotaExceeded}},
		"not a guardian's": {func(w *world, r *verifier.Request) {
			r.Fields[1] = text(field.IDNumber, "110105201501010033")
			r.Guardian = &consent.Guardian{Relation: consent.Parent, EvidenceRef: "g-1", ObtainTime: now}
			w.ledger.consent = &consent.Consent{Status: consent.Active, ExpireTime: now.Add(time.Hour)}
		}, []fault.Reason{fault.Under14WithoutGuardian}},
		"no store": {func(w *world, _ *verifier.Request) { w.ledger.refuse = errors.New("broken") }, []fault.Reason{fault.Of(errors.New("broken")).Reason}},
		"a gate before": {func(w *world, r *verifier.Request) {
			r.Consent.EvidenceRef = ""
			w.ledger.seen = []*fault.Fault{fault.New(fault.QuotaExceeded)}
		}, []fault.Reason{fault.ConsentMissing}},
	} {
		w, r := newWorld(t), lawful()
		c.edit(w, r)
		violations, _ := w.Validate(context.Background(), acme, r)
		var got []fault.Reason
		for _, f := range violations {
			got = append(got, f.Reason)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if w.ledger.begun != nil || w.ledger.committed != nil || w.source.asked != nil {
			t.Errorf("%s: a claim, an answer or a question", name)
		}
	}
}

// TestStoppedBetweenGatesAndClaim (ME-1-stop-misuse): what was stopped after the gates read it is found after the claim,
// also by a replay.
func TestStoppedBetweenGatesAndClaim(t *testing.T) {
	for _, replayed := range []bool{false, true} {
		for name, stop := range map[string]func(*directory){
			"CLIENT_SUSPENDED":     func(d *directory) { d.stopped = fault.New(fault.ClientSuspended) },
			"PRODUCT_NOT_ENTITLED": func(d *directory) { d.entitlements = nil },
		} {
			w := newWorld(t)
			now := &w.directory
			w.Config.Directory = func() verifier.Directory { return now }
			w.ledger.during = func() {
				fresh := w.directory
				stop(&fresh)
				now = &fresh
			}
			if replayed {
				w.ledger.replay = &ledger.Verification{State: ledger.Active, ExpireTime: w.Now().Add(time.Hour)}
			}
			_, _, err := w.verify(lawful())
			if err == nil || fault.Of(err).Reason.String() != name || w.source.asked != nil || w.journal.answered != nil {
				t.Errorf("%s, replay %v: %v, asked %v", name, replayed, err, w.source.asked)
			}
			if w.ledger.released != 1 {
				t.Errorf("%s: released %d times", name, w.ledger.released)
			}
		}
	}
}

// TestADiskThatHangs: the log's bound ends the call, whatever the ledger still waits for.
func TestADiskThatHangs(t *testing.T) {
	w := newWorld(t)
	w.journal.flush, w.ledger.hang = errors.New("no answer in time"), make(chan struct{})
	defer close(w.ledger.hang)
	done := make(chan error, 1)
	go func() {
		_, _, err := w.verify(lawful())
		done <- err
	}()
	select {
	case err := <-done:
		if !fault.Is(err, fault.LogUnavailable) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the call hangs with the disk")
	}
}
