package api

import (
	"context"
	"strings"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// SetOperator binds a person to roles and a certificate, or changes a binding. Always two persons.
//
// Who made and approved a binding, and when, changes only with what it adds: a change that adds no role neither
// restarts the 30 days of role.CountAsTwo nor lets somebody else's name stand in for who bound the person.
func (a *Access) SetOperator(ctx context.Context, req *heyanv1.SetOperatorRequest) (*heyanv1.Operator, error) {
	p := req.GetOperator()
	next, f := a.newOperator(ctx, p)
	if f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.d.Directory.Now(), a.d.Now()
	var before *role.Operator
	var revision int64
	if entry, ok := s.Operators[next.ID]; ok {
		copied := entry.Value
		before, revision = &copied, entry.Revision
		journal.From(ctx).SetObject("operator", next.ID)
	}
	if p.GetRevision() != 0 && p.GetRevision() != revision {
		return nil, fault.New(fault.RevisionConflict)
	}
	if f := freeCertificate(s, next.IssuerSHA256, next.SubjectAltName, "", next.ID); f != nil {
		return nil, f
	}
	if f := onePerson(s, next, now); f != nil {
		return nil, f
	}
	if before != nil && !next.Roles.Has(role.SecurityAdmin) && lastSecurityAdmin(s, before, now) {
		return nil, fault.New(fault.SeparationOfDuties).WithHint("Nobody else is security administrator: bind another one first.")
	}
	widens := widens(before, next, now)
	permit, err := a.d.permit(ctx, act{
		request: req, summary: operatorSummary(before, next), concerns: next.Person, addsRole: widens,
	})
	if err != nil {
		return nil, err
	}
	if widens {
		next.BoundBy, next.ApprovedBy, next.BoundAt = caller(ctx).Person, permit.person(), now
	} else {
		next.BoundBy, next.ApprovedBy, next.BoundAt = before.BoundBy, before.ApprovedBy, before.BoundAt
	}
	if revision, err = a.d.Directory.PutOperator(ctx, *next, revision); err != nil {
		return nil, permit.unused(ctx, storeFault(err))
	}
	if before != nil && rebound(before, next) {
		a.d.CloseSessions(authn.Operator, next.ID)
	}
	journal.From(ctx).SetObject("operator", next.ID)
	if before == nil {
		changed(ctx, nil, next)
	} else {
		changed(ctx, before, next)
	}
	return publicOperator(next, revision, now), a.alarm(ctx, s, now)
}

// newOperator reads what is asked for.
func (a *Access) newOperator(ctx context.Context, p *heyanv1.Operator) (*role.Operator, *fault.Fault) {
	if f := a.d.slug(ctx, "operator.id", p.GetId()); f != nil {
		return nil, f
	}
	if f := a.d.slug(ctx, "operator.person_id", p.GetPersonId()); f != nil {
		return nil, f
	}
	roles, f := rolesOf("operator.roles", p.GetRoles())
	if f != nil {
		return nil, f
	}
	if f := roles.CheckOperator(); f != nil {
		return nil, f
	}
	expire, f := instant("operator.expire_time", p.GetExpireTime())
	if f != nil {
		return nil, f
	}
	switch {
	case !expire.IsZero() && !expire.After(a.d.Now()):
		return nil, malformed("operator.expire_time", "NOT_IN_THE_FUTURE")
	case p.GetReadOnly() && roles != role.Of(role.AuditAdmin):
		return nil, malformed("operator.read_only", "ONLY_AUDIT_ADMIN").WithHint("An inspector is an audit administrator who only reads.")
	case p.GetReadOnly() && expire.IsZero():
		return nil, missing("operator.expire_time").WithHint("An inspector's binding has an end.")
	}
	issuer, f := a.d.certificateOf(ctx, p.GetIssuerSha256(), p.GetSubjectAltName())
	if f != nil {
		return nil, f
	}
	return &role.Operator{
		ID: p.GetId(), IssuerSHA256: issuer, SubjectAltName: p.GetSubjectAltName(), State: role.Active, ExpireTime: expire,
		ReadOnly: p.GetReadOnly(), Binding: role.Binding{Person: p.GetPersonId(), Roles: roles},
	}, nil
}

// onePerson refuses roles that one human being may not hold together, over all of that person's bindings.
func onePerson(s *directory.Snapshot, next *role.Operator, now time.Time) *fault.Fault {
	all := next.Roles
	for id, entry := range s.Operators {
		if o := &entry.Value; id != next.ID && o.Person == next.Person && o.StateAt(now) == role.Active {
			all |= o.Roles
		}
	}
	if f := all.CheckOperator(); f != nil {
		return f.WithHint("The person has another binding whose roles do not go with these.")
	}
	return nil
}

// widens reports whether next lets its person do what before did not: a role, an ended binding made anew, another
// person under the same id, writing where there was only reading.
func widens(before, next *role.Operator, now time.Time) bool {
	return before.AddsRole(next.Roles) || before.StateAt(now) != role.Active || before.Person != next.Person ||
		before.ReadOnly && !next.ReadOnly
}

// rebound reports whether open connections may not go on under the new binding.
func rebound(before, next *role.Operator) bool {
	return before.Person != next.Person || before.IssuerSHA256 != next.IssuerSHA256 || before.SubjectAltName != next.SubjectAltName
}

func operatorSummary(before, next *role.Operator) []string {
	was := "nothing"
	if before != nil {
		was = before.Person + " as " + before.Roles.String()
	}
	return lines(
		line("operator", next.ID), line("person", next.Person), line("roles", next.Roles.String()), line("before", was),
		line("issuer_sha256", next.IssuerSHA256), line("subject_alt_name", next.SubjectAltName),
		line("read_only", yes(next.ReadOnly)), timeLine("expire_time", next.ExpireTime),
	)
}

// holders counts the persons who hold a role now and may write.
func holders(s *directory.Snapshot, r role.Role, now time.Time) int {
	persons := map[string]bool{}
	for _, entry := range s.Operators {
		if o := &entry.Value; o.Roles.Has(r) && !o.ReadOnly && o.StateAt(now) == role.Active {
			persons[o.Person] = true
		}
	}
	return len(persons)
}

// alarm writes the call's record as a WARNING where the change left a role without anybody who had it before.
func (a *Access) alarm(ctx context.Context, before *directory.Snapshot, now time.Time) error {
	after := a.d.Directory.Now()
	var orphaned []string
	for _, r := range []role.Role{role.SystemAdmin, role.SecurityAdmin, role.AuditAdmin, role.PrivacyOfficer} {
		if holders(before, r, now) > 0 && holders(after, r, now) == 0 {
			orphaned = append(orphaned, r.String())
		}
	}
	if len(orphaned) == 0 {
		return nil
	}
	call := journal.From(ctx)
	at, err := call.Note(call.Event, func(r *record.Record) {
		r.Severity = record.Warning
		change := *r.Change
		change.Diff += "; nobody holds " + strings.Join(orphaned, ", ") + " any more"
		r.Change = &change
	})
	if err != nil {
		return err
	}
	call.Use(at)
	return nil
}

// RevokeOperator ends a binding at once and closes its connections. The last security administrator is not
// revoked: nobody could bind another one.
func (a *Access) RevokeOperator(ctx context.Context, req *heyanv1.RevokeOperatorRequest) (*heyanv1.Operator, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.d.Directory.Now(), a.d.Now()
	entry, ok := s.Operators[req.GetId()]
	if !ok {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("operator", entry.Value.ID)
	before, after, revision := entry.Value, entry.Value, entry.Revision
	if after.State != role.Revoked {
		after.State, after.Reason = role.Revoked, req.GetReason()
		if lastSecurityAdmin(s, &before, now) {
			return nil, fault.New(fault.SeparationOfDuties).
				WithHint("Nobody else is security administrator: bind another one first.")
		}
		var err error
		if revision, err = a.d.Directory.PutOperator(ctx, after, revision); err != nil {
			return nil, storeFault(err)
		}
	}
	a.d.CloseSessions(authn.Operator, after.ID)
	changed(ctx, &before, &after)
	return publicOperator(&after, revision, now), a.alarm(ctx, s, now)
}

func lastSecurityAdmin(s *directory.Snapshot, o *role.Operator, now time.Time) bool {
	if !o.Roles.Has(role.SecurityAdmin) || o.StateAt(now) != role.Active {
		return false
	}
	for id, entry := range s.Operators {
		if other := &entry.Value; id != o.ID && other.Roles.Has(role.SecurityAdmin) && other.StateAt(now) == role.Active {
			return false
		}
	}
	return true
}

// ListOperators lists bindings, sorted by id.
func (a *Access) ListOperators(ctx context.Context, req *heyanv1.ListOperatorsRequest) (*heyanv1.ListOperatorsResponse, error) {
	all, now := a.d.Directory.Now().Operators, a.d.Now()
	list := a.d.pages(caller(ctx).ID, "ListOperators")
	cut, next, f := pageOf(list, sortedIDs(all, nil), req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListOperatorsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Operators = append(response.Operators, publicOperator(&all[id].Value, all[id].Revision, now))
	}
	return response, nil
}

func publicOperator(o *role.Operator, revision int64, now time.Time) *heyanv1.Operator {
	return &heyanv1.Operator{
		Id: o.ID, PersonId: o.Person, Roles: publicRoles(o.Roles), IssuerSha256: bytesOf(o.IssuerSHA256),
		SubjectAltName: o.SubjectAltName, State: operatorStateEnum.public(o.StateAt(now)), ExpireTime: stamp(o.ExpireTime),
		ReadOnly: o.ReadOnly, BoundBy: o.BoundBy, BindTime: stamp(o.BoundAt), ApprovedBy: o.ApprovedBy, Revision: revision,
		Reason: o.Reason,
	}
}
