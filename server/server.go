// Package server is the edge: TLS, the codec, one chain of gates, the services, and a start and stop that lose
// nothing.
//
// Guaranteed: a reply to a caller with an identity leaves only when its record is durable in the network log;
// where the log cannot be written, everything but health is refused and health says NOT_SERVING; where room for it runs
// out, everything but health and the reading of the log (space.go). Every
// registered method has a row in the policy (policy.go), and one without is refused. Ledger and log are compared before
// anything is served (reconcile.go); a store that is older than its log is refused (older.go).
//
// Not guaranteed: that a reply arrives, or that an administrative change whose record fails to be written is
// undone; the log then stops, and the change is compared by an operator. Nor that a dataset which was rewritten
// without its deleted records has its record where the process ends between the two. Calls of strangers are counted per
// address, not recorded one by one.
//
// A unary call that ends before its whole message has come leaves a record with the reason CALLER_CANCELLED, and
// its caller gets no typed status. That is what the caller gave up, and what grpc-go refuses by itself: a message
// above 12 MiB, none or two of them, an encoding that is not registered (gzip, which is, is refused with a reason).
// Which of them it was is not known. A stream that ends so has the records of a stream. A call with an identity
// whose path names no method at all ("/x"), and frames that break HTTP/2, leave no record.
//
// Bounded for strangers: they are turned away when their headers have come (arrival.go), may have few calls open on
// a connection, send little on it while they have, and hold few connections (package transport).
//
// The address of a caller is that of its connection. Behind a load balancer it is the one that the balancer tells by
// PROXY protocol version 2, where the balancer is trusted (TrustedProxies): in records, whose via is the balancer, for
// the sources that a credential is allowed from, and for the bounds of strangers. A connection that a balancer closes
// before it sends a byte of TLS, to see whether anybody is there, leaves no record.
//
// Read next: chain.go, policy.go, then package journal.
package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/codec"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/store/netlog/space"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Metrics is what the server counts. Every method has to be cheap.
type Metrics interface {
	Started(method string)
	Handled(method string, code codes.Code, took time.Duration)
	Received(method string) // a message of a stream
	Sent(method string)     // a message of a stream
	Refused(reason fault.Reason)
	Verified(id product.ID, verdict product.Verdict, billing product.Billing, test bool)
	LogAppended(took time.Duration)
	BudgetExhausted() // a client's refusal budget is used up
	Connections
	Purges
}

// Connections is what the server counts of connections.
type Connections interface {
	HandshakeFailed(cause string)
	SessionOpened()
	SessionClosed()
	StrangerCounted()
	// SourcesShared says whether nearly all log-ins of the hour come from one address.
	SourcesShared(bool)
}

// Config is what a Server is made of. Members are required unless they say otherwise.
type Config struct {
	Verifier    *verifier.Verifier
	Store       store.Store
	Directory   *directory.Directory
	Log         *netlog.Log
	Archive     *origins.Archive // closed logs that are read beside it; nil = none
	Recovery    netlog.Recovery  // what opening the log found; zero for a new one
	Keys        *digest.Keyring
	Rules       *field.Rules
	Catalogue   *product.Catalogue
	Now         func() time.Time
	Steady      func() time.Time // a clock that nobody sets: time.Now, whose readings are monotonic
	Random      io.Reader
	Clock       func() record.Clock    // how far the clock can be trusted
	Machine     func() Machine         // load and disk, for heartbeats; nil leaves them out
	Authorities func() []record.Health // state of each authority, for heartbeats; nil leaves it out
	Space       *space.Watch           // the room for the log; nil: nobody looks
	Logger      *slog.Logger
	Metrics     Metrics
	Tracing     stats.Handler // nil: nothing of it is on the path

	Certificates transport.Source
	ServerNames  []string
	AllowTLS12   bool
	// TrustedProxies are load balancers whose word on a client's address is taken, see transport.Config. The list is in
	// the record config.loaded.
	TrustedProxies []netip.Prefix

	Production    bool
	Region        string           // where the data lies: stated in exports of the log
	Retention     retention.Policy // how long the log is kept, by the configuration; zero = six months and the default grace
	Reflection    bool
	RatePerSecond int             // of a client that has none of its own; 0 = no limit
	Streams       int             // calls at once on one connection
	Strangers     Strangers       // what connections without an identity may take
	StreamWorkers int             // 0 = a goroutine a call
	Drain         time.Duration   // how long a stop waits for calls
	Notice        time.Duration   // how long a stop says NOT_SERVING before it refuses
	Silence       time.Duration   // how long a stream may wait for its caller's next message; 0 = two minutes
	Digests       []record.Digest // of binary, rule tables, configuration: for the record config.loaded
	// AcceptOlderStore is the choice to go on with a store that is older than its log: the OlderStoreError.Log that it
	// was refused with. Any other number chooses nothing, so that no choice is good for a second time.
	AcceptOlderStore uint64
	// Anchors returns checkpoints of the log that left this machine, of sizes in (from, to]. Nothing of them need be verified.
	// Nil: none can be read.
	Anchors func(ctx context.Context, from, to uint64) ([]tree.Checkpoint, error)
}

