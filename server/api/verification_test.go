package api

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/workday"
)

// MV-1.1-feedback: the answer goes to who asked, and holds neither a submitted value nor an authoritative one.
func TestVerifyAnswersEverythingAndNoValue(t *testing.T) {
	w := newWorld(t)
	request := verifyRequest(1, "测试不一致")
	request.ClientReference, request.ReturnReceipt = marked+"case-7", true
	end := run(w, w.client("acme"), NewVerification(w.Deps).Verify, request)
	got := accepted(t, end).GetVerification()

	at, _ := end.call.At()
	want := &heyanv1.Verification{
		Name: "verifications/" + got.GetId(), Id: got.GetId(), Verdict: heyanv1.Verdict_VERDICT_MISMATCH,
		FieldResults: []*heyanv1.Verification_FieldResult{{Field: heyanv1.Field_FIELD_NAME, Verdict: heyanv1.FieldVerdict_FIELD_VERDICT_MISMATCH}},
		Product:      "id2", Purpose: heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING,
		Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER}, Source: "registry",
		SourceAsOf: timestamppb.New(start.AddDate(0, -1, 0)), SourceCode: "R0", Dataset: "people/3", Billing: heyanv1.Billing_BILLING_BILLED,
		VerifyTime: timestamppb.New(start), ExpireTime: timestamppb.New(start.AddDate(0, 0, 30)), State: heyanv1.Verification_STATE_ACTIVE,
		Consent: got.GetConsent(), LogEntry: &heyanv1.LogPosition{Origin: w.Log.Origin(), Index: at.Index}, Opening: got.GetOpening(),
		Receipt: got.GetReceipt(), ClientReference: marked + "case-7", DecisionNotice: decisionNotice,
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got.GetConsent() == "" || len(got.GetOpening()) != 32 {
		t.Error("a consent and an opening were expected")
	}
	got.ClientReference = ""
	w.leaks([]byte(got.String()), "the answer")

	p := end.record.Processing
	if end.record.Event != record.VerificationVerify || end.record.Object.ID != got.GetId() || p.Product != "id2" || p.Verdict != "MISMATCH" ||
		!slices.Equal(p.Fields, []string{"name", "id_number"}) || p.Reused || p.ConsentUse == got.GetConsent() {
		t.Errorf("record %+v, processing %+v", end.record, p)
	}
	proves(t, w, got.GetReceipt().GetLeaf(), got.GetReceipt().GetProof(), at.Index)
	content := record.Committed("id2", []record.CommittedField{
		{Number: 1, Form: 1, Canonical: []byte("测试不一致")}, {Number: 2, Form: 1, Canonical: []byte(adultID)}})
	if !record.Opens(end.record.Commitment, got.GetOpening(), content) {
		t.Error("the opening and the values do not open the commitment")
	}
	if record.Opens(end.record.Commitment, make([]byte, 32), content) {
		t.Error("another opening opens it")
	}
}

// proves checks that a proof shows a leaf at an index.
func proves(t *testing.T, w *world, leaf, proof []byte, index uint64) {
	t.Helper()
	parsed, err := tree.ParseProof(proof)
	must(t, err)
	if _, err := parsed.Verify(leaf, value(tree.NewVerifier(w.Log.Key()))(t)); err != nil || parsed.Index != index {
		t.Errorf("index %d, want %d: %v", parsed.Index, index, err)
	}
}

