package ledger

import (
	"strconv"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
)

// State is the state of a verification. Numbers are those of heyan.v1.Verification.State.
type State uint8

// The states. The zero State is invalid.
const (
	Active State = iota + 1
	Pending
	Disputed
	Superseded
	Restricted
	// Deleted is a verification that its client deleted: the verdict is gone, the processing record stays.
	Deleted State = 100
)

// Position is a place in a network log.
type Position struct {
	Origin string
	Index  uint64
}

// Remark is a warning about an accepted value: the field and a code of a closed list.
type Remark struct {
	Field field.Kind
	Code  string
}

// Verification is one answered request: a row of the business store. It holds names of fields and opaque
// ids, never a value, a digest of one, or a handle.
type Verification struct {
	ID            ID
	Client        string
	Product       product.ID
	Purpose       product.Purpose
	Fields        field.Set
	Test          bool
	Verdict       product.Verdict
	FieldVerdicts product.FieldVerdicts
	Detail        bool // the client may see FieldVerdicts
	Source        string
	SourceAsOf    time.Time
	SourceCode    string
	Dataset       string
	Recipient     string
	Billing       product.Billing
	PriceFen      int64
	VerifyTime    time.Time
	ExpireTime    time.Time
	ReconcileBy   time.Time
	State         State
	Consent       ID
	ConsentUse    ID // this use of the consent: what the log shows instead of the consent
	LegalBasis    string
	PolicyVersion string
	Log           Position
	Resolution    Position // of verification.reconciled, once a pending one is settled
	// ResolutionReason says how it was shown, in an operator's words.
	ResolutionReason string
	Remarks          []Remark
	Reference        digest.Digest // of client_reference; zero = none
	Request          digest.Digest // of request_id
	Child            bool
	QuotaKey         string // the counter that it was counted in, for reconciling
}

// Visible reports whether the client may still read it.
func (v *Verification) Visible(now time.Time) bool {
	return v.State != Deleted && now.Before(v.ExpireTime)
}

// Strip turns v into its processing record: who, when, for what, under which ground, to whom.
func (v *Verification) Strip() {
	v.Verdict, v.FieldVerdicts, v.SourceCode, v.Dataset = 0, product.FieldVerdicts{}, "", ""
	v.Remarks, v.Reference, v.ResolutionReason, v.State = nil, digest.Digest{}, "", Deleted
}

// Settle gives a pending v its outcome, and returns what that adds to the row of usage that counted it as pending. Who
// calls it gives v its Resolution. Without a verdict the call never happened, and v is stripped.
func (v *Verification) Settle(verdict product.Verdict, billing product.Billing) usage.Counts {
	v.Verdict, v.Billing, v.State, v.ReconcileBy = verdict, billing, Active, time.Time{}
	var delta usage.Counts
	if verdict == 0 {
		v.Strip()
	} else {
		delta = usage.Of(verdict, billing, v.PriceFen)
	}
	delta.Verdicts[0]--
	return delta
}

// String prints a place as "origin/index", the form of the trailer heyan-log-entry.
func (p Position) String() string { return p.Origin + "/" + strconv.FormatUint(p.Index, 10) }
