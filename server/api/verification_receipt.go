package api

import (
	"context"
	"errors"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// GetReceipt reads the receipt of one verification of the calling client.
func (s *Verification) GetReceipt(ctx context.Context, m *heyanv1.GetReceiptRequest) (*heyanv1.Receipt, error) {
	v, err := s.find(ctx, m.GetId())
	if err != nil {
		return nil, err
	}
	return receiptOf(ctx, s.d.Log, v.Log, v.Resolution)
}

// records is what a receipt is made from: the network log of this node.
type records interface {
	Origin() string
	Get(ctx context.Context, index uint64) (leaf []byte, err error)
	Proof(ctx context.Context, index uint64) ([]byte, error)
}

// receiptOf makes the receipt of the record at a place, and of the one that settled it later; the zero resolution
// is none.
func receiptOf(ctx context.Context, log records, at, resolution ledger.Position) (*heyanv1.Receipt, error) {
	var receipt heyanv1.Receipt
	var err error
	if receipt.Leaf, receipt.Proof, err = proven(ctx, log, at); err != nil {
		return nil, err
	}
	if resolution == (ledger.Position{}) {
		return &receipt, nil
	}
	if receipt.ResolutionLeaf, receipt.ResolutionProof, err = proven(ctx, log, resolution); err != nil {
		return nil, err
	}
	return &receipt, nil
}

// proven reads one record and its proof.
func proven(ctx context.Context, log records, at ledger.Position) (leaf, proof []byte, err error) {
	if at.Origin != log.Origin() {
		return nil, nil, noReceipt()
	}
	if leaf, err = log.Get(ctx, at.Index); err == nil {
		proof, err = log.Proof(ctx, at.Index)
	}
	switch {
	case err == nil:
		return leaf, proof, nil
	case errors.Is(err, netlog.ErrNotFound):
		return nil, nil, noReceipt()
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	}
	// Not LOG_UNAVAILABLE: the log can be written, and holds a record of this refusal.
	return nil, nil, fault.New(fault.StoreUnavailable).WithCause(err).WithRetryAfter(time.Second)
}

func noReceipt() *fault.Fault {
	return notFound().WithHint("This node's network log does not hold the record: it was purged, or another node wrote it. " +
		"Ask for return_receipt with the verification to keep receipts yourself.")
}
