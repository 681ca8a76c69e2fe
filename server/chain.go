package server

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/codec"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// TrailerLogEntry is the trailer that names a call's record: "origin/index".
const TrailerLogEntry = "heyan-log-entry"

// unaryDeadline bounds a unary call whose caller set no deadline.
const unaryDeadline = 30 * time.Second

// The chain, in this order, for unary calls and streams alike:
//
//	headers (arrival.go) → panic → call begun → room for the log → identity → message → role → rate → health of log and store → handler
//
// and backwards: record durable → trailer → metrics → reply. Message faults come after the identity, so that
// they are recorded with it; the role comes after the message, because nothing of a malformed one is read. The
// messages of a stream are checked as its handler reads them, so there the role comes first.
// admit is every gate before the handler; settle is everything after it.

// unary is the chain of unary calls.
func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	release, err := s.arrived(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, unaryDeadline)
		defer cancel()
	}
	ctx, call, r, refused := s.admit(ctx, info.FullMethod)
	message, _ := request.(proto.Message)
	call.Traffic.BytesIn, call.Traffic.MessagesIn = uint64(codec.Size(message)), 1
	if refused == nil {
		refused = s.check(call, r, message)
	}
	if refused == nil {
		response, refused = s.handle(ctx, request, handler)
	}
	if refused == nil {
		if m, ok := response.(proto.Message); ok && m != nil {
			if _, written := call.At(); !written {
				call.Traffic.BytesOut, call.Traffic.MessagesOut = uint64(proto.Size(m)), 1
			}
		}
	}
	at, refused := s.settle(call, r, refused)
	if at != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(TrailerLogEntry, at))
	}
	code := codes.OK
	if refused != nil {
		refusal := rpcerr.Status(refused, "")
		code, response, err = refusal.Code(), nil, refusal.Err()
	}
	s.metrics.Handled(info.FullMethod, code, s.now().Sub(call.Start))
	return response, err
}

// check is the gates of a unary call between its identity and its handler.
func (s *Server) check(call *journal.Call, r rule, message proto.Message) (refused *fault.Fault) {
	defer s.recovered(&refused)
	if refused := s.checkMessage(call, message); refused != nil {
		return refused
	}
	return s.allow(call, r, calls(message))
}

// handle runs the handler and turns whatever it answers into a fault.
func (s *Server) handle(ctx context.Context, request any, handler grpc.UnaryHandler) (response any, refused *fault.Fault) {
	defer s.recovered(&refused)
	response, err := handler(ctx, request)
	return response, interrupted(ctx, rpcerr.FromError(err))
}

// interrupted says that a call's time was over, or its caller gone, where a part of Heyan gave up because of
// that: it is no failure of that part. A call whose own record was written keeps what that one says.
func interrupted(ctx context.Context, refused *fault.Fault) *fault.Fault {
	if refused == nil || ctx.Err() == nil || !errors.Is(refused, ctx.Err()) {
		return refused
	}
	if _, written := journal.From(ctx).At(); written {
		return refused
	}
	// Callers set a timer of their own when they send a call, which ends before ours by the time it took to come
	// here, and cancel then.
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < ownTimer {
		return fault.New(fault.DeadlineReached).WithCause(refused.Cause)
	}
	return rpcerr.FromError(ctx.Err())
}

// ownTimer is how long before its deadline a call that is cancelled counts as one whose time was over.
const ownTimer = 100 * time.Millisecond

// recovered ends a panic with a fault. It has to be deferred itself.
func (s *Server) recovered(refused **fault.Fault) {
	if caught := recover(); caught != nil {
		*refused = s.caught(caught)
	}
}

// caught turns a panic into an opaque fault. The panic's value may quote a request, so only its type and the
// stack, which holds no values, are logged.
func (s *Server) caught(value any) *fault.Fault {
	if s.failures.allow("panic", s.now()) {
		s.logger.Error("panic in a handler", "type", typeName(value), "stack", string(debug.Stack()))
	}
	return fault.New(fault.InternalError)
}

