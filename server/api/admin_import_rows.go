package api

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

const (
	maxImportRows = 1000   // rows a message
	maxRejects    = 10_000 // rejects that are told of
)

// Causes of a rejected row that are no causes of a field.
const (
	causeNoAnchor  = "NO_ANCHOR"  // nothing that a product looks up by, or nothing that it compares beside it
	causePlateKind = "PLATE_KIND" // not two digits, or without a plate
)

// importCounts is what became of the rows.
type importCounts struct {
	accepted, rejected, suppressed int64
	rejects                        []*heyanv1.ImportRecordsResponse_Reject
}

// rowBatch is one message on its way: it is filled by the receiver, worked by one worker, and taken in the order
// of the messages. A fixed number of them goes round, which bounds the memory of an import.
type rowBatch struct {
	first uint64
	rows  []*heyanv1.ImportRows_Row
	done  chan struct{} // one token: worked

	entries    []entryEnd
	records    []byte // encoded records, one after the other
	accepted   int64
	suppressed int64
	rejects    []rowReject
	failure    error
}

// clear forgets what became of the rows.
func (b *rowBatch) clear() {
	b.entries, b.records, b.rejects = b.entries[:0], b.records[:0], b.rejects[:0]
	b.accepted, b.suppressed = 0, 0
}

// entryEnd is an anchor, and where its record ends.
type entryEnd struct {
	anchor digest.Digest
	end    int
}

type rowReject struct {
	row   uint64
	kind  field.Kind // invalid: of the whole row
	cause string
}

// rowImport is one import at work.
type rowImport struct {
	d        *Deps
	ctx      context.Context
	shape    dataset.Shape
	importer store.Importer
	strict   bool
	now      time.Time

	free, order, work chan *rowBatch
	failed            atomic.Bool
	// The taker's own until it has ended.
	counts  importCounts
	failure error
}

// importRows reads rows to the end of the stream. Receiving, working and taking go on side by side: the receiver is
// the caller's goroutine, each processor has a worker, and one taker feeds the importer in the order of the rows.
func (a *Admin) importRows(ctx context.Context, stream importStream, importer store.Importer, strict bool) (importCounts, error) {
	workers := runtime.GOMAXPROCS(0)
	circulating := 2*workers + 2
	r := &rowImport{
		d: a.d, ctx: ctx, shape: a.d.Catalogue.Shape(), importer: importer, strict: strict, now: a.d.Now(),
		free: make(chan *rowBatch, circulating), order: make(chan *rowBatch, circulating), work: make(chan *rowBatch, circulating),
	}
	for range circulating {
		r.free <- &rowBatch{done: make(chan struct{}, 1)}
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(r.worker)
	}
	group.Go(r.taker)
	received := r.receive(stream)
	close(r.work)
	close(r.order)
	group.Wait()
	if r.failure != nil {
		return importCounts{}, r.failure
	}
	return r.counts, received
}

// receive hands messages on until the stream or the import ends.
func (r *rowImport) receive(stream importStream) error {
	next := uint64(1)
	for !r.failed.Load() {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return cancelled(r.ctx, err)
		}
		rows := message.GetRows()
		switch {
		case rows == nil:
			return malformed("header", "ONLY_ONCE")
		case len(rows.GetRows()) > maxImportRows:
			return fault.New(fault.RequestTooLarge).WithField("rows.rows", "AT_MOST_1000")
		}
		if rows.GetFirstRow() != 0 {
			next = rows.GetFirstRow()
		}
		b := <-r.free
		b.first, b.rows = next, rows.GetRows()
		next += uint64(len(b.rows))
		r.order <- b
		r.work <- b
	}
	return nil // the taker knows why
}

// worker reads and digests rows.
func (r *rowImport) worker() {
	w := rowWorker{rowImport: r}
	for b := range r.work {
		b.clear()
		b.failure = nil
		if !r.failed.Load() {
			w.batch(b)
		}
		b.rows = nil // the values go as early as they can
		b.done <- struct{}{}
	}
}

// taker feeds the importer. After a failure it only lets batches go round.
func (r *rowImport) taker() {
	for b := range r.order {
		<-b.done
		if r.failure == nil {
			if r.failure = r.take(b); r.failure != nil {
				r.failed.Store(true)
			}
		}
		r.free <- b
	}
}

func (r *rowImport) take(b *rowBatch) (err error) {
	defer recovered(&err)
	if b.failure != nil {
		return b.failure
	}
	if r.strict && len(b.rejects) > 0 {
		first := &b.rejects[0]
		return fault.New(fault.FieldMalformed).WithField("rows."+rejectedField(first.kind), first.cause).With("row", number(int64(first.row)))
	}
	start := 0
	for i := range b.entries {
		e := &b.entries[i]
		if err := r.importer.Add(e.anchor, b.records[start:e.end]); err != nil {
			return storeFault(err)
		}
		start = e.end
	}
	r.counts.accepted += b.accepted
	r.counts.suppressed += b.suppressed
	r.counts.rejected += int64(len(b.rejects))
	for i := range b.rejects[:min(len(b.rejects), maxRejects-len(r.counts.rejects))] {
		reject := &b.rejects[i]
		r.counts.rejects = append(r.counts.rejects, &heyanv1.ImportRecordsResponse_Reject{
			Row: reject.row, Field: fieldEnum.public(reject.kind), Cause: reject.cause,
		})
	}
	return nil
}

func rejectedField(kind field.Kind) string {
	if kind.Valid() {
		return kind.String()
	}
	return "row"
}

// errPanic stands for whatever a panic said, which may quote a row.
var errPanic = errors.New("api: panic in an import")

// recovered turns a panic beside the caller's goroutine, which would end the process, into a failure.
func recovered(err *error) {
	if recover() != nil {
		*err = fault.New(fault.InternalError).WithCause(errPanic)
	}
}
