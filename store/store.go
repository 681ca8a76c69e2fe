// Package store is the contract between Heyan's domain and the engines that keep its state.
//
// An engine is a [Store]. Every engine passes the whole of package storetest, with nothing left out. Contract
// words: MUST and MUST NOT bind every engine.
//
// # Two databases
//
// An engine keeps two databases under separate keys: the subject store (subject handles → ids of
// verifications and consents, content digests, evidence digests, restrictions) and the business store
// (everything else, by opaque id). The business store MUST NOT hold a value or a digest of a value, the subject
// store MUST NOT hold a verdict. Datasets are kept apart from both.
//
// # Errors
//
// Refusals that the domain knows are [fault.Fault]s, as each method says. A missing thing is [ErrNotFound], a
// lost race on a revision [ErrConflict]. An id or text is compared as bytes: letter case, Unicode form and spaces
// count. Anything that keeps an engine from answering is a fault
// STORE_UNAVAILABLE with its cause. After a failed flush an engine does not know its state: it MUST fail every
// later call, and Healthy, until it is opened again. No error holds a stored or submitted byte.
//
// # Concurrency and durability
//
// Every method may be called from many goroutines. Unless it says otherwise a method returns only when what it
// changed is durable. What one method changed is seen by every call that begins after it returned.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("store: not found")
	ErrConflict    = errors.New("store: changed by somebody else")
	ErrNewerFormat = errors.New("store: written by a newer version of Heyan; run that version, or restore a backup of this one")
)

// Store is one engine, opened.
type Store interface {
	Ledger
	Verifications
	Consents
	Counters
	Restrictions
	Documents
	Datasets
	Reconciliation

	// Healthy returns nil, or why the engine cannot be used. It MUST be cheap: readiness probes call it.
	Healthy() error
	// Stopped returns a channel that is closed when the engine cannot be used any more, by a failure or by Close.
	Stopped() <-chan struct{}
	// Close flushes and closes. Later calls fail with STORE_UNAVAILABLE.
	Close() error
}

// Ledger claims, answers and releases requests.
type Ledger interface {
	// Begin claims a request, in this order, the first refusal winning:
	//
	//  1. A restriction on any of b.Restrictions → SUBJECT_UNAVAILABLE.
	//  2. The consent: by id → CONSENT_MISSING where it is not on file for the client; by evidence → whatever
	//     stands under it. A tombstone, or a withdrawn consent → CONSENT_WITHDRAWN; a consent that
	//     consent.Check refuses at b.Now by b.Renewal → its fault; no handle in common →
	//     CONSENT_SUBJECT_MISMATCH, also with the consent of another notice under the same evidence: one evidence
	//     reference serves one subject. An evidence digest is keyed by client, so it never stands for two clients.
	//  3. The request: answered with the same content → Begun.Replay, which the caller counts (CountReplay);
	//     other content, content that is gone, or a Deleted answer → REQUEST_ID_REUSED; claimed by a twin →
	//     Begin waits until the twin ends, its lease is over or ctx is done, then ABORTED REQUEST_IN_PROGRESS
	//     with RetryAfter.
	//  4. Each reserve in order: at its limit → the reserve's reason, and what was reserved is given back.
	//
	// A claim MUST survive neither a crash nor its lease in a way that blocks the request for longer than the
	// lease. Counters MUST be exact under concurrency: never more open claims plus committed units than Limit.
	// What the claim reserved is free again when its lease is over. Begin need not be durable. b MUST NOT be
	// changed before the claim has ended.
	Begin(ctx context.Context, b *ledger.Begin) (ledger.Begun, error)

	// Peek tells what Begin would find, and claims, reserves and waits for nothing. Seen.Refusals holds the refusal
	// of each of the four steps that has one, in their order, of the fourth one for each reserve at its limit; with a
	// Seen.Replay no reserve is looked at. A twin is not told of. What is found may be different at the next Begin.
	Peek(ctx context.Context, b *ledger.Begin) (ledger.Seen, error)

	// Commit stores an answer under a claim: the verification, the links from its handles, the content digest,
	// a new consent, the usage, all or nothing. It is conditional: where the consent of the claim was changed
	// since (CONSENT_WITHDRAWN where it was withdrawn), or a restriction or a subject-wide act has come upon a
	// handle (SUBJECT_UNAVAILABLE), or the claim was struck (Strike's reason), nothing is stored, the claim is released, and the fault returned. Where an
	// equal consent came on file meanwhile that consent.Check does not refuse, that one is used,
	// c.Verification.Consent is set to it, and NewConsent dropped; where another person's came under the evidence →
	// CONSENT_SUBJECT_MISMATCH.
	// A token that is not an open claim, or whose lease is over → ABORTED REQUEST_IN_PROGRESS.
	// Client and Request of the verification are those of the claim.
	//
	// Commit returns before the answer is durable; Wait returns when it is, and only then do twins see it and
	// the reserves become used. If Wait fails the state is unknown and the engine stops.
	Commit(ctx context.Context, c *ledger.Commit) (ledger.Wait, error)

	// Strike takes from every open claim of a scope the right to commit: Commit answers why. From its return on no
	// Commit of such a claim passes. It is how a suspension or a revocation binds what is past its gates: whoever
	// changes what gates read changes it first and strikes then, and every caller of Begin reads it again after Begin.
	Strike(ctx context.Context, scope ledger.Scope, why fault.Reason) error

	// Release gives up a claim and its reserves. An unknown token is ignored.
	Release(token ledger.Token)
}

