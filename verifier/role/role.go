// Package role says who may be what: the five roles, which of them one person may hold together, and when
// two persons count as two.
//
// The separation follows GB/T 22239-2019 8.1.5.1–8.1.5.3 (system, audit and security administrators apart).
// There is no super-user. Which method needs which role stands with the methods, in package server.
package role

import (
	"strings"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
)

// Role is one role. Numbers are those of heyan.v1.Role.
type Role uint8

// The roles. The zero Role is invalid.
const (
	Client         Role = iota + 1 // a customer's backend
	SystemAdmin                    // clients, credentials, datasets, configuration
	SecurityAdmin                  // entitlements, recipients, operators, legal bases, activation
	AuditAdmin                     // the network log, and read-only views
	PrivacyOfficer                 // consents, subject requests, retention, policies
	lastRole
)

var names = [lastRole]string{"", "client", "system_admin", "security_admin", "audit_admin", "privacy_officer"}

// String returns the role's name, e.g. "system_admin".
func (r Role) String() string {
	if r == 0 || r >= lastRole {
		return "unspecified"
	}
	return names[r]
}

// Set is a set of roles.
type Set uint8

// Of makes a set.
func Of(roles ...Role) Set {
	var s Set
	for _, r := range roles {
		s |= 1 << r
	}
	return s
}

// Administrators are the three roles of which one person holds at most one.
const Administrators = Set(1<<SystemAdmin | 1<<SecurityAdmin | 1<<AuditAdmin)

// Has reports whether r is in s.
func (s Set) Has(r Role) bool { return s&(1<<r) != 0 }

// Any reports whether s and t have a role in common.
func (s Set) Any(t Set) bool { return s&t != 0 }

// Roles lists s in the order of the roles' numbers.
func (s Set) Roles() []Role {
	var roles []Role
	for r := Client; r < lastRole; r++ {
		if s.Has(r) {
			roles = append(roles, r)
		}
	}
	return roles
}

// String lists names, separated by "+".
func (s Set) String() string {
	parts := make([]string, 0, 2)
	for _, r := range s.Roles() {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, "+")
}

// CheckOperator reports whether one person may hold s: at least one role, at most one of the three
// administrators, never client, and privacy officer never with audit administrator.
func (s Set) CheckOperator() *fault.Fault {
	administrators := len((s & Administrators).Roles())
	switch {
	case s == 0:
		return fault.New(fault.FieldMissing).WithField("roles", "")
	case s.Has(Client):
		return fault.New(fault.RequestMalformed).WithField("roles", "CLIENT_IS_NO_OPERATOR")
	case administrators > 1, s.Has(AuditAdmin) && s.Has(PrivacyOfficer):
		return fault.New(fault.SeparationOfDuties).WithField("roles", "NOT_TOGETHER").
			WithHint("One person holds at most one of system_admin, security_admin and audit_admin; privacy_officer goes with the first two only.")
	}
	return nil
}

// Binding is what separation of duties needs to know of an operator.
type Binding struct {
	Person     string    // the human being
	Roles      Set       // what they are bound to
	BoundBy    string    // person who made the binding; empty for those of the first start
	ApprovedBy string    // person who approved it
	BoundAt    time.Time // when roles were last added
}

// probation is how long somebody whom the other person bound does not count as a second person.
const probation = 30 * 24 * time.Hour

// CountAsTwo reports whether a and b are two persons for an act that needs two: two person_ids, and if one
// made the other's binding, 30 days have passed or a third person approved that binding.
func CountAsTwo(a, b Binding, now time.Time) bool {
	if a.Person == "" || b.Person == "" || a.Person == b.Person {
		return false
	}
	return independent(a, b, now) && independent(b, a, now)
}

// independent reports whether b's binding does not hang on a alone.
func independent(a, b Binding, now time.Time) bool {
	if b.BoundBy != a.Person {
		return true
	}
	third := b.ApprovedBy != "" && b.ApprovedBy != a.Person && b.ApprovedBy != b.Person
	return third || now.Sub(b.BoundAt) >= probation
}