func TestVerdictsBillingAndRemarks(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	for i, c := range []struct {
		name    string
		verdict heyanv1.Verdict
		billing heyanv1.Billing
		state   heyanv1.Verification_State
	}{
		{"测试一致", heyanv1.Verdict_VERDICT_MATCH, heyanv1.Billing_BILLING_BILLED, heyanv1.Verification_STATE_ACTIVE},
		{"测试无记录", heyanv1.Verdict_VERDICT_NO_RECORD, heyanv1.Billing_BILLING_FREE, heyanv1.Verification_STATE_ACTIVE},
		{"测试不可核", heyanv1.Verdict_VERDICT_NOT_VERIFIABLE, heyanv1.Billing_BILLING_FREE, heyanv1.Verification_STATE_ACTIVE},
		{"测试已冻结", heyanv1.Verdict_VERDICT_INSTRUMENT_BLOCKED, heyanv1.Billing_BILLING_FREE, heyanv1.Verification_STATE_ACTIVE},
		{"测试未知", heyanv1.Verdict_VERDICT_UNSPECIFIED, heyanv1.Billing_BILLING_UNKNOWN, heyanv1.Verification_STATE_PENDING},
	} {
		got := accepted(t, run(w, acme, service.Verify, verifyRequest(i, c.name))).GetVerification()
		if got.GetVerdict() != c.verdict || got.GetBilling() != c.billing || got.GetState() != c.state {
			t.Errorf("%s: %v %v %v", c.name, got.GetVerdict(), got.GetBilling(), got.GetState())
		}
		if (got.GetReconcileBy() != nil) != (c.state == heyanv1.Verification_STATE_PENDING) {
			t.Errorf("%s: reconcile_by %v", c.name, got.GetReconcileBy())
		}
		if got.GetReceipt() != nil {
			t.Errorf("%s: a receipt that nobody asked for", c.name)
		}
	}

	name, phone := "测试一致", unknownRange
	request := verifyRequest(10, name)
	request.Product, request.Fields = "phone2", &heyanv1.Fields{Name: &name, PhoneNumber: &phone}
	request.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: "aml-kyc"}
	request.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
	got := accepted(t, run(w, acme, service.Verify, request)).GetVerification()
	if got.GetFieldResults() != nil {
		t.Error("results per field without an entitlement to them")
	}
	if len(got.GetRemarks()) != 1 || got.GetRemarks()[0].GetField() != heyanv1.Field_FIELD_PHONE_NUMBER || got.GetRemarks()[0].GetCode() != "NUMBER_RANGE_UNKNOWN" {
		t.Errorf("remarks %v", got.GetRemarks())
	}
	if got.GetConsent() != "" || got.GetLegalBasis() != "aml-kyc" {
		t.Errorf("ground %q %q", got.GetConsent(), got.GetLegalBasis())
	}
}

func TestASettledOneIsNotAwaitedAnyMore(t *testing.T) {
	v := &ledger.Verification{State: ledger.Pending, ReconcileBy: start}
	if got := publicVerification(v); got.GetReconcileBy() == nil {
		t.Error("a pending one has no time")
	}
	v.State = ledger.Active
	if got := publicVerification(v); got.GetReconcileBy() != nil {
		t.Error("a settled one still has a time")
	}
}

func TestATestCredentialIsAnsweredBySimulatorUnbilled(t *testing.T) {
	w := newWorld(t)
	sandbox := w.client("acme")
	sandbox.Test = true
	got := accepted(t, run(w, sandbox, NewVerification(w.Deps).Verify, verifyRequest(1, "测试一致"))).GetVerification()
	if !got.GetTest() || got.GetSource() != "simulator" || got.GetBilling() != heyanv1.Billing_BILLING_FREE {
		t.Errorf("got %v %v %v", got.GetTest(), got.GetSource(), got.GetBilling())
	}
}

