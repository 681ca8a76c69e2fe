package api

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
)

func (o *office) create(c *heyanv1.Client) outcome[*heyanv1.Client] {
	o.t.Helper()
	return does(o, "anna", "AdminService/CreateClient", record.ClientCreated, o.admin.CreateClient, &heyanv1.CreateClientRequest{Client: c})
}

func (o *office) update(by string, request *heyanv1.UpdateClientRequest) outcome[*heyanv1.Client] {
	o.t.Helper()
	return does(o, by, "AdminService/UpdateClient", record.ClientUpdated, o.admin.UpdateClient, request)
}

func updateOf(c *heyanv1.Client, reason string, paths ...string) *heyanv1.UpdateClientRequest {
	return &heyanv1.UpdateClientRequest{Client: c, Reason: reason, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}}
}

func suspend(id string) *heyanv1.UpdateClientRequest {
	return updateOf(&heyanv1.Client{Id: id, State: heyanv1.Client_STATE_SUSPENDED}, "misuse", "state")
}

func TestCreateClient(t *testing.T) {
	tests := []struct {
		name   string
		client *heyanv1.Client
		want   wants
	}{
		{"MV-4-overseas", &heyanv1.Client{Id: "abroad", DisplayName: "Abroad", Establishment: "HK"}, refusal(fault.RegionForbidden, "client.establishment NOT_CN")},
		{"nothing", nil, refusal(fault.FieldMissing, "client.id")},
		{"no establishment", &heyanv1.Client{Id: "a", DisplayName: "A"}, refusal(fault.FieldMissing, "client.establishment")},
		{"no name", &heyanv1.Client{Id: "a", Establishment: "CN"}, refusal(fault.FieldMissing, "client.display_name")},
		{"no slug", &heyanv1.Client{Id: "A b", DisplayName: "A", Establishment: "CN"}, refusal(fault.RequestMalformed, "client.id SLUG")},
		{"PII as a slug", &heyanv1.Client{Id: "13800138000", DisplayName: "A", Establishment: "CN"}, refusal(fault.FreeTextCarriesPII, "client.id")},
		{"PII in the name", &heyanv1.Client{Id: "a", DisplayName: "tel. 13800138000", Establishment: "CN"}, refusal(fault.FreeTextCarriesPII, "client.display_name")},
		{"suspended from the start", &heyanv1.Client{Id: "a", DisplayName: "A", Establishment: "CN", State: heyanv1.Client_STATE_SUSPENDED},
			refusal(fault.RequestMalformed, "client.state NEW_CLIENTS_ARE_ACTIVE")},
		{"rate", &heyanv1.Client{Id: "a", DisplayName: "A", Establishment: "CN", RatePerSecond: -1}, refusal(fault.RequestMalformed, "client.rate_per_second 0_TO_1000000")},
		{"there already", &heyanv1.Client{Id: "acme", DisplayName: "A", Establishment: "CN"}, refusal(fault.ResourceExists, "client.id")},
		{"well", &heyanv1.Client{Id: "novel", DisplayName: "小说公司", Establishment: "CN", AllowedSources: []string{"203.0.113.0/24", "2001:db8::/32"}}, wants{}},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.create(test.client), test.want) })
	}
	got := accepted(t, does(o, "cai", "AdminService/GetClient", record.ClientRead, o.admin.GetClient, &heyanv1.GetClientRequest{Id: "novel"}))
	if got.GetRevision() != 1 || got.GetState() != heyanv1.Client_STATE_ACTIVE || !slices.Equal(got.GetAllowedSources(), []string{"203.0.113.0/24", "2001:db8::/32"}) {
		t.Errorf("on file: %v", got)
	}
	refusedFor(t, does(o, "cai", "AdminService/GetClient", record.ClientRead, o.admin.GetClient, &heyanv1.GetClientRequest{Id: "nobody"}).refused, fault.ResourceNotFound)
	list := accepted(t, does(o, "cai", "AdminService/ListClients", record.ClientListed, o.admin.ListClients, &heyanv1.ListClientsRequest{PageSize: 2}))
	if len(list.GetClients()) != 2 || list.GetClients()[0].GetId() != "acme" || list.GetNextPageToken() == "" {
		t.Errorf("first page: %v", list)
	}
}