// admit begins a call: connection, identity. A panic over them ends the call, not the process.
func (s *Server) admit(ctx context.Context, method string) (_ context.Context, call *journal.Call, r rule, refused *fault.Fault) {
	s.metrics.Started(method)
	s.calls.Add(1)
	r, known := rules[method]
	call = &journal.Call{Journal: s.journal, Connection: s.connection(ctx), Method: method, Event: r.event, Start: s.now(), Codes: codeOf, Spend: s.spend, ItemRefused: s.noteItem}
	s.trace(call)
	ctx = journal.With(ctx, call)
	if !known {
		call.Method, call.Event = "", record.RPCUnknownMethod
	}
	return ctx, call, r, s.enter(ctx, call, r, known)
}

// enter finds out who calls, and logs the connection in.
func (s *Server) enter(ctx context.Context, call *journal.Call, r rule, known bool) (refused *fault.Fault) {
	defer s.recovered(&refused)
	call.Principal, refused = s.identity(ctx)
	switch {
	case !known:
		return fault.New(fault.MethodUnknown)
	case s.draining.Load() && !r.quiet:
		return fault.New(fault.ShuttingDown).WithRetryAfter(time.Second)
	case s.noRoom(r, &call.Principal):
		return s.turnedAway()
	case refused == nil && r.quiet:
		return nil // no record, and so no log-in: health answers while the log does not
	case refused == nil:
		return fault.Of(s.login(ctx, call))
	case call.Principal.Kind == authn.Stranger && r.anonymous:
		return nil
	}
	call.Event = record.AuthFailed
	if refused.Reason == fault.CredentialLocked {
		call.Event = record.AuthLocked
	}
	return refused
}

// checkMessage turns what the codec found into a refusal.
func (s *Server) checkMessage(call *journal.Call, message proto.Message) *fault.Fault {
	finding := codec.Finding(message)
	if finding == nil {
		return nil
	}
	switch finding.Reason {
	case fault.FieldOutsideCeiling:
		call.Event = record.RPCUnknownField
	case fault.RequestTooLarge:
		call.Event = record.RPCOversized
	default:
		call.Event = record.RPCMalformed
	}
	call.SetSecurity(&record.Security{Attack: finding.Reason.String(), Target: call.Method, Count: 1})
	return finding
}

// calls is how many calls of the rate a message counts as: a batch is as many as it holds requests.
func calls(message proto.Message) int {
	if batch, ok := message.(*heyanv1.BatchVerifyRequest); ok {
		return max(1, len(batch.GetRequests()))
	}
	return 1
}

// allow is the gates of role, rate and health.
func (s *Server) allow(call *journal.Call, r rule, calls int) *fault.Fault {
	p := &call.Principal
	// A stranger calls an anonymous method: admit let nobody else through.
	if p.Kind != authn.Stranger && (!p.Roles.Any(r.roles) || p.ReadOnly && !r.read) {
		call.Event = record.RPCDenied
		return fault.New(fault.RoleRequired).With("role", r.roles.String())
	}
	if p.Kind == authn.Client && !s.rates.allow(p.Client, calls, s.now()) {
		call.Event = record.RateLimited
		return fault.New(fault.RateLimited).WithRetryAfter(time.Second).WithQuota("calls a second")
	}
	if r.quiet {
		return nil
	}
	if err := s.log.Healthy(); err != nil {
		return fault.New(fault.LogUnavailable).WithCause(err).WithRetryAfter(time.Second)
	}
	return nil
}

// settle makes the call's record durable and returns its place as text; empty where it has none of its own.
// It replaces the outcome by LOG_UNAVAILABLE where the record cannot be written.
func (s *Server) settle(call *journal.Call, r rule, refused *fault.Fault) (at string, outcome *fault.Fault) {
	defer func() {
		s.note(call, at, outcome)
		if call.Overdrawn.Load() {
			s.closeSoon(call.Connection.Session)
		}
	}()
	defer s.recovered(&outcome)
	if refused != nil && refused.Reason == fault.LogUnavailable {
		return "", refused
	}
	result := journal.OutcomeOf(refused, codeOf(refused))
	if r.quiet && (refused == nil || refused.Kind() == fault.Cancelled || refused.Reason == fault.ShuttingDown) { // how a watch of health ends
		return "", refused
	}
	if call.Principal.Kind == authn.Stranger {
		s.countStranger(call, result)
		return "", refused
	}
	// What Heyan could not do is no client's fault, and spends nothing.
	if refused != nil && !refused.Failure() && call.Principal.Kind == authn.Client {
		if _, written := call.At(); !written {
			if ok, err := s.spend(call, result); err != nil {
				return "", fault.Of(err)
			} else if !ok {
				return "", refused
			}
		}
	}
	place, err := call.Finish(refused)
	if err != nil {
		return "", fault.Of(err)
	}
	call.Settled(refused)
	return Entry(place), refused
}

