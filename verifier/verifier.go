package verifier

import (
	"context"
	"io"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/secret"
	"github.com/heyan-project/heyan/verifier/source"
)

// Directory is what is on file of clients, as one immutable snapshot: every answer of one Directory fits the
// others. Nil means that there is none.
type Directory interface {
	// Access returns why a client may not be served with a credential now, or nil.
	Access(client, credential string, now time.Time) *fault.Fault
	Entitlement(client string, id product.ID) *product.Entitlement
	Notice(client, id string) *consent.Notice
	LegalBasis(id string) *consent.LegalBasis
	// Policy returns the policy version in force, and whether the client may be served under it: a client with
	// the policy gate has to acknowledge it first.
	Policy(client string, now time.Time) (version string, acknowledged bool)
	// Renewal returns the time from which on a consent must have been obtained, zero where there is none: when the
	// newest version in force that requires consents anew became effective.
	Renewal(now time.Time) time.Time
}

// Ledger claims and stores. Package store documents each method.
type Ledger interface {
	Begin(ctx context.Context, b *ledger.Begin) (ledger.Begun, error)
	Peek(ctx context.Context, b *ledger.Begin) (ledger.Seen, error)
	Commit(ctx context.Context, c *ledger.Commit) (ledger.Wait, error)
	Release(token ledger.Token)
}

// Consents reads stored consents.
type Consents interface {
	Consent(ctx context.Context, client string, id ledger.ID, revision int64) (*consent.Consent, error)
}

// Sources picks who is asked.
type Sources interface {
	Choose(id product.ID, test bool, allowed func(recipient string) bool) (source.Source, error)
	Recipients(id product.ID) []string
}

// Journal writes the network log's records of one call.
type Journal interface {
	// Answered appends the record of an answer. The position is known at once; the answer may leave when wait
	// returns nil.
	Answered(a *Answer) (at ledger.Position, wait ledger.Wait, err error)
	// Voided appends verification.voided for an answer that was recorded and will not leave, and returns when
	// that is durable.
	Voided(a *Answer, why *fault.Fault) (at ledger.Position, err error)
}

// Config is what a Verifier is made of. Every member is required.
type Config struct {
	Catalogue *product.Catalogue
	Rules     *field.Rules
	Keys      *digest.Keyring
	Directory func() Directory
	Ledger    Ledger
	Consents  Consents
	Sources   Sources
	Now       func() time.Time
	Random    io.Reader
}

// Verifier answers requests. It is safe for concurrent use.
type Verifier struct{ Config }

// New makes a Verifier.
func New(c Config) *Verifier { return &Verifier{Config: c} }

// Caller is who asks, as established before.
type Caller struct {
	Client string
	Test   bool // by a test credential: answered by the simulator, never billed
	// Credential is what the client proved its identity with.
	Credential string
}

// Field is one submitted value.
type Field struct {
	Kind field.Kind
	Text secret.Text // empty where the member is present and empty
}

// Request is one request as it was sent. Texts that a caller chose are not checked yet.
type Request struct {
	Product        product.ID
	Fields         []Field
	RequestID      string
	Consent        *InlineConsent
	ConsentID      string
	LegalBasis     string
	Purpose        product.Purpose
	AgeDeclaration consent.AgeDeclaration
	Guardian       *consent.Guardian
	PlateKind      string
	Reference      string
}

// InlineConsent is a notice plus when and where this person agreed to it.
type InlineConsent struct {
	Notice      string
	ObtainTime  time.Time
	EvidenceRef string
}

// Answer is what Verify found. Only Verify makes one.
type Answer struct {
	Verification *ledger.Verification
	Reused       bool     // the stored answer of an earlier call
	Opening      [32]byte // for the client alone
	Commitment   [32]byte // HMAC-SHA-256(Opening, content)
	At           ledger.Position
	FieldNames   []string
}

// leaseTime is how long a claim lasts without a commit: longer than any source may take.
const leaseTime = 60 * time.Second

// pendingTime is when a pending verification has to be settled.
const pendingTime = 24 * time.Hour

// Verify answers one request. On a refusal at is the position of a record that the verifier itself wrote
// (verification.voided), or the zero Position where the caller still has to record the refusal.
func (v *Verifier) Verify(ctx context.Context, caller Caller, request *Request, journal Journal) (answer *Answer, at ledger.Position, err error) {
	c := call{Verifier: v, caller: caller, request: request, directory: v.Directory(), now: v.Now()}
	if f := c.gates(ctx); f != nil {
		return nil, at, f
	}
	begun, err := v.Ledger.Begin(ctx, c.begin())
	if err != nil {
		return nil, at, err
	}
	c.token, c.stored = begun.Token, begun.Consent
	f := c.checkAgain()
	if f == nil && begun.Replay != nil {
		answer, err = c.replay(begun.Replay, journal)
		return answer, at, err
	}
	if f == nil {
		f = c.checkStored()
	}
	if f != nil {
		v.Ledger.Release(c.token)
		return nil, at, f
	}
	found, err := c.source.Check(ctx, &source.Query{
		Product: c.product, Values: c.values, PlateKind: request.PlateKind, Purpose: c.purpose})
	if err != nil {
		v.Ledger.Release(c.token)
		return nil, at, fault.Of(err)
	}
	return c.commit(ctx, found, journal)
}

// Validate runs every gate and returns each refusal, in the order of the gates, and the purpose that would be
// recorded. It asks no source and claims, stores and bills nothing. What the ledger knows (a restriction, the consent on
// file, the request_id, quota and daily cap) is looked up by what the other gates settled, so it is told where none of
// those refuses. A twin under way is not told of.
func (v *Verifier) Validate(ctx context.Context, caller Caller, request *Request) (violations []*fault.Fault, purpose product.Purpose) {
	c := call{Verifier: v, caller: caller, request: request, directory: v.Directory(), now: v.Now(), collect: true}
	if f := c.gates(ctx); f != nil {
		c.refusals = append(c.refusals, f)
	}
	if len(c.refusals) == 0 {
		c.peek(ctx)
	}
	return c.refusals, c.purpose
}

// peek notes what the claim would refuse, and what would be refused after it.
func (c *call) peek(ctx context.Context) {
	seen, err := c.Ledger.Peek(ctx, c.begin())
	c.refusals = append(c.refusals, seen.Refusals...)
	var after *fault.Fault
	switch {
	case err != nil:
		after = fault.Of(err)
	case seen.Replay != nil:
		after = checkReplay(seen.Replay, c.now)
	default:
		c.stored = seen.Consent
		after = c.checkStored()
	}
	if after != nil {
		c.refusals = append(c.refusals, after)
	}
}
