package api

import (
	"math"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/retention"
	"github.com/heyan-project/heyan/verifier/role"
)

// publicEnum is a generated enum.
type publicEnum interface {
	~int32
	Descriptor() protoreflect.EnumDescriptor
}

// holds checks one pair against its table: every member of the descriptor but UNSPECIFIED stands in the table,
// maps both ways, and no other number means anything.
func holds[D ~uint8, P publicEnum](t *testing.T, e enum[D, P], table map[P]D) {
	t.Helper()
	var zero P
	descriptor := zero.Descriptor()
	name := string(descriptor.Name())
	members := descriptor.Values()
	if len(table) != members.Len()-1 {
		t.Errorf("%s: %d members in the table, %d in the descriptor", name, len(table), members.Len()-1)
	}
	for i := range members.Len() {
		p := P(members.Get(i).Number())
		want, listed := table[p]
		if !listed && p != 0 {
			t.Errorf("%s: %s is not in the table", name, members.Get(i).Name())
		}
		if got := e.domain(p); got != want {
			t.Errorf("%s: %s became %d, want %d", name, members.Get(i).Name(), got, want)
		}
		if got := e.public(want); got != p {
			t.Errorf("%s: %d became %d, want %s", name, want, got, members.Get(i).Name())
		}
		if p > e.last {
			t.Errorf("%s: last is not the last", name)
		}
	}
	for _, outside := range []P{-1, e.last + 1, 256, 257, math.MinInt32, math.MaxInt32} {
		if got := e.domain(outside); got != 0 {
			t.Errorf("%s: number %d means %d", name, outside, got)
		}
	}
	for d := int(e.last) + 1; d <= math.MaxUint8; d++ {
		if got := e.public(D(d)); got != 0 {
			t.Errorf("%s: the domain's %d means %d", name, d, got)
		}
	}
}

