package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/role"
)

// act is something that needs two persons. Its request has a member "approval".
//
// Its summary is what the second person reads: object, members and new values in words of Heyan, free text only
// as a digest. It has to say the same when the act is asked for and when it is carried out.
type act struct {
	request  proto.Message
	summary  []string
	concerns string // the person whose binding it changes; empty = nobody's
	addsRole bool   // whether it adds to what that person may do
}

// permit is the right to carry out one act, once. A nil permit is that of an act that needs one person only.
type permit struct {
	d        *Deps
	approval role.Approval
	revision int64
}

// person returns who approved; empty where nobody had to.
func (p *permit) person() string {
	if p == nil {
		return ""
	}
	return p.approval.DeciderPerson
}

// unused gives the approval back after an act that was not carried out, and returns why.
func (p *permit) unused(ctx context.Context, why error) error {
	if p != nil {
		p.approval.State = role.Approved
		// Where this fails the approval stays used: the act is asked for anew.
		_, _ = p.d.Directory.PutApproval(context.WithoutCancel(ctx), p.approval, p.revision)
	}
	return why
}

// permit lets an act pass that a second person has approved. Without an approval it puts one on file and
// answers APPROVAL_REQUIRED with its id; asked twice for the same, it answers the same id.
//
// The approval is used up before the act, not after: two calls with one approval must not both act. The caller
// gives it back with permit.unused where the act then fails.
func (d *Deps) permit(ctx context.Context, a act) (*permit, error) {
	sum, err := requestDigest(a.request)
	if err != nil {
		return nil, err
	}
	id := approvalMember(a.request)
	if id == "" {
		return nil, d.ask(ctx, a, sum)
	}
	entry, f := d.approval(id)
	if f != nil {
		return nil, f.WithField("approval", "UNKNOWN")
	}
	approval := entry.Value
	if f := approval.CheckUse(caller(ctx).ID, journal.From(ctx).Method, sum, d.Now()); f != nil {
		return nil, f
	}
	if approval.RequesterPerson != caller(ctx).Person || approval.Concerns != a.concerns ||
		approval.AddsRole != a.addsRole || !slices.Equal(approval.Summary, a.summary) {
		return nil, role.NotUsable(role.CauseOtherContent, "What the act would do has changed since it was approved: leave approval empty to ask anew.")
	}
	if !d.stillCounts(ctx, &approval) {
		return nil, role.NotUsable(role.CauseLapsed, "Who approved it does not count as a second person any more: leave approval empty to ask anew.")
	}
	approval.State = role.Done
	revision, err := d.Directory.PutApproval(ctx, approval, entry.Revision)
	if err != nil {
		return nil, storeFault(err)
	}
	return &permit{d, approval, revision}, nil
}

// stillCounts reports whether who approved is still bound, is the same person, and counts as the second one.
func (d *Deps) stillCounts(ctx context.Context, a *role.Approval) bool {
	decider, ok := d.Directory.Now().Operators[a.DecidedBy]
	return ok && decider.Value.StateAt(d.Now()) == role.Active && decider.Value.Person == a.DeciderPerson &&
		role.CountAsTwo(binding(ctx), decider.Value.Binding, d.Now())
}

// ask puts an approval on file and in the log, and returns APPROVAL_REQUIRED.
func (d *Deps) ask(ctx context.Context, a act, sum [sha256.Size]byte) error {
	call, now := journal.From(ctx), d.Now()
	for _, entry := range d.Directory.Now().Approvals {
		open := &entry.Value
		state := open.StateAt(now)
		if (state == role.Waiting || state == role.Approved) && open.RequestedBy == call.Principal.ID &&
			open.RequesterPerson == call.Principal.Person && open.Method == call.Method &&
			open.RequestSHA256 == sum && slices.Equal(open.Summary, a.summary) {
			return approvalRequired(open.ID)
		}
	}
	id, err := ledger.NewID(now, d.Random)
	if err != nil {
		return err
	}
	approval := role.Approval{
		ID: id.String(), Method: call.Method, Summary: a.summary, RequestSHA256: sum,
		RequestedBy: call.Principal.ID, RequesterPerson: call.Principal.Person,
		Concerns: a.concerns, AddsRole: a.addsRole, State: role.Waiting, CreateTime: now,
	}
	if _, err := d.Directory.PutApproval(ctx, approval, 0); err != nil {
		return storeFault(err)
	}
	if _, err := call.Note(record.ApprovalRequested, statement(&approval)); err != nil {
		return err
	}
	return approvalRequired(approval.ID)
}

func approvalRequired(id string) error {
	return fault.New(fault.ApprovalRequired).With("approval", id).
		WithHint("Another person than the one who asks decides by ComplianceService.Approve; then send the same call with its approval member set.")
}

// statement makes a record speak of an approval and of the request that it is for.
func statement(a *role.Approval) func(*record.Record) {
	return func(r *record.Record) {
		r.Object = record.Object{Type: "approval", ID: a.ID}
		r.Change = &record.Change{
			After: digestOf(a), Digests: []record.Digest{{Name: "request", Value: journal.Hex(a.RequestSHA256[:])}},
		}
	}
}

// approval finds one on file.
func (d *Deps) approval(id string) (*directory.Entry[role.Approval], *fault.Fault) {
	if _, err := ledger.ParseID(id); err != nil {
		return nil, notFound()
	}
	entry, ok := d.Directory.Now().Approvals[id]
	if !ok {
		return nil, notFound()
	}
	return entry, nil
}

