// Package journal turns calls into records of the network log.
//
// Every call of a caller with an identity leaves one record of its own, with the event of its method, or of what
// stopped it before. No reply leaves before its record is durable. A stream leaves one record when it opens,
// before the first byte, and one with the event of its method when it ends. Items of a batch leave one each.
//
// One documented exception: calls of strangers are counted per address and written every minute ([Strangers]),
// so that nobody without an identity can fill the disk; so are refusals of a client above its refusal budget
// ([Budgets]).
//
// Nothing that a caller chose enters a record: method names come from the server's own list, user agents from a
// closed list, ids only once they are known to be Heyan's or to be on file.
package journal

import (
	"context"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Log is the network log.
type Log interface {
	Append(leaf []byte) (netlog.Ticket, error)
	Origin() string
}

// Journal writes records.
type Journal struct {
	log   Log
	now   func() time.Time
	clock func() record.Clock
	hooks Hooks

	mu   sync.Mutex
	open map[uint64]struct{} // records of answers and settlings whose ledger row may not be durable yet
}

// Hooks are told what a Journal does. Nil members are left out. They have to be quick.
type Hooks struct {
	// Amend notes that the record at a place was voided by a later one.
	Amend func(at ledger.Position, by record.Event)
	// Answered counts a new answer: its record and its ledger row are durable, and it was not voided.
	Answered func(a *verifier.Answer)
	// Appended notes how long a record took to become durable.
	Appended func(took time.Duration)
}

// New makes a Journal. clock says how far the clock can be trusted.
func New(log Log, now func() time.Time, clock func() record.Clock, hooks Hooks) *Journal {
	return &Journal{log: log, now: now, clock: clock, hooks: hooks, open: map[uint64]struct{}{}}
}

// Settled returns an index below which every record of an answer, and of the settling of a pending one, has its ledger
// row, given how many records are durable.
func (j *Journal) Settled(durable uint64) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for index := range j.open {
		durable = min(durable, index)
	}
	return durable
}

// settled notes that the ledger has followed a record.
func (j *Journal) settled(index uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, index)
}

// Now returns the time that records carry.
func (j *Journal) Now() time.Time { return j.now() }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Begin appends a record and returns its place; it is durable when wait returns nil. A zero Time is filled in.
// An error is a fault LOG_UNAVAILABLE.
func (j *Journal) Begin(r *record.Record) (at ledger.Position, wait ledger.Wait, err error) {
	return j.begin(r, j.log.Append)
}

// beginOpen is Begin for a record that the ledger follows, which stays open until settled. The lock keeps Settled from
// seeing the record durable and not yet open.
func (j *Journal) beginOpen(r *record.Record) (at ledger.Position, wait ledger.Wait, err error) {
	return j.begin(r, func(leaf []byte) (netlog.Ticket, error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		ticket, err := j.log.Append(leaf)
		if err == nil {
			j.open[ticket.Index()] = struct{}{}
		}
		return ticket, err
	})
}

func (j *Journal) begin(r *record.Record, enqueue func(leaf []byte) (netlog.Ticket, error)) (at ledger.Position, wait ledger.Wait, err error) {
	if r.Time.IsZero() {
		r.Time = j.now()
	}
	r.Clock = j.clock()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	encoded, err := record.Append((*buffer)[:0], r)
	if err != nil {
		// A record that breaks the format is a defect of Heyan; nothing is answered without its record.
		return ledger.Position{}, nil, fault.New(fault.InternalError).WithCause(err)
	}
	*buffer = encoded
	ticket, err := enqueue(encoded)
	if err != nil {
		return ledger.Position{}, nil, unavailable(err)
	}
	begun := time.Now()
	return ledger.Position{Origin: j.log.Origin(), Index: ticket.Index()}, func() error {
		// Not the caller's context: an answer that may be durable must not be left undecided, and the log
		// bounds how long a flush may take.
		if err := ticket.Wait(context.Background()); err != nil {
			return unavailable(err)
		}
		if j.hooks.Appended != nil {
			j.hooks.Appended(time.Since(begun))
		}
		return nil
	}, nil
}

// Write appends a record and returns when it is durable.
func (j *Journal) Write(r *record.Record) (ledger.Position, error) {
	at, wait, err := j.Begin(r)
	if err != nil {
		return ledger.Position{}, err
	}
	if err := wait(); err != nil {
		return ledger.Position{}, err
	}
	return at, nil
}

func unavailable(err error) error {
	return fault.New(fault.LogUnavailable).WithCause(err).WithRetryAfter(time.Second)
}

// System writes a record of the server itself: a start, a recovery, a reconciliation.
func (j *Journal) System(event record.Event, fill func(*record.Record)) (ledger.Position, error) {
	r := &record.Record{Event: event, Actor: record.Actor{Kind: record.ActorSystem}, Outcome: record.Outcome{Kind: record.Success}}
	if fill != nil {
		fill(r)
	}
	return j.Write(r)
}

// OutcomeOf classifies a refusal for the log: DENIED where a gate said no, FAILED where a part of Heyan could
// not work, CANCELLED where the caller left.
func OutcomeOf(f *fault.Fault, code uint32) record.Outcome {
	if f == nil {
		return record.Outcome{Kind: record.Success}
	}
	o := record.Outcome{Kind: record.Denied, Code: code, Reason: f.Reason.String()}
	switch f.Kind() {
	case fault.Unavailable, fault.Deadline, fault.Internal, fault.Unimplemented:
		o.Kind = record.Failed
	case fault.Cancelled:
		o.Kind = record.Cancelled
	}
	return o
}