func TestEveryEnumMapsBothWays(t *testing.T) {
	holds(t, fieldEnum, map[heyanv1.Field]field.Kind{
		heyanv1.Field_FIELD_NAME: field.Name, heyanv1.Field_FIELD_ID_NUMBER: field.IDNumber,
		heyanv1.Field_FIELD_PHONE_NUMBER: field.PhoneNumber, heyanv1.Field_FIELD_BANK_CARD_NUMBER: field.BankCardNumber,
		heyanv1.Field_FIELD_LICENSE_PLATE_NUMBER: field.LicensePlateNumber, heyanv1.Field_FIELD_DRIVER_LICENSE_NUMBER: field.DriverLicenseNumber})
	holds(t, verdictEnum, map[heyanv1.Verdict]product.Verdict{
		heyanv1.Verdict_VERDICT_MATCH: product.Match, heyanv1.Verdict_VERDICT_MISMATCH: product.Mismatch,
		heyanv1.Verdict_VERDICT_NO_RECORD: product.NoRecord, heyanv1.Verdict_VERDICT_NOT_VERIFIABLE: product.NotVerifiable,
		heyanv1.Verdict_VERDICT_INSTRUMENT_BLOCKED: product.InstrumentBlocked})
	holds(t, fieldVerdictEnum, map[heyanv1.FieldVerdict]product.FieldVerdict{
		heyanv1.FieldVerdict_FIELD_VERDICT_MATCH: product.FieldMatch, heyanv1.FieldVerdict_FIELD_VERDICT_MISMATCH: product.FieldMismatch,
		heyanv1.FieldVerdict_FIELD_VERDICT_NOT_COMPARED: product.FieldNotCompared})
	holds(t, billingEnum, map[heyanv1.Billing]product.Billing{
		heyanv1.Billing_BILLING_BILLED: product.Billed, heyanv1.Billing_BILLING_FREE: product.Free,
		heyanv1.Billing_BILLING_UNKNOWN: product.BillingUnknown})
	holds(t, purposeEnum, map[heyanv1.Purpose]product.Purpose{
		heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING: product.AccountOpening, heyanv1.Purpose_PURPOSE_ACCOUNT_SECURITY: product.AccountSecurity,
		heyanv1.Purpose_PURPOSE_CUSTOMER_DUE_DILIGENCE: product.CustomerDueDiligence, heyanv1.Purpose_PURPOSE_PAYMENT: product.Payment,
		heyanv1.Purpose_PURPOSE_CONTRACT: product.Contract, heyanv1.Purpose_PURPOSE_VEHICLE_SERVICE: product.VehicleService,
		heyanv1.Purpose_PURPOSE_EMPLOYMENT: product.Employment, heyanv1.Purpose_PURPOSE_FRAUD_PREVENTION: product.FraudPrevention,
		heyanv1.Purpose_PURPOSE_LEGAL_OBLIGATION: product.LegalObligation})
	holds(t, quotaPeriodEnum, map[heyanv1.QuotaPeriod]product.QuotaPeriod{
		heyanv1.QuotaPeriod_QUOTA_PERIOD_DAY: product.Daily, heyanv1.QuotaPeriod_QUOTA_PERIOD_MONTH: product.Monthly,
		heyanv1.QuotaPeriod_QUOTA_PERIOD_TOTAL: product.Total})
	holds(t, handlerRoleEnum, map[heyanv1.Entitlement_HandlerRole]product.HandlerRole{
		heyanv1.Entitlement_HANDLER_ROLE_HANDLER: product.Handler, heyanv1.Entitlement_HANDLER_ROLE_ENTRUSTED: product.Entrusted})
	holds(t, ageEnum, map[heyanv1.AgeDeclaration]consent.AgeDeclaration{
		heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER: consent.FourteenOrOver,
		heyanv1.AgeDeclaration_AGE_DECLARATION_UNDER_FOURTEEN:   consent.UnderFourteen})
	holds(t, relationEnum, map[heyanv1.GuardianRelation]consent.GuardianRelation{
		heyanv1.GuardianRelation_GUARDIAN_RELATION_PARENT:          consent.Parent,
		heyanv1.GuardianRelation_GUARDIAN_RELATION_ADOPTIVE_PARENT: consent.AdoptiveParent,
		heyanv1.GuardianRelation_GUARDIAN_RELATION_APPOINTED:       consent.AppointedGuardian})
	holds(t, consentStateEnum, map[heyanv1.Consent_State]consent.Status{
		heyanv1.Consent_STATE_ACTIVE: consent.Active, heyanv1.Consent_STATE_WITHDRAWN: consent.Withdrawn,
		heyanv1.Consent_STATE_EXPIRED: consent.Expired, heyanv1.Consent_STATE_NEEDS_RENEWAL: consent.NeedsRenewal})
	holds(t, separateEnum, map[heyanv1.SeparateConsent]separateNumber{
		heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER: 1, heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI: 2})
	holds(t, verificationStateEnum, map[heyanv1.Verification_State]ledger.State{
		heyanv1.Verification_STATE_ACTIVE: ledger.Active, heyanv1.Verification_STATE_PENDING: ledger.Pending,
		heyanv1.Verification_STATE_DISPUTED: ledger.Disputed, heyanv1.Verification_STATE_SUPERSEDED: ledger.Superseded,
		heyanv1.Verification_STATE_RESTRICTED: ledger.Restricted})
	holds(t, holdCauseEnum, map[heyanv1.Hold_Cause]retention.Cause{
		heyanv1.Hold_CAUSE_COURT: retention.Court, heyanv1.Hold_CAUSE_AUTHORITY: retention.Authority,
		heyanv1.Hold_CAUSE_FINANCE_AUDIT: retention.FinanceAudit, heyanv1.Hold_CAUSE_DISPUTE: retention.Dispute})
	holds(t, holdStateEnum, map[heyanv1.Hold_State]retention.State{
		heyanv1.Hold_STATE_ACTIVE: retention.Active, heyanv1.Hold_STATE_RELEASED: retention.Released, heyanv1.Hold_STATE_ENDED: retention.Ended})
	holds(t, materialChangeEnum, map[heyanv1.MaterialChange]policy.MaterialChange{
		heyanv1.MaterialChange_MATERIAL_CHANGE_SERVICE_MODEL: policy.ServiceModel, heyanv1.MaterialChange_MATERIAL_CHANGE_ORGANISATION: policy.Organisation,
		heyanv1.MaterialChange_MATERIAL_CHANGE_RECIPIENTS: policy.Recipients, heyanv1.MaterialChange_MATERIAL_CHANGE_RIGHTS: policy.Rights,
		heyanv1.MaterialChange_MATERIAL_CHANGE_CONTACT: policy.Contact, heyanv1.MaterialChange_MATERIAL_CHANGE_HIGH_RISK: policy.HighRisk})
}

