package server

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/fault"
)

// arrival is a call whose headers have come, and of a unary one whose message has not.
type arrival struct {
	method    string
	at        time.Time
	snapshot  *directory.Snapshot // that the caller was looked up in
	principal authn.Principal
	refused   *fault.Fault

	unary  bool
	begun  time.Time // by the machine's clock
	ctx    context.Context
	cancel context.CancelFunc // ends the wait for the message
	timer  *time.Timer
	stay   func() bool    // the call goes on: its end is no longer the end of the wait
	taken  atomic.Bool    // by the chain, when the message has come, or by whoever cuts the call
	ended  sync.WaitGroup // done when a call that was cut has its record
}

type arrivalKey struct{}

// stillFresh is how long what was found out of a caller from the headers holds, unless the directory changes first.
const stillFresh = time.Second

// brief is how far the deadline of a call that is turned away may lie ahead: grpc-go keeps its timer until then.
const brief = time.Minute

// headers looks at a call when its headers have come, before grpc-go takes in a byte of its message: a stranger is
// turned away here unless the method answers strangers. grpc-go runs it on the connection's own goroutine, so it
// waits for nothing; what has to be recorded waits for the chain.
func (s *Server) headers(ctx context.Context, info *tap.Info) (_ context.Context, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = s.turnAway(ctx, info.FullMethodName, s.caught(caught))
		}
	}()
	r, known := rules[info.FullMethodName]
	a := &arrival{method: info.FullMethodName, at: s.now(), snapshot: s.Directory.Now(), unary: known && !r.stream}
	a.principal, a.refused = s.authenticator.Authenticate(ctx, s.peer(ctx), authorization(ctx))
	ctx = context.WithValue(ctx, arrivalKey{}, a)
	if conn := transport.FromContext(ctx); conn != nil {
		if a.principal.Kind != authn.Stranger {
			conn.Identify()
		} else if refusal := s.stranger(ctx, conn, known && r.anonymous, info.FullMethodName); refusal != nil {
			return nil, refusal
		}
	}
	if a.unary {
		ctx = s.expect(ctx, a)
	}
	return ctx, nil
}

// stranger is the way of a caller without an identity: out, or in among the few that a connection may have open.
func (s *Server) stranger(ctx context.Context, conn *transport.Conn, anonymous bool, method string) error {
	deadline, limited := ctx.Deadline()
	short := !limited || time.Until(deadline) <= brief
	if !anonymous && short {
		return s.turnAway(ctx, method, nil)
	}
	if !conn.Enter() {
		if !short {
			s.closeSession(conn.Session)
		}
		return s.turnAway(ctx, method, fault.New(fault.RateLimited).WithRetryAfter(time.Second).WithQuota("calls at once without an identity"))
	}
	context.AfterFunc(ctx, conn.Leave)
	return nil
}

// turnAway counts and answers the call of a stranger as the chain does.
func (s *Server) turnAway(ctx context.Context, method string, why *fault.Fault) error {
	_, call, r, refused := s.admit(ctx, method)
	if why != nil && refused == nil {
		refused = why
	}
	_, refused = s.settle(call, r, refused)
	refusal := rpcerr.Status(refused, "")
	s.metrics.Handled(method, refusal.Code(), s.now().Sub(call.Start))
	return refusal.Err()
}

// identity is what the headers told, unless that has become old. A refusal stays one: whoever was refused and may
// call by now calls again, and what counts misuse counts a call once.
func (s *Server) identity(ctx context.Context) (authn.Principal, *fault.Fault) {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if ok && (a.refused != nil || a.snapshot == s.Directory.Now() && s.now().Sub(a.at).Abs() < stillFresh) {
		return a.principal, a.refused
	}
	return s.authenticator.Authenticate(ctx, s.peer(ctx), authorization(ctx))
}

// arrivals are the unary calls whose message has not come yet, and those that were cut, until they have their record.
type arrivals struct {
	mu   sync.Mutex
	open map[*arrival]struct{}
}

func (a *arrivals) forget(call *arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, call)
}

// older returns those that have been open for a while.
func (a *arrivals) older(age time.Duration) (list []*arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for call := range a.open {
		if time.Since(call.begun) >= age {
			list = append(list, call)
		}
	}
	return list
}

// expect bounds how long a unary call may be open without a message, and sees to it that one that ends before its
// message has come leaves a record, and nothing else.
func (s *Server) expect(ctx context.Context, a *arrival) context.Context {
	a.begun = time.Now()
	a.ended.Add(1)
	a.ctx, a.cancel = context.WithCancel(ctx)
	s.arrivals.mu.Lock()
	defer s.arrivals.mu.Unlock()
	s.arrivals.open[a] = struct{}{}
	a.timer = time.AfterFunc(min(s.Silence, unaryDeadline), func() { s.cut(a, fault.New(fault.DeadlineReached)) })
	a.stay = context.AfterFunc(a.ctx, func() { s.cut(a, rpcerr.FromError(a.ctx.Err())) })
	return a.ctx
}

// take makes a call the caller's of this: its message has come, or it is cut. false: it was taken before.
func (s *Server) take(a *arrival) bool {
	if !a.taken.CompareAndSwap(false, true) {
		return false
	}
	s.arrivals.mu.Lock() // expect may not have set both yet
	timer, stay := a.timer, a.stay
	s.arrivals.mu.Unlock()
	timer.Stop()
	stay()
	return true
}

// arrived is called when the message of a unary call has come. release ends what the wait for it took. An error
// says that the call was cut.
func (s *Server) arrived(ctx context.Context) (release func(), err error) {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok || !a.unary {
		return func() {}, nil
	}
	if !s.take(a) {
		a.ended.Wait()
		return nil, status.FromContextError(context.Canceled).Err() // and has its record
	}
	s.arrivals.forget(a)
	return a.cancel, nil
}

// cut ends a unary call whose message has not come, with its record. Its caller, if it is there, is told CANCELLED by
// grpc-go, when the record is durable or could not be written.
func (s *Server) cut(a *arrival, why *fault.Fault) {
	if !s.take(a) {
		return
	}
	defer s.arrivals.forget(a)
	defer a.ended.Done()
	defer a.cancel()
	_, call, r, refused := s.admit(context.WithoutCancel(a.ctx), a.method)
	if refused == nil {
		refused = why
	}
	_, refused = s.settle(call, r, refused)
	code := codes.OK
	if refused != nil {
		code = rpcerr.Code(refused.Kind())
	}
	s.metrics.Handled(a.method, code, s.now().Sub(call.Start))
}

// cutWaiting cuts the unary calls that a stop would wait for and that have sent nothing for a while.
func (s *Server) cutWaiting(older time.Duration) {
	for _, a := range s.arrivals.older(older) {
		s.cut(a, fault.New(fault.ShuttingDown).WithRetryAfter(time.Second))
	}
}

// cutRest cuts what is left when every connection is closed, and returns when all that was cut has its record.
func (s *Server) cutRest() {
	rest := s.arrivals.older(0)
	s.cutWaiting(0)
	for _, a := range rest {
		if a.taken.Load() { // by a cut: every handler has ended, and what one took is forgotten
			a.ended.Wait()
		}
	}
}

// plain is the only decompressor: one that takes nothing. A compressed message would be unpacked before anybody
// knows who sent it, and gzip is registered for everybody by the exporter of traces. What it gives back is no
// message, so that the call is refused with REQUEST_MALFORMED and its record as any other that cannot be read.
type plain struct{}

func (plain) Type() string                 { return "gzip" }
func (plain) Do(io.Reader) ([]byte, error) { return []byte{0xff}, nil }
