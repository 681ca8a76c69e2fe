package api

import (
	"context"
	"errors"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// GetReceipt reads the receipt of one verification of the calling client.
func (s *Verification) GetReceipt(ctx context.Context, m *heyanv1.GetReceiptRequest) (*heyanv1.Receipt, error) {
	v, err := s.find(ctx, m.GetId())
	if err != nil {
		return nil, err
	}
	return receiptOf(ctx, s.d.records, v.ID, v.Log, v.Resolution)
}

// records returns what receipts of an origin are made from: this node's log, or a closed one that can be read from here.
func (d *Deps) records(ctx context.Context, origin string) (records, error) {
	if origin == d.Log.Origin() {
		return d.Log, nil
	}
	log, err := d.closed(ctx, origin)
	if f := (*fault.Fault)(nil); errors.As(err, &f) && f.Reason == fault.ResourceNotFound {
		return nil, noReceipt()
	}
	return log, err
}

// records is what a receipt is made from: one network log.
type records interface {
	Get(ctx context.Context, index uint64) (leaf []byte, err error)
	Proof(ctx context.Context, index uint64) ([]byte, error)
}

// recordsOf finds the log of an origin.
type recordsOf func(ctx context.Context, origin string) (records, error)

// receiptOf makes the receipt of a verification's record at a place, and of the one that settled it later; the zero
// resolution is none.
func receiptOf(ctx context.Context, of recordsOf, id ledger.ID, at, resolution ledger.Position) (*heyanv1.Receipt, error) {
	var receipt heyanv1.Receipt
	var err error
	if receipt.Leaf, receipt.Proof, err = proven(ctx, of, id, at); err != nil {
		return nil, err
	}
	if resolution == (ledger.Position{}) {
		return &receipt, nil
	}
	if receipt.ResolutionLeaf, receipt.ResolutionProof, err = proven(ctx, of, id, resolution); err != nil {
		return nil, err
	}
	return &receipt, nil
}

// proven reads one record of a verification and its proof. A record of anything else at that place is none: a receipt
// of it would tell a client what another one did.
func proven(ctx context.Context, of recordsOf, id ledger.ID, at ledger.Position) (leaf, proof []byte, err error) {
	log, err := of(ctx, at.Origin)
	if err != nil {
		return nil, nil, err
	}
	if leaf, err = log.Get(ctx, at.Index); err == nil {
		proof, err = log.Proof(ctx, at.Index)
	}
	switch {
	case err == nil && !isOf(leaf, id):
		return nil, nil, noReceipt()
	case err == nil:
		return leaf, proof, nil
	case errors.Is(err, netlog.ErrNotFound), errors.Is(err, netlog.ErrPurged):
		return nil, nil, noReceipt()
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	}
	// Not LOG_UNAVAILABLE: the log can be written, and holds a record of this refusal.
	return nil, nil, fault.New(fault.StoreUnavailable).WithCause(err).WithRetryAfter(time.Second)
}

// isOf tells that a record is one of the verification's.
func isOf(leaf []byte, id ledger.ID) bool {
	r, err := record.Parse(leaf)
	return err == nil && r.Object == record.Object{Type: "verification", ID: id.String()}
}

func noReceipt() *fault.Fault {
	return notFound().WithHint("No network log that this node can read holds the record: it was purged, or another node wrote it. " +
		"Ask for return_receipt with the verification to keep receipts yourself.")
}
