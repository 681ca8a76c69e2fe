package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// customer is one client of the canary test: it calls by API key and has a notice, people and answers of its own.
type customer struct {
	id, key string
	conn    *grpc.ClientConn
	person  *heyanv1.Fields // name and id_number of somebody on file
	child   *heyanv1.Fields
}

// office is everybody who calls, and what they need for lawful requests.
type office struct {
	t         testing.TB
	crew      *crew
	customers []*customer
	pending   *customer // with test credentials: the simulator makes its answers pending
	n         atomic.Int64
}

// fresh returns an id that nobody used.
func (o *office) fresh(prefix string) string {
	return fmt.Sprintf("%s-%x", prefix, o.n.Add(1))
}

// request is a lawful request: one message, or those of a stream.
type request []proto.Message

// template makes a lawful request of one method that sets a group of members, as the caller who may send it.
type template struct {
	as    string // "client", "system", "security", "audit"
	build func(o *office, c *customer) request
}

func one(as string, build func(o *office, c *customer) proto.Message) template {
	return template{as, func(o *office, c *customer) request { return request{build(o, c)} }}
}

// plain is a request whose members may all be left out.
func plain(as string, m proto.Message) template {
	return one(as, func(*office, *customer) proto.Message { return proto.Clone(m) })
}

// templates has one lawful request or more for each method. A member of a nested message that none of them sets fails
// TestCanary, as does a method without one.
var templates = map[string][]template{
	"VerificationService/Verify": {
		one("client", func(o *office, c *customer) proto.Message { return c.verify(o) }),
		one("client", func(o *office, c *customer) proto.Message {
			r := c.verify(o)
			r.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: c.answered(o).GetConsent()}
			return r
		}),
		one("client", func(o *office, c *customer) proto.Message {
			r := c.verify(o)
			r.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: canaryBasis}
			return r
		}),
		one("client", func(o *office, c *customer) proto.Message { return c.guarded(o) }),
	},
	"VerificationService/BatchVerify": {
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.BatchVerifyRequest{Requests: []*heyanv1.VerifyRequest{c.verify(o), c.verify(o)}}
		}),
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.BatchVerifyRequest{Requests: []*heyanv1.VerifyRequest{c.guarded(o)}}
		}),
	},
	"VerificationService/GetVerification": {one("client", func(o *office, c *customer) proto.Message {
		return &heyanv1.GetVerificationRequest{Id: c.answered(o).GetId()}
	})},
	"VerificationService/ListVerifications": {plain("client", &heyanv1.ListVerificationsRequest{})},
	"VerificationService/DeleteVerification": {one("client", func(o *office, c *customer) proto.Message {
		return &heyanv1.DeleteVerificationRequest{Id: c.answered(o).GetId()}
	})},
	"VerificationService/GetReceipt": {one("client", func(o *office, c *customer) proto.Message {
		return &heyanv1.GetReceiptRequest{Id: c.answered(o).GetId()}
	})},

	"CatalogService/ListPolicies":      {plain("client", &heyanv1.ListPoliciesRequest{})},
	"CatalogService/GetPolicy":         {plain("client", &heyanv1.GetPolicyRequest{Version: canaryPolicy})},
	"CatalogService/AcknowledgePolicy": {plain("client", &heyanv1.AcknowledgePolicyRequest{Version: canaryPolicy})},
	"CatalogService/ListProducts":      {plain("client", &heyanv1.ListProductsRequest{})},
	"CatalogService/GetProduct":        {plain("client", &heyanv1.GetProductRequest{Id: "id2"})},
	"CatalogService/GetAccount":        {plain("client", &heyanv1.GetAccountRequest{})},
	"CatalogService/GetUsage":          {plain("client", &heyanv1.GetUsageRequest{}), plain("system", &heyanv1.GetUsageRequest{})},

	"ConsentService/CreateNotice": {one("client", func(o *office, _ *customer) proto.Message { return fullNotice(o.fresh("n"), false) })},
	"ConsentService/ListNotices": {plain("client", &heyanv1.ListNoticesRequest{}), one("system", func(_ *office, c *customer) proto.Message {
		return &heyanv1.ListNoticesRequest{Client: c.id}
	})},
	"ConsentService/CreateConsent": {
		one("client", func(o *office, c *customer) proto.Message { return c.consent(o) }),
		one("client", func(o *office, c *customer) proto.Message {
			r := c.consent(o)
			r.Subject, r.Guardian = proto.CloneOf(c.child), guardianOf(o)
			return r
		}),
	},
	"ConsentService/GetConsent": {
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.GetConsentRequest{Id: c.answered(o).GetConsent()}
		}),
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.GetConsentRequest{Evidence: c.evidence(o)}
		}),
		one("system", func(o *office, c *customer) proto.Message {
			e := c.evidence(o)
			e.Client = c.id
			return &heyanv1.GetConsentRequest{Evidence: e}
		}),
	},
	"ConsentService/ListConsents": {plain("client", &heyanv1.ListConsentsRequest{}), one("system", func(_ *office, c *customer) proto.Message {
		return &heyanv1.ListConsentsRequest{Client: c.id}
	})},
	"ConsentService/WithdrawConsent": {
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Id{Id: c.answered(o).GetConsent()}}
		}),
		one("client", func(o *office, c *customer) proto.Message {
			return &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Evidence{Evidence: c.evidence(o)}}
		}),
		one("client", func(o *office, _ *customer) proto.Message {
			return &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Subject{Subject: nobody()}}
		}),
		one("system", func(_ *office, c *customer) proto.Message {
			return &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Subject{Subject: nobody()}, Client: c.id}
		}),
	},

	"AdminService/CreateClient": {one("system", func(o *office, _ *customer) proto.Message { return newClient(o.fresh("c")) })},
	"AdminService/GetClient":    {one("system", func(_ *office, c *customer) proto.Message { return &heyanv1.GetClientRequest{Id: c.id} })},
	"AdminService/ListClients":  {plain("system", &heyanv1.ListClientsRequest{})},
	"AdminService/UpdateClient": {one("system", func(o *office, _ *customer) proto.Message {
		return &heyanv1.UpdateClientRequest{Client: &heyanv1.Client{Id: o.client(), DisplayName: "Another name", AllowedSources: []string{"203.0.113.0/24"}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name", "allowed_sources"}}, Reason: "asked for by the client"}
	})},
	"AdminService/CloseClient": {one("system", func(o *office, _ *customer) proto.Message {
		return &heyanv1.CloseClientRequest{Id: o.client(), Reason: "contract ended"}
	})},
	"AdminService/IssueCredential": {
		one("system", func(o *office, _ *customer) proto.Message {
			return &heyanv1.IssueCredentialRequest{Client: o.client(), Kind: heyanv1.Credential_KIND_API_KEY, Label: "backend", AllowedSources: []string{"203.0.113.0/24"}}
		}),
		one("system", func(o *office, _ *customer) proto.Message {
			issuer := sha256.Sum256([]byte("a CA"))
			return &heyanv1.IssueCredentialRequest{Client: o.client(), Kind: heyanv1.Credential_KIND_CERTIFICATE, Label: "backend",
				IssuerSha256: issuer[:], SubjectAltName: "spiffe://acme/" + o.fresh("s")}
		}),
		// Of a client that has a key already: two persons.
		one("system", func(_ *office, c *customer) proto.Message {
			return &heyanv1.IssueCredentialRequest{Client: c.id, Kind: heyanv1.Credential_KIND_API_KEY, Label: "second"}
		}),
	},
	"AdminService/ListCredentials": {plain("system", &heyanv1.ListCredentialsRequest{})},
	"AdminService/RevokeCredential": {one("system", func(o *office, _ *customer) proto.Message {
		return &heyanv1.RevokeCredentialRequest{Id: o.credential(), Reason: "no longer used"}
	})},
	"AdminService/ImportRecords": {{"system", func(o *office, c *customer) request {
		return importOf(o.fresh("d"), &heyanv1.ImportRows_Row{Fields: c.person}, &heyanv1.ImportRows_Row{Fields: c.person})
	}}},
	"AdminService/ListDatasets": {plain("system", &heyanv1.ListDatasetsRequest{})},
	"AdminService/DeleteRecords": {plain("system", &heyanv1.DeleteRecordsRequest{
		Dataset: canaryDataset, Subjects: []*heyanv1.Fields{nobody()}, Reason: "asked for by the person"})},
	"AdminService/DeleteDataset": {one("system", func(o *office, c *customer) proto.Message {
		return &heyanv1.DeleteDatasetRequest{Dataset: o.dataset(c), Reason: "contract ended"}
	})},
	"AdminService/ListPending": {plain("system", &heyanv1.ListPendingRequest{})},
	"AdminService/ResolvePending": {one("system", func(o *office, _ *customer) proto.Message {
		return &heyanv1.ResolvePendingRequest{Verification: o.pending.answered(o).GetId(), Verdict: heyanv1.Verdict_VERDICT_MATCH,
			Billing: heyanv1.Billing_BILLING_FREE, Reason: "by the statement of the source"}
	})},

	"AccessService/SetEntitlement": {one("security", func(o *office, _ *customer) proto.Message { return entitle(o.client()) })},
	"AccessService/RevokeEntitlement": {one("security", func(o *office, _ *customer) proto.Message {
		return &heyanv1.RevokeEntitlementRequest{Client: o.entitled(), Product: "id2", Reason: "contract ended"}
	})},
	"AccessService/ListEntitlements": {plain("security", &heyanv1.ListEntitlementsRequest{})},
	"AccessService/SetRecipient": {one("security", func(o *office, _ *customer) proto.Message {
		contract := sha256.Sum256([]byte("contract"))
		return &heyanv1.SetRecipientRequest{Recipient: &heyanv1.Recipient{
			Id: o.fresh("r"), DisplayName: "An authority", Nature: "authority", Use: "answering", Contact: "by post", Region: "cn-beijing",
			Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME}, Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
			Basis: heyanv1.Recipient_BASIS_ENTRUSTED, ContractSha256: contract[:], ContractExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0)),
			Endpoint: "https://authority.example", PolicyVersion: canaryPolicy}}
	})},
	"AccessService/ListRecipients": {plain("security", &heyanv1.ListRecipientsRequest{})},
	"AccessService/SetOperator": {one("security", func(o *office, _ *customer) proto.Message {
		issuer := sha256.Sum256([]byte("a CA"))
		return &heyanv1.SetOperatorRequest{Operator: &heyanv1.Operator{Id: o.fresh("o"), PersonId: o.fresh("p"), Roles: []heyanv1.Role{heyanv1.Role_ROLE_SYSTEM_ADMIN},
			IssuerSha256: issuer[:], SubjectAltName: "spiffe://heyan/" + o.fresh("s")}}
	})},
	"AccessService/RevokeOperator": {plain("security", &heyanv1.RevokeOperatorRequest{Id: canaryOperator, Reason: "left the company"})},
	"AccessService/ListOperators":  {plain("security", &heyanv1.ListOperatorsRequest{})},
	"AccessService/CreateLegalBasis": {
		one("security", func(o *office, c *customer) proto.Message {
			r := basisOf(o.fresh("b"), heyanv1.LegalBasis_KIND_CONTRACT)
			r.LegalBasis.Client = c.id
			return r
		}),
		one("security", func(o *office, _ *customer) proto.Message {
			return basisOf(o.fresh("b"), heyanv1.LegalBasis_KIND_OTHER_LAW)
		}),
	},
	"AccessService/ListLegalBases": {plain("security", &heyanv1.ListLegalBasesRequest{})},
	"AccessService/ActivateDataset": {one("security", func(o *office, c *customer) proto.Message {
		return &heyanv1.ActivateDatasetRequest{Dataset: o.dataset(c), Generation: 1}
	})},
	"AccessService/UnlockCredential": {one("security", func(o *office, _ *customer) proto.Message {
		return &heyanv1.UnlockCredentialRequest{Id: o.credential(), Reason: "the key was changed"}
	})},

	"ComplianceService/ListApprovals": {plain("system", &heyanv1.ListApprovalsRequest{})},
	"ComplianceService/Approve": {one("system", func(o *office, c *customer) proto.Message {
		id, sum := o.approval()
		return &heyanv1.ApproveRequest{Id: id, RequestSha256: sum}
	})},
	"ComplianceService/Reject": {one("system", func(o *office, _ *customer) proto.Message {
		id, _ := o.approval()
		return &heyanv1.RejectRequest{Id: id, Reason: "not agreed"}
	})},
	"ComplianceService/PublishPolicy":      {one("system", func(o *office, _ *customer) proto.Message { return policyOf(o.fresh("v")) })},
	"ComplianceService/GetRetentionPolicy": {plain("audit", &heyanv1.GetRetentionPolicyRequest{})},
	"ComplianceService/UpdateRetentionPolicy": {plain("system", &heyanv1.UpdateRetentionPolicyRequest{
		RetentionPolicy: &heyanv1.RetentionPolicy{Log: &heyanv1.LogPeriod{Period: "P7M"}, LogConfigured: &heyanv1.LogPeriod{}, LogEffective: &heyanv1.LogPeriod{}},
		UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"log"}}})},
	"ComplianceService/CreateHold": {one("system", func(o *office, _ *customer) proto.Message { return holdOf(o.fresh("h")) })},
	"ComplianceService/ReleaseHold": {one("system", func(o *office, _ *customer) proto.Message {
		return &heyanv1.ReleaseHoldRequest{Id: o.hold(), Reason: "the case is closed"}
	})},
	"ComplianceService/ListHolds": {plain("audit", &heyanv1.ListHoldsRequest{})},

	"LogService/ListLogEntries": {plain("audit", &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Category: "ACCESS"}, Limit: 3}),
		plain("audit", &heyanv1.ListLogEntriesRequest{StartPositions: []*heyanv1.LogPosition{{Origin: "node9-0123456789abcdef"}}, Limit: 3})},
	"LogService/ExportLog": {
		plain("audit", &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Category: "ACCESS"}, EndIndex: 5, AnchorSizes: []uint64{1}}),
	},
	"LogService/VerifyLog":       {plain("audit", &heyanv1.VerifyLogRequest{})},
	"LogService/ListLogSegments": {plain("audit", &heyanv1.ListLogSegmentsRequest{})},
	"LogService/ListOrigins":     {plain("audit", &heyanv1.ListOriginsRequest{})},
	"LogService/GetLogCoverage":  {plain("audit", &heyanv1.GetLogCoverageRequest{})},
	"LogService/GetCheckpoint":   {plain("audit", &heyanv1.GetCheckpointRequest{})},
}