// Machine is what a heartbeat says of the machine. Zeros are left out.
type Machine struct {
	LoadMilli           uint64 // one-minute load average × 1000
	DiskFree, DiskTotal uint64 // bytes, of the file system that the log is on
}

// Strangers bounds connections on which nobody with an identity has called yet. Zeros are the defaults of package
// transport.
type Strangers struct {
	Connections, FromOneAddress int
	Idle                        time.Duration // without a call
}

// Server is one assembled server.
type Server struct {
	Config
	log           *netlog.Log
	logger        *slog.Logger
	metrics       Metrics
	now           func() time.Time
	journal       *journal.Journal
	strangers     *journal.Strangers
	budgets       *journal.Budgets
	authenticator *authn.Authenticator
	rates         *rates
	totals        *totals.Keeper
	sources       *sources // nil where there are trusted proxies
	failures      sparing
	credentials   *transport.Credentials
	keeper        *retain.Keeper
	newest        time.Time                 // of the log's records before this start
	stepped       atomic.Pointer[time.Time] // when the clock was last moved; nil = not since the start
	health        *health.Server
	grpc          *grpc.Server
	admin         *api.Admin
	logins        sync.Mutex // held while a connection's identity is recorded
	sessions      sync.Map   // session id → *login
	closing       sync.Map   // session ids that are to be closed
	streams       sync.Map   // *checkedStream, while it is served
	arrivals      arrivals
	draining      atomic.Bool
	halted        atomic.Bool // log or store has stopped
	room          room
	started       time.Time
	calls, failed atomic.Uint64
	agreed        atomic.Uint64 // the ledger's mark that is durable in the store: what the log may state
	background    sync.WaitGroup
	stop          chan struct{}
	stopOnce      sync.Once
}

// Message sizes: the codec refuses what is over its own limits with a typed fault; above this grpc-go cuts off.
const (
	maxReceive  = 12 << 20
	maxMetadata = 8 << 10
)

// New reconciles ledger and log, writes the records of the start, and assembles the server. It does not listen.
func New(ctx context.Context, c Config) (*Server, error) {
	s := &Server{
		Config: c, log: c.Log, logger: c.Logger, metrics: c.Metrics, now: c.Now, rates: newRates(c.RatePerSecond),
		started: c.Now(), stop: make(chan struct{}), arrivals: arrivals{open: map[*arrival]struct{}{}},
	}
	if s.Machine == nil {
		s.Machine = func() Machine { return Machine{} }
	}
	if s.Authorities == nil {
		s.Authorities = func() []record.Health { return nil }
	}
	if len(c.TrustedProxies) == 0 {
		s.sources = newSources(s.started)
	}
	if s.Space == nil {
		s.Space = unwatched()
	}
	if s.Silence <= 0 {
		s.Silence = 2 * time.Minute
	}
	s.journal = journal.New(c.Log, c.Now, c.Clock, journal.Hooks{Amend: s.tryAmend, Answered: s.countAnswer, Appended: c.Metrics.LogAppended})
	s.strangers, s.budgets = journal.NewStrangers(s.journal), journal.NewBudgets(s.journal)
	s.totals = totals.NewKeeper(c.Log, s.writeTotals)
	s.authenticator = authn.New(c.Directory.Now, c.Keys, c.Now, s.lockCredential)
	if err := s.keep(ctx); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	var err error
	s.credentials, err = transport.New(transport.Config{
		Certificates: c.Certificates, Observer: (*observer)(s), AllowTLS12: c.AllowTLS12, ServerNames: c.ServerNames, TrustedProxies: c.TrustedProxies, Random: c.Random, Now: c.Now,
		MaxStrangers: c.Strangers.Connections, MaxFromOne: c.Strangers.FromOneAddress, StrangerIdle: c.Strangers.Idle})
	if err != nil {
		return nil, err
	}
	s.grpc = grpc.NewServer(s.options()...)
	s.register()
	s.lookAtSpace()
	s.background.Go(s.tick)
	s.background.Go(s.watchLog)
	s.background.Go(s.watchSpace)
	s.background.Go(s.rewriteDatasets)
	s.background.Go(s.purgeLog)
	s.background.Go(s.countHours)
	s.log.OnSealed(s.recordSealing)
	return s, nil
}

func (s *Server) options() []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.Creds(s.credentials),
		grpc.ForceServerCodecV2(codec.New(codec.DefaultLimits())),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.UnknownServiceHandler(s.unknown),
		grpc.InTapHandle(s.headers),
		//lint:ignore SA1019 nothing else keeps a decompressor that a dependency registered from being used
		grpc.RPCDecompressor(plain{}),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.MaxConcurrentStreams(uint32(s.Streams)),
		grpc.ConnectionTimeout(transport.DefaultHandshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 30 * time.Minute, MaxConnectionAge: 4 * time.Hour, MaxConnectionAgeGrace: time.Minute,
			Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.WaitForHandlers(true),
	}
	if s.StreamWorkers > 0 {
		options = append(options, grpc.NumStreamWorkers(uint32(s.StreamWorkers)))
	}
	if s.Tracing != nil {
		options = append(options, grpc.StatsHandler(s.Tracing))
	}
	return options
}

