// Package consent is the ground on which a person's values may be processed: what they were shown
// ([Notice]), that they agreed ([Consent]), what the law allows without ([LegalBasis]), and the rule for
// children ([CheckAge]).
//
// Each gate is a pure function of what is on file, what the call says and the time. A legal basis lifts
// consent only: whitelist, purposes and the rule for children bind it all the same
// (MV-1.3-exempt-limits).
//
// Not guaranteed: that a person really agreed. Heyan sees a reference to evidence that stays with the
// client, and demands one on every call.
package consent

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Separate is a set of separate consents. Bit numbers are those of heyan.v1.SeparateConsent.
type Separate uint8

// The separate consents (PIPL arts. 23, 29).
const (
	ProvideToHandler Separate = 1 << 1 // pass the values to another handler
	SensitivePI      Separate = 1 << 2 // process sensitive personal information
)

// Has reports whether all of want are in s.
func (s Separate) Has(want Separate) bool { return s&want == want }

// Notice is what people are shown before they agree. It is immutable.
type Notice struct {
	ID           string
	Client       string
	TextSHA256   [32]byte
	Version      string
	Fields       field.Set
	Purposes     product.Purposes
	Recipients   []string
	Separate     Separate
	LifetimeDays int
	AgeGate      bool // the client's process lets nobody under 14 through
	CreateTime   time.Time
}

// Needed returns the separate consents that processing fields needs. Passing the values on to Heyan is
// itself a provision to another handler, unless Heyan is entrusted by the client and asks no recipient.
func Needed(fields field.Set, role product.HandlerRole, recipients int) Separate {
	var needed Separate
	if role != product.Entrusted || recipients > 0 {
		needed |= ProvideToHandler
	}
	if fields.Minus(product.Sensitive()) != fields {
		needed |= SensitivePI
	}
	return needed
}

// CheckScope is the gate between a call and the notice that the person agreed to: fields, purpose and
// separate consents.
func (n *Notice) CheckScope(fields field.Set, purpose product.Purpose, needed Separate) *fault.Fault {
	if outside := fields.Minus(n.Fields); outside.Len() > 0 {
		f := fault.New(fault.ConsentScope).With("notice", n.ID)
		for _, name := range outside.Names() {
			f.WithField("fields."+name, "NOT_IN_NOTICE")
		}
		return f
	}
	if !n.Separate.Has(needed) {
		missing := needed &^ n.Separate
		f := fault.New(fault.ConsentScope).With("notice", n.ID)
		if missing.Has(ProvideToHandler) {
			f.WithField("separate_consents", "PROVIDE_TO_HANDLER")
		}
		if missing.Has(SensitivePI) {
			f.WithField("separate_consents", "SENSITIVE_PI")
		}
		return f
	}
	if !n.Purposes.Has(purpose) {
		return fault.New(fault.PurposeNotConsented).With("notice", n.ID).With("purpose", purpose.String())
	}
	return nil
}

// Names reports whether the notice names a recipient; registry and simulator, which are none, have the
// empty id and are always named.
func (n *Notice) Names(recipient string) bool {
	if recipient == "" {
		return true
	}
	for _, r := range n.Recipients {
		if r == recipient {
			return true
		}
	}
	return false
}

// Expire returns when a consent to the notice ends.
func (n *Notice) Expire(obtained time.Time) time.Time { return obtained.AddDate(0, 0, n.LifetimeDays) }

// Same reports whether registering m again would change nothing.
func (n *Notice) Same(m *Notice) bool {
	if len(n.Recipients) != len(m.Recipients) {
		return false
	}
	for i := range n.Recipients {
		if n.Recipients[i] != m.Recipients[i] {
			return false
		}
	}
	return n.ID == m.ID && n.Client == m.Client && n.TextSHA256 == m.TextSHA256 && n.Version == m.Version &&
		n.Fields == m.Fields && n.Purposes == m.Purposes && n.Separate == m.Separate &&
		n.LifetimeDays == m.LifetimeDays && n.AgeGate == m.AgeGate
}

// Status is the state of a consent. Numbers are those of heyan.v1.Consent.State.
type Status uint8

// The states. The zero Status is invalid. Expiry follows from the time, and that a consent needs renewal from the
// policies in force at the time; neither is stored.
const (
	Active Status = iota + 1
	Withdrawn
	Expired
	NeedsRenewal
)

// Consent is one person's agreement to one notice.
type Consent struct {
	ID           string // UUIDv7
	Client       string
	Notice       string
	ObtainTime   time.Time
	ExpireTime   time.Time
	Status       Status
	Revision     int64
	Guardian     bool
	Test         bool // given to a test credential: no live one ever meets it, nor the other way round
	WithdrawTime time.Time
	CreateTime   time.Time
}

// StatusAt returns the state at a time. A consent obtained before renewal needs to be renewed (MV-8-reconsent); a
// zero renewal binds none.
func (c *Consent) StatusAt(now, renewal time.Time) Status {
	switch {
	case c.Status != Active:
		return c.Status
	case !now.Before(c.ExpireTime):
		return Expired
	case c.ObtainTime.Before(renewal):
		return NeedsRenewal
	}
	return Active
}

// Check is the gate on a consent's state.
func (c *Consent) Check(now, renewal time.Time) *fault.Fault {
	switch c.StatusAt(now, renewal) {
	case Active:
		return nil
	case Withdrawn:
		return fault.New(fault.ConsentWithdrawn)
	case Expired:
		return fault.New(fault.ConsentExpired)
	case NeedsRenewal:
		return fault.New(fault.ConsentRenewalRequired)
	}
	return fault.New(fault.ConsentMissing)
}

// clockDifference is how far a client's clock may be ahead of ours.
const clockDifference = time.Minute

// CheckObtained refuses an agreement of the future, one that has ended already, and one from before renewal.
func CheckObtained(notice *Notice, obtained, now, renewal time.Time) *fault.Fault {
	switch {
	case obtained.IsZero():
		return fault.New(fault.ConsentMissing).WithField("consent.obtain_time", "MISSING")
	case obtained.After(now.Add(clockDifference)):
		return fault.New(fault.ConsentMissing).WithField("consent.obtain_time", "IN_THE_FUTURE")
	case !now.Before(notice.Expire(obtained)):
		return fault.New(fault.ConsentExpired).WithField("consent.obtain_time", "LIFETIME_OVER")
	case obtained.Before(renewal):
		return fault.New(fault.ConsentRenewalRequired).WithField("consent.obtain_time", "BEFORE_MATERIAL_CHANGE")
	}
	return nil
}