// spend takes one refusal of a client's budget: of a call, or of an item of a batch. Where the budget is used up,
// the refusal is counted, its connection closed when the call has had its answer, and ok is false.
func (s *Server) spend(call *journal.Call, refused record.Outcome) (ok bool, err error) {
	ok, first := s.budgets.Spend(call, refused)
	if ok {
		return true, nil
	}
	if first {
		s.metrics.BudgetExhausted()
		_, err = call.Note(record.BudgetExhausted, func(r *record.Record) {
			r.Outcome = record.Outcome{Kind: record.Denied, Reason: refused.Reason}
		})
	}
	call.Overdrawn.Store(true)
	return false, err
}

func (s *Server) countStranger(call *journal.Call, outcome record.Outcome) {
	event, attack := call.Event, ""
	switch {
	case outcome.Kind == record.Success:
		event = record.AccessBulk
	case event.Category() != record.CategorySecurity && event.Category() != record.CategoryAuthentication:
		event = record.RefusalBulk
	}
	if event.Category() == record.CategorySecurity {
		attack = outcome.Reason
	}
	s.metrics.StrangerCounted()
	s.strangers.Count(journal.Stranger{Source: call.Connection.Source, Via: call.Connection.Via, Event: event, Method: call.Method, Outcome: outcome, Attack: attack})
}

// note writes the operator's log line of a refusal: no more than the network log shows. A refusal that is only
// counted, a stranger's or one above a client's budget, has none: nobody fills the operator's disk either.
func (s *Server) note(call *journal.Call, at string, refused *fault.Fault) {
	if refused == nil {
		return
	}
	s.metrics.Refused(refused.Reason)
	level, failure := slog.LevelInfo, refused.Failure()
	if failure {
		s.failed.Add(1)
		level = slog.LevelError
	}
	if !failure && at == "" || !s.logger.Enabled(context.Background(), level) {
		return
	}
	if failure && !s.failures.allow(refused.Reason.String(), s.now()) {
		return
	}
	s.tell(level, "refused", call, refused, "log_entry", at)
}

// tell writes a line of the operator's log about a refusal. The cause is told of failures only.
func (s *Server) tell(level slog.Level, what string, call *journal.Call, refused *fault.Fault, more ...any) {
	attributes := append([]any{"reason", refused.Reason.String(), "method", call.Method, "caller", call.Principal.ID}, more...)
	if refused.Cause != nil && level == slog.LevelError {
		attributes = append(attributes, "cause", refused.Cause.Error())
	}
	s.logger.Log(context.Background(), level, what, attributes...)
}

// noteItem counts the refusal of an item of a batch, and tells the operator's log of a failure now and then.
func (s *Server) noteItem(call *journal.Call, refused *fault.Fault) {
	s.metrics.Refused(refused.Reason)
	if refused.Failure() && s.failures.allow(refused.Reason.String(), s.now()) {
		s.tell(slog.LevelError, "items refused", call, refused)
	}
}

// Entry prints a place in the log as the trailer does.
func Entry(at ledger.Position) string { return at.String() }

// stream is the chain of streaming calls.
func (s *Server) stream(service any, raw grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, call, r, refused := s.admit(raw.Context(), info.FullMethod)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if refused == nil {
		refused = s.open(call, r)
	}
	if refused == nil {
		stream := &checkedStream{ServerStream: raw, ctx: ctx, end: end, call: call, server: s}
		stream.endless.Store(r.read)
		refused = s.handleStream(service, stream, handler)
	}
	at, refused := s.settle(call, r, refused)
	if at != "" {
		raw.SetTrailer(metadata.Pairs(TrailerLogEntry, at))
	}
	code := codes.OK
	var err error
	if refused != nil {
		refusal := rpcerr.Status(refused, "")
		code, err = refusal.Code(), refusal.Err()
	}
	s.metrics.Handled(info.FullMethod, code, s.now().Sub(call.Start))
	return err
}