// register adds every service.
func (s *Server) register() {
	d := &api.Deps{
		Verifier: s.Verifier, Store: s.Store, Directory: s.Directory, Log: s.log, Keeper: s.keeper, Journal: s.journal, Keys: s.Keys, Rules: s.Rules,
		Catalogue: s.Catalogue, Now: s.now, Random: s.Random, CloseSessions: s.closeSessions, LastUsed: s.authenticator.LastUsed, Production: s.Production,
		Region: s.Region, CountLog: s.countForExport, Archive: s.Archive,
	}
	heyanv1.RegisterVerificationServiceServer(s.grpc, api.NewVerification(d))
	heyanv1.RegisterCatalogServiceServer(s.grpc, api.NewCatalog(d))
	heyanv1.RegisterConsentServiceServer(s.grpc, api.NewConsent(d))
	s.admin = api.NewAdmin(d)
	heyanv1.RegisterAdminServiceServer(s.grpc, s.admin)
	heyanv1.RegisterAccessServiceServer(s.grpc, api.NewAccess(d))
	heyanv1.RegisterComplianceServiceServer(s.grpc, api.NewCompliance(d))
	log := api.NewLog(d)
	heyanv1.RegisterLogServiceServer(s.grpc, log)
	s.background.Go(func() { s.warnOfArchive(log) })
	s.health = health.NewServer()
	healthv1.RegisterHealthServer(s.grpc, s.health)
	if s.Reflection {
		reflection.Register(s.grpc)
	}
	s.tellHealth()
}

// Serve answers calls on a listener until Shutdown.
func (s *Server) Serve(listener net.Listener) error {
	err := s.grpc.Serve(listener)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Shutdown stops: NOT_SERVING, a moment for load balancers to see it, then no new calls, the calls in flight
// finish within Drain, and the last counts, a total of the log and system.stopped are written. The log and the store stay open:
// whoever opened them closes them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stop) })
	s.health.Shutdown()
	wait(ctx, s.Notice)
	s.draining.Store(true)
	graceful := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(graceful)
	}()
	s.drain(ctx, graceful)
	<-graceful
	s.cutRest()
	s.background.Wait()
	err := errors.Join(s.flush(), s.mark(context.WithoutCancel(ctx)), s.countLast(ctx))
	s.log.OnSealed(func(netlog.Sealing) {}) // system.stopped is the last record
	if s.log.Healthy() == nil {
		_, stopped := s.journal.System(record.SystemStopped, func(r *record.Record) { r.Status = s.status() })
		err = errors.Join(err, stopped)
	}
	return err
}

// drain waits until the calls in flight are done, for Drain at most, and meanwhile ends those that have no end. At
// Drain the streams that are left are ended too, with a moment for their callers to hear of it, and then everything.
func (s *Server) drain(ctx context.Context, graceful <-chan struct{}) {
	defer s.grpc.Stop()
	limit, look := time.NewTimer(s.Drain), time.NewTicker(50*time.Millisecond)
	defer limit.Stop()
	defer look.Stop()
	for {
		s.endAll(func(c *checkedStream) bool { return c.endless.Load() })
		s.cutWaiting(min(farewell, s.Drain/2))
		select {
		case <-graceful:
			return
		case <-ctx.Done():
			return
		case <-limit.C:
			s.endAll(func(*checkedStream) bool { return true })
			select {
			case <-graceful:
			case <-ctx.Done():
			case <-time.After(min(farewell, s.Drain)):
			}
			return
		case <-look.C:
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Journal writes records of whoever assembled the server.
func (s *Server) Journal() *journal.Journal { return s.journal }

// Ready implements telemetry.Readiness.
func (s *Server) Ready() []telemetry.Check {
	check := func(name string, ok bool, detail string) telemetry.Check {
		if ok {
			detail = ""
		}
		return telemetry.Check{Name: name, OK: ok, Detail: detail}
	}
	return []telemetry.Check{
		check("log", s.log.Healthy() == nil, "stopped"),
		check("store", s.Store.Healthy() == nil, "unavailable"),
		check("disk", !s.Space.Full(), "full"),
		check("serving", !s.stopping(), "stopping"),
	}
}

// stopping tells whether a stop has begun.
func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Server) countAnswer(a *verifier.Answer) {
	v := a.Verification
	s.metrics.Verified(v.Product, v.Verdict, v.Billing, v.Test)
}

// GRPC returns the registered methods, for the test that holds the policy against them.
func (s *Server) GRPC() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }
