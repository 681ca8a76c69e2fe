package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// office is a world with the services of the operator and its people: anna (system and privacy), bo (security and
// privacy), cai (audit), all bound at the first start, so by nobody.
type office struct {
	*world
	admin      *Admin
	access     *Access
	compliance *Compliance
	log        *Log
	closed     []string // "client acme", in order
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{world: newWorld(t)}
	o.CloseSessions = func(kind authn.Kind, id string) {
		o.closed = append(o.closed, map[authn.Kind]string{authn.Client: "client ", authn.Operator: "operator "}[kind]+id)
	}
	o.admin, o.access, o.compliance, o.log = NewAdmin(o.Deps), NewAccess(o.Deps), NewCompliance(o.Deps), NewLog(o.Deps)
	o.bind("anna", role.Binding{Person: "anna", Roles: role.Of(role.SystemAdmin, role.PrivacyOfficer)})
	o.bind("bo", role.Binding{Person: "bo", Roles: role.Of(role.SecurityAdmin, role.PrivacyOfficer)})
	o.bind("cai", role.Binding{Person: "cai", Roles: role.Of(role.AuditAdmin)})
	return o
}

// bind puts an operator on file without asking anybody.
func (o *office) bind(id string, b role.Binding) {
	o.t.Helper()
	if b.BoundAt.IsZero() {
		b.BoundAt = start
	}
	_, err := o.Directory.PutOperator(o.t.Context(), role.Operator{
		ID: id, IssuerSHA256: strings.Repeat("0a", 32), SubjectAltName: "spiffe://office/" + id, State: role.Active, Binding: b}, 0)
	must(o.t, err)
}

// person is an operator as authentication finds it.
func (o *office) person(id string) authn.Principal {
	operator := o.Directory.Now().Operators[id].Value
	return authn.Principal{Kind: authn.Operator, ID: id, Person: operator.Person, Roles: operator.Roles, Method: authn.ByCertificate, Operator: &operator}
}

// does makes one call of a person, as the chain does, and reads its record back. method is "AdminService/GetClient".
func does[Q, R any](o *office, id, method string, event record.Event, handler func(context.Context, Q) (R, error), request Q) outcome[R] {
	o.t.Helper()
	return doesIn(o, o.t.Context(), id, method, event, handler, request)
}

func doesIn[Q, R any](o *office, ctx context.Context, id, method string, event record.Event, handler func(context.Context, Q) (R, error), request Q) outcome[R] {
	o.t.Helper()
	call := &journal.Call{
		Journal: o.Journal, Principal: o.person(id), Method: "/heyan.v1." + method, Event: event, Start: o.Now(),
		Connection: journal.Connection{Session: "s-1", Source: record.Peer{IP: netip.MustParseAddr("192.0.2.1"), Port: 4711}},
		Codes:      func(f *fault.Fault) uint32 { return uint32(rpcerr.Code(f.Kind())) },
	}
	reply, err := handler(journal.With(ctx, call), request)
	end := outcome[R]{reply: reply, refused: rpcerr.FromError(err), call: call}
	if end.refused != nil {
		o.leaks([]byte(rpcerr.Status(end.refused, "").String()), "a refusal")
	}
	at, err := call.Finish(end.refused)
	must(o.t, err)
	end.record = o.read(at.Index)
	return end
}

// wants is how a call of a table ends: no reason means that it is done.
type wants struct {
	reason     fault.Reason
	violations []string
}

func refusal(reason fault.Reason, violations ...string) wants { return wants{reason, violations} }

func ends[R any](t *testing.T, o outcome[R], w wants) {
	t.Helper()
	if w.reason == 0 {
		accepted(t, o)
		return
	}
	refusedFor(t, o.refused, w.reason, w.violations...)
}

// agree has a second person approve what a call was refused for, and returns the approval's id.
func agree[R any](o *office, asked outcome[R], by string) string {
	o.t.Helper()
	if asked.refused == nil || asked.refused.Reason != fault.ApprovalRequired {
		o.t.Fatalf("asked for no approval: %v", asked.refused)
	}
	id := asked.refused.Metadata["approval"]
	accepted(o.t, o.approve(by, id))
	return id
}

