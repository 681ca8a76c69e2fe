package embedded

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// KeySize is the length of each of the three keys in bytes.
const KeySize = sealed.KeySize

// Options say where a store is and how it is opened.
type Options struct {
	// Dir is the directory. Nothing else may be in it.
	Dir string
	// The keys of subject store, business store and registry. Three different ones, KeySize bytes each, kept
	// outside Dir.
	SubjectKey, BusinessKey, RegistryKey []byte
	// CacheBytes bounds the cache of decrypted blocks of both databases together; 0 = 128 MiB.
	CacheBytes int64
	// Now is the clock by which waiting requests judge leases; nil = time.Now.
	Now func() time.Time
	// Committed is told how long each commit of a verification took, from its begin to its being durable. It MUST be
	// quick. Nil drops it.
	Committed func(took time.Duration)
	// Logger takes what an operator must know; nil = slog.Default. It never sees a key or a value.
	Logger *slog.Logger

	base       vfs.FS            // what the databases are kept on; nil = the disk. Tests crash it.
	compacting func(step string) // is told how far a compaction is; nil = nobody. Tests crash there.
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	options  Options
	lock     io.Closer
	subject  *sealed.DB
	business *sealed.DB
	datasets *registry

	gate gate
	// acts is held for reading while a request is begun or committed, and for writing by everything that one
	// of those is conditional on. It guards restrictions, the struck mark of claims, and what is written under
	// n below next.
	acts         sync.RWMutex
	restrictions restrictions
	next         atomic.Uint64 // the operation number given last

	claims   claims
	evidence evidenceLocks
	totals   totals

	documents sync.Mutex // one PutDocument at a time compares and applies

	checkpoints checkpointer
	watch       watch
	partsMu     sync.Mutex
	parts       []*sealed.DB // that are open
	repaired    int          // half commits that Open removed
}

var _ store.Store = (*Store)(nil)

// gate lets calls in until the store is closed or its state is unknown.
type gate struct {
	inside atomic.Int64 // calls inside; far below zero once closed
	idle   chan struct{}
	once   sync.Once

	shut    chan struct{} // closed with the first of Close and a failure: those who wait for something go home
	failure atomic.Pointer[fault.Fault]
}

const closedGate = math.MinInt64 / 2

func (g *gate) open() {
	g.idle, g.shut = make(chan struct{}), make(chan struct{})
}

// enter lets a call in; leave must follow. It fails once the store is closed or has failed.
func (g *gate) enter() error {
	if g.inside.Add(1) <= 0 {
		g.leave()
	} else if g.failure.Load() == nil {
		return nil
	} else {
		g.leave()
	}
	return g.why()
}

func (g *gate) leave() {
	if g.inside.Add(-1) == closedGate {
		g.once.Do(func() { close(g.idle) })
	}
}

func (g *gate) why() error {
	if f := g.failure.Load(); f != nil {
		return f
	}
	return nil
}

// fail stops the store for a reason. The first reason stays.
func (g *gate) fail(cause error) {
	if g.failure.CompareAndSwap(nil, unavailable(cause)) {
		close(g.shut)
	}
}

// close fails the store and returns when nobody is inside. It reports whether this was the first close.
func (g *gate) close() bool {
	g.fail(errClosed)
	for {
		inside := g.inside.Load()
		if inside < 0 {
			return false
		}
		if g.inside.CompareAndSwap(inside, inside+closedGate) {
			if inside > 0 {
				<-g.idle
			}
			return true
		}
	}
}

var (
	errClosed = errors.New("embedded: the store is closed")
	errHalted = errors.New("embedded: a flush failed and what is on the disk is not known; open the store again")
)

// unavailable is the answer where a cause keeps the store from answering.
func unavailable(cause error) *fault.Fault {
	return fault.New(fault.StoreUnavailable).WithCause(cause)
}

// answer turns an error of the databases into what callers get; the contract's own errors stay.
func answer(err error) error {
	var f *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.As(err, &f):
		return err
	}
	return unavailable(err)
}

