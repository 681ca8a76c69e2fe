package netlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// Log is the writer of one origin, and a [Reader] of its durable records. It is safe for concurrent use.
type Log struct {
	*Reader
	opt    Options
	signer *tree.Signer
	lock   io.Closer
	tasks  sync.WaitGroup // goroutines but the writer

	wake    chan struct{} // one token: something is queued, or the log closes
	drained chan struct{} // closed when the writer has ended
	stopped chan struct{} // closed when err is set

	mu       sync.Mutex
	queue    *batch        // filling; nil when nothing is queued
	inflight *batch        // being committed
	frontier tree.Frontier // with all that was given an index
	closing  bool
	err      error // why the log stopped
	memory   []batchMemory

	commits atomic.Uint64 // finished commits, for the watch
	watched watched

	sealer    sealer
	reserve   reserve
	rotateNow atomic.Bool // Seal asks for the live file to be closed
	purging   sync.Mutex  // held by each step of a purge

	// The writer's own.
	file *wal.Writer
	part *part
	day  int64 // on which the live file was begun
}

// batch is what one commit makes durable.
type batch struct {
	batchMemory
	first uint64
	done  chan struct{} // closed when the batch is durable, or will not be
	err   error         // set before done is closed
}

// batchMemory is the part of a batch that is used again when the batch is done. Tickets keep the batch, never this.
type batchMemory struct {
	body   wal.Body
	stored []tree.Hash // what the records add to the tree, as package tlog numbers it
}

// Ticket is a record on its way to the disk. The zero Ticket is invalid.
type Ticket struct {
	batch *batch
	index uint64
}

// Index returns the record's index, which is final.
func (t Ticket) Index() uint64 { return t.index }

