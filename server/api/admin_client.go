package api

import (
	"context"
	"slices"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/role"
)

// maxRate is the highest rate that a client may be given, in calls a second.
const maxRate = 1_000_000

// CreateClient registers a customer. Only one established in China is taken (MV-4-overseas).
func (a *Admin) CreateClient(ctx context.Context, req *heyanv1.CreateClientRequest) (*heyanv1.Client, error) {
	p := req.GetClient()
	if f := a.d.slug(ctx, "client.id", p.GetId()); f != nil {
		return nil, f
	}
	client := account.Client{ID: p.GetId(), State: account.Active, Establishment: p.GetEstablishment(), PolicyGate: p.GetPolicyGate()}
	switch {
	case p.GetEstablishment() == "":
		return nil, missing("client.establishment")
	case p.GetEstablishment() != "CN":
		return nil, fault.New(fault.RegionForbidden).WithField("client.establishment", "NOT_CN")
	case p.GetState() != heyanv1.Client_STATE_UNSPECIFIED && p.GetState() != heyanv1.Client_STATE_ACTIVE:
		return nil, malformed("client.state", "NEW_CLIENTS_ARE_ACTIVE")
	}
	for _, member := range []string{"display_name", "allowed_sources", "rate_per_second"} {
		if f := a.setMember(ctx, &client, p, member); f != nil {
			return nil, f
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, exists := a.d.Directory.Now().Clients[client.ID]; exists {
		return nil, fault.New(fault.ResourceExists).WithField("client.id", "")
	}
	client.CreateTime = a.d.Now()
	revision, err := a.d.Directory.PutClient(ctx, client, 0)
	if err != nil {
		return nil, exists(err, "client.id")
	}
	journal.From(ctx).SetObject("client", client.ID)
	changed(ctx, nil, &client)
	return publicClient(&client, revision), nil
}

// setMember takes one member of an update.
func (a *Admin) setMember(ctx context.Context, c *account.Client, p *heyanv1.Client, member string) *fault.Fault {
	switch member {
	case "display_name":
		if p.GetDisplayName() == "" {
			return missing("client.display_name")
		}
		c.DisplayName = p.GetDisplayName()
		return a.d.text(ctx, "client.display_name", p.GetDisplayName())
	case "state":
		switch state := clientStateEnum.domain(p.GetState()); state {
		case account.Active, account.Suspended:
			c.State = state
			return nil
		}
		return malformed("client.state", "ACTIVE_OR_SUSPENDED").WithHint("CloseClient closes a client for ever.")
	case "allowed_sources":
		prefixes, f := prefixesOf("client.allowed_sources", p.GetAllowedSources())
		c.AllowedSources = prefixes
		return f
	case "rate_per_second":
		if p.GetRatePerSecond() < 0 || p.GetRatePerSecond() > maxRate {
			return malformed("client.rate_per_second", "0_TO_1000000")
		}
		c.RatePerSecond = int(p.GetRatePerSecond())
		return nil
	case "policy_gate":
		c.PolicyGate = p.GetPolicyGate()
		return nil
	}
	return malformed("update_mask", "UNKNOWN_PATH").
		WithHint("Paths are display_name, state, allowed_sources, rate_per_second and policy_gate.")
}

// client finds one on file and notes it as the object of the call.
func (d *Deps) client(ctx context.Context, id string) (*directory.Entry[account.Client], *fault.Fault) {
	entry, ok := d.Directory.Now().Clients[id]
	if !ok {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("client", id)
	return entry, nil
}

// GetClient reads one.
func (a *Admin) GetClient(ctx context.Context, req *heyanv1.GetClientRequest) (*heyanv1.Client, error) {
	entry, f := a.d.client(ctx, req.GetId())
	if f != nil {
		return nil, f
	}
	return publicClient(&entry.Value, entry.Revision), nil
}

// ListClients lists them, sorted by id.
func (a *Admin) ListClients(ctx context.Context, req *heyanv1.ListClientsRequest) (*heyanv1.ListClientsResponse, error) {
	clients := a.d.Directory.Now().Clients
	list := a.d.pages(caller(ctx).ID, "ListClients")
	cut, next, f := pageOf(list, sortedIDs(clients, nil), req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListClientsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Clients = append(response.Clients, publicClient(&clients[id].Value, clients[id].Revision))
	}
	return response, nil
}

// UpdateClient changes a client. Whoever is no system administrator may suspend, and nothing else
// (ME-1-stop-misuse); a suspension binds every call that begins after it, and every commit of those under way, and
// ends the client's connections.
func (a *Admin) UpdateClient(ctx context.Context, req *heyanv1.UpdateClientRequest) (*heyanv1.Client, error) {
	p, mask := req.GetClient(), req.GetUpdateMask().GetPaths()
	call := journal.From(ctx)
	stops := p.GetState() == heyanv1.Client_STATE_SUSPENDED && slices.Contains(mask, "state")
	switch {
	case stops:
		call.Event = record.ClientSuspended
	case slices.Contains(mask, "state"):
		call.Event = record.ClientResumed
	}
	if !caller(ctx).Roles.Has(role.SystemAdmin) && !(stops && len(mask) == 1) {
		return nil, fault.New(fault.RoleRequired).With("role", role.SystemAdmin.String()).
			WithHint("Other administrators may suspend a client, with nothing but state in the mask.")
	}
	switch {
	case len(mask) == 0:
		return nil, missing("update_mask")
	case stops && req.GetReason() == "":
		return nil, missing("reason")
	}
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, f := a.d.client(ctx, p.GetId())
	if f != nil {
		return nil, f
	}
	before := entry.Value
	switch {
	case before.State == account.Closed:
		return nil, fault.New(fault.ClientSuspended).WithHint("The client is closed for ever.")
	case p.GetRevision() != 0 && p.GetRevision() != entry.Revision:
		return nil, fault.New(fault.RevisionConflict)
	}
	after := before
	for _, member := range mask {
		if f := a.setMember(ctx, &after, p, member); f != nil {
			return nil, f
		}
	}
	if f := a.addressList(&after); f != nil {
		return nil, f
	}
	if after.State == account.Active {
		after.Reason = ""
	} else if stops {
		after.Reason = req.GetReason()
	}
	revision, err := a.d.Directory.PutClient(ctx, after, entry.Revision)
	if err != nil {
		return nil, storeFault(err)
	}
	if stops {
		if err := a.d.strike(ctx, ledger.Scope{Client: after.ID}, fault.ClientSuspended); err != nil {
			return nil, err
		}
		a.d.CloseSessions(authn.Client, after.ID)
	}
	changed(ctx, &before, &after)
	return publicClient(&after, revision), nil
}

// addressList refuses, in production, to take the last list of addresses from a client with an API key: a key that
// works from everywhere is what issuing one refuses too.
func (a *Admin) addressList(c *account.Client) *fault.Fault {
	if !a.d.Production || len(c.AllowedSources) > 0 {
		return nil
	}
	for _, entry := range a.d.Directory.Now().Credentials {
		k := &entry.Value
		if k.Client == c.ID && k.Kind == account.APIKey && k.State != account.CredentialRevoked && len(k.AllowedSources) == 0 {
			return missing("client.allowed_sources").WithHint("An API key of the client has no list of its own.")
		}
	}
	return nil
}

// CloseClient closes a client for ever and revokes its credentials. The client goes first, which alone ends
// every access; where revoking fails, the call is repeated.
func (a *Admin) CloseClient(ctx context.Context, req *heyanv1.CloseClientRequest) (*heyanv1.Client, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, f := a.d.client(ctx, req.GetId())
	if f != nil {
		return nil, f
	}
	before, after, revision := entry.Value, entry.Value, entry.Revision
	if after.State != account.Closed {
		var err error
		after.State, after.Reason = account.Closed, req.GetReason()
		if revision, err = a.d.Directory.PutClient(ctx, after, revision); err != nil {
			return nil, storeFault(err)
		}
	}
	if err := a.d.strike(ctx, ledger.Scope{Client: after.ID}, fault.CredentialInvalid); err != nil {
		return nil, err
	}
	a.d.CloseSessions(authn.Client, after.ID)
	changed(ctx, &before, &after)
	for _, credential := range a.d.Directory.Now().Credentials {
		if c := credential.Value; c.Client == after.ID && c.State != account.CredentialRevoked {
			c.State, c.Reason = account.CredentialRevoked, req.GetReason()
			if _, err := a.d.Directory.PutCredential(ctx, c, credential.Revision); err != nil {
				return nil, storeFault(err)
			}
		}
	}
	return publicClient(&after, revision), nil
}

func publicClient(c *account.Client, revision int64) *heyanv1.Client {
	return &heyanv1.Client{
		Id: c.ID, DisplayName: c.DisplayName, State: clientStateEnum.public(c.State), Establishment: c.Establishment,
		AllowedSources: publicPrefixes(c.AllowedSources), RatePerSecond: int32(c.RatePerSecond), PolicyGate: c.PolicyGate,
		Revision: revision, CreateTime: stamp(c.CreateTime), Reason: c.Reason,
	}
}
