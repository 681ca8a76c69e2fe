package product

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/workday"
)

// QuotaPeriod is how often a quota starts anew. Numbers are those of heyan.v1.QuotaPeriod.
type QuotaPeriod uint8

// The periods. The zero QuotaPeriod is invalid with a quota.
const (
	Daily   QuotaPeriod = iota + 1 // at 00:00 +08:00
	Monthly                        // on the first of a month, 00:00 +08:00
	Total                          // never
)

// Key names the period that now falls into, e.g. "2026-11-22", "2026-11" or "total".
func (p QuotaPeriod) Key(now time.Time) string {
	switch p {
	case Daily:
		return workday.DateOf(now).String()
	case Monthly:
		return workday.DateOf(now).String()[:7]
	default:
		return "total"
	}
}

// Quota is how many verdicts an entitlement allows in a period.
type Quota struct {
	Limit  int64 // negative = no limit
	Period QuotaPeriod
}

// Unlimited is no quota.
var Unlimited = Quota{Limit: -1, Period: Total}

// TestQuotaDefault is the daily quota of test credentials where an entitlement states none.
const TestQuotaDefault = 1000

// HandlerRole is on whose behalf Heyan processes. Numbers are those of heyan.v1.Entitlement.HandlerRole.
type HandlerRole uint8

// The handler roles. The zero HandlerRole is invalid.
const (
	Handler   HandlerRole = iota + 1 // 个人信息处理者
	Entrusted                        // 受托人
)

// Entitlement is what one client bought of one product. It is immutable once it is part of a snapshot.
type Entitlement struct {
	Client        string
	Product       ID
	Purposes      Purposes
	Quota         Quota
	TestQuota     Quota
	PriceFen      int64 // price of a billed answer in fen of CNY; negative = not stated
	Detail        bool
	LegalBases    []string
	HandlerRole   HandlerRole
	ContractRef   string
	Start         time.Time
	Expire        time.Time
	RetentionDays int
	Revision      int64
	Revoked       bool
	Reason        string // why it was revoked
	UpdateTime    time.Time
}

// Check is the entitlement gate: bought, begun, not revoked, not over.
func (e *Entitlement) Check(now time.Time) *fault.Fault {
	switch {
	case e == nil || e.Revoked:
		return fault.New(fault.ProductNotEntitled)
	case now.Before(e.Start):
		return fault.New(fault.ProductNotEntitled).WithHint("The entitlement has not begun yet.")
	case !now.Before(e.Expire):
		return fault.New(fault.EntitlementExpired).With("product", string(e.Product))
	}
	return nil
}

// HasLegalBasis reports whether the client may name the basis.
func (e *Entitlement) HasLegalBasis(id string) bool {
	for _, have := range e.LegalBases {
		if have == id {
			return true
		}
	}
	return false
}

// QuotaFor returns the quota that calls of a credential count against.
func (e *Entitlement) QuotaFor(test bool) Quota {
	if test {
		return e.TestQuota
	}
	return e.Quota
}

// Retention returns how long a verdict is kept.
func (e *Entitlement) Retention() time.Duration {
	return time.Duration(e.RetentionDays) * 24 * time.Hour
}