// What the office needs on file. Ids are short: a row that two stores need the id of has no 16 bytes of it.
const (
	canaryBasis    = "kyc"
	canaryPolicy   = "v1"
	canaryDataset  = "people"
	canaryOperator = "leaver"
	canaryNotice   = "n1"
)

// verify is a lawful request about the customer's own person.
func (c *customer) verify(o *office) *heyanv1.VerifyRequest {
	return &heyanv1.VerifyRequest{
		Product: "id2", Fields: proto.CloneOf(c.person), RequestId: o.fresh("r"), ClientReference: o.fresh("ref"),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: canaryNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)), EvidenceRef: o.fresh("e")}},
	}
}

func (c *customer) guarded(o *office) *heyanv1.VerifyRequest {
	r := c.verify(o)
	r.Fields, r.Guardian = proto.CloneOf(c.child), guardianOf(o)
	return r
}

// answered is a fresh answer.
func (c *customer) answered(o *office) *heyanv1.Verification {
	o.t.Helper()
	answer, err := heyanv1.NewVerificationServiceClient(c.conn).Verify(context.Background(), c.verify(o))
	o.must(err)
	return answer.GetVerification()
}

func (c *customer) consent(o *office) *heyanv1.CreateConsentRequest {
	return &heyanv1.CreateConsentRequest{Notice: canaryNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)),
		EvidenceRef: o.fresh("e"), Subject: proto.CloneOf(c.person)}
}

