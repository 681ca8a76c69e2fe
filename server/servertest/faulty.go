package servertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/usage"
)

// Faulty is a store that fails when it is told to.
type Faulty struct {
	store.Store
	hook atomic.Pointer[func(method string) error]
	gone chan struct{}
	once sync.Once
}

// Wrap puts f over a store, for Options.Store.
func (f *Faulty) Wrap(s store.Store) store.Store {
	f.Store, f.gone, f.once = s, make(chan struct{}), sync.Once{}
	return f
}

// Halt makes the store say that it has stopped.
func (f *Faulty) Halt() {
	f.Down()
	f.once.Do(func() { close(f.gone) })
}

// Stopped implements store.Store.
func (f *Faulty) Stopped() <-chan struct{} { return f.gone }

// Hook sets a function that is asked before each of the methods below. Its error is the method's, which then
// does nothing. Nil takes it away.
func (f *Faulty) Hook(hook func(method string) error) {
	if hook == nil {
		f.hook.Store(nil)
		return
	}
	f.hook.Store(&hook)
}

// Down makes every method fail as an engine that lost its disk does.
func (f *Faulty) Down() { f.Hook(func(string) error { return ErrDown() }) }

// ErrDown is what an engine answers that cannot read or write.
func ErrDown() error { return fault.New(fault.StoreUnavailable).WithCause(errors.New("disk gone")) }

func (f *Faulty) ask(method string) error {
	if hook := f.hook.Load(); hook != nil {
		return (*hook)(method)
	}
	return nil
}

// Healthy implements store.Store.
func (f *Faulty) Healthy() error { return errors.Join(f.ask("Healthy"), f.Store.Healthy()) }

// Begin implements store.Ledger.
func (f *Faulty) Begin(ctx context.Context, b *ledger.Begin) (ledger.Begun, error) {
	if err := f.ask("Begin"); err != nil {
		return ledger.Begun{}, err
	}
	return f.Store.Begin(ctx, b)
}

// Commit implements store.Ledger.
func (f *Faulty) Commit(ctx context.Context, c *ledger.Commit) (ledger.Wait, error) {
	if err := f.ask("Commit"); err != nil {
		return nil, err
	}
	return f.Store.Commit(ctx, c)
}

// ImportDataset implements store.Datasets.
func (f *Faulty) ImportDataset(ctx context.Context, info store.ImportInfo) (store.Importer, error) {
	if err := f.ask("ImportDataset"); err != nil {
		return nil, err
	}
	return f.Store.ImportDataset(ctx, info)
}

// CompactDataset implements store.Datasets.
func (f *Faulty) CompactDataset(ctx context.Context, dataset string, generation int64) (store.Compaction, error) {
	if err := f.ask("CompactDataset"); err != nil {
		return store.Compaction{}, err
	}
	return f.Store.CompactDataset(ctx, dataset, generation)
}

// ListDocuments implements store.Documents.
func (f *Faulty) ListDocuments(ctx context.Context, kind store.Kind, prefix, after string, limit int) ([]store.Document, error) {
	if err := f.ask("ListDocuments"); err != nil {
		return nil, err
	}
	return f.Store.ListDocuments(ctx, kind, prefix, after, limit)
}

// PutDocument implements store.Documents.
func (f *Faulty) PutDocument(ctx context.Context, kind store.Kind, id string, value []byte, expect int64) (int64, error) {
	if err := f.ask("PutDocument"); err != nil {
		return 0, err
	}
	return f.Store.PutDocument(ctx, kind, id, value, expect)
}

// ResolvePending implements store.Verifications.
func (f *Faulty) ResolvePending(ctx context.Context, v *ledger.Verification, delta usage.Counts) error {
	if err := f.ask("ResolvePending"); err != nil {
		return err
	}
	return f.Store.ResolvePending(ctx, v, delta)
}

// Restamp implements store.Reconciliation.
func (f *Faulty) Restamp(ctx context.Context, client string, id ledger.ID, at ledger.Position) error {
	if err := f.ask("Restamp"); err != nil {
		return err
	}
	return f.Store.Restamp(ctx, client, id, at)
}

// SetMark implements store.Reconciliation.
func (f *Faulty) SetMark(ctx context.Context, origin string, index uint64) error {
	if err := f.ask("SetMark"); err != nil {
		return err
	}
	return f.Store.SetMark(ctx, origin, index)
}

// Verification implements store.Verifications.
func (f *Faulty) Verification(ctx context.Context, client string, id ledger.ID) (*ledger.Verification, error) {
	if err := f.ask("Verification"); err != nil {
		return nil, err
	}
	return f.Store.Verification(ctx, client, id)
}
