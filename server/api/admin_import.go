package api

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/fault"
)

type importStream = grpc.ClientStreamingServer[heyanv1.ImportRecordsRequest, heyanv1.ImportRecordsResponse]

// clockSlack is how far a caller's clock may be ahead of ours.
const clockSlack = time.Minute

// importHeader is the first message of an import, checked.
type importHeader struct {
	dataset, description string
	asOf                 time.Time
	strict               bool
}

// ImportRecords writes a new generation of a dataset, which waits for a second person. Rows are read, checked and
// digested while others arrive; a call that fails or is cancelled leaves nothing behind. An import of which no row
// is left makes no generation: the reply has number 0, and tells why.
func (a *Admin) ImportRecords(stream importStream) error {
	ctx := stream.Context()
	header, f := a.importHeader(ctx, stream)
	if f != nil {
		return f
	}
	if f := a.beginImport(header.dataset); f != nil {
		return f
	}
	defer a.endImport(header.dataset)
	before, revision := a.d.dataset(header.dataset)
	if revision > 0 {
		journal.From(ctx).SetObject("dataset", header.dataset)
	}
	info := store.ImportInfo{Dataset: header.dataset, Generation: before.Next(), Suite: a.d.Keys.Suite()}
	importer, err := a.openImport(ctx, info)
	if err != nil {
		return storeFault(err)
	}
	defer importer.Abort() // after Finish it does nothing
	counts, err := a.importRows(ctx, stream, importer, header.strict)
	if err != nil {
		return err
	}
	response := &heyanv1.ImportRecordsResponse{
		Dataset: header.dataset, AcceptedRows: counts.accepted, RejectedRows: counts.rejected,
		Rejects: counts.rejects, SuppressedRows: counts.suppressed,
	}
	if counts.accepted == 0 {
		return answerImport(ctx, stream, response)
	}
	if response.Anchors, response.Bytes, err = importer.Finish(); err != nil {
		return storeFault(err)
	}
	response.Generation = info.Generation
	if err := a.stage(ctx, header, info, response); err != nil {
		// No document names the file: it goes too, whatever became of the caller.
		return errors.Join(err, a.d.Store.DropGeneration(context.WithoutCancel(ctx), info.Dataset, info.Generation))
	}
	return answerImport(ctx, stream, response)
}

// answerImport writes the call's record first: a stream's reply would otherwise leave before it.
func answerImport(ctx context.Context, stream importStream, response *heyanv1.ImportRecordsResponse) error {
	if _, err := journal.From(ctx).Finish(nil); err != nil {
		return err
	}
	return stream.SendAndClose(response)
}

// importHeader reads the first message.
func (a *Admin) importHeader(ctx context.Context, stream importStream) (importHeader, *fault.Fault) {
	var h importHeader
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return h, cancelled(ctx, err)
	}
	p := first.GetHeader()
	if p == nil {
		return h, malformed("header", "FIRST_MESSAGE")
	}
	if f := a.d.slug(ctx, "header.dataset", p.GetDataset()); f != nil {
		return h, f
	}
	if f := a.d.text(ctx, "header.description", p.GetDescription()); f != nil {
		return h, f
	}
	h = importHeader{dataset: p.GetDataset(), description: p.GetDescription(), strict: p.GetStrict()}
	var f *fault.Fault
	if h.asOf, f = instant("header.as_of", p.GetAsOf()); f != nil {
		return h, f
	}
	switch {
	case h.asOf.IsZero():
		return h, missing("header.as_of")
	case h.asOf.After(a.d.Now().Add(clockSlack)):
		return h, malformed("header.as_of", "IN_THE_FUTURE")
	}
	return h, nil
}

// cancelled says why a stream ended before its time.
func cancelled(ctx context.Context, err error) *fault.Fault {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.DeadlineReached).WithCause(err)
	}
	return fault.New(fault.CallerCancelled).WithCause(err)
}

// beginImport lets one import at a time write a dataset.
func (a *Admin) beginImport(id string) *fault.Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.importing[id] {
		return fault.New(fault.RevisionConflict).WithHint("Another import into this dataset is running.")
	}
	a.importing[id] = true
	return nil
}

func (a *Admin) endImport(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.importing, id)
}

// openImport begins the file. A finished file that no document names is left of a crash between the two; it goes.
func (a *Admin) openImport(ctx context.Context, info store.ImportInfo) (store.Importer, error) {
	importer, err := a.d.Store.ImportDataset(ctx, info)
	if !errors.Is(err, store.ErrConflict) {
		return importer, err
	}
	if err := a.d.Store.DropGeneration(ctx, info.Dataset, info.Generation); err != nil {
		return nil, err
	}
	return a.d.Store.ImportDataset(ctx, info)
}

// stage puts the generation on file.
func (a *Admin) stage(ctx context.Context, h importHeader, info store.ImportInfo, r *heyanv1.ImportRecordsResponse) error {
	if err := ctx.Err(); err != nil {
		return cancelled(ctx, err)
	}
	generation := dataset.Generation{
		Number: info.Generation, State: dataset.Staged, AsOf: h.asOf, Description: h.description, Rows: r.GetAcceptedRows(),
		Anchors: r.GetAnchors(), Bytes: r.GetBytes(), ImportedBy: caller(ctx).ID, ImportPerson: caller(ctx).Person,
		ImportTime: a.d.Now(), Suite: info.Suite,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var before, after dataset.Dataset
	err := againOnConflict(func() error {
		var revision int64
		before, revision = a.d.dataset(info.Dataset)
		after = before
		after.Generations = append(slices.Clone(before.Generations), generation)
		_, err := a.d.Directory.PutDataset(ctx, after, revision)
		return err
	})
	if err != nil {
		return storeFault(err)
	}
	journal.From(ctx).SetObject("dataset", info.Dataset)
	changed(ctx, &before, &after)
	return nil
}
