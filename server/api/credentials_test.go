package api

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
)

func (o *office) issue(by string, request *heyanv1.IssueCredentialRequest) outcome[*heyanv1.IssueCredentialResponse] {
	o.t.Helper()
	return does(o, by, "AdminService/IssueCredential", record.CredentialIssued, o.admin.IssueCredential, request)
}

func (o *office) revoke(by, id string) outcome[*heyanv1.Credential] {
	o.t.Helper()
	return does(o, by, "AdminService/RevokeCredential", record.CredentialRevoked, o.admin.RevokeCredential, &heyanv1.RevokeCredentialRequest{Id: id, Reason: "lost"})
}

// newClient registers a client that has nothing yet.
func (o *office) newClient(id string) {
	o.t.Helper()
	_, err := o.Directory.PutClient(o.t.Context(), account.Client{ID: id, DisplayName: id, State: account.Active, Establishment: "CN", CreateTime: start}, 0)
	must(o.t, err)
}

func certificateRequest(client, name string) *heyanv1.IssueCredentialRequest {
	return &heyanv1.IssueCredentialRequest{Client: client, Kind: heyanv1.Credential_KIND_CERTIFICATE, IssuerSha256: bytes.Repeat([]byte{10}, 32), SubjectAltName: name}
}

func TestIssuedKeyWorksAndIsKeptNowhere(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	issued := o.issue("anna", &heyanv1.IssueCredentialRequest{Client: "novel", Kind: heyanv1.Credential_KIND_API_KEY, Label: "main", Test: true})
	reply := accepted(t, issued)
	key := reply.GetApiKey()
	if !strings.HasPrefix(key, "heyan_test_") || reply.GetCredential().GetExpireTime().AsTime() != start.Add(365*day) {
		t.Errorf("issued %v", reply)
	}
	a := authn.New(func() *directory.Snapshot { return o.Directory.Now() }, o.Keys, o.Now, nil)
	who, refused := a.Authenticate(t.Context(), authn.Peer{Address: netip.MustParseAddr("203.0.113.1")}, "Bearer "+key)
	if refused != nil || who.ID != "novel" || !who.Test {
		t.Errorf("the key is %+v, %v", who, refused)
	}
	stored, err := json.Marshal(o.Directory.Now().Credentials[reply.GetCredential().GetId()])
	must(t, err)
	_, secret, err := account.ParseKey(key)
	must(t, err)
	secretList, err := json.Marshal(secret)
	must(t, err)
	if bytes.Contains(stored, secretList) || bytes.Contains(stored, []byte(key)) {
		t.Error("the secret is on file")
	}
	if r := issued.record; r.Object.ID != reply.GetCredential().GetId() || r.Object.Type != "credential" || r.Change == nil {
		t.Errorf("its record says %+v", r)
	}
}

func TestIssueCredentialRefuses(t *testing.T) {
	key := func(change func(*heyanv1.IssueCredentialRequest)) *heyanv1.IssueCredentialRequest {
		r := &heyanv1.IssueCredentialRequest{Client: "novel", Kind: heyanv1.Credential_KIND_API_KEY}
		change(r)
		return r
	}
	certificate := func(change func(*heyanv1.IssueCredentialRequest)) *heyanv1.IssueCredentialRequest {
		r := certificateRequest("novel", "spiffe://novel/backend")
		change(r)
		return r
	}
	tests := []struct {
		name    string
		request *heyanv1.IssueCredentialRequest
		want    wants
	}{
		{"no such client", key(func(r *heyanv1.IssueCredentialRequest) { r.Client = "nobody" }), refusal(fault.ResourceNotFound)},
		{"suspended client", key(func(r *heyanv1.IssueCredentialRequest) { r.Client = "idle" }), refusal(fault.ClientSuspended)},
		{"no kind", key(func(r *heyanv1.IssueCredentialRequest) { r.Kind = 0 }), refusal(fault.FieldMissing, "kind")},
		{"too long", key(func(r *heyanv1.IssueCredentialRequest) { r.LifetimeDays = 826 }), refusal(fault.RequestMalformed, "lifetime_days 1_TO_825")},
		{"negative", key(func(r *heyanv1.IssueCredentialRequest) { r.LifetimeDays = -1 }), refusal(fault.RequestMalformed, "lifetime_days 1_TO_825")},
		{"no prefix", key(func(r *heyanv1.IssueCredentialRequest) { r.AllowedSources = []string{"203.0.113.7"} }), refusal(fault.RequestMalformed, "allowed_sources ADDRESS_PREFIX")},
		{"bits behind the prefix", key(func(r *heyanv1.IssueCredentialRequest) { r.AllowedSources = []string{"203.0.113.7/24"} }), refusal(fault.RequestMalformed, "allowed_sources ADDRESS_PREFIX")},
		{"PII in the label", key(func(r *heyanv1.IssueCredentialRequest) { r.Label = "tel 13800138000" }), refusal(fault.FreeTextCarriesPII, "label")},
		{"key with a name", key(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "a.example" }), refusal(fault.RequestMalformed, "issuer_sha256 ONLY_FOR_A_CERTIFICATE")},
		{"short digest", certificate(func(r *heyanv1.IssueCredentialRequest) { r.IssuerSha256 = []byte{1} }), refusal(fault.RequestMalformed, "issuer_sha256 SHA256_OF_32_BYTES")},
		{"no digest", certificate(func(r *heyanv1.IssueCredentialRequest) { r.IssuerSha256 = nil }), refusal(fault.FieldMissing, "issuer_sha256")},
		{"no name", certificate(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "" }), refusal(fault.FieldMissing, "subject_alt_name")},
		{"wildcard", certificate(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "*.example" }), refusal(fault.RequestMalformed, "subject_alt_name URI_OR_DNS_NAME")},
		{"URI with a query", certificate(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "spiffe://a/b?c=d" }), refusal(fault.RequestMalformed, "subject_alt_name URI_OR_DNS_NAME")},
		{"PII in the name", certificate(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "13800138000.example" }), refusal(fault.FreeTextCarriesPII, "subject_alt_name")},
		{"an operator's certificate", certificate(func(r *heyanv1.IssueCredentialRequest) { r.SubjectAltName = "spiffe://office/bo" }), refusal(fault.ResourceExists, "subject_alt_name BOUND_ALREADY")},
		{"URI", certificate(func(*heyanv1.IssueCredentialRequest) {}), wants{}},
		{"the same client's, to be renewed", certificate(func(*heyanv1.IssueCredentialRequest) {}), refusal(fault.ApprovalRequired)},
		{"another client's certificate", certificate(func(r *heyanv1.IssueCredentialRequest) { r.Client = "rival" }), refusal(fault.ResourceExists, "subject_alt_name BOUND_ALREADY")},
	}
	o := newOffice(t)
	o.newClient("novel")
	o.newClient("rival")
	o.newClient("idle")
	accepted(t, o.update("anna", suspend("idle")))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.issue("anna", test.request), test.want) })
	}
}