// evidence is that of a consent on file.
func (c *customer) evidence(o *office) *heyanv1.Evidence {
	r := c.consent(o)
	_, err := heyanv1.NewConsentServiceClient(c.conn).CreateConsent(context.Background(), r)
	o.must(err)
	return &heyanv1.Evidence{Notice: r.GetNotice(), EvidenceRef: r.GetEvidenceRef()}
}

func guardianOf(o *office) *heyanv1.Guardian {
	return &heyanv1.Guardian{Relation: heyanv1.GuardianRelation_GUARDIAN_RELATION_PARENT, EvidenceRef: o.fresh("g"), ObtainTime: timestamppb.Now()}
}

// nobody is a person who is on no file.
func nobody() *heyanv1.Fields {
	return &heyanv1.Fields{Name: proto.String("赵无名"), IdNumber: proto.String(withCheck("11010119900307123"))}
}

func newClient(id string) *heyanv1.CreateClientRequest {
	return &heyanv1.CreateClientRequest{Client: &heyanv1.Client{Id: id, DisplayName: "A client", Establishment: "CN", AllowedSources: []string{"203.0.113.0/24"}}}
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		reason, _ := reasonAndFact(err, "")
		o.t.Fatalf("a lawful request was refused: %s %v", reason, err)
	}
}

