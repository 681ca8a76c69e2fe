// Package retention is what is on file about keeping records longer than they have to be: holds, and how long the network
// log is to be kept where a person chose longer than the configuration says.
//
// It holds no rule of how long the law asks for: that is store/netlog/retention, which also decides what a hold keeps.
package retention

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
)

// Cause is why records are held (MV §3.2(2)–(5)). Numbers are those of heyan.v1.Hold.Cause.
type Cause uint8

// The causes. The zero Cause is invalid.
const (
	Court Cause = iota + 1
	Authority
	FinanceAudit
	Dispute
	lastCause
)

// Valid reports whether c is one of the four.
func (c Cause) Valid() bool { return c > 0 && c < lastCause }

// String returns the cause's name.
func (c Cause) String() string {
	if !c.Valid() {
		return "UNSPECIFIED"
	}
	return [...]string{"COURT", "AUTHORITY", "FINANCE_AUDIT", "DISPUTE"}[c-1]
}

// NeedsEnd reports whether a hold of that cause has to say when it ends: only a court and an authority hold until they say
// otherwise (MV-3.2-hold-4-finance, MV-3.2-hold-5-dispute).
func (c Cause) NeedsEnd() bool { return c == FinanceAudit || c == Dispute }

// State is the state of a hold. Numbers are those of heyan.v1.Hold.State. Ending follows from the time and is never stored.
type State uint8

// The states. The zero State is invalid.
const (
	Active State = iota + 1
	Released
	Ended
)

// Hold keeps records of the network log of a range of time, whatever the policy says. An empty bound is open.
type Hold struct {
	ID         string
	Cause      Cause
	Reference  string    // document, case or complaint number
	Reason     string    // for people
	From, To   time.Time // records of [From, To)
	Until      time.Time // when it ends by itself; zero = when it is released
	CreatedBy  string    // operator
	Creator    string    // person
	CreateTime time.Time

	ReleaseTime   time.Time // zero = it was not
	ReleasedBy    string    // operator who carried the release out
	Releaser      string    // person
	ApprovedBy    string    // the second person
	ReleaseReason string
}

// StateAt returns the state at a time.
func (h *Hold) StateAt(now time.Time) State {
	switch {
	case !h.ReleaseTime.IsZero():
		return Released
	case !h.Until.IsZero() && !now.Before(h.Until):
		return Ended
	}
	return Active
}

// Check is what a hold needs to be put on file.
func (h *Hold) Check() *fault.Fault {
	if !h.Cause.Valid() {
		return fault.New(fault.FieldMissing).WithField("hold.cause", "")
	}
	if h.Reference == "" {
		return fault.New(fault.FieldMissing).WithField("hold.reference", "")
	}
	switch {
	case !h.From.IsZero() && !h.To.IsZero() && !h.From.Before(h.To):
		return fault.New(fault.RequestMalformed).WithField("hold.log_range.end_time", "NOT_AFTER_START_TIME")
	case h.Until.IsZero() && h.Cause.NeedsEnd():
		return fault.New(fault.FieldMissing).WithField("hold.expire_time", "").
			WithHint("Only a hold by a court or an authority may be without an end; another is created anew where it has to last longer.")
	case !h.Until.IsZero() && !h.CreateTime.Before(h.Until):
		return fault.New(fault.RequestMalformed).WithField("hold.expire_time", "NOT_IN_THE_FUTURE")
	}
	return nil
}

// Setting is how long the network log is kept by a person's choice. It counts where it is longer than the configuration.
type Setting struct {
	Months int // calendar months
	Grace  int // days more
	SetBy  string
	Setter string // person
	Time   time.Time
}