func TestUpdateClient(t *testing.T) {
	active := &heyanv1.Client{Id: "acme", State: heyanv1.Client_STATE_ACTIVE, DisplayName: "Acme"}
	tests := []struct {
		name    string
		by      string
		request *heyanv1.UpdateClientRequest
		want    wants
		event   record.Event
	}{
		{"ME-1-stop-misuse by the auditor", "cai", suspend("acme"), wants{}, record.ClientSuspended},
		{"suspension by the security administrator", "bo", suspend("acme"), wants{}, record.ClientSuspended},
		{"resumption by another role", "bo", updateOf(active, "", "state"), refusal(fault.RoleRequired), record.ClientResumed},
		{"suspension with more in the mask", "bo", updateOf(&heyanv1.Client{Id: "acme", State: heyanv1.Client_STATE_SUSPENDED}, "x", "state", "policy_gate"),
			refusal(fault.RoleRequired), record.ClientSuspended},
		{"another member by another role", "bo", updateOf(active, "", "display_name"), refusal(fault.RoleRequired), record.ClientUpdated},
		{"resumption", "anna", updateOf(active, "", "state"), wants{}, record.ClientResumed},
		{"suspension without a reason", "anna", updateOf(&heyanv1.Client{Id: "acme", State: heyanv1.Client_STATE_SUSPENDED}, "", "state"), refusal(fault.FieldMissing, "reason"), record.ClientSuspended},
		{"closing", "anna", updateOf(&heyanv1.Client{Id: "acme", State: heyanv1.Client_STATE_CLOSED}, "", "state"), refusal(fault.RequestMalformed, "client.state ACTIVE_OR_SUSPENDED"), record.ClientResumed},
		{"no mask", "anna", updateOf(active, ""), refusal(fault.FieldMissing, "update_mask"), record.ClientUpdated},
		{"unknown path", "anna", updateOf(active, "", "establishment"), refusal(fault.RequestMalformed, "update_mask UNKNOWN_PATH"), record.ClientUpdated},
		{"nobody", "anna", updateOf(&heyanv1.Client{Id: "nobody"}, "", "policy_gate"), refusal(fault.ResourceNotFound), record.ClientUpdated},
		{"old revision", "anna", updateOf(&heyanv1.Client{Id: "acme", Revision: 1, DisplayName: "B"}, "", "display_name"), refusal(fault.RevisionConflict), record.ClientUpdated},
		{"PII in the reason", "anna", updateOf(active, "13800138000", "display_name"), refusal(fault.FreeTextCarriesPII, "reason"), record.TextCarriesPII},
		{"two members", "anna", updateOf(&heyanv1.Client{Id: "acme", DisplayName: "B", RatePerSecond: 7}, "", "display_name", "rate_per_second"), wants{}, record.ClientUpdated},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o.closed = nil
			end := o.update(test.by, test.request)
			ends(t, end, test.want)
			if end.record.Event != test.event {
				t.Errorf("recorded as %v, want %v", end.record.Event, test.event)
			}
			if suspended := end.refused == nil && test.event == record.ClientSuspended; suspended != slices.Contains(o.closed, "client acme") {
				t.Errorf("connections closed: %v", o.closed)
			}
		})
	}
	got := o.Directory.Now().Clients["acme"].Value
	if got.DisplayName != "B" || got.RatePerSecond != 7 || got.State != account.Active || got.Reason != "" {
		t.Errorf("on file: %+v", got)
	}
}

func TestCloseClientIsForEver(t *testing.T) {
	o := newOffice(t)
	o.newClient("novel")
	id := accepted(t, o.issue("anna", certificateRequest("novel", "one.novel.example"))).GetCredential().GetId()
	closeIt := func() outcome[*heyanv1.Client] {
		return does(o, "anna", "AdminService/CloseClient", record.ClientClosed, o.admin.CloseClient, &heyanv1.CloseClientRequest{Id: "novel", Reason: "contract ended"})
	}
	for range 2 {
		if c := accepted(t, closeIt()); c.GetState() != heyanv1.Client_STATE_CLOSED || c.GetReason() != "contract ended" {
			t.Errorf("closed is %v", c)
		}
	}
	if c := o.Directory.Now().Credentials[id].Value; c.State != account.CredentialRevoked {
		t.Errorf("its credential is %v", c.State)
	}
	if !slices.Contains(o.closed, "client novel") {
		t.Error("its connections stay open")
	}
	refusedFor(t, o.update("anna", updateOf(&heyanv1.Client{Id: "novel", State: heyanv1.Client_STATE_ACTIVE}, "", "state")).refused, fault.ClientSuspended)
	refusedFor(t, o.issue("anna", certificateRequest("novel", "two.novel.example")).refused, fault.ClientSuspended)
}

// In production a key that works from everywhere is neither issued nor made by taking the client's list away.
func TestTheLastAddressListStays(t *testing.T) {
	o := newOffice(t)
	o.Production = true
	entry := o.Directory.Now().Clients["acme"]
	client := entry.Value
	client.AllowedSources = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	must(t, failure(o.Directory.PutClient(t.Context(), client, entry.Revision)))
	must(t, failure(o.Directory.PutCredential(t.Context(), account.Credential{ID: "k1", Client: "acme", Kind: account.APIKey, State: account.CredentialActive, ExpireTime: o.Now().Add(time.Hour)}, 0)))
	none := updateOf(&heyanv1.Client{Id: "acme"}, "", "allowed_sources")
	refusedFor(t, o.update("anna", none).refused, fault.FieldMissing, "client.allowed_sources")
	key := o.Directory.Now().Credentials["k1"]
	listed := key.Value
	listed.AllowedSources = client.AllowedSources
	must(t, failure(o.Directory.PutCredential(t.Context(), listed, key.Revision)))
	accepted(t, o.update("anna", none))
}
