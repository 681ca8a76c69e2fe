package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Connection is what a connection contributes to records.
type Connection struct {
	Session     string
	Source      record.Peer
	Destination record.Peer
	Via         record.Peer // the trusted proxy that told of Source
	Protocol    record.Protocol
}

// Codes maps a refusal to its gRPC code. Package rpcerr is the only place that knows it.
type Codes func(*fault.Fault) uint32

// Call is one call while it is served. It is used by one goroutine, its items by many.
type Call struct {
	Journal    *Journal
	Connection Connection
	Principal  authn.Principal
	Method     string       // full method
	Event      record.Event // of the method, until something stops the call before it
	Start      time.Time
	Trace      [16]byte
	Codes      Codes
	// Spend takes one refusal of the client's budget for an item; false: it is used up, and the refusal is only
	// counted. Nil: there is no budget.
	Spend func(c *Call, refused record.Outcome) (ok bool, err error)
	// Overdrawn says that the budget was used up by this call or an item of it: its connection is to be closed.
	Overdrawn atomic.Bool
	// ItemRefused is told of each item of a batch that was refused, by many goroutines. Nil: nobody is.
	ItemRefused func(c *Call, refused *fault.Fault)

	Traffic  record.Traffic
	object   record.Object
	change   *record.Change
	security *record.Security
	access   *record.LogAccess
	asked    *record.Processing
	behalf   string
	written  bool // the handler wrote the call's own record
	answered bool // and that one says that the call was answered
	at       ledger.Position
	opened   opened // the answer of a single verification
}

type callKey struct{}

// With returns a context that carries the call.
func With(ctx context.Context, c *Call) context.Context { return context.WithValue(ctx, callKey{}, c) }

// From returns the call of a context. It panics without one: no handler runs outside the chain.
func From(ctx context.Context) *Call { return ctx.Value(callKey{}).(*Call) }

// SetObject notes what the call acts on. id must be Heyan's own, or on file: never what a caller merely sent.
func (c *Call) SetObject(kind, id string) { c.object = record.Object{Type: kind, ID: id} }

// SetChange notes an administrative change: digests before and after, and names of what changed.
func (c *Call) SetChange(change *record.Change) { c.change = change }

// SetSecurity notes what kind of attack or misuse a refusal met.
func (c *Call) SetSecurity(s *record.Security) { c.security = s }

// SetAccess notes what was read of the log.
func (c *Call) SetAccess(a *record.LogAccess) { c.access = a }

// SetAsked notes which product of the catalogue and which fields, by name, a verification asked for, so that a
// refusal's record shows them.
func (c *Call) SetAsked(product string, fields []string) {
	c.asked = &record.Processing{Product: product, Fields: fields, Test: c.Principal.Test}
}

// SetBehalf notes the client on whose behalf an operator acts.
func (c *Call) SetBehalf(client string) { c.behalf = client }

// At returns the place of the call's own record; Written reports whether there is one.
func (c *Call) At() (at ledger.Position, written bool) { return c.at, c.written }

// record begins a record with what is known of the call.
func (c *Call) record(event record.Event, f *fault.Fault) *record.Record {
	now := c.Journal.now()
	traffic := c.Traffic
	traffic.Duration = max(now.Sub(c.Start), 0)
	r := &record.Record{
		Time: now, Event: event, Session: c.Connection.Session, TraceID: c.Trace,
		Source: c.Connection.Source, Destination: c.Connection.Destination, Via: c.Connection.Via, Protocol: c.Connection.Protocol,
		Action: c.Method, Object: c.object, Traffic: traffic, Change: c.change, Security: c.security, LogAccess: c.access,
		Processing: c.asked, Actor: actor(&c.Principal, c.behalf),
	}
	var code uint32
	if f != nil {
		code = c.Codes(f)
	}
	r.Outcome = OutcomeOf(f, code)
	return r
}

// Actor is how records name a principal.
func Actor(p *authn.Principal) record.Actor { return actor(p, "") }