func TestAReplayIsCountedApartAndHasItsOwnRecordAndOpening(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	first := accepted(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致"))).GetVerification()
	request := verifyRequest(1, "测试一致")
	request.ReturnReceipt, request.ClientReference = true, marked+"second"
	end := run(w, acme, service.Verify, request)
	second := accepted(t, end).GetVerification()
	if !second.GetReused() || first.GetReused() || second.GetId() != first.GetId() || second.GetClientReference() != marked+"second" {
		t.Errorf("reused %v, id %v", second.GetReused(), second.GetId() == first.GetId())
	}
	if bytes.Equal(first.GetOpening(), second.GetOpening()) || first.GetLogEntry().GetIndex() == second.GetLogEntry().GetIndex() {
		t.Error("opening or record of the first call")
	}
	if !end.record.Processing.Reused {
		t.Error("the record does not say that it is a replay")
	}
	proves(t, w, second.GetReceipt().GetLeaf(), second.GetReceipt().GetProof(), second.GetLogEntry().GetIndex())
	rows := value(w.store.Usage(t.Context(), "acme", workday.DateOf(start), workday.DateOf(start)))(t)
	if len(rows) != 1 || rows[0].Replayed != 1 || rows[0].Billed != 1 || rows[0].Verdicts[product.Match] != 1 {
		t.Errorf("usage %+v", rows)
	}
	request = verifyRequest(1, "测试无记录")
	refusedFor(t, run(w, acme, service.Verify, request).refused, fault.RequestIDReused)
}

func TestARefusalNamesFieldsAndLeavesARecordWithoutValues(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	child := identity("11010520200101001")
	for name, c := range map[string]struct {
		change     func(*heyanv1.VerifyRequest)
		reason     fault.Reason
		violations []string
		product    string
		fields     []string
	}{
		"no product":         {func(r *heyanv1.VerifyRequest) { r.Product = "" }, fault.FieldMissing, []string{"product"}, "", nil},
		"unknown product":    {func(r *heyanv1.VerifyRequest) { r.Product = marked + "id9" }, fault.ProductNotEntitled, nil, "", nil},
		"product not bought": {func(r *heyanv1.VerifyRequest) { r.Product = "driver2" }, fault.ProductNotEntitled, nil, "driver2", nil},
		"purpose":            {func(r *heyanv1.VerifyRequest) { r.Purpose = heyanv1.Purpose_PURPOSE_PAYMENT }, fault.PurposeNotEntitled, nil, "id2", nil},
		"no fields":          {func(r *heyanv1.VerifyRequest) { r.Fields = nil }, fault.FieldMissing, []string{"fields.name", "fields.id_number"}, "id2", []string{}},
		"absent field":       {func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = nil }, fault.FieldMissing, []string{"fields.id_number"}, "id2", []string{"name"}},
		"present but empty":  {func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = new(string) }, fault.FieldMissing, []string{"fields.id_number EMPTY"}, "id2", nil},
		// MV-1.1-whitelist
		"field not bought": {func(r *heyanv1.VerifyRequest) { r.Fields.PhoneNumber = proto.String(unknownRange) }, fault.FieldNotInProduct,
			[]string{"fields.phone_number"}, "id2", []string{"name", "id_number", "phone_number"}},
		"empty field not bought": {func(r *heyanv1.VerifyRequest) { r.Fields.PhoneNumber = new(string) }, fault.FieldNotInProduct,
			[]string{"fields.phone_number"}, "id2", []string{"name", "id_number", "phone_number"}},
		"wrong check digit": {func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = proto.String("110105194912310021") }, fault.FieldMalformed,
			[]string{"fields.id_number CHECK_DIGIT"}, "id2", nil},
		"no request_id": {func(r *heyanv1.VerifyRequest) { r.RequestId = "" }, fault.FieldMissing, []string{"request_id"}, "id2", nil},
		"references": {func(r *heyanv1.VerifyRequest) { r.RequestId, r.ClientReference = marked+"订单", marked+" 2" }, fault.RequestMalformed,
			[]string{"request_id REFERENCE", "client_reference REFERENCE"}, "id2", nil},
		"plate kind without plate": {func(r *heyanv1.VerifyRequest) { r.PlateKind = "02" }, fault.RequestMalformed, []string{"plate_kind WITHOUT_PLATE"}, "id2", nil},
		"time of the consent": {func(r *heyanv1.VerifyRequest) { r.GetConsent().ObtainTime = &timestamppb.Timestamp{Nanos: -1} }, fault.RequestMalformed,
			[]string{"consent.obtain_time TIMESTAMP"}, "id2", nil},
		"time of the guardian": {func(r *heyanv1.VerifyRequest) {
			r.Guardian = &heyanv1.Guardian{ObtainTime: &timestamppb.Timestamp{Seconds: 1 << 60}}
		}, fault.RequestMalformed,
			[]string{"guardian.obtain_time TIMESTAMP"}, "id2", nil},
		"no ground":      {func(r *heyanv1.VerifyRequest) { r.Ground = nil }, fault.ConsentMissing, nil, "id2", nil},
		"unknown notice": {func(r *heyanv1.VerifyRequest) { r.GetConsent().Notice = marked + "n" }, fault.ConsentMissing, []string{"consent.notice NOT_ON_FILE"}, "id2", nil},
		"no evidence":    {func(r *heyanv1.VerifyRequest) { r.GetConsent().EvidenceRef = "" }, fault.ConsentMissing, []string{"consent.evidence_ref MISSING"}, "id2", nil},
		"unknown consent": {func(r *heyanv1.VerifyRequest) { r.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: marked} }, fault.ConsentMissing,
			[]string{"consent_id NOT_ON_FILE"}, "id2", nil},
		"unknown basis": {func(r *heyanv1.VerifyRequest) { r.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: marked} }, fault.LegalBasisUnsupported, nil, "id2", nil},
		"child":         {func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = &child }, fault.Under14WithoutGuardian, nil, "id2", nil},
		"guardian without relation": {func(r *heyanv1.VerifyRequest) {
			r.Fields.IdNumber, r.Guardian = &child, &heyanv1.Guardian{EvidenceRef: marked + "g", ObtainTime: timestamppb.New(start)}
		}, fault.Under14WithoutGuardian, []string{"guardian.relation MISSING"}, "id2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			request := verifyRequest(1, "测试一致")
			c.change(request)
			before := w.Log.Size()
			end := run(w, acme, service.Verify, request)
			refusedFor(t, end.refused, c.reason, c.violations...)
			if w.Log.Size() != before+1 {
				t.Errorf("%d records, want one", w.Log.Size()-before)
			}
			fields := c.fields
			if fields == nil {
				fields = []string{"name", "id_number"}
			}
			p := end.record.Processing
			if p == nil && len(fields) == 0 && c.product == "" {
				return
			}
			if p.Product != c.product || !slices.Equal(p.Fields, fields) || p.Verdict != "" {
				t.Errorf("its record says %+v", p)
			}
			if end.record.Outcome.Reason != c.reason.String() || end.record.Outcome.Kind != record.Denied {
				t.Errorf("its record says %+v", end.record.Outcome)
			}
		})
	}
	rows := value(w.store.Usage(t.Context(), "", workday.DateOf(start), workday.DateOf(start)))(t)
	if len(rows) != 0 {
		t.Errorf("refusals were counted: %+v", rows)
	}
}