// Wait returns nil when the record is durable and under a signed checkpoint. It returns an error that matches
// [ErrStopped] when the log failed first, which a hanging disk makes it do within Options.AppendTimeout, or the
// context's error. After an error it is unknown whether the record is durable.
func (t Ticket) Wait(ctx context.Context) error {
	select {
	case <-t.batch.done:
		return t.batch.err
	default:
	}
	select {
	case <-t.batch.done:
		return t.batch.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Append gives the record the next index and queues it. It copies leaf and never waits for the disk. Errors:
// [ErrTooLarge], [ErrBusy], [ErrStopped], [ErrClosed]; then no index was given.
func (l *Log) Append(leaf []byte) (Ticket, error) {
	if len(leaf) == 0 || len(leaf) > record.MaxSize {
		return Ticket{}, ErrTooLarge
	}
	hash := tree.LeafHash(leaf) // outside the lock: it is most of the work
	l.mu.Lock()
	if err := l.refusal(len(leaf)); err != nil {
		l.mu.Unlock()
		return Ticket{}, err
	}
	b := l.queue
	wake := b == nil
	if wake {
		b = &batch{first: l.frontier.Size(), done: make(chan struct{})}
		if n := len(l.memory); n > 0 {
			b.batchMemory, l.memory = l.memory[n-1], l.memory[:n-1]
		}
		l.queue = b
	}
	t := Ticket{b, l.frontier.Size()}
	b.body.Add(leaf)
	b.stored = l.frontier.Append(hash, b.stored) // here, while a flush is in flight, it costs no waiting
	l.mu.Unlock()
	if wake {
		l.wakeUp()
	}
	return t, nil
}

// refusal returns why a record of that size cannot be queued. l.mu is held.
func (l *Log) refusal(size int) error {
	switch {
	case l.err != nil:
		return l.err
	case l.closing:
		return ErrClosed
	case l.queue != nil && (l.queued() >= l.opt.MaxQueue || l.queue.body.Len()+size > maxQueueBytes):
		return ErrBusy
	}
	return nil
}

func (l *Log) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write is the one goroutine that writes records.
func (l *Log) write() {
	defer close(l.drained)
	for range l.wake {
		for {
			// Whoever was just woken may queue the next record before the queue is taken. This is no delay: it gives way
			// to what can run now, and returns at once when nothing can.
			runtime.Gosched()
			b, h, end := l.take()
			if end {
				return
			}
			if b == nil {
				if err := l.rotateAsked(); err != nil {
					l.stop(err)
					return
				}
				break
			}
			if err := l.commit(b, h); err != nil {
				l.stop(err)
				return
			}
		}
	}
}

// take moves all that is queued in flight, and returns the tree with it. end means that the log has stopped, or closes
// and everything is written.
func (l *Log) take() (b *batch, h head, end bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, h, true
	}
	l.inflight, l.queue = l.queue, nil
	if l.inflight == nil {
		return nil, h, l.closing
	}
	return l.inflight, head{size: l.frontier.Size(), root: l.frontier.Root()}, false
}

// commit makes a batch durable, wakes those who wait for it, and begins the next file if this one is full. h is the
// tree with the batch.
func (l *Log) commit(b *batch, h head) (err error) {
	if h.checkpoint, err = l.signer.Sign(h.size, h.root); err != nil {
		return err
	}
	prepared, err := l.file.Prepare(&b.body, h.size, h.root, h.checkpoint)
	if err != nil {
		return err
	}
	l.watched.planned.Store(l.file.FileSizeWith(prepared))
	// THE COMMIT POINT. When Commit has returned nil, and not before, the records exist: they survive a crash, readers
	// see them, and replies may leave. If it fails, nobody knows whether they exist, and the log stops.
	begun := time.Now()
	offset, err := l.file.Commit(prepared)
	if err != nil {
		return err
	}
	l.opt.Flushed(int(h.size-b.first), time.Since(begun))
	l.watched.durable.Store(l.file.FileSize())
	l.publish(l.part, offset, l.file.Size(), b.first, b.stored, h)
	l.commits.Add(1)
	if !l.finish(b) {
		return l.failure()
	}
	full := l.file.Size() >= l.opt.FileSize || h.size-l.part.first >= maxFileRecords || day(l.opt.Now()) > l.day
	if full && !l.stays() {
		return l.rotate(h)
	}
	return nil
}

// rotateAsked closes the live file if somebody asked for that, unless it holds no record.
func (l *Log) rotateAsked() error {
	if !l.rotateNow.Load() {
		return nil
	}
	l.mu.Lock()
	h := head{size: l.frontier.Size(), root: l.frontier.Root()}
	queued := l.queue != nil
	l.mu.Unlock()
	if queued {
		return nil // that is committed first
	}
	defer l.rotateNow.Store(false)
	if h.size == l.part.first || l.stays() {
		return nil
	}
	return l.rotate(h)
}

// finish wakes those who wait for a durable batch. It is false when the log stopped meanwhile: they were told that it
// failed, and must not be told otherwise.
func (l *Log) finish(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	l.inflight = nil
	b.body.Reset(keepBytes)
	l.memory = append(l.memory, batchMemory{b.body, b.stored[:0]})
	b.batchMemory = batchMemory{}
	close(b.done)
	return true
}

// stop ends the log's life as a writer: the first cause is kept, everybody who waits is told, nothing is retried.
func (l *Log) stop(cause error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = cause
	if !errors.Is(cause, ErrClosed) {
		l.err = fmt.Errorf("%w: %w", ErrStopped, cause)
	}
	for _, b := range []*batch{l.inflight, l.queue} {
		if b != nil {
			b.err = l.err
			close(b.done)
		}
	}
	l.inflight, l.queue = nil, nil
	err := l.err
	close(l.stopped)
	l.mu.Unlock()
	l.wakeUp()
	if !errors.Is(cause, ErrClosed) {
		l.opt.Warn(err)
	}
}

func (l *Log) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Healthy returns nil while the log takes records, or why it does not: an error that matches [ErrStopped] or
// [ErrClosed].
func (l *Log) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.closing {
		return ErrClosed
	}
	return l.err
}

// Stopped returns a channel that is closed when the log stops taking records, for whatever reason.
func (l *Log) Stopped() <-chan struct{} { return l.stopped }

// Queued returns how many records wait for the next commit.
func (l *Log) Queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued()
}

func (l *Log) queued() int {
	if l.queue == nil {
		return 0
	}
	return int(l.frontier.Size() - l.queue.first)
}