func actor(p *authn.Principal, behalf string) record.Actor {
	a := record.Actor{ID: p.ID, Role: p.Roles.String(), Credential: p.Fingerprint, AuthMethod: p.Method, OnBehalfOf: behalf}
	switch p.Kind {
	case authn.Client:
		a.Kind = record.ActorClient
		if a.Credential == "" {
			a.Credential = p.Credential
		}
	case authn.Operator:
		a.Kind = record.ActorOperator
	default:
		a.Kind, a.Role = record.ActorStranger, ""
	}
	return a
}

// Finish writes the call's record, unless the handler wrote it, and returns its place when it is durable. A call
// that failed after its answer was recorded, by a defect, gets a record of that too.
func (c *Call) Finish(f *fault.Fault) (ledger.Position, error) {
	if c.written && (f == nil || !c.answered) {
		return c.at, nil
	}
	at, err := c.Journal.Write(c.record(c.Event, f))
	if fault.Is(err, fault.InternalError) {
		return ledger.Position{}, c.finishBare(err)
	}
	if err != nil {
		return ledger.Position{}, err
	}
	c.Use(at)
	return at, nil
}

// finishBare writes what is left where a defect made a record that the format refuses: that there was a call, of whom and
// from where, and that it failed. It returns what the call is answered with.
func (c *Call) finishBare(why error) error {
	bare := Call{Journal: c.Journal, Principal: c.Principal, Method: c.Method, Start: c.Start, Trace: c.Trace, Codes: c.Codes}
	bare.Connection.Session, bare.Connection.Source, bare.Connection.Via = c.Connection.Session, c.Connection.Source, c.Connection.Via
	if _, err := c.Journal.Write(bare.record(c.Event, fault.Of(why))); err != nil {
		return err
	}
	return why
}

// Note writes a further record of the call: an approval, a stream's opening.
func (c *Call) Note(event record.Event, fill func(*record.Record)) (ledger.Position, error) {
	r := c.record(event, nil)
	if fill != nil {
		fill(r)
	}
	return c.Journal.Write(r)
}

// Open is Note for a record that the ledger is to follow: until settled is called the ledger's mark stays below it, and a
// start compares the two.
func (c *Call) Open(event record.Event, fill func(*record.Record)) (at ledger.Position, settled func(), err error) {
	r := c.record(event, nil)
	fill(r)
	at, wait, err := c.Journal.beginOpen(r)
	if err == nil {
		err = wait()
	}
	return at, func() { c.Journal.settled(at.Index) }, err
}

// Use notes that the place of the call's own record is at: a verification was voided.
func (c *Call) Use(at ledger.Position) { c.at, c.written, c.answered = at, true, false }

// Verification returns the journal of a single verification, whose record is the call's own.
func (c *Call) Verification() verifier.Journal {
	return &entry{call: c, event: record.VerificationVerify, own: true, opened: &c.opened}
}

// Item is the journal of one item of a batch.
type Item struct {
	entry
	asked  *record.Processing
	opened opened
}

// Item returns the journal of one item. Items may be used side by side.
func (c *Call) Item() *Item {
	i := &Item{entry: entry{call: c, event: record.VerificationBatchItem}}
	i.entry.opened = &i.opened
	return i
}

// SetAsked is [Call.SetAsked] for the item.
func (i *Item) SetAsked(product string, fields []string) {
	i.asked = &record.Processing{Product: product, Fields: fields, Test: i.call.Principal.Test}
}

// ErrSpent says that the client's refusal budget is used up: a refusal was counted and has no record.
var ErrSpent = errors.New("journal: the refusal budget is used up")