func TestEveryEnumOfAdministrationMapsBothWays(t *testing.T) {
	holds(t, basisKindEnum, map[heyanv1.LegalBasis_Kind]consent.BasisKind{
		heyanv1.LegalBasis_KIND_LEGAL_OBLIGATION: consent.BasisLegalObligation, heyanv1.LegalBasis_KIND_NATIONAL_SECURITY: consent.BasisNationalSecurity,
		heyanv1.LegalBasis_KIND_PUBLIC_SAFETY_HEALTH: consent.BasisPublicSafetyHealth, heyanv1.LegalBasis_KIND_CRIMINAL_JUSTICE: consent.BasisCriminalJustice,
		heyanv1.LegalBasis_KIND_VITAL_INTEREST: consent.BasisVitalInterest, heyanv1.LegalBasis_KIND_SELF_PUBLISHED: consent.BasisSelfPublished,
		heyanv1.LegalBasis_KIND_CONTRACT: consent.BasisContract, heyanv1.LegalBasis_KIND_LAWFULLY_DISCLOSED: consent.BasisLawfullyDisclosed,
		heyanv1.LegalBasis_KIND_SERVICE_SAFETY: consent.BasisServiceSafety, heyanv1.LegalBasis_KIND_NEWS_PUBLIC_INTEREST: consent.BasisNewsPublicInterest,
		heyanv1.LegalBasis_KIND_ACADEMIC: consent.BasisAcademic, heyanv1.LegalBasis_KIND_OTHER_LAW: consent.BasisOtherLaw})
	holds(t, recipientBasisEnum, map[heyanv1.Recipient_Basis]consent.RecipientBasis{
		heyanv1.Recipient_BASIS_SEPARATE_CONSENT: consent.RecipientSeparateConsent, heyanv1.Recipient_BASIS_LAW: consent.RecipientLaw,
		heyanv1.Recipient_BASIS_SUBJECT_INSTRUCTION: consent.RecipientSubjectInstruction, heyanv1.Recipient_BASIS_ENTRUSTED: consent.RecipientEntrusted})
	holds(t, roleEnum, map[heyanv1.Role]role.Role{
		heyanv1.Role_ROLE_CLIENT: role.Client, heyanv1.Role_ROLE_SYSTEM_ADMIN: role.SystemAdmin, heyanv1.Role_ROLE_SECURITY_ADMIN: role.SecurityAdmin,
		heyanv1.Role_ROLE_AUDIT_ADMIN: role.AuditAdmin, heyanv1.Role_ROLE_PRIVACY_OFFICER: role.PrivacyOfficer})
	holds(t, operatorStateEnum, map[heyanv1.Operator_State]role.State{
		heyanv1.Operator_STATE_ACTIVE: role.Active, heyanv1.Operator_STATE_REVOKED: role.Revoked, heyanv1.Operator_STATE_EXPIRED: role.Expired})
	holds(t, approvalStateEnum, map[heyanv1.Approval_State]role.ApprovalState{
		heyanv1.Approval_STATE_WAITING: role.Waiting, heyanv1.Approval_STATE_APPROVED: role.Approved, heyanv1.Approval_STATE_REJECTED: role.Rejected,
		heyanv1.Approval_STATE_DONE: role.Done, heyanv1.Approval_STATE_EXPIRED: role.Lapsed})
	holds(t, clientStateEnum, map[heyanv1.Client_State]account.State{
		heyanv1.Client_STATE_ACTIVE: account.Active, heyanv1.Client_STATE_SUSPENDED: account.Suspended, heyanv1.Client_STATE_CLOSED: account.Closed})
	holds(t, credentialKindEnum, map[heyanv1.Credential_Kind]account.Kind{
		heyanv1.Credential_KIND_CERTIFICATE: account.Certificate, heyanv1.Credential_KIND_API_KEY: account.APIKey})
	holds(t, credentialStateEnum, map[heyanv1.Credential_State]account.CredentialState{
		heyanv1.Credential_STATE_ACTIVE: account.CredentialActive, heyanv1.Credential_STATE_LOCKED: account.CredentialLocked,
		heyanv1.Credential_STATE_REVOKED: account.CredentialRevoked, heyanv1.Credential_STATE_EXPIRED: account.CredentialExpired})
	holds(t, datasetStateEnum, map[heyanv1.Dataset_State]dataset.State{
		heyanv1.Dataset_STATE_STAGED: dataset.Staged, heyanv1.Dataset_STATE_ACTIVE: dataset.Active, heyanv1.Dataset_STATE_REPLACED: dataset.Replaced})
}

