package api

import (
	"context"
	"sync"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

// Access is the AccessService: entitlements (here), recipients (access_recipient.go), operators (operators.go),
// legal bases (bases.go), activation (datasets.go) and unlocking (credentials.go).
type Access struct {
	heyanv1.UnimplementedAccessServiceServer
	d *Deps

	// mu is held over every write, as in Admin. Admin's is another one: a certificate can be bound to a client
	// and to an operator in the same instant. Authentication then takes the operator, whom two persons bound.
	mu sync.Mutex
}

// NewAccess makes the service.
func NewAccess(d *Deps) *Access { return &Access{d: d} }

// Retention of verdicts, in days.
const (
	defaultRetention = 30
	maxRetention     = 1095
)

// maxBases is how many legal bases one entitlement may name.
const maxBases = 100

// SetEntitlement sells a product to a client, or changes what was sold. Setting a revoked one sells it again.
func (a *Access) SetEntitlement(ctx context.Context, req *heyanv1.SetEntitlementRequest) (*heyanv1.Entitlement, error) {
	p := req.GetEntitlement()
	next, f := a.newEntitlement(ctx, p)
	if f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.d.Directory.Now()
	if f := entitled(s, next); f != nil {
		return nil, f
	}
	id := directory.EntitlementID(next.Client, next.Product)
	var before any
	var revision int64
	if entry, ok := s.Entitlements[id]; ok {
		before, revision = &entry.Value, entry.Revision
		journal.From(ctx).SetObject("entitlement", id)
	}
	if p.GetRevision() != 0 && p.GetRevision() != revision {
		return nil, fault.New(fault.RevisionConflict)
	}
	next.Revision = revision + 1
	if _, err := a.d.Directory.PutEntitlement(ctx, *next, revision); err != nil {
		return nil, storeFault(err)
	}
	journal.From(ctx).SetObject("entitlement", id)
	changed(ctx, before, next)
	return publicEntitlement(next), nil
}

// newEntitlement reads what is asked for, without looking at what is on file.
func (a *Access) newEntitlement(ctx context.Context, p *heyanv1.Entitlement) (*product.Entitlement, *fault.Fault) {
	if f := a.d.slug(ctx, "entitlement.client", p.GetClient()); f != nil {
		return nil, f
	}
	id := product.ID(p.GetProduct())
	if _, ok := a.d.Catalogue.Get(id); !ok {
		return nil, notFound().WithField("entitlement.product", "NOT_IN_THE_CATALOGUE")
	}
	e := &product.Entitlement{
		Client: p.GetClient(), Product: id, Quota: product.Unlimited, TestQuota: product.Quota{Limit: product.TestQuotaDefault, Period: product.Daily},
		PriceFen: -1, Detail: p.GetDetail(), LegalBases: p.GetLegalBases(), HandlerRole: handlerRoleEnum.domain(p.GetHandlerRole()),
		ContractRef: p.GetContractRef(), RetentionDays: defaultRetention, UpdateTime: a.d.Now(),
	}
	for _, part := range []func(context.Context, *product.Entitlement, *heyanv1.Entitlement) *fault.Fault{
		a.setPurposes, a.setQuota, a.setContract, a.setTerm,
	} {
		if f := part(ctx, e, p); f != nil {
			return nil, f
		}
	}
	return e, nil
}

func (a *Access) setPurposes(_ context.Context, e *product.Entitlement, p *heyanv1.Entitlement) (f *fault.Fault) {
	if len(p.GetPurposes()) == 0 {
		return missing("entitlement.purposes")
	}
	e.Purposes, f = purposesOf("entitlement.purposes", p.GetPurposes())
	return f
}

func (a *Access) setQuota(_ context.Context, e *product.Entitlement, p *heyanv1.Entitlement) *fault.Fault {
	period := quotaPeriodEnum.domain(p.GetQuotaPeriod())
	switch {
	case p.GetQuota() < 0 || p.GetTestQuota() < 0 || p.GetPriceFen() < 0:
		return malformed("entitlement.quota", "NOT_NEGATIVE").WithHint("That holds for test_quota and price_fen too.")
	case p.Quota != nil && period == 0:
		return missing("entitlement.quota_period")
	case p.Quota == nil && period != 0:
		return malformed("entitlement.quota_period", "ONLY_WITH_A_QUOTA")
	}
	if p.Quota != nil {
		e.Quota = product.Quota{Limit: p.GetQuota(), Period: period}
	}
	if period != 0 {
		e.TestQuota.Period = period
	}
	if p.TestQuota != nil {
		e.TestQuota.Limit = p.GetTestQuota()
	}
	if p.PriceFen != nil {
		e.PriceFen = p.GetPriceFen()
	}
	return nil
}

// setContract takes whose processing it is, and the contract: who is entrusted acts on one (MV-1.2-entrusted,
// PIPL art. 21), so it has to be named.
func (a *Access) setContract(ctx context.Context, e *product.Entitlement, p *heyanv1.Entitlement) *fault.Fault {
	switch {
	case e.HandlerRole == 0:
		return missing("entitlement.handler_role")
	case p.GetContractRef() == "" && e.HandlerRole == product.Entrusted:
		return missing("entitlement.contract_ref")
	case p.GetContractRef() == "":
		return nil
	case !product.ValidReference(p.GetContractRef()):
		return malformed("entitlement.contract_ref", "REFERENCE")
	}
	return a.d.scan(ctx, "entitlement.contract_ref", p.GetContractRef())
}

func (a *Access) setTerm(_ context.Context, e *product.Entitlement, p *heyanv1.Entitlement) (f *fault.Fault) {
	if e.Start, f = instant("entitlement.start_time", p.GetStartTime()); f != nil {
		return f
	}
	if e.Expire, f = instant("entitlement.expire_time", p.GetExpireTime()); f != nil {
		return f
	}
	if e.Start.IsZero() {
		e.Start = e.UpdateTime
	}
	switch days := p.GetRetentionDays(); {
	case days < 0 || days > maxRetention:
		return malformed("entitlement.retention_days", "1_TO_1095")
	case days > 0:
		e.RetentionDays = int(days)
	}
	switch {
	case e.Expire.IsZero():
		return missing("entitlement.expire_time")
	case !e.Expire.After(e.UpdateTime):
		return malformed("entitlement.expire_time", "NOT_IN_THE_FUTURE")
	case !e.Expire.After(e.Start):
		return malformed("entitlement.expire_time", "NOT_AFTER_START")
	}
	return nil
}

// entitled checks an entitlement against what is on file: a client of China (MV-4-overseas), and legal bases
// that may serve it.
func entitled(s *directory.Snapshot, e *product.Entitlement) *fault.Fault {
	client, ok := s.Clients[e.Client]
	switch {
	case !ok:
		return notFound().WithField("entitlement.client", "")
	case client.Value.Establishment != "CN":
		return fault.New(fault.RegionForbidden).WithField("entitlement.client", "NOT_CN")
	case client.Value.State == account.Closed:
		return fault.New(fault.ClientSuspended).WithHint("The client is closed for ever.")
	case len(e.LegalBases) > maxBases:
		return malformed("entitlement.legal_bases", "AT_MOST_100")
	}
	for _, id := range e.LegalBases {
		basis := s.LegalBasis(id)
		if basis == nil {
			return notFound().WithField("entitlement.legal_bases", "")
		}
		if basis.Client != "" && basis.Client != e.Client {
			return fault.New(fault.LegalBasisUnsupported).WithField("entitlement.legal_bases", "OF_ANOTHER_CLIENT")
		}
	}
	return nil
}

// RevokeEntitlement ends one at once: the next call is refused, and so is the commit of one that is under way.
func (a *Access) RevokeEntitlement(ctx context.Context, req *heyanv1.RevokeEntitlementRequest) (*heyanv1.Entitlement, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := directory.EntitlementID(req.GetClient(), product.ID(req.GetProduct()))
	entry, ok := a.d.Directory.Now().Entitlements[id]
	if !ok {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("entitlement", id)
	before, after := entry.Value, entry.Value
	if !after.Revoked {
		after.Revoked, after.Reason, after.UpdateTime, after.Revision = true, req.GetReason(), a.d.Now(), entry.Revision+1
		if _, err := a.d.Directory.PutEntitlement(ctx, after, entry.Revision); err != nil {
			return nil, storeFault(err)
		}
	}
	if err := a.d.strike(ctx, ledger.Scope{Client: after.Client, Product: string(after.Product)}, fault.ProductNotEntitled); err != nil {
		return nil, err
	}
	changed(ctx, &before, &after)
	return publicEntitlement(&after), nil
}

// ListEntitlements lists them, sorted by client and product.
func (a *Access) ListEntitlements(ctx context.Context, req *heyanv1.ListEntitlementsRequest) (*heyanv1.ListEntitlementsResponse, error) {
	if req.GetClient() != "" {
		if _, f := a.d.client(ctx, req.GetClient()); f != nil {
			return nil, f
		}
	}
	all := a.d.Directory.Now().Entitlements
	ids := sortedIDs(all, func(e *directory.Entry[product.Entitlement]) bool {
		return req.GetClient() == "" || e.Value.Client == req.GetClient()
	})
	list := a.d.pages(caller(ctx).ID, "ListEntitlements", req.GetClient())
	cut, next, f := pageOf(list, ids, req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListEntitlementsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Entitlements = append(response.Entitlements, publicEntitlement(&all[id].Value))
	}
	return response, nil
}

func publicEntitlement(e *product.Entitlement) *heyanv1.Entitlement {
	p := &heyanv1.Entitlement{
		Client: e.Client, Product: string(e.Product), Purposes: publicPurposes(e.Purposes), TestQuota: &e.TestQuota.Limit,
		Detail: e.Detail, LegalBases: e.LegalBases, HandlerRole: handlerRoleEnum.public(e.HandlerRole), ContractRef: e.ContractRef,
		StartTime: stamp(e.Start), ExpireTime: stamp(e.Expire), RetentionDays: int32(e.RetentionDays), Revision: e.Revision,
		Revoked: e.Revoked, UpdateTime: stamp(e.UpdateTime), Reason: e.Reason,
	}
	if e.Quota.Limit >= 0 {
		p.Quota, p.QuotaPeriod = &e.Quota.Limit, quotaPeriodEnum.public(e.Quota.Period)
	}
	if e.PriceFen >= 0 {
		p.PriceFen = &e.PriceFen
	}
	return p
}
