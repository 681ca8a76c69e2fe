package api

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
)

func (o *office) sell(e *heyanv1.Entitlement) outcome[*heyanv1.Entitlement] {
	o.t.Helper()
	return does(o, "bo", "AccessService/SetEntitlement", record.EntitlementSet, o.access.SetEntitlement, &heyanv1.SetEntitlementRequest{Entitlement: e})
}

// offer is an entitlement that nothing refuses, changed.
func offer(change func(*heyanv1.Entitlement)) *heyanv1.Entitlement {
	e := &heyanv1.Entitlement{
		Client: "novel", Product: "id2", Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_PAYMENT},
		HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ExpireTime: inYears(1),
	}
	change(e)
	return e
}

func TestSetEntitlement(t *testing.T) {
	tests := []struct {
		name   string
		change func(*heyanv1.Entitlement)
		want   wants
	}{
		{"nobody", func(e *heyanv1.Entitlement) { e.Client = "nobody" }, refusal(fault.ResourceNotFound, "entitlement.client")},
		{"closed client", func(e *heyanv1.Entitlement) { e.Client = "gone" }, refusal(fault.ClientSuspended)},
		{"MV-4-overseas", func(e *heyanv1.Entitlement) { e.Client = "acme" }, refusal(fault.RegionForbidden, "entitlement.client NOT_CN")},
		{"no product", func(e *heyanv1.Entitlement) { e.Product = "id9" }, refusal(fault.ResourceNotFound, "entitlement.product NOT_IN_THE_CATALOGUE")},
		{"no purpose", func(e *heyanv1.Entitlement) { e.Purposes = nil }, refusal(fault.FieldMissing, "entitlement.purposes")},
		{"purpose 0", func(e *heyanv1.Entitlement) { e.Purposes = []heyanv1.Purpose{0} }, refusal(fault.RequestMalformed, "entitlement.purposes UNSPECIFIED")},
		{"quota without a period", func(e *heyanv1.Entitlement) { e.Quota = proto.Int64(5) }, refusal(fault.FieldMissing, "entitlement.quota_period")},
		{"period without a quota", func(e *heyanv1.Entitlement) { e.QuotaPeriod = heyanv1.QuotaPeriod_QUOTA_PERIOD_TOTAL },
			refusal(fault.RequestMalformed, "entitlement.quota_period ONLY_WITH_A_QUOTA")},
		{"negative price", func(e *heyanv1.Entitlement) { e.PriceFen = proto.Int64(-1) }, refusal(fault.RequestMalformed, "entitlement.quota NOT_NEGATIVE")},
		{"no end", func(e *heyanv1.Entitlement) { e.ExpireTime = nil }, refusal(fault.FieldMissing, "entitlement.expire_time")},
		{"ended", func(e *heyanv1.Entitlement) { e.ExpireTime = timestamppb.New(start) }, refusal(fault.RequestMalformed, "entitlement.expire_time NOT_IN_THE_FUTURE")},
		{"ends before it begins", func(e *heyanv1.Entitlement) { e.StartTime = inYears(2) }, refusal(fault.RequestMalformed, "entitlement.expire_time NOT_AFTER_START")},
		{"retention too long", func(e *heyanv1.Entitlement) { e.RetentionDays = 1096 }, refusal(fault.RequestMalformed, "entitlement.retention_days 1_TO_1095")},
		{"no handler role", func(e *heyanv1.Entitlement) { e.HandlerRole = 0 }, refusal(fault.FieldMissing, "entitlement.handler_role")},
		{"MV-1.2-entrusted without a contract", func(e *heyanv1.Entitlement) { e.HandlerRole = heyanv1.Entitlement_HANDLER_ROLE_ENTRUSTED }, refusal(fault.FieldMissing, "entitlement.contract_ref")},
		{"no reference", func(e *heyanv1.Entitlement) { e.ContractRef = "合同" }, refusal(fault.RequestMalformed, "entitlement.contract_ref REFERENCE")},
		{"PII as a reference", func(e *heyanv1.Entitlement) { e.ContractRef = "13800138000" }, refusal(fault.FreeTextCarriesPII, "entitlement.contract_ref")},
		{"unknown basis", func(e *heyanv1.Entitlement) { e.LegalBases = []string{"aml"} }, refusal(fault.ResourceNotFound, "entitlement.legal_bases")},
		{"another client's basis", func(e *heyanv1.Entitlement) { e.LegalBases = []string{"acme-only"} }, refusal(fault.LegalBasisUnsupported, "entitlement.legal_bases OF_ANOTHER_CLIENT")},
		{"old revision", func(e *heyanv1.Entitlement) { e.Revision = 9 }, refusal(fault.RevisionConflict)},
		{"well", func(*heyanv1.Entitlement) {}, wants{}},
	}
	o := newOffice(t)
	o.newClient("novel")
	o.newClient("gone")
	basis := basisRequest("acme-only", "")
	basis.LegalBasis.Kind, basis.LegalBasis.Client = heyanv1.LegalBasis_KIND_CONTRACT, "acme"
	accepted(t, o.createBasis("bo", basis))
	gone := o.Directory.Now().Clients["gone"]
	closed := gone.Value
	closed.State = account.Closed
	_, err := o.Directory.PutClient(t.Context(), closed, gone.Revision)
	must(t, err)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.sell(offer(test.change)), test.want) })
	}
	e := o.Directory.Now().Entitlement("novel", "id2")
	if e.RetentionDays != 30 || e.Quota != product.Unlimited || e.TestQuota.Limit != product.TestQuotaDefault || e.PriceFen >= 0 || !e.Start.Equal(start) {
		t.Errorf("what was left out became %+v", e)
	}
}

