// Package servertest runs a whole server inside a test: real TLS on loopback, the embedded store, a real network
// log, a clock that the test moves, and a reader of the log.
//
// Everything lies in the test's temporary folder and is stopped with the test. Nothing here is for production: keys
// are made on the spot.
package servertest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/pki"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/space"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/registry"
	"github.com/heyan-project/heyan/verifier/source/simulator"
)

// Options change what a server is made of. The zero Options are a server as development has it.
type Options struct {
	Start      time.Time                      // of the clock; zero = 2026-11-22 12:00 +08:00
	LogFS      disk.FS                        // under the network log; nil = the machine's
	LogReserve int64                          // room that the network log keeps for sealing; with any, its files are of 1 MiB
	Store      func(store.Store) store.Store  // wraps the store, to make it fail
	Sources    map[product.ID][]source.Source // in place of the registry
	LogOutput  io.Writer                      // the operator's log; nil = nowhere
	Metrics    server.Metrics                 // nil = Uncounted
	Dir        string                         // data of an earlier server; empty = a fresh folder
	Keys       *Keys                          // of an earlier server; nil = new ones
	OnRecord   func()                         // runs before each record is written, and may take its time
	Room       *atomic.Uint64                 // bytes free for the log, of 1000; the marks are 20% and 100 bytes. Nil = enough
	Production bool
	Trusted    []netip.Prefix // proxies whose headers are read
	Rate       int
	Silence    time.Duration // how long a stream's caller may be silent; 0 = the server's default
	Drain      time.Duration // how long a stop waits for calls; 0 = 5 s
	Notice     time.Duration // how long a stop says NOT_SERVING first

	Steady  func() time.Time         // nil = the clock that the test moves
	Clock   func() record.ClockState // nil = synchronised
	Anchors func(ctx context.Context, from, to uint64) ([]tree.Checkpoint, error)

	AcceptOlderStore uint64 // the choice that a refused start asked for
}

// Keys are a server's secrets.
type Keys struct {
	chain                             *digest.Chain
	subject, business, registry, seal []byte
	sign                              ed25519.PrivateKey
	CA                                *pki.Authority
}

// The people of a test server: A, B and C of the split.
const (
	System   = "a-system"
	Security = "b-security"
	Audit    = "c-audit"
)

// Server is a running server.
type Server struct {
	*server.Server
	Address   string
	Dir       string
	Keys      *Keys
	Clock     *Clock
	Log       *netlog.Log
	Store     store.Store
	Directory *directory.Directory
	Ring      *digest.Keyring
	Verifier  *verifier.Verifier

	t        testing.TB
	embedded *embedded.Store
	recovery netlog.Recovery
	served   chan error
	stopOnce sync.Once
}

// Clock is a clock that a test moves.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	frozen bool
}

// Now returns the time; it moves on by a microsecond at each call, so that times differ.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		c.now = c.now.Add(time.Microsecond)
	}
	return c.now
}

// Freeze stops the clock until thaw is called.
func (c *Clock) Freeze() (thaw func()) {
	set := func(frozen bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frozen = frozen
	}
	set(true)
	return func() { set(false) }
}

// Set moves the clock to a time.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Start starts a server and binds the three people.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := prepare(t, o)
	check(t, s.assemble(o))
	s.serve()
	t.Cleanup(s.Stop)
	return s
}

// Refused starts a server on the data of an earlier one, and returns why it does not start. Everything is closed again.
func Refused(t testing.TB, o Options) error {
	t.Helper()
	s := prepare(t, o)
	err := s.assemble(o)
	if err == nil {
		t.Fatal("the server starts")
	}
	check(t, s.embedded.Close())
	_ = s.Log.Close() // fails where the test broke the disk
	return err
}

// prepare opens a server's data.
func prepare(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	}
	s := &Server{t: t, Dir: o.Dir, Keys: o.Keys, Clock: &Clock{now: o.Start}, served: make(chan error, 1)}
	fresh := s.Dir == ""
	if fresh {
		s.Dir = t.TempDir()
	}
	if s.Keys == nil {
		s.Keys = NewKeys(t, o.Start)
	}
	s.open(o, fresh)
	return s
}

