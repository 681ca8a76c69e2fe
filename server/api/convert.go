package api

import (
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

// Enums of the domain carry the numbers of the public ones, so a conversion copies the number. A test holds
// every pair together, member by member, by the descriptors.

// enum is one pair: D in the domain, P in the API. last is the largest member of P.
type enum[D ~uint8, P ~int32] struct{ last P }

// domain converts a member. Any other number is the invalid zero; the codec has refused it before.
func (e enum[D, P]) domain(p P) D {
	if p < 0 || p > e.last {
		return 0
	}
	return D(p)
}

// public converts a member. A number that the API does not have is UNSPECIFIED.
func (e enum[D, P]) public(d D) P {
	if P(d) > e.last {
		return 0
	}
	return P(d)
}

// The pairs. A state that follows from the time is computed before it is converted.
var (
	fieldEnum           = enum[field.Kind, heyanv1.Field]{heyanv1.Field_FIELD_DRIVER_LICENSE_NUMBER}
	verdictEnum         = enum[product.Verdict, heyanv1.Verdict]{heyanv1.Verdict_VERDICT_INSTRUMENT_BLOCKED}
	fieldVerdictEnum    = enum[product.FieldVerdict, heyanv1.FieldVerdict]{heyanv1.FieldVerdict_FIELD_VERDICT_NOT_COMPARED}
	billingEnum         = enum[product.Billing, heyanv1.Billing]{heyanv1.Billing_BILLING_UNKNOWN}
	purposeEnum         = enum[product.Purpose, heyanv1.Purpose]{heyanv1.Purpose_PURPOSE_LEGAL_OBLIGATION}
	quotaPeriodEnum     = enum[product.QuotaPeriod, heyanv1.QuotaPeriod]{heyanv1.QuotaPeriod_QUOTA_PERIOD_TOTAL}
	handlerRoleEnum     = enum[product.HandlerRole, heyanv1.Entitlement_HandlerRole]{heyanv1.Entitlement_HANDLER_ROLE_ENTRUSTED}
	ageEnum             = enum[consent.AgeDeclaration, heyanv1.AgeDeclaration]{heyanv1.AgeDeclaration_AGE_DECLARATION_UNDER_FOURTEEN}
	relationEnum        = enum[consent.GuardianRelation, heyanv1.GuardianRelation]{heyanv1.GuardianRelation_GUARDIAN_RELATION_APPOINTED}
	consentStateEnum    = enum[consent.Status, heyanv1.Consent_State]{heyanv1.Consent_STATE_NEEDS_RENEWAL}
	basisKindEnum       = enum[consent.BasisKind, heyanv1.LegalBasis_Kind]{heyanv1.LegalBasis_KIND_OTHER_LAW}
	recipientBasisEnum  = enum[consent.RecipientBasis, heyanv1.Recipient_Basis]{heyanv1.Recipient_BASIS_ENTRUSTED}
	roleEnum            = enum[role.Role, heyanv1.Role]{heyanv1.Role_ROLE_PRIVACY_OFFICER}
	operatorStateEnum   = enum[role.State, heyanv1.Operator_State]{heyanv1.Operator_STATE_EXPIRED}
	approvalStateEnum   = enum[role.ApprovalState, heyanv1.Approval_State]{heyanv1.Approval_STATE_EXPIRED}
	clientStateEnum     = enum[account.State, heyanv1.Client_State]{heyanv1.Client_STATE_CLOSED}
	credentialKindEnum  = enum[account.Kind, heyanv1.Credential_Kind]{heyanv1.Credential_KIND_API_KEY}
	credentialStateEnum = enum[account.CredentialState, heyanv1.Credential_State]{heyanv1.Credential_STATE_EXPIRED}
	datasetStateEnum    = enum[dataset.State, heyanv1.Dataset_State]{heyanv1.Dataset_STATE_REPLACED}
	holdCauseEnum       = enum[retention.Cause, heyanv1.Hold_Cause]{heyanv1.Hold_CAUSE_DISPUTE}
	holdStateEnum       = enum[retention.State, heyanv1.Hold_State]{heyanv1.Hold_STATE_ENDED}
	materialChangeEnum  = enum[policy.MaterialChange, heyanv1.MaterialChange]{heyanv1.MaterialChange_MATERIAL_CHANGE_HIGH_RISK}
	// Deleted is nobody's to see and has no public number.
	verificationStateEnum = enum[ledger.State, heyanv1.Verification_State]{heyanv1.Verification_STATE_RESTRICTED}
	// A set of separate consents has the bit of each member's number; see separateOf.
	separateEnum = enum[separateNumber, heyanv1.SeparateConsent]{heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI}
)

// separateNumber is the number of the one bit of a consent.Separate.
type separateNumber uint8

// unspecified refuses a list with a member that says nothing.
func unspecified(name string) *fault.Fault {
	return fault.New(fault.RequestMalformed).WithField(name, "UNSPECIFIED")
}

// membersOf converts a list, in its order. name is the list's in the request.
func membersOf[D ~uint8, P ~int32](e enum[D, P], name string, list []P) ([]D, *fault.Fault) {
	members := make([]D, 0, min(len(list), int(e.last)))
	for _, p := range list {
		d := e.domain(p)
		if d == 0 {
			return nil, unspecified(name)
		}
		members = append(members, d)
	}
	return members, nil
}

// publicOf converts a list, in its order.
func publicOf[D ~uint8, P ~int32](e enum[D, P], list []D) []P {
	if len(list) == 0 {
		return nil
	}
	members := make([]P, len(list))
	for i, d := range list {
		members[i] = e.public(d)
	}
	return members
}

// fieldsOf reads a list of fields as a set; repeats count once.
func fieldsOf(name string, list []heyanv1.Field) (field.Set, *fault.Fault) {
	members, f := membersOf(fieldEnum, name, list)
	return field.SetOf(members...), f
}

// publicFields lists a set in the order of the numbers.
func publicFields(s field.Set) []heyanv1.Field { return publicOf(fieldEnum, s.Kinds()) }

// purposesOf reads a list of purposes as a set; repeats count once.
func purposesOf(name string, list []heyanv1.Purpose) (product.Purposes, *fault.Fault) {
	members, f := membersOf(purposeEnum, name, list)
	return product.PurposesOf(members...), f
}

// publicPurposes lists a set in the order of the numbers.
func publicPurposes(s product.Purposes) []heyanv1.Purpose { return publicOf(purposeEnum, s.List()) }

// rolesOf reads a list of roles as a set; repeats count once.
func rolesOf(name string, list []heyanv1.Role) (role.Set, *fault.Fault) {
	members, f := membersOf(roleEnum, name, list)
	return role.Of(members...), f
}

// publicRoles lists a set in the order of the numbers.
func publicRoles(s role.Set) []heyanv1.Role { return publicOf(roleEnum, s.Roles()) }

// separateOf reads a list of separate consents as a set; repeats count once.
func separateOf(name string, list []heyanv1.SeparateConsent) (consent.Separate, *fault.Fault) {
	members, f := membersOf(separateEnum, name, list)
	var s consent.Separate
	for _, n := range members {
		s |= 1 << n
	}
	return s, f
}

// publicSeparate lists a set in the order of the numbers.
func publicSeparate(s consent.Separate) []heyanv1.SeparateConsent {
	var list []heyanv1.SeparateConsent
	for p := heyanv1.SeparateConsent(1); p <= separateEnum.last; p++ {
		if s.Has(1 << p) {
			list = append(list, p)
		}
	}
	return list
}
