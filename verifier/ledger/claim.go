package ledger

import (
	"errors"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
)

// Reserve is one unit of a counter that a request takes: a quota, the daily cap of a legal basis.
type Reserve struct {
	Key    string       // names the counter and its period, e.g. "quota/acme/id2/live/2026-11"
	Limit  int64        // negative = no limit, only counted
	Reason fault.Reason // what to answer at the limit
	Name   string       // how the limit is called in QuotaFailure
}

// ConsentUse names the consent of a request in one of two ways, or neither, with a legal basis.
type ConsentUse struct {
	ID       ID            // a stored consent
	Notice   string        // an inline one, by notice
	Evidence digest.Digest // and evidence; also set where a consent is to be created
}

// Begin is a request to be claimed.
type Begin struct {
	Client       string
	Credential   string        // that the client called with
	Product      string        // that it asked for
	Request      digest.Digest // of request_id, keyed
	Content      digest.Digest // of the content, keyed by client and request_id
	Consent      ConsentUse
	Handles      []subject.Handle
	Restrictions []subject.Handle
	Reserves     []Reserve
	Lease        time.Duration // how long the claim lasts without a commit
	Now          time.Time
	Renewal      time.Time // a consent on file obtained before needs renewal
}

// Scope selects claims: those of a client, and of one credential or product of it where that is set.
type Scope struct{ Client, Credential, Product string }

// Holds reports whether a claim is in the scope.
func (s Scope) Holds(client, credential, product string) bool {
	return s.Client == client && (s.Credential == "" || s.Credential == credential) && (s.Product == "" || s.Product == product)
}

// Token is the right to commit or release one claim. The zero Token is invalid.
type Token uint64

// Begun is what a claim found. Exactly one of Token and Replay is set.
type Begun struct {
	Token  Token
	Replay *Verification // the stored answer to an earlier request of the same content
	// Consent is the consent on file: the one asked for by id, or the one of the same notice and evidence.
	// It is nil for an inline consent that is not on file yet.
	Consent *consent.Consent
}

// Seen is what a claim would find.
type Seen struct {
	Refusals []*fault.Fault
	Replay   *Verification    // as in Begun
	Consent  *consent.Consent // as in Begun; nil where it is refused
}

// Note puts a refusal on the list. It returns any other error, and what is no fault of the request.
func (s *Seen) Note(err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Failure() {
		return err
	}
	s.Refusals = append(s.Refusals, f)
	return nil
}

// Commit is an answer to be stored.
type Commit struct {
	Token        Token
	Verification *Verification
	NewConsent   *consent.Consent // an inline consent that is not on file yet
	Evidence     digest.Digest    // of NewConsent
	Handles      []subject.Handle
	Usage        usage.Counts
	UsageKey     usage.Key
	Now          time.Time
	Renewal      time.Time // as of the claim
}

// Wait blocks until what was begun is durable, or failed. It may be called once.
type Wait func() error
