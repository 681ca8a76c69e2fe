package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

// GetVerification reads one verification of the calling client.
func (s *Verification) GetVerification(ctx context.Context, m *heyanv1.GetVerificationRequest) (*heyanv1.Verification, error) {
	v, err := s.find(ctx, m.GetId())
	if err != nil {
		return nil, err
	}
	return publicVerification(v), nil
}

// find returns a verification that the calling client may see.
func (s *Verification) find(ctx context.Context, name string) (*ledger.Verification, error) {
	v, err := s.own(ctx, name)
	if err != nil {
		return nil, err
	}
	if !v.Visible(s.d.Now()) {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("verification", v.ID.String())
	return v, nil
}

// own returns a verification of the calling client, deleted and expired ones included.
func (s *Verification) own(ctx context.Context, name string) (*ledger.Verification, error) {
	if name == "" {
		return nil, fault.New(fault.FieldMissing).WithField("id", "")
	}
	id, err := ledger.ParseID(strings.TrimPrefix(name, namePrefix))
	if err != nil {
		return nil, notFound()
	}
	v, err := s.d.Store.Verification(ctx, caller(ctx).ID, id)
	if err == nil && v.Test != caller(ctx).Test {
		return nil, notFound() // what test credentials see is a world of its own
	}
	return v, storeFault(err)
}

// DeleteVerification deletes the client's view and the verdict.
func (s *Verification) DeleteVerification(ctx context.Context, m *heyanv1.DeleteVerificationRequest) (*heyanv1.DeleteVerificationResponse, error) {
	v, err := s.own(ctx, m.GetId())
	if err != nil {
		return nil, err
	}
	if v.State != ledger.Deleted && !v.Visible(s.d.Now()) {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("verification", v.ID.String())
	err = s.d.Store.DeleteVerification(ctx, v.Client, v.ID)
	if errors.Is(err, store.ErrConflict) {
		return nil, fault.New(fault.RevisionConflict).WithHint("The verification is PENDING. Delete it once it is reconciled.")
	}
	if err != nil {
		return nil, storeFault(err)
	}
	return &heyanv1.DeleteVerificationResponse{}, nil
}

// ListVerifications lists the calling client's verifications, newest first. A page may hold fewer than page_size,
// and none, while there is a next one.
func (s *Verification) ListVerifications(ctx context.Context, m *heyanv1.ListVerificationsRequest) (*heyanv1.ListVerificationsResponse, error) {
	client := caller(ctx).ID
	filter, refused := s.filter(verifier.Owner(client, caller(ctx).Test), m)
	if refused != nil {
		return nil, refused
	}
	list := s.d.pages(client, "ListVerifications", m.GetProduct(), m.GetLegalBasis(), m.GetClientReference(), m.GetRequestId(),
		strconv.Itoa(int(m.GetState())), filter.Start.Format(time.RFC3339Nano), filter.End.Format(time.RFC3339Nano))
	if filter.Before, refused = list.before(m.GetPageToken()); refused != nil {
		return nil, refused
	}
	found, next, more, err := s.d.Store.ListVerifications(ctx, client, filter)
	if err != nil {
		return nil, storeFault(err)
	}
	page, now := &heyanv1.ListVerificationsResponse{}, s.d.Now()
	for _, v := range found {
		if v.Visible(now) && v.Test == caller(ctx).Test {
			page.Verifications = append(page.Verifications, publicVerification(v))
		}
	}
	if more {
		page.NextPageToken = list.after(next)
	}
	return page, nil
}

// filter reads what selects the verifications. References become the digests that they were kept as.
func (s *Verification) filter(owner string, m *heyanv1.ListVerificationsRequest) (f store.VerificationFilter, refused *fault.Fault) {
	if f.Limit, refused = pageSize(m.GetPageSize()); refused != nil {
		return f, refused
	}
	if f.Start, refused = instant("start_time", m.GetStartTime()); refused != nil {
		return f, refused
	}
	if f.End, refused = instant("end_time", m.GetEndTime()); refused != nil {
		return f, refused
	}
	malformed := fault.New(fault.RequestMalformed)
	if !f.Start.IsZero() && !f.End.IsZero() && f.End.Before(f.Start) {
		malformed.WithField("end_time", "BEFORE_START_TIME")
	}
	for _, slug := range []struct{ name, value string }{{"product", m.GetProduct()}, {"legal_basis", m.GetLegalBasis()}} {
		if slug.value != "" && !product.ValidSlug(slug.value) {
			malformed.WithField(slug.name, "SLUG")
		}
	}
	for _, reference := range []struct{ name, value string }{{"client_reference", m.GetClientReference()}, {"request_id", m.GetRequestId()}} {
		if reference.value != "" && !product.ValidReference(reference.value) {
			malformed.WithField(reference.name, "REFERENCE")
		}
	}
	if len(malformed.Violations) > 0 {
		return f, malformed
	}
	f.Product, f.LegalBasis, f.State = m.GetProduct(), m.GetLegalBasis(), verificationStateEnum.domain(m.GetState())
	if m.GetClientReference() != "" {
		f.Reference = verifier.ReferenceKey(s.d.Keys, owner, m.GetClientReference())
	}
	if m.GetRequestId() != "" {
		f.Request = verifier.RequestKey(s.d.Keys, owner, m.GetRequestId())
	}
	return f, nil
}

// before reads a token whose place is an id; the zero ID is the first page.
func (p *pages) before(token string) (ledger.ID, *fault.Fault) {
	place, refused := p.place(token)
	if refused != nil || place == "" {
		return ledger.ID{}, refused
	}
	if len(place) != len(ledger.ID{}) {
		return ledger.ID{}, badToken()
	}
	return ledger.ID([]byte(place)), nil
}

// after returns the token for the page behind an id.
func (p *pages) after(id ledger.ID) string { return p.token(string(id[:])) }