func TestEntitlementLife(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	first := o.sell(offer(func(e *heyanv1.Entitlement) {
		e.Quota, e.QuotaPeriod, e.PriceFen, e.RetentionDays = proto.Int64(0), heyanv1.QuotaPeriod_QUOTA_PERIOD_DAY, proto.Int64(35), 1095
	}))
	got := accepted(t, first)
	if got.GetRevision() != 1 || got.Quota == nil || got.GetQuota() != 0 || got.GetPriceFen() != 35 || got.GetRetentionDays() != 1095 {
		t.Errorf("sold %v", got)
	}
	if r := first.record; r.Object != (record.Object{Type: "entitlement", ID: "novel/id2"}) || r.Change == nil || r.Change.Before != "" {
		t.Errorf("its record says %+v %+v", r.Object, r.Change)
	}
	revoke := func(by string) outcome[*heyanv1.Entitlement] {
		return does(o, by, "AccessService/RevokeEntitlement", record.EntitlementRevoked, o.access.RevokeEntitlement,
			&heyanv1.RevokeEntitlementRequest{Client: "novel", Product: "id2", Reason: "misuse"})
	}
	for _, by := range []string{"cai", "anna"} {
		if e := accepted(t, revoke(by)); !e.GetRevoked() || e.GetRevision() != 2 {
			t.Errorf("revoked: %v", e)
		}
	}
	if f := o.Directory.Now().Entitlement("novel", "id2").Check(start); f == nil {
		t.Error("a revoked entitlement still serves")
	}
	again := accepted(t, o.sell(offer(func(e *heyanv1.Entitlement) { e.Revision = 2 })))
	if again.GetRevoked() || again.GetRevision() != 3 || again.PriceFen != nil {
		t.Errorf("sold again: %v", again)
	}
	list := accepted(t, does(o, "cai", "AccessService/ListEntitlements", record.EntitlementListed, o.access.ListEntitlements, &heyanv1.ListEntitlementsRequest{Client: "novel"}))
	if len(list.GetEntitlements()) != 1 {
		t.Errorf("listed %v", list)
	}
}

func (o *office) setRecipient(change func(*heyanv1.Recipient)) outcome[*heyanv1.Recipient] {
	o.t.Helper()
	r := &heyanv1.Recipient{
		Id: "tencent", DisplayName: "腾讯云计算（北京）有限责任公司", Nature: "cloud service, mainland China", Use: "to verify", Contact: "95716",
		Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME}, Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_PAYMENT},
		Basis: heyanv1.Recipient_BASIS_SEPARATE_CONSENT, Region: "cn-beijing", ContractSha256: bytes.Repeat([]byte{1}, 32), ContractExpireTime: inYears(1),
		Endpoint: "https://faceid.example:8443", PinsSha256: [][]byte{bytes.Repeat([]byte{2}, 32)}, Enabled: true,
	}
	change(r)
	return does(o, "bo", "AccessService/SetRecipient", record.RecipientSet, o.access.SetRecipient, &heyanv1.SetRecipientRequest{Recipient: r})
}