// The consent is withdrawn while the authority is asked: nothing is stored, and the call's record is the one that
// says so (MV-5.4-withdraw).
func TestAWithheldAnswerNamesTheRecordThatWithheldIt(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	accepted(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致")))
	w.script.during(func(*source.Query) {
		_, err := w.store.WithdrawEvidence(t.Context(), verifier.EvidenceKey(w.Keys, "acme", marked+"agr"), "onboarding-v3", start)
		must(t, err)
	})
	end := run(w, acme, service.Verify, verifyRequest(2, "测试一致"))
	refusedFor(t, end.refused, fault.ConsentWithdrawn)
	if end.record.Event != record.VerificationVoided || end.record.Outcome.Reason != "CONSENT_WITHDRAWN" {
		t.Errorf("the call's record is %+v", end.record)
	}
	w.script.during(nil)
	refusedFor(t, run(w, acme, service.Verify, verifyRequest(1, "测试一致")).refused, fault.ConsentWithdrawn)
}

func TestNoAnswerWithoutTheLog(t *testing.T) {
	w := newWorld(t)
	must(t, w.Log.Close())
	refusedFor(t, run(w, w.client("acme"), NewVerification(w.Deps).Verify, verifyRequest(1, "测试一致")).refused, fault.LogUnavailable)
}

func TestAnotherClientsRequestIDIsItsOwn(t *testing.T) {
	w := newWorld(t)
	service := NewVerification(w.Deps)
	a := accepted(t, run(w, w.client("acme"), service.Verify, verifyRequest(1, "测试一致"))).GetVerification()
	b := accepted(t, run(w, w.client("other"), service.Verify, verifyRequest(1, "测试一致"))).GetVerification()
	if a.GetId() == b.GetId() || b.GetReused() {
		t.Error("one client was answered with another's verification")
	}
}

// The reply states the purpose that a request left out: a replay may state it too, and one that stated it may leave it
// out. Either is the same request.
func TestReplayWithAndWithoutThePurpose(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	for n, stated := range []bool{false, true} {
		request := verifyRequest(n, "测试一致")
		if stated {
			request.Purpose = heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING
		}
		first := accepted(t, run(w, acme, service.Verify, request)).GetVerification()
		if stated {
			request.Purpose = 0
		} else {
			request.Purpose = first.GetPurpose()
		}
		again := accepted(t, run(w, acme, service.Verify, request)).GetVerification()
		if !again.GetReused() || again.GetId() != first.GetId() {
			t.Errorf("purpose stated at first: %v; the replay is %v", stated, again)
		}
	}
}
