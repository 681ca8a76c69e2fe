package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
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
	// A place of this log where another record stands, such as one of a log that was rolled back and written on.
	must(t, w.store.Restamp(t.Context(), "acme", id, ledger.Position{Origin: w.Log.Origin(), Index: 0}))
	refusedFor(t, get(acme).refused, fault.ResourceNotFound)
}

// logOf is a log whose records are all of one verification.
type logOf struct {
	of         string
	get, proof error
}

// only finds this log under its origin.
func (l logOf) only(_ context.Context, origin string) (records, error) {
	if origin != "node1-0" {
		return nil, noReceipt()
	}
	return l, nil
}

func (l logOf) Get(_ context.Context, index uint64) ([]byte, error) {
	leaf, err := record.Append(nil, &record.Record{
		Time: start, Event: record.VerificationVerify, Object: record.Object{Type: "verification", ID: l.of},
		Outcome: record.Outcome{Kind: record.Success, Code: uint32(index)}})
	return leaf, errors.Join(err, l.get)
}

func (l logOf) Proof(_ context.Context, index uint64) ([]byte, error) {
	return []byte{'p', byte('0' + index)}, l.proof
}

func TestReceiptOfASettledOneHasBothRecords(t *testing.T) {
	at := func(i uint64) ledger.Position { return ledger.Position{Origin: "node1-0", Index: i} }
	id := value(ledger.ParseID(unknownID))(t)
	own := logOf{of: unknownID}
	got, err := receiptOf(t.Context(), own.only, id, at(1), at(2))
	must(t, err)
	want := &heyanv1.Receipt{Leaf: value(own.Get(t.Context(), 1))(t), Proof: []byte("p1"), ResolutionLeaf: value(own.Get(t.Context(), 2))(t), ResolutionProof: []byte("p2")}
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
		"purged":               {t.Context(), logOf{of: unknownID, get: netlog.ErrNotFound}, ledger.Position{}, fault.ResourceNotFound},
		"not provable":         {t.Context(), logOf{of: unknownID, proof: netlog.ErrNotFound}, ledger.Position{}, fault.ResourceNotFound},
		"settled on elsewhere": {t.Context(), own, ledger.Position{Origin: "node2-0"}, fault.ResourceNotFound},
		"of somebody else":     {t.Context(), logOf{of: strings.Replace(unknownID, "0", "1", 1)}, ledger.Position{}, fault.ResourceNotFound},
		"damaged":              {t.Context(), logOf{of: unknownID, get: errors.New("bad frame")}, ledger.Position{}, fault.StoreUnavailable},
	} {
		receipt, err := receiptOf(c.ctx, c.log.only, id, at(1), c.resolution)
		if receipt != nil || !fault.Is(err, c.want) {
			t.Errorf("%s: got %v, %v", name, receipt, err)
		}
	}
	if _, err := receiptOf(gone, logOf{of: unknownID, get: errors.New("read ended")}.only, id, at(1), ledger.Position{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v", err)
	}
}