// VerificationFilter selects verifications. Zero members select everything.
type VerificationFilter struct {
	Start, End time.Time // [Start, End) of VerifyTime
	Product    string
	LegalBasis string
	State      ledger.State
	Reference  digest.Digest
	Request    digest.Digest
	Before     ledger.ID // only IDs smaller than this: the page token
	Limit      int       // at most this many, ≥ 1
}

// Verifications reads and ends verifications.
type Verifications interface {
	// Verification returns one of a client's, Deleted ones included, or ErrNotFound.
	Verification(ctx context.Context, client string, id ledger.ID) (*ledger.Verification, error)
	// ListVerifications returns a client's, newest first, without Deleted ones. It scans at most a bounded
	// number of rows a call; more is true where rows are left, and next the filter's Before to go on with.
	ListVerifications(ctx context.Context, client string, f VerificationFilter) (list []*ledger.Verification, next ledger.ID, more bool, err error)
	// DeleteVerification strips one (see ledger.Verification.Strip) and forgets its content digest, so that its
	// request_id answers REQUEST_ID_REUSED. Deleting twice is the same. ErrNotFound where there is none,
	// ErrConflict where it is pending: money waits for it.
	DeleteVerification(ctx context.Context, client string, id ledger.ID) error
	// ListPending returns pending verifications of all clients, or of one, in the order of (client, id), after
	// the given one.
	ListPending(ctx context.Context, client string, afterClient string, after ledger.ID, limit int) ([]*ledger.Verification, error)
	// ResolvePending settles one: it stores v in place of the pending row of the same id and adds delta to the
	// usage row that counted it: −1 pending, +1 the verdict given. What was reserved becomes used, or is given
	// back where v has no verdict and is Deleted. ErrConflict where it is no longer pending, ErrNotFound where
	// there is none. The usage row is that of the VerifyTime at +08:00, client, product and Test of the
	// pending row.
	ResolvePending(ctx context.Context, v *ledger.Verification, delta usage.Counts) error
}

// ConsentFilter selects consents of a client.
type ConsentFilter struct {
	Notice  string
	Status  consent.Status // judged at Now and by Renewal
	Now     time.Time
	Renewal time.Time // a consent obtained before needs renewal
	Before  ledger.ID
	Limit   int
}

// Consents keeps consents.
type Consents interface {
	// CreateConsent puts a consent on file with its evidence and the person's handles. Where the same client,
	// notice and evidence are on file already it returns that consent and changes nothing; a tombstone or a
	// withdrawn one → CONSENT_WITHDRAWN; another person → CONSENT_SUBJECT_MISMATCH; a restriction on any of
	// restrictions → SUBJECT_UNAVAILABLE.
	CreateConsent(ctx context.Context, c *consent.Consent, evidence digest.Digest, handles, restrictions []subject.Handle) (*consent.Consent, error)
	// Consent returns one by id, at its newest revision or an older one (0 = newest), or ErrNotFound. Empty
	// client = any.
	Consent(ctx context.Context, client string, id ledger.ID, revision int64) (*consent.Consent, error)
	// ConsentByEvidence returns one, or ErrNotFound, also for a tombstone.
	ConsentByEvidence(ctx context.Context, evidence digest.Digest, notice string) (*consent.Consent, error)
	// ListConsents returns a client's, newest first, in bounded steps like ListVerifications.
	ListConsents(ctx context.Context, client string, f ConsentFilter) (list []*consent.Consent, next ledger.ID, more bool, err error)
	// WithdrawConsent withdraws one by id. Withdrawing twice is the same and returns the first withdrawal. From
	// its return on no Begin and no Commit passes under it. Empty client = any. ErrNotFound where there is none.
	WithdrawConsent(ctx context.Context, client string, id ledger.ID, now time.Time) (*consent.Consent, error)
	// WithdrawEvidence withdraws every consent under an evidence of the notice, and leaves a tombstone where
	// none is on file: CreateConsent, Begin and Commit with that notice and evidence answer CONSENT_WITHDRAWN
	// from then on. It returns what is withdrawn now, with the time of the first withdrawal.
	WithdrawEvidence(ctx context.Context, evidence digest.Digest, notice string, now time.Time) ([]*consent.Consent, error)
	// WithdrawSubject withdraws every consent that stands under any of the handles, at one client, or at all of
	// them where client is empty. A consent stands under the handles that it was put on file with, and under those of
	// every call that was committed under it. It is subject-wide: a claim on any handle that is open now cannot commit a
	// new consent of that client any more, nor anything else. It returns what stands under the handles and is
	// withdrawn now, by id, earlier withdrawals included with their time.
	WithdrawSubject(ctx context.Context, client string, handles []subject.Handle, now time.Time) ([]*consent.Consent, error)
}

