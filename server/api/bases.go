package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

// CreateLegalBasis registers a ground other than consent. Kinds whose ground in law is least sure need two
// persons (consent.BasisKind.TwoPersons); one that needs them is of no use without ApprovedBy.
func (a *Access) CreateLegalBasis(ctx context.Context, req *heyanv1.CreateLegalBasisRequest) (*heyanv1.LegalBasis, error) {
	basis, f := a.newBasis(ctx, req.GetLegalBasis())
	if f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.d.Directory.Now()
	if _, exists := s.LegalBases[basis.ID]; exists {
		return nil, fault.New(fault.ResourceExists).WithField("legal_basis.id", "")
	}
	if _, ok := s.Clients[basis.Client]; !ok && basis.Client != "" {
		return nil, notFound().WithField("legal_basis.client", "")
	}
	var p *permit
	if basis.Kind.TwoPersons() {
		var err error
		if p, err = a.d.permit(ctx, act{request: req, summary: basisSummary(basis)}); err != nil {
			return nil, err
		}
		basis.ApprovedBy = p.person()
	}
	if _, err := a.d.Directory.PutLegalBasis(ctx, *basis, 0); err != nil {
		return nil, p.unused(ctx, exists(err, "legal_basis.id"))
	}
	journal.From(ctx).SetObject("legal-basis", basis.ID)
	changed(ctx, nil, basis)
	return publicBasis(basis), nil
}

// newBasis reads what is asked for.
func (a *Access) newBasis(ctx context.Context, p *heyanv1.LegalBasis) (*consent.LegalBasis, *fault.Fault) {
	if f := a.d.slug(ctx, "legal_basis.id", p.GetId()); f != nil {
		return nil, f
	}
	if f := a.d.text(ctx, "legal_basis.citation", p.GetCitation()); f != nil {
		return nil, f
	}
	if f := sha256Of("legal_basis.document_sha256", p.GetDocumentSha256()); f != nil {
		return nil, f
	}
	for _, id := range p.GetProducts() {
		if _, ok := a.d.Catalogue.Get(product.ID(id)); !ok {
			return nil, notFound().WithField("legal_basis.products", "NOT_IN_THE_CATALOGUE")
		}
	}
	purposes, f := purposesOf("legal_basis.purposes", p.GetPurposes())
	if f != nil {
		return nil, f
	}
	expire, f := instant("legal_basis.expire_time", p.GetExpireTime())
	if f != nil {
		return nil, f
	}
	products := slices.Clone(p.GetProducts())
	slices.Sort(products)
	b := &consent.LegalBasis{
		ID: p.GetId(), Kind: basisKindEnum.domain(p.GetKind()), Citation: p.GetCitation(), DocumentSHA256: p.GetDocumentSha256(),
		Client: p.GetClient(), Products: slices.Compact(products), Purposes: purposes, Expire: expire, DailyCap: p.GetDailyCap(),
		CreatedBy: caller(ctx).Person, CreateTime: a.d.Now(),
	}
	return b, b.CheckRegistration(b.CreateTime)
}

// basisSummary shows the citation, which is free text, by its digest: the second person has the text from the
// first, and can tell that it is this one.
func basisSummary(b *consent.LegalBasis) []string {
	citation := sha256.Sum256([]byte(b.Citation))
	var purposes []string
	for _, p := range b.Purposes.List() {
		purposes = append(purposes, p.String())
	}
	return lines(
		line("legal_basis", b.ID), line("kind", b.Kind.String()), line("pipl_item", b.Kind.PIPLItem()),
		line("citation_sha256", hex.EncodeToString(citation[:])), line("document_sha256", hex.EncodeToString(b.DocumentSHA256)),
		line("client", b.Client), line("products", strings.Join(b.Products, ", ")), line("purposes", strings.Join(purposes, ", ")),
		timeLine("expire_time", b.Expire), line("daily_cap", number(b.DailyCap)),
	)
}

// ListLegalBases lists them, sorted by id.
func (a *Access) ListLegalBases(ctx context.Context, req *heyanv1.ListLegalBasesRequest) (*heyanv1.ListLegalBasesResponse, error) {
	all := a.d.Directory.Now().LegalBases
	list := a.d.pages(caller(ctx).ID, "ListLegalBases")
	cut, next, f := pageOf(list, sortedIDs(all, nil), req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListLegalBasesResponse{NextPageToken: next}
	for _, id := range cut {
		response.LegalBases = append(response.LegalBases, publicBasis(&all[id].Value))
	}
	return response, nil
}

func publicBasis(b *consent.LegalBasis) *heyanv1.LegalBasis {
	return &heyanv1.LegalBasis{
		Id: b.ID, Kind: basisKindEnum.public(b.Kind), Citation: b.Citation, DocumentSha256: b.DocumentSHA256, Client: b.Client,
		Products: b.Products, Purposes: publicPurposes(b.Purposes), ExpireTime: stamp(b.Expire), DailyCap: b.DailyCap,
		PiplItem: b.Kind.PIPLItem(), CreatedBy: b.CreatedBy, ApprovedBy: b.ApprovedBy, CreateTime: stamp(b.CreateTime),
	}
}
