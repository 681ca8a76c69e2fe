package api

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

func TestAReceiptIsReadLaterAndVerifies(t *testing.T) {
	w := newWorld(t)
	service, acme := NewVerification(w.Deps), w.client("acme")
	v := made(w, acme, verifyRequest(1, "测试一致"))
	get := func(p authn.Principal) outcome[*heyanv1.Receipt] {
		return run(w, p, service.GetReceipt, &heyanv1.GetReceiptRequest{Id: v.GetId()})
	}
	end := get(acme)
	got := accepted(t, end)
	proves(t, w, got.GetLeaf(), got.GetProof(), v.GetLogEntry().GetIndex())
	if got.GetResolutionLeaf() != nil || end.record.Object.ID != v.GetId() {
		t.Errorf("got %v, object %+v", got, end.record.Object)
	}
	refusedFor(t, get(w.client("other")).refused, fault.ResourceNotFound)
	refusedFor(t, run(w, acme, service.GetReceipt, &heyanv1.GetReceiptRequest{Id: unknownID}).refused, fault.ResourceNotFound)

	id := value(ledger.ParseID(v.GetId()))(t)
	must(t, w.store.Restamp(t.Context(), "acme", id, ledger.Position{Origin: "node9-0123456789abcdef", Index: 1}))
	elsewhere := get(acme).refused
	refusedFor(t, elsewhere, fault.ResourceNotFound)
	if elsewhere.Hint == "" {
		t.Error("no hint where the record may be")
	}
}

// logOf is a log of two records.
type logOf struct {
	get, proof error
}

func (logOf) Origin() string { return "node1-0" }

func (l logOf) Get(_ context.Context, index uint64) ([]byte, error) {
	return []byte{'l', byte('0' + index)}, l.get
}

func (l logOf) Proof(_ context.Context, index uint64) ([]byte, error) {
	return []byte{'p', byte('0' + index)}, l.proof
}

func TestReceiptOfASettledOneHasBothRecords(t *testing.T) {
	at := func(i uint64) ledger.Position { return ledger.Position{Origin: "node1-0", Index: i} }
	got, err := receiptOf(t.Context(), logOf{}, at(1), at(2))
	must(t, err)
	want := &heyanv1.Receipt{Leaf: []byte("l1"), Proof: []byte("p1"), ResolutionLeaf: []byte("l2"), ResolutionProof: []byte("p2")}
	if !proto.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx        context.Context
		log        logOf
		resolution ledger.Position
		want       fault.Reason
	}{
		"purged":               {t.Context(), logOf{get: netlog.ErrNotFound}, ledger.Position{}, fault.ResourceNotFound},
		"not provable":         {t.Context(), logOf{proof: netlog.ErrNotFound}, ledger.Position{}, fault.ResourceNotFound},
		"settled on elsewhere": {t.Context(), logOf{}, ledger.Position{Origin: "node2-0"}, fault.ResourceNotFound},
		"damaged":              {t.Context(), logOf{get: errors.New("bad frame")}, ledger.Position{}, fault.StoreUnavailable},
	} {
		receipt, err := receiptOf(c.ctx, c.log, at(1), c.resolution)
		if receipt != nil || !fault.Is(err, c.want) {
			t.Errorf("%s: got %v, %v", name, receipt, err)
		}
	}
	if _, err := receiptOf(gone, logOf{get: errors.New("read ended")}, at(1), ledger.Position{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v", err)
	}
}