// Counters reads what Begin and Commit count.
type Counters interface {
	// Counter returns how many units of a reserve are used, and how many are held by open claims and pending
	// verifications.
	Counter(ctx context.Context, key string) (used, reserved int64, err error)
	// Usage returns rows of a client, or of every client where it is empty, for days from..to included, sorted
	// by day, client, product, test.
	Usage(ctx context.Context, client string, from, to workday.Date) ([]usage.Row, error)
	// CountReplay adds one replay to a row.
	CountReplay(ctx context.Context, key usage.Key) error
}

// Restriction says why a person may not be processed. No caller of a verification ever learns which.
type Restriction uint8

// The restrictions. The zero Restriction is invalid.
const (
	Denied     Restriction = iota + 1 // on the deny list
	Objected                          // the person objected
	Suppressed                        // erased: kept out of every import and restore
)

// Restrictions keeps what binds a person everywhere. Handles are those of subject.Restrictions.
type Restrictions interface {
	// Restrict puts handles under a restriction until a time (zero = for ever), in place of an earlier time. It
	// binds every Begin and every Commit from its return on.
	Restrict(ctx context.Context, handles []subject.Handle, r Restriction, until time.Time) error
	// Unrestrict lifts one kind.
	Unrestrict(ctx context.Context, handles []subject.Handle, r Restriction) error
	// Restricted reports whether any handle is under the restriction at a time. It MUST answer without I/O in
	// the embedded engine: imports ask it for every row.
	Restricted(ctx context.Context, handles []subject.Handle, r Restriction, now time.Time) (bool, error)
}

// Kind is the kind of a document.
type Kind string

// The kinds. Names are part of the format on disk.
const (
	Clients      Kind = "client"
	Credentials  Kind = "credential"
	Operators    Kind = "operator"
	Entitlements Kind = "entitlement"
	Recipients   Kind = "recipient"
	Notices      Kind = "notice"
	LegalBases   Kind = "legal-basis"
	Policies     Kind = "policy"
	Approvals    Kind = "approval"
	DatasetKind  Kind = "dataset"
	Origins      Kind = "origin"
	Amendments   Kind = "amendment"  // log positions whose record was voided, lost or recovered later
	Acks         Kind = "ack"        // policy acknowledgements
	Deployments  Kind = "deployment" // what the data as a whole belongs to: its digest key, its log's place
	Holds        Kind = "hold"       // on the network log
	Retentions   Kind = "retention"  // how long, by a person's choice
)

// Document is one administrative object: rarely written, held in snapshots by readers. Use [Table] for types.
type Document struct {
	ID       string
	Revision int64 // from 1, raised by each Put
	Value    []byte
}

// Documents keeps administrative objects.
type Documents interface {
	// GetDocument returns one, or ErrNotFound.
	GetDocument(ctx context.Context, kind Kind, id string) (Document, error)
	// PutDocument stores a value and returns its new revision. expect is the revision that it replaces: 0 =
	// there is none yet. Otherwise ErrConflict.
	PutDocument(ctx context.Context, kind Kind, id string, value []byte, expect int64) (int64, error)
	// ListDocuments returns documents whose id begins with prefix and is greater than after, in ascending order
	// of ids as bytes; limit ≤ 0 = all.
	ListDocuments(ctx context.Context, kind Kind, prefix, after string, limit int) ([]Document, error)
}

// ImportInfo describes a generation's file.
type ImportInfo struct {
	Dataset    string
	Generation int64
	Suite      string
}

// Importer writes one generation. It is not safe for concurrent use.
type Importer interface {
	// Add adds a record under an anchor, in any order. Equal records of one anchor are kept once.
	Add(anchor digest.Digest, record []byte) error
	// Finish makes the file durable and verified, and returns how many anchors it holds and its size.
	Finish() (anchors, bytes int64, err error)
	// Abort removes what was written. After Finish it does nothing.
	Abort()
}