func (o *office) approve(by, id string) outcome[*heyanv1.Approval] {
	o.t.Helper()
	entry := o.Directory.Now().Approvals[id]
	return does(o, by, "ComplianceService/Approve", record.ApprovalApproved, o.compliance.Approve,
		&heyanv1.ApproveRequest{Id: id, RequestSha256: entry.Value.RequestSHA256[:]})
}

// records returns the log from an index on.
func (o *office) records(from uint64) []record.Record {
	o.t.Helper()
	var all []record.Record
	must(o.t, o.Log.Read(o.t.Context(), from, o.Log.Size(), func(_ uint64, leaf []byte) error {
		o.leaks(leaf, "a record")
		r, err := record.Parse(leaf)
		all = append(all, r)
		return err
	}))
	return all
}

// upload is the stream of an import.
type upload struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*heyanv1.ImportRecordsRequest
	failure  error // at the end, in place of io.EOF
	reply    *heyanv1.ImportRecordsResponse
}

func (u *upload) Context() context.Context { return u.ctx }

func (u *upload) Recv() (*heyanv1.ImportRecordsRequest, error) {
	if len(u.messages) == 0 {
		if u.failure != nil {
			return nil, u.failure
		}
		return nil, io.EOF
	}
	m := u.messages[0]
	u.messages = u.messages[1:]
	return m, nil
}

func (u *upload) SendAndClose(r *heyanv1.ImportRecordsResponse) error {
	u.reply = r
	return nil
}

func headerOf(dataset string) *heyanv1.ImportRecordsRequest {
	return &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: &heyanv1.ImportHeader{
		Dataset: dataset, AsOf: timestamppb.New(start.AddDate(0, -1, 0)), Description: "licensed data",
	}}}
}

func rowsOf(first uint64, rows ...*heyanv1.ImportRows_Row) *heyanv1.ImportRecordsRequest {
	return &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{Rows: &heyanv1.ImportRows{FirstRow: first, Rows: rows}}}
}

// imports runs one import.
func (o *office) imports(id string, u *upload) outcome[*heyanv1.ImportRecordsResponse] {
	o.t.Helper()
	return does(o, id, "AdminService/ImportRecords", record.DatasetImported, func(ctx context.Context, u *upload) (*heyanv1.ImportRecordsResponse, error) {
		u.ctx = ctx
		err := o.admin.ImportRecords(u)
		return u.reply, err
	}, u)
}

// importOf is an import of which nothing is refused.
func (o *office) importOf(dataset string, rows ...*heyanv1.ImportRows_Row) *heyanv1.ImportRecordsResponse {
	o.t.Helper()
	return accepted(o.t, o.imports("anna", &upload{messages: []*heyanv1.ImportRecordsRequest{headerOf(dataset), rowsOf(1, rows...)}}))
}

func (o *office) activate(by, dataset string, generation int64) outcome[*heyanv1.Dataset] {
	o.t.Helper()
	return does(o, by, "AccessService/ActivateDataset", record.DatasetActivated, o.access.ActivateDataset,
		&heyanv1.ActivateDatasetRequest{Dataset: dataset, Generation: generation})
}

// personRow is an invented person with all six values, another one for each n up to a million.
func personRow(n int) *heyanv1.ImportRows_Row {
	const given = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚"
	pick := []rune(given)
	id := identity(fmt.Sprintf("110105%d%02d%02d%03d", 1950+n/9000%50, n/750%12+1, n/27%28+1, n%995))
	return &heyanv1.ImportRows_Row{PlateKind: "02", Fields: &heyanv1.Fields{
		Name:     proto.String("张" + string(pick[n%20]) + string(pick[n/20%20])),
		IdNumber: proto.String(id), PhoneNumber: proto.String(fmt.Sprintf("138%08d", n)),
		BankCardNumber:     proto.String(luhn(fmt.Sprintf("621700%09d", n))),
		LicensePlateNumber: proto.String(fmt.Sprintf("京A%05d", n%100000)), DriverLicenseNumber: proto.String(id),
	}}
}

// luhn completes digits by the check digit of ISO/IEC 7812-1 annex B.
func luhn(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}

var errGone = errors.New("connection gone")

func inYears(n int) *timestamppb.Timestamp { return timestamppb.New(start.AddDate(n, 0, 0)) }

const day = 24 * time.Hour