func (o *office) client() string {
	id := o.fresh("c")
	_, err := heyanv1.NewAdminServiceClient(o.crew.system).CreateClient(context.Background(), newClient(id))
	o.must(err)
	return id
}

func entitle(client string) *heyanv1.SetEntitlementRequest {
	return &heyanv1.SetEntitlementRequest{Entitlement: &heyanv1.Entitlement{
		Client: client, Product: "id2", Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}, LegalBases: []string{canaryBasis},
		HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ContractRef: "C-1", ExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0))}}
}

// entitled is a client that bought id2.
func (o *office) entitled() string {
	r := entitle(o.client())
	_, err := heyanv1.NewAccessServiceClient(o.crew.security).SetEntitlement(context.Background(), r)
	o.must(err)
	return r.GetEntitlement().GetClient()
}

func (o *office) credential() string {
	issued, err := heyanv1.NewAdminServiceClient(o.crew.system).IssueCredential(context.Background(), &heyanv1.IssueCredentialRequest{
		Client: o.client(), Kind: heyanv1.Credential_KIND_API_KEY, Label: "backend"})
	o.must(err)
	return issued.GetCredential().GetId()
}

// dataset is one that is imported and not active.
func (o *office) dataset(c *customer) string {
	id := o.fresh("d")
	stream, err := heyanv1.NewAdminServiceClient(o.crew.system).ImportRecords(context.Background())
	o.must(err)
	for _, m := range importOf(id, &heyanv1.ImportRows_Row{Fields: c.person}) {
		if err := stream.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
			o.must(err)
		}
	}
	_, err = stream.CloseAndRecv()
	o.must(err)
	return id
}

