package api

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

const (
	// maxBatch is how many requests a batch may hold.
	maxBatch = 1000
	// batchWorkers is how many requests of a batch are under way at once. They wait for the same flushes, so a
	// batch costs about maxBatch/batchWorkers of them and not one a request.
	batchWorkers = 256
)

// BatchVerify answers up to 1000 requests. Each is gated, counted and logged alone.
func (s *Verification) BatchVerify(ctx context.Context, m *heyanv1.BatchVerifyRequest) (*heyanv1.BatchVerifyResponse, error) {
	requests := m.GetRequests()
	switch {
	case len(requests) == 0:
		return nil, fault.New(fault.FieldMissing).WithField("requests", "")
	case len(requests) > maxBatch:
		return nil, fault.New(fault.RequestTooLarge).WithField("requests", "AT_MOST_1000")
	}
	b := &batch{Verification: s, call: journal.From(ctx), requests: requests, items: make([]*heyanv1.BatchVerifyResponse_Item, len(requests))}
	var workers sync.WaitGroup
	for range min(len(requests), batchWorkers) {
		workers.Go(func() { b.work(ctx) })
	}
	workers.Wait()
	if failed := b.failed.Load(); failed != nil {
		return nil, failed
	}
	return &heyanv1.BatchVerifyResponse{Items: b.items}, nil
}

// batch is one BatchVerify call.
type batch struct {
	*Verification
	call     *journal.Call
	requests []*heyanv1.VerifyRequest
	items    []*heyanv1.BatchVerifyResponse_Item // each written by the worker that took its index
	next     atomic.Int64                        // index of the next request to take

	// failed is why the whole call fails: the log failed, the caller is gone, a defect. No further request is
	// begun then; those under way are finished, since an answer that may be durable is never left undecided.
	failed atomic.Pointer[fault.Fault]
}

// work answers requests until none is left or the call has failed.
func (b *batch) work(ctx context.Context) {
	for b.failed.Load() == nil {
		i := b.next.Add(1) - 1
		if i >= int64(len(b.requests)) {
			return
		}
		if err := ctx.Err(); err != nil {
			b.fail(rpcerr.FromError(err))
			return
		}
		item, failed := b.one(ctx, b.requests[i])
		if failed != nil {
			b.fail(failed)
			return
		}
		b.items[i] = item
	}
}

// fail keeps the first reason.
func (b *batch) fail(f *fault.Fault) { b.failed.CompareAndSwap(nil, f) }

// one answers one request, or says why the whole call fails.
func (b *batch) one(ctx context.Context, m *heyanv1.VerifyRequest) (answered *heyanv1.BatchVerifyResponse_Item, failed *fault.Fault) {
	defer func() {
		if caught := recover(); caught != nil { // the chain's own recover does not reach this goroutine
			failed = fault.New(fault.InternalError).WithCause(fmt.Errorf("panic of type %T\n%s", caught, debug.Stack()))
		}
	}()
	item := b.call.Item()
	request, refused := requestOf(m)
	item.SetAsked(b.asked(request))
	if refused != nil {
		return refuse(item, refused, ledger.Position{})
	}
	response, at, err := b.answer(ctx, m, request, item)
	if refused = rpcerr.FromError(err); refused != nil {
		if ended := ctx.Err(); ended != nil && errors.Is(refused, ended) {
			refused = rpcerr.FromError(ended) // a source that gave up because the call's time was over has not failed
		}
		if item.Standing() { // its record says that it was answered, and it was not: that gets one of its own
			at = ledger.Position{}
		}
	}
	item.Settled(refused)
	if refused != nil {
		return refuse(item, refused, at)
	}
	if response.GetValidation() != nil { // no verification, and so no record yet
		if _, failed := recordItem(item, nil); failed != nil {
			return nil, failed
		}
	}
	return &heyanv1.BatchVerifyResponse_Item{Result: &heyanv1.BatchVerifyResponse_Item_Response{Response: response}}, nil
}

// refuse turns a refusal into an item. at is the place of its record, or zero where there is none yet.
func refuse(item *journal.Item, refused *fault.Fault, at ledger.Position) (*heyanv1.BatchVerifyResponse_Item, *fault.Fault) {
	if refused.Reason == fault.LogUnavailable {
		return nil, refused
	}
	if at == (ledger.Position{}) {
		var failed *fault.Fault
		if at, failed = recordItem(item, refused); failed != nil {
			return nil, failed
		}
	}
	item.Told(refused)
	entry := ""
	if at != (ledger.Position{}) {
		entry = at.String()
	}
	status := rpcerr.Status(refused, entry).Proto()
	return &heyanv1.BatchVerifyResponse_Item{Result: &heyanv1.BatchVerifyResponse_Item_Status{Status: status}}, nil
}

// recordItem writes the record of an item without an answer, and returns its place when it is durable; the zero Position
// for one that the client's refusal budget has no room for.
func recordItem(item *journal.Item, refused *fault.Fault) (ledger.Position, *fault.Fault) {
	at, wait, err := item.Refused(refused)
	if err == nil {
		err = wait()
	}
	if errors.Is(err, journal.ErrSpent) {
		return ledger.Position{}, nil // it is counted, and has no record of its own
	}
	if err != nil {
		return ledger.Position{}, fault.Of(err)
	}
	return at, nil
}