func TestProductionKeysNeedAddresses(t *testing.T) {
	o := newOffice(t)
	o.Production = true
	o.newClient("novel")
	request := &heyanv1.IssueCredentialRequest{Client: "novel", Kind: heyanv1.Credential_KIND_API_KEY}
	refusedFor(t, o.issue("anna", request).refused, fault.FieldMissing, "allowed_sources")
	request.AllowedSources = []string{"203.0.113.0/24"}
	accepted(t, o.issue("anna", request))
}

func TestAnExistingClientNeedsTwoPersons(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	first := accepted(t, o.issue("anna", certificateRequest("novel", "one.novel.example")))
	refusedFor(t, o.issue("anna", certificateRequest("novel", "two.novel.example")).refused, fault.ApprovalRequired)
	accepted(t, o.revoke("anna", first.GetCredential().GetId()))
	accepted(t, o.issue("anna", certificateRequest("novel", "two.novel.example"))) // it had nothing left
	// acme has no credential, but an entitlement.
	request := certificateRequest("acme", "acme.example")
	asked := o.issue("anna", request)
	refusedFor(t, asked.refused, fault.ApprovalRequired)
	summary := o.Directory.Now().Approvals[asked.refused.Metadata["approval"]].Value.Summary
	if !slices.Contains(summary, "client: acme") || !slices.Contains(summary, "subject_alt_name: acme.example") {
		t.Errorf("the second person reads %q", summary)
	}
	request.Approval = agree(o, asked, "bo")
	accepted(t, o.issue("anna", request))
}

func TestRevokeUnlockListCredentials(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	id := accepted(t, o.issue("anna", certificateRequest("novel", "one.novel.example"))).GetCredential().GetId()
	unlock := func(id string) outcome[*heyanv1.Credential] {
		return does(o, "bo", "AccessService/UnlockCredential", record.CredentialUnlocked, o.access.UnlockCredential, &heyanv1.UnlockCredentialRequest{Id: id})
	}
	entry := o.Directory.Now().Credentials[id]
	locked := entry.Value
	locked.State = account.CredentialLocked
	_, err := o.Directory.PutCredential(t.Context(), locked, entry.Revision)
	must(t, err)
	if c := accepted(t, unlock(id)); c.GetState() != heyanv1.Credential_STATE_ACTIVE {
		t.Errorf("unlocked is %v", c.GetState())
	}
	for range 2 { // the second time is the same
		if c := accepted(t, o.revoke("cai", id)); c.GetState() != heyanv1.Credential_STATE_REVOKED {
			t.Errorf("revoked is %v", c.GetState())
		}
	}
	if !slices.Contains(o.closed, "client novel") {
		t.Errorf("connections closed: %v", o.closed)
	}
	refusedFor(t, unlock(id).refused, fault.RequestMalformed, "id REVOKED")
	refusedFor(t, o.revoke("anna", "nothing").refused, fault.ResourceNotFound)
	list := func(client string) outcome[*heyanv1.ListCredentialsResponse] {
		return does(o, "anna", "AdminService/ListCredentials", record.CredentialListed, o.admin.ListCredentials, &heyanv1.ListCredentialsRequest{Client: client})
	}
	if got := accepted(t, list("novel")).GetCredentials(); len(got) != 1 || got[0].GetId() != id || len(got[0].GetIssuerSha256()) != 32 {
		t.Errorf("listed %v", got)
	}
	if got := accepted(t, list("acme")).GetCredentials(); len(got) != 0 {
		t.Errorf("listed %v", got)
	}
	refusedFor(t, list("nobody").refused, fault.ResourceNotFound)
}
