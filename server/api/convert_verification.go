package api

import (
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/secret"
)

// namePrefix begins the resource name of a verification.
const namePrefix = "verifications/"

// decisionNotice stands in every verification (PIPL art. 24).
const decisionNotice = "核验结果是供贵方作出决定的依据，不是对个人的自动化决策（《个人信息保护法》第二十四条）。 " +
	"A verdict is evidence for a decision of yours, not an automated decision about the person (PIPL art. 24)."

// valuesOf moves submitted values into secret.Text, in the order of the fields' numbers. A member that is present
// and empty stays present.
func valuesOf(m *heyanv1.Fields) []verifier.Field {
	if m == nil {
		return nil
	}
	list := make([]verifier.Field, 0, 4)
	for i, value := range [...]*string{m.Name, m.IdNumber, m.PhoneNumber, m.BankCardNumber, m.LicensePlateNumber, m.DriverLicenseNumber} {
		if value != nil {
			list = append(list, verifier.Field{Kind: field.Name + field.Kind(i), Text: secret.New(*value)})
		}
	}
	return list
}

// presentIn returns which fields a list holds, empty ones included.
func presentIn(list []verifier.Field) field.Set {
	var s field.Set
	for _, f := range list {
		s = s.With(f.Kind)
	}
	return s
}

// guardianOf reads a guardian block; nil stays nil.
func guardianOf(m *heyanv1.Guardian) (*consent.Guardian, *fault.Fault) {
	if m == nil {
		return nil, nil
	}
	obtained, f := instant("guardian.obtain_time", m.GetObtainTime())
	return &consent.Guardian{Relation: relationEnum.domain(m.GetRelation()), EvidenceRef: m.GetEvidenceRef(), ObtainTime: obtained}, f
}

// requestOf reads a request. The request is complete also where it is refused, so that a record can say what was
// asked.
func requestOf(m *heyanv1.VerifyRequest) (*verifier.Request, *fault.Fault) {
	r := &verifier.Request{
		Product: product.ID(m.GetProduct()), Fields: valuesOf(m.GetFields()), RequestID: m.GetRequestId(),
		ConsentID: m.GetConsentId(), LegalBasis: m.GetLegalBasis(), Purpose: purposeEnum.domain(m.GetPurpose()),
		AgeDeclaration: ageEnum.domain(m.GetAgeDeclaration()), PlateKind: m.GetPlateKind(), Reference: m.GetClientReference(),
	}
	guardian, refused := guardianOf(m.GetGuardian())
	r.Guardian = guardian
	if inline := m.GetConsent(); inline != nil {
		obtained, f := instant("consent.obtain_time", inline.GetObtainTime())
		if refused == nil {
			refused = f
		}
		r.Consent = &verifier.InlineConsent{Notice: inline.GetNotice(), ObtainTime: obtained, EvidenceRef: inline.GetEvidenceRef()}
	}
	return r, refused
}

// publicVerification is what a client sees of a row, without what only the answer to a call has.
func publicVerification(v *ledger.Verification) *heyanv1.Verification {
	id := v.ID.String()
	m := &heyanv1.Verification{
		Name: namePrefix + id, Id: id, Verdict: verdictEnum.public(v.Verdict), Product: string(v.Product),
		Purpose: purposeEnum.public(v.Purpose), Fields: publicFields(v.Fields), Source: v.Source, SourceAsOf: stamp(v.SourceAsOf),
		SourceCode: v.SourceCode, Dataset: v.Dataset, Billing: billingEnum.public(v.Billing), Test: v.Test,
		VerifyTime: stamp(v.VerifyTime), ExpireTime: stamp(v.ExpireTime), State: verificationStateEnum.public(v.State),
		Consent: v.Consent.String(), LegalBasis: v.LegalBasis, PolicyVersion: v.PolicyVersion, LogEntry: publicPosition(v.Log),
		DecisionNotice: decisionNotice, ResolutionReason: v.ResolutionReason,
	}
	if v.State == ledger.Pending {
		m.ReconcileBy = stamp(v.ReconcileBy)
	}
	if v.Detail {
		m.FieldResults = publicFieldResults(v)
	}
	for _, r := range v.Remarks {
		m.Remarks = append(m.Remarks, &heyanv1.Verification_Remark{Field: fieldEnum.public(r.Field), Code: r.Code})
	}
	return m
}

func publicFieldResults(v *ledger.Verification) []*heyanv1.Verification_FieldResult {
	var results []*heyanv1.Verification_FieldResult
	for _, kind := range v.Fields.Kinds() {
		if verdict := v.FieldVerdicts[kind]; verdict != 0 {
			results = append(results, &heyanv1.Verification_FieldResult{Field: fieldEnum.public(kind), Verdict: fieldVerdictEnum.public(verdict)})
		}
	}
	return results
}

// publicPosition converts a place in the log; the zero Position is absent.
func publicPosition(at ledger.Position) *heyanv1.LogPosition {
	if at == (ledger.Position{}) {
		return nil
	}
	return &heyanv1.LogPosition{Origin: at.Origin, Index: at.Index}
}