// Deletions are what was deleted from one generation and is not cleared yet.
type Deletions struct {
	Dataset    string
	Generation int64
	Records    int64     // that CompactDataset will count as removed
	Since      time.Time // when the first of them was deleted; zero = longer ago than anybody noted
}

// Compaction is what CompactDataset did.
type Compaction struct {
	Removed        int64 // records that are in no file any more
	Anchors, Bytes int64 // of the generation's file as it is now
}

// Datasets keeps the registry's generations. Their state and who activated them are documents.
type Datasets interface {
	// ImportDataset begins a generation. An unfinished one of the same number is overwritten; a finished one
	// → ErrConflict.
	ImportDataset(ctx context.Context, info ImportInfo) (Importer, error)
	// Lookup calls each with every record of an anchor, those deleted since excepted, and reports whether any
	// was left. The bytes are valid during the call only. A generation that is not there, or a record that
	// fails its integrity check → STORE_UNAVAILABLE. An error of each ends the call and is returned. each MUST
	// NOT call the engine. It MUST NOT allocate for each record.
	Lookup(ctx context.Context, datasetID string, generation int64, anchor digest.Digest, each func(record []byte) error) (known bool, err error)
	// DeleteRecord makes one record of an anchor disappear at once, by its exact bytes, and reports whether it
	// was there. The record stays in the file until CompactDataset; since when it is deleted, now, is kept.
	DeleteRecord(ctx context.Context, datasetID string, generation int64, anchor digest.Digest, record []byte, now time.Time) (bool, error)
	// ListDeletions lists what CompactDataset has to clear, by dataset and generation. A generation that was
	// dropped stands in it while anything that was kept of its deletions is left. It MUST be cheap.
	ListDeletions(ctx context.Context) ([]Deletions, error)
	// CompactDataset rewrites a generation's file without the records that were deleted from it: when it returns,
	// neither they nor what was kept of their deletion lie in any file of the engine. Where nothing is deleted
	// it changes nothing. The new file is of the same generation. It MUST be sealed under a key of its own, and
	// be whole, verified and durable before it takes the old one's place. Look-ups MUST go on meanwhile, never
	// finding a deleted record nor missing another. Deletions MUST be kept until the new file is in its place
	// for good, and those that come meanwhile for longer. So after a crash one of the two files is there, and
	// shows nothing that was deleted. A call that fails, or whose ctx ends, can be repeated, and then counts what
	// it had removed. Of two calls at once one waits for the other. ErrNotFound where neither the generation nor
	// anything of its deletions is there, and where it was dropped meanwhile.
	CompactDataset(ctx context.Context, datasetID string, generation int64) (Compaction, error)
	// DropGeneration removes a generation's file and its deletions, as far as ListDeletions does not name it any
	// more. It lets look-ups in flight end first. One that is not there is ignored.
	DropGeneration(ctx context.Context, datasetID string, generation int64) error
}

// Reconciliation compares ledger and network log after a stop.
type Reconciliation interface {
	// Mark returns the index below which ledger and log of an origin are known to agree; 0 at first. An engine
	// keeps what Committed, Settled and Void need only from the mark on.
	Mark(ctx context.Context, origin string) (uint64, error)
	// SetMark raises the mark; a lower index changes nothing. On return the mark MUST be durable: the log states it
	// then, and a store whose mark is below what its log states is taken for one that was put back.
	SetMark(ctx context.Context, origin string, index uint64) error
	// Committed calls each with every verification whose log position has the origin and an index from on, at
	// the mark or above it, in ascending order of the index, deleted ones included. each may call the engine;
	// its error ends the call and is returned.
	Committed(ctx context.Context, origin string, from uint64, each func(*ledger.Verification) error) error
	// Settled is Committed for the Resolution of verifications that were pending, in place of their log position.
	Settled(ctx context.Context, origin string, from uint64, each func(*ledger.Verification) error) error
	// Void removes a verification that was never acknowledged, with its links, content, usage and new consent.
	// The request_id may be used again. A consent that was withdrawn since, or that another verification uses,
	// stays. ErrNotFound where there is none, ErrConflict where its position is below the mark.
	Void(ctx context.Context, client string, id ledger.ID) error
	// Restamp gives a verification the position of the record that recovered it. ErrNotFound where there is none.
	Restamp(ctx context.Context, client string, id ledger.ID, at ledger.Position) error
	// RestampResolution gives a settled verification the position of the record that says again how it was
	// settled. ErrNotFound where there is none, ErrConflict where it has no Resolution.
	RestampResolution(ctx context.Context, client string, id ledger.ID, at ledger.Position) error
}