// Refused writes the record of a refused item; f is nil for one that was only validated. The error is ErrSpent
// where the client has been refused too often.
func (i *Item) Refused(f *fault.Fault) (at ledger.Position, wait ledger.Wait, err error) {
	r := i.call.record(i.event, f)
	r.Processing = i.asked
	if spend := i.call.Spend; spend != nil && f != nil && !f.Failure() && i.call.Principal.Kind == authn.Client {
		if ok, err := spend(i.call, r.Outcome); err != nil {
			return at, nil, err
		} else if !ok {
			return at, nil, ErrSpent
		}
	}
	return i.call.Journal.Begin(r)
}

// Told says that the item was refused to whoever counts that.
func (i *Item) Told(f *fault.Fault) {
	if told := i.call.ItemRefused; told != nil {
		told(i.call, f)
	}
}

// Standing reports whether the item's own record says that it was answered, and was not voided since.
func (i *Item) Standing() bool { return i.standing }

// Settled is [Call.Settled] for the item.
func (i *Item) Settled(f *fault.Fault) { i.opened.settled(i.call.Journal, f) }

// opened is the record of an answer whose ledger row may not be durable yet.
type opened struct {
	index  uint64
	is     bool
	answer *verifier.Answer
}

// settled drops it where the outcome is known, and counts it where it is an answer. After a failure of the store, or a
// panic, that is for the next start to find out.
func (o *opened) settled(j *Journal, f *fault.Fault) {
	if !o.is || f.Failure() {
		return
	}
	o.is = false
	if counted := j.hooks.Answered; counted != nil && f == nil {
		counted(o.answer)
	}
	j.settled(o.index)
}

// entry writes the records of one verification.
type entry struct {
	call  *Call
	event record.Event
	own   bool

	opened   *opened
	standing bool // answered, and not voided
}

// Answered implements verifier.Journal.
func (e *entry) Answered(a *verifier.Answer) (ledger.Position, ledger.Wait, error) {
	r := e.call.record(e.event, nil)
	e.fill(r, a)
	r.Commitment = a.Commitment
	begin := e.call.Journal.beginOpen
	if a.Reused {
		begin = e.call.Journal.Begin
	}
	at, wait, err := begin(r)
	if err != nil {
		return at, nil, err
	}
	if e.own {
		e.call.at, e.call.written, e.call.answered = at, true, true
	}
	e.standing = true
	if !a.Reused {
		*e.opened = opened{index: at.Index, is: true, answer: a}
	}
	return at, wait, nil
}

// Settled says how the verification of a call ended: its answer is durable in the ledger, or voided, unless the
// refusal leaves that open. Then its record is compared with the ledger at the next start.
func (c *Call) Settled(f *fault.Fault) { c.opened.settled(c.Journal, f) }

// Voided implements verifier.Journal.
func (e *entry) Voided(a *verifier.Answer, why *fault.Fault) (ledger.Position, error) {
	r := e.call.record(record.VerificationVoided, why)
	e.fill(r, a)
	r.Outcome.Kind = record.Denied
	at, err := e.call.Journal.Write(r)
	if err != nil {
		return at, err
	}
	e.standing = false
	if amend := e.call.Journal.hooks.Amend; amend != nil {
		amend(a.At, record.VerificationVoided)
	}
	if e.own {
		e.call.Use(at)
	}
	return at, nil
}

func (e *entry) fill(r *record.Record, a *verifier.Answer) {
	v := a.Verification
	r.Object = record.Object{Type: "verification", ID: v.ID.String()}
	r.Processing = Processing(v, a.Reused)
}

// Processing is what a record says of a verification: names and ids.
func Processing(v *ledger.Verification, reused bool) *record.Processing {
	return &record.Processing{
		Product: string(v.Product), Purpose: v.Purpose.String(), Fields: v.Fields.Names(), LegalBasis: v.LegalBasis,
		ConsentUse: v.ConsentUse.String(), PolicyVersion: v.PolicyVersion, Verdict: v.Verdict.String(), Source: v.Source,
		AsOf: v.SourceAsOf, Dataset: v.Dataset, Billing: v.Billing.String(), Reused: reused, Test: v.Test,
	}
}

// Hex prints a digest for Change.Before and After.
func Hex(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }
