package api

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

func (o *office) setOperator(by, approval string, p *heyanv1.Operator) outcome[*heyanv1.Operator] {
	o.t.Helper()
	return does(o, by, "AccessService/SetOperator", record.OperatorSet, o.access.SetOperator, &heyanv1.SetOperatorRequest{Operator: p, Approval: approval})
}

func (o *office) revokeOperator(by, id string) outcome[*heyanv1.Operator] {
	o.t.Helper()
	return does(o, by, "AccessService/RevokeOperator", record.OperatorRevoked, o.access.RevokeOperator, &heyanv1.RevokeOperatorRequest{Id: id, Reason: "left"})
}

func binds(id, person string, roles ...heyanv1.Role) *heyanv1.Operator {
	return &heyanv1.Operator{Id: id, PersonId: person, Roles: roles, IssuerSha256: bytes.Repeat([]byte{10}, 32), SubjectAltName: "spiffe://office/" + id}
}

// agreed sets an operator with another person's approval.
func (o *office) agreed(by, second string, p *heyanv1.Operator) outcome[*heyanv1.Operator] {
	o.t.Helper()
	return o.setOperator(by, agree(o, o.setOperator(by, "", p), second), p)
}

func TestSetOperatorRefuses(t *testing.T) {
	system, security, audit, privacy := heyanv1.Role_ROLE_SYSTEM_ADMIN, heyanv1.Role_ROLE_SECURITY_ADMIN, heyanv1.Role_ROLE_AUDIT_ADMIN, heyanv1.Role_ROLE_PRIVACY_OFFICER
	with := func(change func(*heyanv1.Operator), roles ...heyanv1.Role) *heyanv1.Operator {
		p := binds("eve", "eve", roles...)
		change(p)
		return p
	}
	same := func(*heyanv1.Operator) {}
	tests := []struct {
		name     string
		operator *heyanv1.Operator
		want     wants
	}{
		{"no roles", with(same), refusal(fault.FieldMissing, "roles")},
		{"client", with(same, heyanv1.Role_ROLE_CLIENT), refusal(fault.RequestMalformed, "roles CLIENT_IS_NO_OPERATOR")},
		{"two administrators", with(same, system, security), refusal(fault.SeparationOfDuties, "roles NOT_TOGETHER")},
		{"audit and privacy", with(same, audit, privacy), refusal(fault.SeparationOfDuties, "roles NOT_TOGETHER")},
		{"two administrators by two bindings", binds("anna-2", "anna", audit), refusal(fault.SeparationOfDuties, "roles NOT_TOGETHER")},
		{"audit beside another binding's privacy", binds("bo-2", "bo", audit), refusal(fault.SeparationOfDuties, "roles NOT_TOGETHER")},
		{"no person", with(func(p *heyanv1.Operator) { p.PersonId = "" }, audit), refusal(fault.FieldMissing, "operator.person_id")},
		{"PII as a person", with(func(p *heyanv1.Operator) { p.PersonId = "13800138000" }, audit), refusal(fault.FreeTextCarriesPII, "operator.person_id")},
		{"somebody's certificate", with(func(p *heyanv1.Operator) { p.SubjectAltName = "spiffe://office/bo" }, audit), refusal(fault.ResourceExists, "subject_alt_name BOUND_ALREADY")},
		{"ended", with(func(p *heyanv1.Operator) { p.ExpireTime = timestamppb.New(start) }, audit), refusal(fault.RequestMalformed, "operator.expire_time NOT_IN_THE_FUTURE")},
		{"inspector without an end", with(func(p *heyanv1.Operator) { p.ReadOnly = true }, audit), refusal(fault.FieldMissing, "operator.expire_time")},
		{"inspector of another role", with(func(p *heyanv1.Operator) { p.ReadOnly, p.ExpireTime = true, inYears(1) }, system), refusal(fault.RequestMalformed, "operator.read_only ONLY_AUDIT_ADMIN")},
		{"old revision", with(func(p *heyanv1.Operator) { p.Revision = 3 }, audit), refusal(fault.RevisionConflict)},
		{"alone", with(same, audit), refusal(fault.ApprovalRequired)},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.setOperator("bo", "", test.operator), test.want) })
	}
	if len(o.Directory.Now().Operators) != 3 {
		t.Error("bound without approval")
	}
}

func TestBindingTimes(t *testing.T) {
	o := newOffice(t)
	o.pass(day)
	eve := binds("eve", "eve", heyanv1.Role_ROLE_SYSTEM_ADMIN)
	bound := accepted(t, o.agreed("bo", "anna", eve))
	if bound.GetBoundBy() != "bo" || bound.GetApprovedBy() != "anna" || !bound.GetBindTime().AsTime().Equal(start.Add(day)) {
		t.Errorf("bound %v", bound)
	}
	o.pass(day)
	o.bind("dan", role.Binding{Person: "dan", Roles: role.Of(role.SecurityAdmin)})
	eve.SubjectAltName = "spiffe://office/eve-2027"
	// Nobody approves a role of their own, but a change that adds none.
	if moved := accepted(t, o.agreed("dan", "eve", eve)); moved.GetBoundBy() != "bo" || !moved.GetBindTime().AsTime().Equal(start.Add(day)) {
		t.Errorf("a change that adds no role restarted the clock: %v", moved)
	}
	if !slices.Contains(o.closed, "operator eve") {
		t.Error("connections under the old certificate stay open")
	}
	eve.Roles = append(eve.Roles, heyanv1.Role_ROLE_PRIVACY_OFFICER)
	id := o.setOperator("dan", "", eve).refused.Metadata["approval"]
	refusedFor(t, o.approve("eve", id).refused, fault.SeparationOfDuties)
	accepted(t, o.approve("anna", id))
	if more := accepted(t, o.setOperator("dan", id, eve)); more.GetBoundBy() != "dan" || !more.GetBindTime().AsTime().Equal(start.Add(2*day)) {
		t.Errorf("a change that adds a role: %v", more)
	}
}

// An ended binding made anew adds roles, whatever it lists.
func TestBindingAnewAddsRoles(t *testing.T) {
	o := newOffice(t)
	accepted(t, o.revokeOperator("bo", "anna"))
	o.bind("dan", role.Binding{Person: "dan", Roles: role.Of(role.SystemAdmin)})
	o.pass(day)
	anna := binds("anna", "anna", heyanv1.Role_ROLE_SYSTEM_ADMIN)
	if again := accepted(t, o.agreed("bo", "dan", anna)); again.GetBoundBy() != "bo" || !again.GetBindTime().AsTime().Equal(start.Add(day)) || again.GetState() != heyanv1.Operator_STATE_ACTIVE {
		t.Errorf("bound anew: %v", again)
	}
}

// What was approved is not what the same request would do now.
func TestApprovalOfAChangedSituation(t *testing.T) {
	o := newOffice(t)
	accepted(t, o.agreed("bo", "anna", binds("eve", "eve", heyanv1.Role_ROLE_SYSTEM_ADMIN)))
	renewed := binds("eve", "eve", heyanv1.Role_ROLE_SYSTEM_ADMIN)
	renewed.SubjectAltName = "spiffe://office/eve-2027"
	id := agree(o, o.setOperator("bo", "", renewed), "eve") // adds no role, so she may
	accepted(t, o.revokeOperator("cai", "eve"))
	refusedFor(t, o.setOperator("bo", id, renewed).refused, fault.ApprovalRequired, "approval OTHER_CONTENT")
}

// The second person read what the binding was before.
func TestApprovalOfAnotherBefore(t *testing.T) {
	o := newOffice(t)
	o.bind("eve", role.Binding{Person: "eve", Roles: role.Of(role.SystemAdmin, role.PrivacyOfficer)})
	less := binds("eve", "eve", heyanv1.Role_ROLE_SYSTEM_ADMIN)
	id := agree(o, o.setOperator("bo", "", less), "anna")
	entry := o.Directory.Now().Operators["eve"]
	meanwhile := entry.Value
	meanwhile.Roles = role.Of(role.SystemAdmin)
	_, err := o.Directory.PutOperator(t.Context(), meanwhile, entry.Revision)
	must(t, err)
	refusedFor(t, o.setOperator("bo", id, less).refused, fault.ApprovalRequired, "approval OTHER_CONTENT")
}

func TestRevokeOperator(t *testing.T) {
	o := newOffice(t)
	refusedFor(t, o.revokeOperator("cai", "bo").refused, fault.SeparationOfDuties) // the last security administrator
	o.bind("dan", role.Binding{Person: "dan", Roles: role.Of(role.SecurityAdmin)})
	gone := o.revokeOperator("cai", "bo")
	if p := accepted(t, gone); p.GetState() != heyanv1.Operator_STATE_REVOKED || p.GetRevision() != 2 || p.GetReason() != "left" {
		t.Errorf("revoked: %v", p)
	}
	if !slices.Contains(o.closed, "operator bo") {
		t.Error("connections stay open")
	}
	if _, held := o.Directory.Now().OperatorByCertificate(hex.EncodeToString(bytes.Repeat([]byte{10}, 32)) + " spiffe://office/bo"); held {
		t.Error("the certificate still works")
	}
	accepted(t, o.revokeOperator("cai", "bo"))
	refusedFor(t, o.revokeOperator("cai", "dan").refused, fault.SeparationOfDuties)
	refusedFor(t, o.revokeOperator("cai", "nobody").refused, fault.ResourceNotFound)

	list := accepted(t, does(o, "cai", "AccessService/ListOperators", record.OperatorListed, o.access.ListOperators, &heyanv1.ListOperatorsRequest{}))
	if len(list.GetOperators()) != 4 || list.GetOperators()[1].GetId() != "bo" || list.GetOperators()[1].GetState() != heyanv1.Operator_STATE_REVOKED ||
		list.GetOperators()[1].GetReason() != "left" {
		t.Errorf("listed %v", list)
	}
}

// A role that nobody holds any more is said aloud, in the record of the change itself.
func TestTheLastHolderIsAlarmed(t *testing.T) {
	o := newOffice(t)
	before := o.Log.Size()
	end := o.revokeOperator("anna", "cai")
	accepted(t, end)
	if r := end.record; r.Severity != record.Warning || r.Event != record.OperatorRevoked || !strings.Contains(r.Change.Diff, "audit_admin") {
		t.Errorf("recorded as %v %v %+v", r.Severity, r.Event, r.Change)
	}
	if n := o.Log.Size() - before; n != 1 {
		t.Errorf("%d records of one call", n)
	}
	// Without a security administrator nobody could bind anybody any more: not even two persons take the last one away.
	refusedFor(t, o.setOperator("bo", "", binds("bo", "bo", heyanv1.Role_ROLE_PRIVACY_OFFICER)).refused, fault.SeparationOfDuties)
}