func importOf(dataset string, rows ...*heyanv1.ImportRows_Row) request {
	r := request{&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: &heyanv1.ImportHeader{
		Dataset: dataset, AsOf: timestamppb.New(time.Now().Add(-time.Hour)), Description: "invented people"}}}}
	list := make([]*heyanv1.ImportRows_Row, len(rows))
	for i, row := range rows {
		list[i] = proto.CloneOf(row)
	}
	return append(r, &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{Rows: &heyanv1.ImportRows{FirstRow: 1, Rows: list}}})
}

// approval is one that waits for the system administrator.
func (o *office) approval() (id string, sum []byte) {
	r := basisOf(o.fresh("b"), heyanv1.LegalBasis_KIND_OTHER_LAW)
	_, err := heyanv1.NewAccessServiceClient(o.crew.security).CreateLegalBasis(context.Background(), r)
	reason, id := reasonAndFact(err, "approval")
	if reason != "APPROVAL_REQUIRED" {
		o.t.Fatalf("asked for no approval: %v", err)
	}
	waiting, err := heyanv1.NewComplianceServiceClient(o.crew.system).ListApprovals(context.Background(), &heyanv1.ListApprovalsRequest{
		PageSize: 1000, State: heyanv1.Approval_STATE_WAITING})
	o.must(err)
	at := slices.IndexFunc(waiting.GetApprovals(), func(a *heyanv1.Approval) bool { return a.GetId() == id })
	if at < 0 {
		o.t.Fatal("the approval does not wait")
	}
	return id, waiting.GetApprovals()[at].GetRequestSha256()
}

// hold puts a hold on file.
func (o *office) hold() string {
	o.t.Helper()
	r := holdOf(o.fresh("h"))
	if _, err := heyanv1.NewComplianceServiceClient(o.crew.system).CreateHold(context.Background(), r); err != nil {
		o.t.Errorf("a hold: %v", err)
	}
	return r.GetHold().GetId()
}

func holdOf(id string) *heyanv1.CreateHoldRequest {
	return &heyanv1.CreateHoldRequest{Hold: &heyanv1.Hold{Id: id, Cause: heyanv1.Hold_CAUSE_COURT, Reference: "17", LogRange: &heyanv1.Hold_LogRange{}}}
}

func basisOf(id string, kind heyanv1.LegalBasis_Kind) *heyanv1.CreateLegalBasisRequest {
	return &heyanv1.CreateLegalBasisRequest{LegalBasis: &heyanv1.LegalBasis{
		Id: id, Kind: kind, Citation: "Anti-Money Laundering Law, art. 28", Products: []string{"id2"},
		Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}, ExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0)), DailyCap: 100_000}}
}

func policyOf(version string) *heyanv1.PublishPolicyRequest {
	return &heyanv1.PublishPolicyRequest{Policy: &heyanv1.Policy{
		Version: version, Title: "Privacy policy", Text: "What we do with personal information.", Contact: "by post", Language: "zh-CN",
		EffectiveTime: timestamppb.Now(), ChangeSummary: []string{"first version"},
		MaterialChanges: []heyanv1.MaterialChange{heyanv1.MaterialChange_MATERIAL_CHANGE_RECIPIENTS}}}
}