// open is the gates of a stream after its identity. Its opening is on record before the first byte leaves.
func (s *Server) open(call *journal.Call, r rule) (refused *fault.Fault) {
	defer s.recovered(&refused)
	if refused := s.allow(call, r, 1); refused != nil || r.quiet || call.Principal.Kind == authn.Stranger {
		return refused
	}
	_, err := call.Note(record.StreamOpened, nil)
	return fault.Of(err)
}

func (s *Server) handleStream(service any, stream *checkedStream, handler grpc.StreamHandler) (refused *fault.Fault) {
	s.streams.Store(stream, nil)
	defer s.streams.Delete(stream)
	defer s.recovered(&refused)
	err := handler(service, stream)
	var why *fault.Fault
	switch {
	case stream.found != nil:
		return stream.found // whatever the handler made of the failed read
	case err != nil && errors.As(context.Cause(stream.ctx), &why):
		return why // it was ended, see endStreams
	}
	return interrupted(stream.ctx, rpcerr.FromError(err))
}

// checkedStream checks each message that comes in, and counts.
type checkedStream struct {
	grpc.ServerStream
	ctx    context.Context
	end    context.CancelCauseFunc
	call   *journal.Call
	server *Server
	found  *fault.Fault
	// endless streams have no end of their own, so that a stop does not wait for them: they follow the log, or wait
	// for questions. An import runs on, and so does a list that ends.
	endless atomic.Bool
}

// Context returns the context that carries the call.
func (c *checkedStream) Context() context.Context { return c.ctx }

// errFound ends a read whose message was refused.
var errFound = errors.New("server: message refused")

// RecvMsg reads and checks one message.
func (c *checkedStream) RecvMsg(m any) error {
	if err := c.receive(m); err != nil {
		return err
	}
	message, _ := m.(proto.Message)
	c.server.metrics.Received(c.call.Method)
	c.call.Traffic.MessagesIn++
	c.call.Traffic.BytesIn += uint64(codec.Size(message))
	if refused := c.server.checkMessage(c.call, message); refused != nil {
		c.found = refused
		return errFound
	}
	if list, ok := m.(*heyanv1.ListLogEntriesRequest); ok {
		c.endless.Store(list.GetFollow())
	}
	return c.stillAllowed()
}

// receive waits for a message, as long as a caller may be silent and may go on. A read that is given up ends
// with the stream, and m is then nobody's.
func (c *checkedStream) receive(m any) error {
	read := make(chan error, 1)
	go func() { read <- c.ServerStream.RecvMsg(m) }()
	silence := time.NewTimer(c.server.Silence)
	defer silence.Stop()
	select {
	case err := <-read:
		return err
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-silence.C:
		c.found = fault.New(fault.DeadlineReached).WithHint("The stream was silent for too long.")
		return errFound
	}
}

// SendMsg counts one message, and ends a stream whose caller may not go on.
func (c *checkedStream) SendMsg(m any) error {
	if err := c.stillAllowed(); err != nil {
		return err
	}
	if message, ok := m.(proto.Message); ok {
		c.call.Traffic.MessagesOut++
		c.call.Traffic.BytesOut += uint64(proto.Size(message))
	}
	if err := c.ServerStream.SendMsg(m); err != nil {
		return err
	}
	c.server.metrics.Sent(c.call.Method)
	return nil
}

// stillAllowed ends streams of revoked, suspended and expired callers at their next message at the latest
// (ME-1-stop-misuse).
func (c *checkedStream) stillAllowed() error {
	if refused := c.refusal(); refused != nil {
		c.found = refused
		return errFound
	}
	return nil
}

// refusal is why the stream's caller may not go on, or nil.
func (c *checkedStream) refusal() *fault.Fault {
	if c.call.Principal.Kind == authn.Stranger {
		return nil
	}
	raw := c.ServerStream.Context()
	_, refused := c.server.authenticator.Authenticate(raw, c.server.peer(raw), authorization(raw))
	return refused
}

func authorization(ctx context.Context) string {
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) == 1 {
		return values[0]
	} else if len(values) > 1 {
		return "ambiguous" // two keys are no key
	}
	return ""
}

func codeOf(f *fault.Fault) uint32 {
	if f == nil {
		return 0
	}
	return uint32(rpcerr.Code(f.Kind()))
}

// unknown answers methods that no service has, through the same chain.
func (s *Server) unknown(service any, stream grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "METHOD_UNKNOWN")
}
