// Package fault is every refusal and failure that Heyan can answer with.
//
// There is one table ([Reason], [Rows]): each reason has its kind, how a client should handle it, its
// cause, its remedy and a Chinese sentence. package rpcerr is the only place where a kind becomes a
// gRPC code, and the public enum heyan.v1.ErrorReason carries the same names and numbers; tests hold
// the three together.
//
// A [Fault] never holds a submitted value: it names fields, products and limits that the program
// itself knows. Cause is for the operator's log and is never sent to a caller.
package fault

import (
	"errors"
	"time"
)

// Kind is the class of a fault, one for each gRPC code that Heyan uses.
type Kind uint8

// The kinds. The zero Kind is invalid.
const (
	Invalid         Kind = iota + 1 // the request is wrong in itself
	Unauthenticated                 // who calls is not known
	Denied                          // who calls may not do this
	Precondition                    // the state of a consent, subject, dataset, … forbids it
	Exists                          // it is there already, with other content
	Aborted                         // lost a race; may be tried again
	Exhausted                       // a quota, budget or rate
	Unavailable                     // a part of Heyan cannot work now
	Deadline                        // the caller's deadline passed
	Cancelled                       // the caller went away
	NotFound                        // no such resource for this caller
	Unimplemented                   // no such method
	Internal                        // a defect of Heyan
)

// Handling tells a program what to do with a refusal.
type Handling uint8

// The handlings. The zero Handling is invalid.
const (
	FixRequest  Handling = iota + 1 // change the request before sending it again
	FixConsent                      // get or renew the person's consent first
	AskOperator                     // somebody must change something in Heyan first
	RetrySameID                     // send the same request again, under the same request_id
)

// String returns the handling's name as it stands in ErrorInfo metadata.
func (h Handling) String() string {
	switch h {
	case FixRequest:
		return "FIX_REQUEST"
	case FixConsent:
		return "FIX_CONSENT"
	case AskOperator:
		return "ASK_OPERATOR"
	case RetrySameID:
		return "RETRY_SAME_ID"
	}
	return "HANDLING_UNSPECIFIED"
}

// Violation names a field of the request and the typed cause, for example {"fields.id_number",
// "CHECK_DIGIT"}. Neither part ever holds input.
type Violation struct {
	Field string
	Cause string
}

// Fault is one refusal. Build it with [New] and the With methods, which return the same Fault.
type Fault struct {
	Reason     Reason
	Violations []Violation       // what is wrong with which field
	Hint       string            // one sentence more than the table's remedy, composed by the program
	Metadata   map[string]string // facts for a program, e.g. the product that would fit
	RetryAfter time.Duration     // 0 = not stated
	Quota      string            // the quota or limit that is exhausted, by its name
	Cause      error             // for the operator's log only
	More       []*Fault          // further refusals of the same request; only validate_only collects them
}

// New makes a fault for a reason of the table.
func New(reason Reason) *Fault { return &Fault{Reason: reason} }

// Kind returns the kind that the table gives to the fault's reason.
func (f *Fault) Kind() Kind { return f.Reason.Row().Kind }

// Failure tells that a part of Heyan could not work, apart from a gate that said no and a caller that gave up. Nil is no
// failure.
func (f *Fault) Failure() bool {
	return f != nil && (f.Kind() == Unavailable || f.Kind() == Internal)
}

// Error implements error with the reason and names only.
func (f *Fault) Error() string {
	text := f.Reason.String()
	for i, v := range f.Violations {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text += separator + v.Field
		if v.Cause != "" {
			text += " " + v.Cause
		}
	}
	return text
}

// Unwrap returns the cause, for errors.Is; print it to the operator's log at most.
func (f *Fault) Unwrap() error { return f.Cause }

// WithField adds a violation. cause may be empty.
func (f *Fault) WithField(field, cause string) *Fault {
	f.Violations = append(f.Violations, Violation{Field: field, Cause: cause})
	return f
}

// WithHint sets the extra sentence.
func (f *Fault) WithHint(hint string) *Fault {
	f.Hint = hint
	return f
}

// With adds a fact for a program. key is lower_snake_case.
func (f *Fault) With(key, value string) *Fault {
	if f.Metadata == nil {
		f.Metadata = make(map[string]string, 2)
	}
	f.Metadata[key] = value
	return f
}

// WithRetryAfter states when another try may succeed.
func (f *Fault) WithRetryAfter(d time.Duration) *Fault {
	f.RetryAfter = d
	return f
}

// WithQuota names the exhausted limit.
func (f *Fault) WithQuota(name string) *Fault {
	f.Quota = name
	return f
}

// WithCause attaches an error for the operator's log.
func (f *Fault) WithCause(err error) *Fault {
	f.Cause = err
	return f
}

// Of returns err as a Fault. An error that is none becomes an opaque [InternalError] with err as cause;
// nil stays nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return New(InternalError).WithCause(err)
}

// Is reports whether err is a fault with the given reason.
func Is(err error, reason Reason) bool {
	var f *Fault
	return errors.As(err, &f) && f.Reason == reason
}