// Healthy returns nil, or why the store cannot be used.
func (s *Store) Healthy() error { return s.gate.why() }

// Close waits for calls that are inside, writes a checkpoint and closes. A second Close does nothing.
func (s *Store) Close() error {
	healthy := s.gate.failure.Load() == nil
	if !s.gate.close() {
		return nil
	}
	s.watch.stop()
	s.checkpoints.stop()
	var err error
	if healthy {
		err = s.writeInside(&s.acts, s.checkpoint)
	}
	return errors.Join(err, s.release())
}

// release closes what Open opened, as far as it came.
func (s *Store) release() error {
	var errs []error
	if s.datasets != nil {
		errs = append(errs, s.datasets.close())
	}
	for _, db := range []*sealed.DB{s.business, s.subject} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// read runs a method that changes nothing.
func (s *Store) read(ctx context.Context, f func() error) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	return answer(f())
}

// pair is one batch for each database.
type pair struct {
	store             *Store
	business, subject *sealed.Batch
	covered           uint64 // not 0: every operation below is part of the totals that the batch writes
}

func (s *Store) newPair() pair {
	return pair{store: s, business: s.business.NewBatch(), subject: s.subject.NewBatch()}
}

// apply makes both batches visible and starts their flushes. An empty batch still waits for whatever was
// written to its database before, for the other may rest on that.
func (p *pair) apply() error {
	for _, batch := range []*sealed.Batch{p.business, p.subject} {
		if batch.Empty() {
			batch.Set([]byte{rowBarrier}, nil)
		}
	}
	if err := p.business.CommitNoSyncWait(); err != nil {
		p.store.halt(errors.Join(errHalted, err))
		return err
	}
	if err := p.subject.CommitNoSyncWait(); err != nil {
		p.store.halt(errors.Join(errHalted, err))
		return errors.Join(err, p.business.SyncWait())
	}
	return nil
}

// wait returns when both are durable. It is the only place where the engine learns that they are: if it fails,
// the state is unknown and the store stops.
func (p *pair) wait() error {
	err := errors.Join(p.business.SyncWait(), p.subject.SyncWait(), p.drop())
	if err != nil {
		p.store.halt(errors.Join(errHalted, err))
		return err
	}
	p.store.checkpoints.durable(p.covered)
	return nil
}

// drop gives back the memory of batches that were not applied, or are durable.
func (p *pair) drop() error { return errors.Join(p.business.Close(), p.subject.Close()) }

// change runs f, which fills a pair of batches while it holds acts for reading, and returns when they are durable.
func (s *Store) change(f func(p *pair) error) error { return s.write(s.acts.RLocker(), f) }

// alone is change while no request is being begun or committed.
func (s *Store) alone(f func(p *pair) error) error { return s.write(&s.acts, f) }

func (s *Store) write(lock sync.Locker, f func(p *pair) error) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return answer(s.writeInside(lock, f))
}

func (s *Store) writeInside(lock sync.Locker, f func(p *pair) error) error {
	p := s.newPair()
	lock.Lock()
	err := f(&p)
	if err == nil {
		err = p.apply()
	} else {
		err = errors.Join(err, p.drop())
	}
	lock.Unlock()
	if err != nil {
		return err
	}
	return p.wait()
}

// operation gives the next operation number. The caller holds acts.
func (s *Store) operation() uint64 { return s.next.Add(1) }

// withdrawn and the others are faults that several gates answer with.
func withdrawn() *fault.Fault   { return fault.New(fault.ConsentWithdrawn) }
func mismatch() *fault.Fault    { return fault.New(fault.ConsentSubjectMismatch) }
func restricted() *fault.Fault  { return fault.New(fault.SubjectUnavailable) }
func defective(err error) error { return fault.New(fault.InternalError).WithCause(err) }

func parseID(s string) (ledger.ID, error) {
	id, err := ledger.ParseID(s)
	if err != nil {
		return id, defective(err)
	}
	return id, nil
}
