package api

import (
	"context"
	"net/url"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
)

// maxPins is how many public keys one endpoint may present.
const maxPins = 16

// SetRecipient registers a party that values may be passed to, or changes it. Adding one is a material change:
// once a policy is published, a version that says so has to name it (MV-8-material-3).
func (a *Access) SetRecipient(ctx context.Context, req *heyanv1.SetRecipientRequest) (*heyanv1.Recipient, error) {
	p := req.GetRecipient()
	next, f := a.newRecipient(ctx, p)
	if f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.d.Directory.Now()
	var before any
	var revision int64
	if entry, ok := s.Recipients[next.ID]; ok {
		before, revision = &entry.Value, entry.Revision
		journal.From(ctx).SetObject("recipient", next.ID)
		if next.PolicyVersion == "" {
			next.PolicyVersion = entry.Value.PolicyVersion // what announced it stays on file
		}
	}
	if f := announced(s, next, revision == 0); f != nil {
		return nil, f
	}
	if p.GetRevision() != 0 && p.GetRevision() != revision {
		return nil, fault.New(fault.RevisionConflict)
	}
	revision, err := a.d.Directory.PutRecipient(ctx, *next, revision)
	if err != nil {
		return nil, storeFault(err)
	}
	journal.From(ctx).SetObject("recipient", next.ID)
	changed(ctx, before, next)
	return publicRecipient(next, revision), nil
}

// announced demands the policy version that lists the change.
func announced(s *directory.Snapshot, r *consent.Recipient, isNew bool) *fault.Fault {
	if r.PolicyVersion == "" && (!isNew || len(s.Policies) == 0) {
		return nil
	}
	version, ok := s.Policies[r.PolicyVersion]
	if !ok || !changes(&version.Value, policy.Recipients) {
		return fault.New(fault.PolicyVersionRequired).WithField("recipient.policy_version", "LISTS_RECIPIENTS").
			WithHint("Name a published version whose material changes include MATERIAL_CHANGE_RECIPIENTS.")
	}
	return nil
}

// newRecipient reads what is asked for.
func (a *Access) newRecipient(ctx context.Context, p *heyanv1.Recipient) (*consent.Recipient, *fault.Fault) {
	if f := a.d.slug(ctx, "recipient.id", p.GetId()); f != nil {
		return nil, f
	}
	if f := a.d.texts(ctx, text{"recipient.display_name", p.GetDisplayName()}, text{"recipient.nature", p.GetNature()},
		text{"recipient.use", p.GetUse()}, text{"recipient.contact", p.GetContact()}); f != nil {
		return nil, f
	}
	fields, f := fieldsOf("recipient.fields", p.GetFields())
	if f != nil {
		return nil, f
	}
	purposes, f := purposesOf("recipient.purposes", p.GetPurposes())
	if f != nil {
		return nil, f
	}
	ends, f := instant("recipient.contract_expire_time", p.GetContractExpireTime())
	if f != nil {
		return nil, f
	}
	if f := sha256Of("recipient.contract_sha256", p.GetContractSha256()); f != nil {
		return nil, f
	}
	if f := a.endpoint(ctx, p); f != nil {
		return nil, f
	}
	r := &consent.Recipient{
		ID: p.GetId(), DisplayName: p.GetDisplayName(), Nature: p.GetNature(), Use: p.GetUse(), Contact: p.GetContact(),
		Fields: fields, Purposes: purposes, Basis: recipientBasisEnum.domain(p.GetBasis()), ContractSHA256: p.GetContractSha256(),
		ContractExpire: ends, Region: p.GetRegion(), Endpoint: p.GetEndpoint(), PinsSHA256: p.GetPinsSha256(), Enabled: p.GetEnabled(),
		PolicyVersion: p.GetPolicyVersion(), UpdateTime: a.d.Now(),
	}
	return r, r.Check(r.UpdateTime)
}

// endpoint checks where a recipient is asked: https, a host, perhaps a port, and nothing else.
func (a *Access) endpoint(ctx context.Context, p *heyanv1.Recipient) *fault.Fault {
	if len(p.GetPinsSha256()) > maxPins {
		return malformed("recipient.pins_sha256", "AT_MOST_16")
	}
	for _, pin := range p.GetPinsSha256() {
		if len(pin) != 32 {
			return malformed("recipient.pins_sha256", "SHA256_OF_32_BYTES")
		}
	}
	if p.GetEndpoint() == "" {
		return nil
	}
	u, err := url.Parse(p.GetEndpoint())
	if err != nil || len(p.GetEndpoint()) > maxText || u.Scheme != "https" || u.Hostname() == "" || p.GetEndpoint() != "https://"+u.Host {
		return malformed("recipient.endpoint", "HTTPS_HOST_PORT")
	}
	return a.d.scan(ctx, "recipient.endpoint", p.GetEndpoint())
}

// ListRecipients lists them, sorted by id.
func (a *Access) ListRecipients(ctx context.Context, req *heyanv1.ListRecipientsRequest) (*heyanv1.ListRecipientsResponse, error) {
	all := a.d.Directory.Now().Recipients
	list := a.d.pages(caller(ctx).ID, "ListRecipients")
	cut, next, f := pageOf(list, sortedIDs(all, nil), req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListRecipientsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Recipients = append(response.Recipients, publicRecipient(&all[id].Value, all[id].Revision))
	}
	return response, nil
}

func publicRecipient(r *consent.Recipient, revision int64) *heyanv1.Recipient {
	return &heyanv1.Recipient{
		Id: r.ID, DisplayName: r.DisplayName, Nature: r.Nature, Use: r.Use, Contact: r.Contact, Fields: publicFields(r.Fields),
		Purposes: publicPurposes(r.Purposes), Basis: recipientBasisEnum.public(r.Basis), ContractSha256: r.ContractSHA256,
		ContractExpireTime: stamp(r.ContractExpire), Region: r.Region, Endpoint: r.Endpoint, PinsSha256: r.PinsSHA256,
		Enabled: r.Enabled, PolicyVersion: r.PolicyVersion, Revision: revision, UpdateTime: stamp(r.UpdateTime),
	}
}
