package api

import (
	"cmp"
	"context"
	"errors"
	"slices"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
)

// Catalog is heyan.v1.CatalogService.
type Catalog struct {
	heyanv1.UnimplementedCatalogServiceServer
	d *Deps
}

// NewCatalog makes the service.
func NewCatalog(d *Deps) *Catalog { return &Catalog{d: d} }

// ListPolicies lists every version that was published, newest first, to anybody.
func (s *Catalog) ListPolicies(ctx context.Context, m *heyanv1.ListPoliciesRequest) (*heyanv1.ListPoliciesResponse, error) {
	limit, refused := pageSize(m.GetPageSize())
	if refused != nil {
		return nil, refused
	}
	list := s.d.pages(caller(ctx).ID, "ListPolicies")
	last, refused := list.place(m.GetPageToken())
	if refused != nil {
		return nil, refused
	}
	snapshot := s.d.Directory.Now()
	versions := make([]*policy.Version, 0, len(snapshot.Policies))
	for _, entry := range snapshot.Policies {
		versions = append(versions, &entry.Value)
	}
	slices.SortFunc(versions, func(a, b *policy.Version) int {
		return cmp.Or(b.PublishTime.Compare(a.PublishTime), cmp.Compare(b.ID, a.ID))
	})
	// Versions are immutable and stay, so the place is the last one's id and new ones shift nothing.
	begin := slices.IndexFunc(versions, func(v *policy.Version) bool { return v.ID == last }) + 1
	page, inForce := &heyanv1.ListPoliciesResponse{}, snapshot.PolicyInForce(s.d.Now())
	end := min(begin+limit, len(versions))
	for _, v := range versions[begin:end] {
		listed := publicPolicy(v, inForce)
		listed.Text = ""
		page.Policies = append(page.Policies, listed)
	}
	if end < len(versions) {
		page.NextPageToken = list.token(versions[end-1].ID)
	}
	return page, nil
}

// GetPolicy reads one version with its text, or the one in force, to anybody.
func (s *Catalog) GetPolicy(ctx context.Context, m *heyanv1.GetPolicyRequest) (*heyanv1.Policy, error) {
	snapshot := s.d.Directory.Now()
	inForce := snapshot.PolicyInForce(s.d.Now())
	found := inForce
	if m.GetVersion() != "" {
		entry, ok := snapshot.Policies[m.GetVersion()]
		if !ok {
			return nil, notFound()
		}
		found = &entry.Value
	}
	if found == nil {
		return nil, notFound().WithHint("No policy is in force.")
	}
	journal.From(ctx).SetObject("policy", found.ID)
	return publicPolicy(found, inForce), nil
}

func publicPolicy(v, inForce *policy.Version) *heyanv1.Policy {
	return &heyanv1.Policy{
		Version: v.ID, Title: v.Title, Text: v.Text, TextSha256: v.TextSHA256[:], PublishTime: stamp(v.PublishTime),
		EffectiveTime: stamp(v.EffectiveTime), ChangeSummary: v.ChangeSummary, ReducesRights: v.ReducesRights,
		RequiresReconsent: v.RequiresReconsent, MaterialChanges: publicOf(materialChangeEnum, v.MaterialChanges),
		Contact: v.Contact, Language: v.Language, Lint: v.Lint, InForce: inForce != nil && v.ID == inForce.ID,
	}
}

// AcknowledgePolicy records that the client has taken note of a version. Twice is the same.
func (s *Catalog) AcknowledgePolicy(ctx context.Context, m *heyanv1.AcknowledgePolicyRequest) (*heyanv1.AcknowledgePolicyResponse, error) {
	if m.GetVersion() == "" {
		return nil, fault.New(fault.FieldMissing).WithField("version", "")
	}
	snapshot := s.d.Directory.Now()
	entry, ok := snapshot.Policies[m.GetVersion()]
	if !ok {
		return nil, notFound().WithField("version", "NOT_ON_FILE")
	}
	journal.From(ctx).SetObject("policy", entry.Value.ID)
	client := caller(ctx).ID
	if _, done := snapshot.Acks[directory.AckID(client, entry.Value.ID)]; done {
		return &heyanv1.AcknowledgePolicyResponse{}, nil
	}
	ack := directory.Acknowledgement{Client: client, Version: entry.Value.ID, Time: s.d.Now()}
	if _, err := s.d.Directory.PutAck(ctx, ack, 0); err != nil && !errors.Is(err, store.ErrConflict) { // a twin was first
		return nil, storeFault(err)
	}
	return &heyanv1.AcknowledgePolicyResponse{}, nil
}

// ListProducts lists the catalogue, and what of it the calling client has bought.
func (s *Catalog) ListProducts(ctx context.Context, _ *heyanv1.ListProductsRequest) (*heyanv1.ListProductsResponse, error) {
	response := &heyanv1.ListProductsResponse{}
	for _, p := range s.d.Catalogue.All() {
		response.Products = append(response.Products, s.product(ctx, p))
	}
	return response, nil
}

// GetProduct reads one product.
func (s *Catalog) GetProduct(ctx context.Context, m *heyanv1.GetProductRequest) (*heyanv1.Product, error) {
	if m.GetId() == "" {
		return nil, fault.New(fault.FieldMissing).WithField("id", "")
	}
	p, known := s.d.Catalogue.Get(product.ID(m.GetId()))
	if !known {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("product", string(p.ID))
	return s.product(ctx, p), nil
}

// product is one product as the caller sees it. An operator has no entitlement.
func (s *Catalog) product(ctx context.Context, p *product.Product) *heyanv1.Product {
	var bought *product.Entitlement
	if c := caller(ctx); c.Kind == authn.Client {
		bought = s.d.Directory.Now().Entitlement(c.ID, p.ID)
	}
	recipients, handler := s.d.Verifier.Sources.Recipients(p.ID), product.Handler
	if bought != nil {
		handler = bought.HandlerRole
	}
	public := &heyanv1.Product{
		Id: string(p.ID), Title: p.Title, Fields: publicFields(p.Fields), Anchor: fieldEnum.public(p.Anchor), Recipients: recipients,
		SeparateConsents: publicSeparate(consent.Needed(p.Fields, handler, len(recipients))), Replaces: p.Replaces,
	}
	if bought.Check(s.d.Now()) != nil {
		return public
	}
	public.Entitled, public.Detail = true, bought.Detail
	if price := bought.PriceFen; price >= 0 {
		public.PriceFen = &price
	}
	return public
}