func TestSetRecipient(t *testing.T) {
	tests := []struct {
		name   string
		change func(*heyanv1.Recipient)
		want   wants
	}{
		{"FR-3.3-third-party", func(r *heyanv1.Recipient) { r.Nature, r.Use = "", "" }, refusal(fault.FieldMissing, "recipient.nature", "recipient.use")},
		{"SO-1.3-entrust-contract", func(r *heyanv1.Recipient) { r.ContractSha256 = nil }, refusal(fault.ContractMissing, "recipient.contract_sha256 NOT_IN_FORCE")},
		{"contract over", func(r *heyanv1.Recipient) { r.ContractExpireTime = timestamppb.New(start) }, refusal(fault.ContractMissing, "recipient.contract_sha256 NOT_IN_FORCE")},
		{"MV-3.2-region", func(r *heyanv1.Recipient) { r.Region = "cn-hongkong" }, refusal(fault.RegionForbidden, "recipient.region NOT_A_MAINLAND_REGION")},
		{"plain http", func(r *heyanv1.Recipient) { r.Endpoint = "http://faceid.example" }, refusal(fault.RequestMalformed, "recipient.endpoint HTTPS_HOST_PORT")},
		{"a path", func(r *heyanv1.Recipient) { r.Endpoint = "https://faceid.example/v1" }, refusal(fault.RequestMalformed, "recipient.endpoint HTTPS_HOST_PORT")},
		{"a password", func(r *heyanv1.Recipient) { r.Endpoint = "https://a:b@faceid.example" }, refusal(fault.RequestMalformed, "recipient.endpoint HTTPS_HOST_PORT")},
		{"short pin", func(r *heyanv1.Recipient) { r.PinsSha256 = [][]byte{{1}} }, refusal(fault.RequestMalformed, "recipient.pins_sha256 SHA256_OF_32_BYTES")},
		{"PII in the use", func(r *heyanv1.Recipient) { r.Use = "call 13800138000" }, refusal(fault.FreeTextCarriesPII, "recipient.use")},
		{"field 0", func(r *heyanv1.Recipient) { r.Fields = []heyanv1.Field{0} }, refusal(fault.RequestMalformed, "recipient.fields UNSPECIFIED")},
		{"old revision", func(r *heyanv1.Recipient) { r.Revision = 4 }, refusal(fault.RevisionConflict)},
		{"well", func(*heyanv1.Recipient) {}, wants{}},
		{"changed", func(r *heyanv1.Recipient) { r.Revision, r.Enabled, r.ContractSha256 = 1, false, nil }, wants{}},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.setRecipient(test.change), test.want) })
	}
}

// MV-8-material-3: once a policy is published, a recipient is added by a version that says so.
func TestRecipientNeedsAPolicyVersion(t *testing.T) {
	o := newOffice(t)
	accepted(t, o.setRecipient(func(*heyanv1.Recipient) {}))
	for id, material := range map[string][]policy.MaterialChange{"v1": nil, "v2": {policy.Recipients}} {
		_, err := o.Directory.PutPolicy(t.Context(), policy.Version{ID: id, EffectiveTime: start, MaterialChanges: material}, 0)
		must(t, err)
	}
	another := func(version string) outcome[*heyanv1.Recipient] {
		return o.setRecipient(func(r *heyanv1.Recipient) { r.Id, r.PolicyVersion = "aliyun", version })
	}
	for _, version := range []string{"", "v1", "v9"} {
		refusedFor(t, another(version).refused, fault.PolicyVersionRequired, "recipient.policy_version LISTS_RECIPIENTS")
	}
	accepted(t, another("v2"))
	if r := accepted(t, another("")); r.GetPolicyVersion() != "v2" || r.GetRevision() != 2 {
		t.Errorf("what announced it is %q", r.GetPolicyVersion())
	}
	accepted(t, o.setRecipient(func(*heyanv1.Recipient) {})) // there before any policy
	list := accepted(t, does(o, "cai", "AccessService/ListRecipients", record.RecipientListed, o.access.ListRecipients, &heyanv1.ListRecipientsRequest{}))
	if len(list.GetRecipients()) != 3 || list.GetRecipients()[0].GetId() != "aliyun" {
		t.Errorf("listed %v", list)
	}
}