func TestDeletedHasNoPublicState(t *testing.T) {
	if got := verificationStateEnum.public(ledger.Deleted); got != heyanv1.Verification_STATE_UNSPECIFIED {
		t.Errorf("got %v", got)
	}
}

func TestSetsRefuseUnspecifiedAndIgnoreRepeats(t *testing.T) {
	fields, f := fieldsOf("notice.fields", []heyanv1.Field{heyanv1.Field_FIELD_PHONE_NUMBER, heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_NAME})
	if f != nil || fields != field.SetOf(field.Name, field.PhoneNumber) {
		t.Errorf("got %v, %v", fields.Names(), f)
	}
	if list := publicFields(fields); len(list) != 2 || list[0] != heyanv1.Field_FIELD_NAME || list[1] != heyanv1.Field_FIELD_PHONE_NUMBER {
		t.Errorf("got %v", list)
	}
	separate, f := separateOf("notice.separate_consents", []heyanv1.SeparateConsent{2, 1, 2})
	if f != nil || separate != consent.ProvideToHandler|consent.SensitivePI {
		t.Errorf("got %b, %v", separate, f)
	}
	if list := publicSeparate(consent.SensitivePI); len(list) != 1 || list[0] != heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI {
		t.Errorf("got %v", list)
	}
	roles, f := rolesOf("roles", []heyanv1.Role{heyanv1.Role_ROLE_PRIVACY_OFFICER, heyanv1.Role_ROLE_SYSTEM_ADMIN})
	if f != nil || roles != role.Of(role.SystemAdmin, role.PrivacyOfficer) || len(publicRoles(roles)) != 2 {
		t.Errorf("got %v, %v", roles, f)
	}
	for name, refused := range map[string]*fault.Fault{
		"fields":   second(fieldsOf("fields", []heyanv1.Field{1, 0})),
		"purposes": second(purposesOf("purposes", []heyanv1.Purpose{0})),
		"roles":    second(rolesOf("roles", []heyanv1.Role{9})),
		"separate": second(separateOf("separate", []heyanv1.SeparateConsent{3})),
	} {
		if !fault.Is(refused, fault.RequestMalformed) || refused.Violations[0].Field != name {
			t.Errorf("%s: got %v", name, refused)
		}
	}
}

func second[T any](_ T, f *fault.Fault) *fault.Fault { return f }