// NewKeys makes secrets and a certificate authority, for a clock that stands at now.
func NewKeys(t testing.TB, now time.Time) *Keys {
	t.Helper()
	random := func() []byte {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		check(t, err)
		return b
	}
	k := &Keys{subject: random(), business: random(), registry: random(), seal: random(), sign: ed25519.NewKeyFromSeed(random())}
	var err error
	k.chain, err = digest.NewChain(rand.Reader, now)
	check(t, err)
	k.CA, err = pki.New("test CA", now.Add(-48*time.Hour), rand.Reader)
	check(t, err)
	return k
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens log, store and directory.
func (s *Server) open(o Options, fresh bool) {
	s.t.Helper()
	options := netlog.Options{Dir: filepath.Join(s.Dir, "log"), Node: "test", Now: s.Clock.Now, SigningKey: s.Keys.sign, SealKey: s.Keys.seal, FS: o.LogFS, AppendTimeout: 2 * time.Second, Reserve: o.LogReserve}
	if o.LogReserve > 0 {
		options.FileSize = 1 << 20
	}
	var err error
	if fresh {
		s.Log, err = netlog.Create(options, "test")
	} else {
		s.Log, s.recovery, err = netlog.Open(options)
	}
	check(s.t, err)
	stored := embedded.Options{
		Dir: filepath.Join(s.Dir, "store"), SubjectKey: s.Keys.subject, BusinessKey: s.Keys.business, RegistryKey: s.Keys.registry,
		Now: s.Clock.Now, CacheBytes: 8 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if fresh {
		check(s.t, embedded.Create(stored))
	}
	s.embedded, err = embedded.Open(stored)
	check(s.t, err)
	s.Store = s.embedded
	if o.Store != nil {
		s.Store = o.Store(s.embedded)
	}
	s.Directory, err = directory.Open(context.Background(), s.Store)
	check(s.t, err)
	if fresh {
		s.Bind(role.Operator{ID: System, Binding: role.Binding{Roles: role.Of(role.SystemAdmin, role.PrivacyOfficer)}})
		s.Bind(role.Operator{ID: Security, Binding: role.Binding{Roles: role.Of(role.SecurityAdmin, role.PrivacyOfficer)}})
		s.Bind(role.Operator{ID: Audit, Binding: role.Binding{Roles: role.Of(role.AuditAdmin)}})
	}
}

// Bind binds a person of its own to o.Roles, as a first start does: without a call and without a record.
func (s *Server) Bind(o role.Operator) {
	s.t.Helper()
	o.IssuerSHA256, o.SubjectAltName, o.State = s.Keys.CA.SHA256(), uri(o.ID), role.Active
	o.Person, o.BoundAt = o.ID, s.Clock.Now()
	_, err := s.Directory.PutOperator(context.Background(), o, 0)
	check(s.t, err)
}

func uri(id string) string { return "spiffe://heyan/operator/" + id }

// assemble assembles the server, which writes the records of its start. The error is that of server.New.
func (s *Server) assemble(o Options) error {
	s.t.Helper()
	s.Ring = digest.NewKeyring(s.Keys.chain)
	catalogue, err := product.NewCatalogue(product.Builtin())
	check(s.t, err)
	routes := o.Sources
	if routes == nil {
		routes = map[product.ID][]source.Source{}
		for _, p := range catalogue.All() {
			routes[p.ID] = []source.Source{registry.New(s.Ring, s.tables)}
		}
	}
	s.Verifier = verifier.New(verifier.Config{
		Catalogue: catalogue, Keys: s.Ring, Directory: func() verifier.Directory { return s.Directory.Now() }, Ledger: s.Store,
		Consents: s.Store, Sources: source.NewRouter(routes, simulator.Source{}), Now: s.Clock.Now, Random: rand.Reader})
	output := o.LogOutput
	if output == nil {
		output = io.Discard
	}
	issued, err := s.Keys.CA.Issue(pki.Leaf{Name: "server", Hosts: []string{"127.0.0.1"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)})
	check(s.t, err)
	pair, err := issued.TLS()
	check(s.t, err)
	s.Server, err = server.New(context.Background(), server.Config{
		Verifier: s.Verifier, Store: s.Store, Directory: s.Directory, Log: s.Log, Recovery: s.recovery, Anchors: o.Anchors, Keys: s.Ring, Catalogue: catalogue,
		Now: s.Clock.Now, Steady: o.steady(s.Clock), Random: rand.Reader, Clock: func() record.Clock {
			if o.OnRecord != nil {
				o.OnRecord()
			}
			if o.Clock != nil {
				return record.Clock{State: o.Clock()}
			}
			return record.Clock{State: record.ClockSynchronised}
		},
		Machine:     func() server.Machine { return server.Machine{LoadMilli: 1250, DiskFree: 7 << 30, DiskTotal: 9 << 30} },
		Authorities: func() []record.Health { return []record.Health{{Name: "registry", State: "up"}} },
		Space:       o.space(),
		Logger:      slog.New(slog.NewJSONHandler(output, nil)), Metrics: o.metrics(),
		Certificates: transport.Static(&transport.Material{Certificates: []tls.Certificate{pair}, ClientCAs: s.Keys.CA.Pool()}),
		ServerNames:  []string{"localhost"}, TrustedProxies: o.Trusted, Production: o.Production, Region: "cn-shanghai", Reflection: true, RatePerSecond: o.Rate, Streams: 1024,
		Silence: o.Silence, Drain: cmp.Or(o.Drain, 5*time.Second), Notice: o.Notice, AcceptOlderStore: o.AcceptOlderStore,
	})
	return err
}

// serve listens.
func (s *Server) serve() {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(s.t, err)
	s.Address = listener.Addr().String()
	go func() { s.served <- s.Server.Serve(listener) }()
}

// tables is the registry's active generations, freshest first.
func (s *Server) tables() []registry.Table {
	var active []*dataset.Dataset
	for _, entry := range s.Directory.Now().Datasets {
		if _, ok := entry.Value.Active(); ok {
			active = append(active, &entry.Value)
		}
	}
	dataset.Freshest(active)
	var tables []registry.Table
	for _, d := range active {
		g, _ := d.Active()
		tables = append(tables, registry.Table{Name: fmt.Sprintf("%s/%d", d.ID, g.Number), AsOf: g.AsOf,
			Lookup: func(ctx context.Context, anchor digest.Digest, each func([]byte) error) (bool, error) {
				return s.Store.Lookup(ctx, d.ID, g.Number, anchor, each)
			}})
	}
	return tables
}

// Stop drains the server and closes everything. Later calls do nothing.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // fails where the test broke log or store
		<-s.served
		_ = s.embedded.Close()
		_ = s.Log.Close()
	})
}