// requestDigest is SHA-256 of a request without its approval member. Protobuf's deterministic form is the same
// for every process of one build; an upgrade may change it, and then what waits is asked for anew.
func requestDigest(request proto.Message) ([sha256.Size]byte, error) {
	bare := proto.Clone(request).ProtoReflect()
	if member := approvalField(bare); member != nil {
		bare.Clear(member)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare.Interface())
	return sha256.Sum256(encoded), err
}

func approvalMember(request proto.Message) string {
	m := request.ProtoReflect()
	if member := approvalField(m); member != nil {
		return m.Get(member).String()
	}
	return ""
}

func approvalField(m protoreflect.Message) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName("approval")
}

// line is one line of a summary; an empty value is left out by lines.
func line(name, value string) string {
	if value == "" {
		return ""
	}
	return name + ": " + value
}

// timeLine is a line with a time at +08:00, where days begin and end and where people type dates; the zero time is
// left out.
func timeLine(name string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return line(name, t.In(time.FixedZone("", 8*60*60)).Format(time.RFC3339))
}

// lines drops what is empty.
func lines(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// ListApprovals lists two-person acts, newest first.
func (c *Compliance) ListApprovals(ctx context.Context, req *heyanv1.ListApprovalsRequest) (*heyanv1.ListApprovalsResponse, error) {
	state, now := approvalStateEnum.domain(req.GetState()), c.d.Now()
	approvals := c.d.Directory.Now().Approvals
	var ids []string
	for id, entry := range approvals {
		if state == 0 || entry.Value.StateAt(now) == state {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	list := c.d.pages(caller(ctx).ID, "ListApprovals", req.GetState().String())
	cut, next, f := pageOf(list, ids, req.GetPageSize(), req.GetPageToken(), func(id, place string) bool { return id < place })
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListApprovalsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Approvals = append(response.Approvals, publicApproval(&approvals[id].Value, c.d))
	}
	return response, nil
}

// Approve records that a second person agrees. The statement is in the log before the approval counts.
func (c *Compliance) Approve(ctx context.Context, req *heyanv1.ApproveRequest) (*heyanv1.Approval, error) {
	d, call := c.d, journal.From(ctx)
	entry, f := d.approval(req.GetId())
	if f != nil {
		return nil, f
	}
	approval, now := entry.Value, d.Now()
	call.SetObject("approval", approval.ID)
	if !bytes.Equal(req.GetRequestSha256(), approval.RequestSHA256[:]) {
		return nil, fault.New(fault.RequestMalformed).WithField("request_sha256", "NOT_OF_THIS_APPROVAL").
			WithHint("Read the approval and send its request_sha256 back, so that nothing unseen is approved.")
	}
	requester, ok := d.Directory.Now().Operators[approval.RequestedBy]
	if !ok || requester.Value.Check(now) != nil || requester.Value.Person != approval.RequesterPerson {
		return nil, fault.New(fault.DeadlinePassed).WithHint("Who asked for it may not act any more.")
	}
	if f := approval.CheckDecider(requester.Value.Binding, binding(ctx), now); f != nil {
		return nil, f
	}
	approval.State, approval.DecideTime = role.Approved, now
	approval.DecidedBy, approval.DeciderPerson = call.Principal.ID, call.Principal.Person
	at, err := call.Note(record.ApprovalApproved, statement(&approval))
	if err != nil {
		return nil, err
	}
	approval.LogOrigin, approval.LogIndex = at.Origin, at.Index
	if _, err := d.Directory.PutApproval(ctx, approval, entry.Revision); err != nil {
		return nil, storeFault(err) // the call's own record then says that the statement came to nothing
	}
	call.Use(at)
	return publicApproval(&approval, d), nil
}

// Reject ends an approval that was not used yet. It stops something, so no rule of two persons binds it.
func (c *Compliance) Reject(ctx context.Context, req *heyanv1.RejectRequest) (*heyanv1.Approval, error) {
	entry, f := c.d.approval(req.GetId())
	if f != nil {
		return nil, f
	}
	before, now := entry.Value, c.d.Now()
	journal.From(ctx).SetObject("approval", before.ID)
	if f := c.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	if state := before.StateAt(now); state != role.Waiting && state != role.Approved {
		return nil, fault.New(fault.DeadlinePassed).WithHint("The approval is used, rejected or lapsed already.")
	}
	after := before
	after.State, after.DecideTime, after.Reason = role.Rejected, now, req.GetReason()
	after.DecidedBy, after.DeciderPerson = caller(ctx).ID, caller(ctx).Person
	if _, err := c.d.Directory.PutApproval(ctx, after, entry.Revision); err != nil {
		return nil, storeFault(err)
	}
	changed(ctx, &before, &after)
	return publicApproval(&after, c.d), nil
}

func publicApproval(a *role.Approval, d *Deps) *heyanv1.Approval {
	p := &heyanv1.Approval{
		Id: a.ID, Method: a.Method, Summary: a.Summary, RequestSha256: a.RequestSHA256[:],
		RequestedBy: a.RequestedBy, RequesterPerson: a.RequesterPerson, State: approvalStateEnum.public(a.StateAt(d.Now())),
		DecidedBy: a.DecidedBy, DeciderPerson: a.DeciderPerson, Reason: a.Reason,
		CreateTime: stamp(a.CreateTime), DecideTime: stamp(a.DecideTime), ExpireTime: stamp(a.ExpireTime()),
	}
	if a.LogOrigin != "" {
		p.LogEntry = &heyanv1.LogPosition{Origin: a.LogOrigin, Index: a.LogIndex}
	}
	return p
}
