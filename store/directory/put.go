package directory

import (
	"context"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

// The Put methods write one object in place of revision expect (0 = there is none yet) and return its new
// revision, or answer store.ErrConflict. Every call that begins after one returned sees the object.

// PutClient writes a client.
func (d *Directory) PutClient(ctx context.Context, c account.Client, expect int64) (int64, error) {
	return put(ctx, d, store.Clients, c.ID, c, expect, func(s *Snapshot) *entries[account.Client] { return &s.Clients })
}

// PutCredential writes a credential.
func (d *Directory) PutCredential(ctx context.Context, c account.Credential, expect int64) (int64, error) {
	return put(ctx, d, store.Credentials, c.ID, c, expect, func(s *Snapshot) *entries[account.Credential] { return &s.Credentials })
}

// PutOperator writes an operator.
func (d *Directory) PutOperator(ctx context.Context, o role.Operator, expect int64) (int64, error) {
	return put(ctx, d, store.Operators, o.ID, o, expect, func(s *Snapshot) *entries[role.Operator] { return &s.Operators })
}

// PutEntitlement writes an entitlement.
func (d *Directory) PutEntitlement(ctx context.Context, e product.Entitlement, expect int64) (int64, error) {
	return put(ctx, d, store.Entitlements, EntitlementID(e.Client, e.Product), e, expect,
		func(s *Snapshot) *entries[product.Entitlement] { return &s.Entitlements })
}

// PutRecipient writes a recipient.
func (d *Directory) PutRecipient(ctx context.Context, r consent.Recipient, expect int64) (int64, error) {
	return put(ctx, d, store.Recipients, r.ID, r, expect, func(s *Snapshot) *entries[consent.Recipient] { return &s.Recipients })
}

// PutNotice writes a notice.
func (d *Directory) PutNotice(ctx context.Context, n consent.Notice, expect int64) (int64, error) {
	return put(ctx, d, store.Notices, NoticeID(n.Client, n.ID), n, expect, func(s *Snapshot) *entries[consent.Notice] { return &s.Notices })
}

// PutLegalBasis writes a legal basis.
func (d *Directory) PutLegalBasis(ctx context.Context, b consent.LegalBasis, expect int64) (int64, error) {
	return put(ctx, d, store.LegalBases, b.ID, b, expect, func(s *Snapshot) *entries[consent.LegalBasis] { return &s.LegalBases })
}

// PutPolicy writes a policy version.
func (d *Directory) PutPolicy(ctx context.Context, v policy.Version, expect int64) (int64, error) {
	return put(ctx, d, store.Policies, v.ID, v, expect, func(s *Snapshot) *entries[policy.Version] { return &s.Policies })
}

// PutApproval writes an approval.
func (d *Directory) PutApproval(ctx context.Context, a role.Approval, expect int64) (int64, error) {
	return put(ctx, d, store.Approvals, a.ID, a, expect, func(s *Snapshot) *entries[role.Approval] { return &s.Approvals })
}

// PutDataset writes a dataset with its generations.
func (d *Directory) PutDataset(ctx context.Context, v dataset.Dataset, expect int64) (int64, error) {
	return put(ctx, d, store.DatasetKind, v.ID, v, expect, func(s *Snapshot) *entries[dataset.Dataset] { return &s.Datasets })
}

// PutAck writes an acknowledgement.
func (d *Directory) PutAck(ctx context.Context, a Acknowledgement, expect int64) (int64, error) {
	return put(ctx, d, store.Acks, AckID(a.Client, a.Version), a, expect, func(s *Snapshot) *entries[Acknowledgement] { return &s.Acks })
}