// Dial connects with TLS options of the test's own.
func (s *Server) Dial(config *tls.Config, options ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	config.RootCAs, config.MinVersion = s.Keys.CA.Pool(), tls.VersionTLS13
	conn, err := grpc.NewClient(s.Address, append(options, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
	check(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// As connects as one of the people.
func (s *Server) As(person string) *grpc.ClientConn {
	s.t.Helper()
	return s.WithCertificate(uri(person))
}

// Certificate issues a certificate of the server's CA for a URI.
func (s *Server) Certificate(uri string) tls.Certificate {
	s.t.Helper()
	return Issue(s.t, s.Keys.CA, uri, s.Clock.Now())
}

// Issue issues a certificate for a URI that is good for 1000 hours.
func Issue(t testing.TB, ca *pki.Authority, uri string, now time.Time) tls.Certificate {
	t.Helper()
	issued, err := ca.Issue(pki.Leaf{Name: "test", URI: uri, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(1000 * time.Hour)})
	check(t, err)
	pair, err := issued.TLS()
	check(t, err)
	return pair
}

// WithKey connects with an API key, or without any credential where it is empty.
func (s *Server) WithKey(key string) *grpc.ClientConn {
	s.t.Helper()
	if key == "" {
		return s.Dial(&tls.Config{})
	}
	return s.Dial(&tls.Config{}, grpc.WithPerRPCCredentials(bearer(key)))
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// WithCertificate connects with a client certificate for a URI.
func (s *Server) WithCertificate(uri string, options ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	return s.Dial(&tls.Config{Certificates: []tls.Certificate{s.Certificate(uri)}}, options...)
}

// Records reads every durable record from an index on.
func (s *Server) Records(from uint64) []record.Record {
	s.t.Helper()
	var all []record.Record
	check(s.t, s.Log.Read(context.Background(), from, s.Log.Size(), func(_ uint64, leaf []byte) error {
		r, err := record.Parse(leaf)
		all = append(all, r)
		return err
	}))
	return all
}

func (o *Options) space() *space.Watch {
	if o.Room == nil {
		return nil
	}
	high, _ := space.ParseMark("20%")
	floor, _ := space.ParseMark("100")
	return space.New(func() (uint64, uint64, error) { return o.Room.Load(), 1000, nil }, high, floor)
}

func (o *Options) steady(c *Clock) func() time.Time {
	if o.Steady != nil {
		return o.Steady
	}
	return c.Now
}

func (o *Options) metrics() server.Metrics {
	if o.Metrics != nil {
		return o.Metrics
	}
	return Uncounted{}
}

// Uncounted counts nothing.
type Uncounted struct{}

func (Uncounted) Started(string)                                              {}
func (Uncounted) Handled(string, codes.Code, time.Duration)                   {}
func (Uncounted) Received(string)                                             {}
func (Uncounted) Sent(string)                                                 {}
func (Uncounted) Refused(fault.Reason)                                        {}
func (Uncounted) HandshakeFailed(string)                                      {}
func (Uncounted) SessionOpened()                                              {}
func (Uncounted) SessionClosed()                                              {}
func (Uncounted) Verified(product.ID, product.Verdict, product.Billing, bool) {}
func (Uncounted) LogAppended(time.Duration)                                   {}
func (Uncounted) BudgetExhausted()                                            {}
func (Uncounted) StrangerCounted()                                            {}
func (Uncounted) LogPurged(uint64, uint64)                                    {}
func (Uncounted) LogPurgeFailed()                                             {}
func (Uncounted) LogPurgeDue(time.Time)                                       {}
func (Uncounted) SourcesShared(bool)                                          {}
