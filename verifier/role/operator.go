package role

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
)

// State is the state of a binding. Numbers are those of heyan.v1.Operator.State.
type State uint8

// The states. The zero State is invalid. Expiry follows from the time and is never stored.
const (
	Active State = iota + 1
	Revoked
	Expired
)

// Operator is a person of the operator, bound to roles and a certificate.
type Operator struct {
	ID             string
	IssuerSHA256   string // of the issuing CA's certificate, hexadecimal
	SubjectAltName string // URI or DNS name
	State          State
	ExpireTime     time.Time // zero = never
	ReadOnly       bool      // an inspector: read methods only
	Reason         string
	Binding
}

// StateAt returns the state at a time.
func (o *Operator) StateAt(now time.Time) State {
	if o.State == Active && !o.ExpireTime.IsZero() && !now.Before(o.ExpireTime) {
		return Expired
	}
	return o.State
}

// Check refuses a binding that does not work now.
func (o *Operator) Check(now time.Time) *fault.Fault {
	switch o.StateAt(now) {
	case Active:
		return nil
	case Expired:
		return fault.New(fault.CredentialExpired)
	}
	return fault.New(fault.CredentialInvalid)
}

// AddsRole reports whether next holds a role that o does not.
func (o *Operator) AddsRole(next Set) bool { return o == nil || next&^o.Roles != 0 }

// ApprovalState is the state of an approval. Numbers are those of heyan.v1.Approval.State.
type ApprovalState uint8

// The states. The zero ApprovalState is invalid. Lapsing follows from the time and is never stored.
const (
	Waiting ApprovalState = iota + 1
	Approved
	Rejected
	Done
	Lapsed
)

// ApprovalLife is how long an approval may wait and be used.
const ApprovalLife = 7 * 24 * time.Hour

// Approval is an act that needs a second person.
type Approval struct {
	ID              string
	Method          string // full method
	Summary         []string
	RequestSHA256   [32]byte // of the request, without its approval member
	RequestedBy     string   // operator
	RequesterPerson string
	Concerns        string // person whose binding it changes; empty = nobody's
	AddsRole        bool   // whether it adds a role to that person
	State           ApprovalState
	DecidedBy       string
	DeciderPerson   string
	Reason          string
	CreateTime      time.Time
	DecideTime      time.Time
	LogOrigin       string
	LogIndex        uint64
}

// ExpireTime returns when it lapses.
func (a *Approval) ExpireTime() time.Time { return a.CreateTime.Add(ApprovalLife) }

// StateAt returns the state at a time.
func (a *Approval) StateAt(now time.Time) ApprovalState {
	if (a.State == Waiting || a.State == Approved) && !now.Before(a.ExpireTime()) {
		return Lapsed
	}
	return a.State
}

// CheckDecider refuses a decision by somebody who does not count as a second person, or whose own binding
// the act would widen.
func (a *Approval) CheckDecider(requester, decider Binding, now time.Time) *fault.Fault {
	if a.StateAt(now) != Waiting {
		return fault.New(fault.DeadlinePassed).WithHint("The approval does not wait any more.")
	}
	if !CountAsTwo(requester, decider, now) {
		return fault.New(fault.SeparationOfDuties).
			WithHint("A second person decides; somebody whom the other person bound counts only after 30 days.")
	}
	if a.Concerns == decider.Person && a.AddsRole {
		return fault.New(fault.SeparationOfDuties).WithHint("Nobody approves a role of their own.")
	}
	return nil
}

// Why an approval does not let an act pass: the causes of the violation on the request's member "approval".
const (
	CauseOtherContent = "OTHER_CONTENT" // it is for another call, other content or another operator
	CauseWaiting      = "WAITING"       // nobody has decided yet
	CauseUsed         = "USED"          // the act was carried out by it
	CauseRejected     = "REJECTED"
	CauseLapsed       = "LAPSED" // it was not used in time, or who approved counts no more
)

// CheckUse refuses to carry out an act that is not approved, or another than the approved one. The refusal has one
// violation, on "approval". Only a waiting approval is named in the metadata: nobody needs to decide on another one.
func (a *Approval) CheckUse(operator, method string, request [32]byte, now time.Time) *fault.Fault {
	if a.Method != method || a.RequestSHA256 != request || a.RequestedBy != operator {
		return NotUsable(CauseOtherContent,
			"The approval is for another call: repeat exactly the call that was approved, as the operator who asked; or leave approval empty to ask for this one.")
	}
	switch a.StateAt(now) {
	case Approved:
		return nil
	case Waiting:
		return NotUsable(CauseWaiting, "A second person has not decided yet.").With("approval", a.ID)
	case Done:
		return NotUsable(CauseUsed, "The act was carried out by this approval already, which serves once: to do it again, leave approval empty to ask anew.")
	case Rejected:
		return NotUsable(CauseRejected, "The second person said no: leave approval empty to ask anew.")
	}
	return NotUsable(CauseLapsed, "The approval was not used within 7 days: leave approval empty to ask anew.")
}

// NotUsable is the refusal of an act whose approval does not let it pass.
func NotUsable(cause, hint string) *fault.Fault {
	return fault.New(fault.ApprovalRequired).WithField("approval", cause).WithHint(hint)
}
