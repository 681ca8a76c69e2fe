package api

import (
	"context"
	"strings"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

// ListPending lists verifications whose outcome is not known yet: by client, and of one client oldest first.
func (a *Admin) ListPending(ctx context.Context, req *heyanv1.ListPendingRequest) (*heyanv1.ListPendingResponse, error) {
	if req.GetClient() != "" {
		if _, f := a.d.client(ctx, req.GetClient()); f != nil {
			return nil, f
		}
	}
	limit, f := pageSize(req.GetPageSize())
	if f != nil {
		return nil, f
	}
	list := a.d.pages(caller(ctx).ID, "ListPending", req.GetClient())
	place, f := list.place(req.GetPageToken())
	if f != nil {
		return nil, f
	}
	client, after := pendingPlace(place)
	rows, err := a.d.Store.ListPending(ctx, req.GetClient(), client, after, limit+1)
	if err != nil {
		return nil, storeFault(err)
	}
	response := &heyanv1.ListPendingResponse{}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		response.NextPageToken = list.token(last.Client + "/" + last.ID.String())
	}
	for _, v := range rows {
		response.Pending = append(response.Pending, &heyanv1.ListPendingResponse_Pending{
			Verification: v.ID.String(), Client: v.Client, Product: string(v.Product), Source: v.Source,
			VerifyTime: stamp(v.VerifyTime), ReconcileBy: stamp(v.ReconcileBy), Test: v.Test,
		})
	}
	return response, nil
}

func pendingPlace(place string) (client string, after ledger.ID) {
	client, id, _ := strings.Cut(place, "/")
	after, _ = ledger.ParseID(id) // a token of ours, or empty
	return client, after
}

// pending finds one by its id alone. There are few: each is a call whose outcome a source still owes.
func (a *Admin) pending(ctx context.Context, text string) (*ledger.Verification, error) {
	id, err := ledger.ParseID(text)
	if err != nil {
		return nil, notFound()
	}
	const step = 1000
	var client string
	var after ledger.ID
	for {
		rows, err := a.d.Store.ListPending(ctx, "", client, after, step)
		if err != nil {
			return nil, storeFault(err)
		}
		for _, v := range rows {
			if v.ID == id {
				return v, nil
			}
		}
		if len(rows) < step {
			return nil, notFound()
		}
		client, after = rows[step-1].Client, rows[step-1].ID
	}
}

// ResolvePending states the outcome of a pending verification. Without a verdict the call never happened: the
// verification goes, the reason with it, and its unit of quota comes back. verification.reconciled is durable in the log
// first, since the row names its place; where the row does not follow, because the store fails or the machine does, the
// next start settles it as the record says, without the reason, which no record holds.
func (a *Admin) ResolvePending(ctx context.Context, req *heyanv1.ResolvePendingRequest) (*heyanv1.Verification, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	verdict, billing := verdictEnum.domain(req.GetVerdict()), billingEnum.domain(req.GetBilling())
	if verdict == 0 && billing == 0 {
		billing = product.Free
	}
	// One at a time: of two that settle the same verification the second finds it settled, and records nothing.
	a.settling.Lock()
	defer a.settling.Unlock()
	before, err := a.pending(ctx, req.GetVerification())
	if err != nil {
		return nil, err
	}
	call := journal.From(ctx)
	call.SetObject("verification", before.ID.String())
	switch {
	case billing != product.Billed && billing != product.Free:
		return nil, malformed("billing", "BILLED_OR_FREE")
	case billing == product.Billed && (verdict == 0 || before.Test):
		return nil, malformed("billing", "ONLY_FREE").WithHint("A call that never happened, and one of a test credential, is not billed.")
	}
	after := *before
	after.ResolutionReason = req.GetReason()
	delta := after.Settle(verdict, billing)
	at, settled, err := call.Open(record.VerificationReconciled, func(r *record.Record) {
		r.Actor.OnBehalfOf = before.Client
		r.Processing = journal.Processing(&after, false)
	})
	if err != nil {
		return nil, err
	}
	after.Resolution = at
	if err := a.d.Store.ResolvePending(ctx, &after, delta); err != nil {
		return nil, storeFault(err)
	}
	settled()
	changed(ctx, before, &after)
	return publicVerification(&after), nil
}
