package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/forward"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/outside"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/space"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/registry"
	"github.com/heyan-project/heyan/verifier/source/simulator"
)

// state is everything that outlives a server: keys, store and log. The log is opened last, once the rest is known to
// belong together: opening it cuts a torn tail, which has to be recorded.
type state struct {
	config    *config.Config
	keys      *digest.Keyring
	rules     *field.Rules
	catalogue *product.Catalogue
	log       *netlog.Log
	archive   *origins.Archive // closed logs
	recovery  netlog.Recovery
	targets   []*outside.Target // of checkpoints
	store     *embedded.Store
	directory *directory.Directory
	metrics   *telemetry.Metrics
	logger    *slog.Logger
	now       func() time.Time

	acceptOlderStore uint64 // the number of a refusal, where a person chose to go on; 0 = none
}

// openState opens what a configuration names. create begins log and store in an empty data directory.
func openState(ctx context.Context, c *config.Config, create bool, logger *slog.Logger) (*state, error) {
	s, err := openData(ctx, c, create, logger)
	if err != nil {
		return nil, err
	}
	if create {
		if err = s.openLog(ctx, true); err == nil {
			err = s.keepPlace(ctx)
		}
	} else if err = s.checkPlace(ctx); err == nil {
		err = s.openLog(ctx, false)
	}
	if err == nil {
		s.directory, err = directory.Open(ctx, s.store)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openData opens all but the log. While it is open no other process has the data directory.
func openData(ctx context.Context, c *config.Config, create bool, logger *slog.Logger) (s *state, err error) {
	s = &state{config: c, logger: logger, now: time.Now}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s = nil
		}
	}()
	chain, err := keyfile.ReadDigest(c.Keys.Digest)
	if err != nil {
		return s, err
	}
	s.keys = digest.NewKeyring(chain)
	if s.rules, err = field.NewRules(c.CardPrefixes); err != nil {
		return s, err
	}
	if s.catalogue, err = c.Products(); err != nil {
		return s, err
	}
	if s.metrics, err = newMetrics(s.catalogue); err != nil {
		return s, err
	}
	if s.targets, err = openTargets(c, s.now); err != nil {
		return s, err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return s, err
	}
	if err := s.openStore(create); err != nil {
		return s, err
	}
	return s, s.checkSuite(ctx, create)
}

// logOptions says where the log is and how it is kept.
func (s *state) logOptions() (netlog.Options, error) {
	sign, err := keyfile.ReadSigning(s.config.Keys.LogSign)
	if err != nil {
		return netlog.Options{}, err
	}
	seal, err := keyfile.Read(s.config.Keys.LogSeal, keyfile.LogSeal)
	options := netlog.Options{
		Dir: s.logDir(), Node: s.config.Node, Now: s.now, SigningKey: sign, SealKey: seal,
		Region: s.config.Region, FileSize: s.config.Log.FileSize, Reserve: s.config.Reserve(), AppendTimeout: s.config.Log.AppendTimeout,
		Warn: func(err error) { s.logger.Error("network log", "cause", err.Error()) },
	}
	if s.metrics != nil { // a refused configuration is recorded without
		options.Flushed = s.metrics.LogFlushed
	}
	return options, err
}

func (s *state) openLog(ctx context.Context, create bool) error {
	options, err := s.logOptions()
	if err != nil {
		return err
	}
	if create {
		s.log, err = netlog.Create(options, "first-start")
		return err
	}
	options.Admit = s.admit(ctx)
	s.archive = closedLogs(s.config.Log.Also, options.SealKey, s.now)
	s.log, s.recovery, err = netlog.Open(options)
	if errors.Is(err, netlog.ErrNoLog) {
		return fmt.Errorf("%w: %s: a log is never begun anew in place of a missing one; put it back, or begin a new origin: heyan init --new-origin lost --config FILE", err, options.Dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", options.Dir, s.named(err))
	}
	return nil
}

func (s *state) openStore(create bool) (err error) {
	options := embedded.Options{
		Dir: filepath.Join(s.config.DataDir, "store"), CacheBytes: s.config.Runtime.CacheBytes, Now: s.now, Logger: s.logger,
		Committed: s.metrics.LedgerCommitted}
	for _, key := range []struct {
		to   *[]byte
		path string
		kind keyfile.Kind
	}{
		{&options.SubjectKey, s.config.Keys.Subject, keyfile.SubjectSeal},
		{&options.BusinessKey, s.config.Keys.Business, keyfile.BusinessSeal},
		{&options.RegistryKey, s.config.Keys.Registry, keyfile.RegistrySeal},
	} {
		if *key.to, err = keyfile.Read(key.path, key.kind); err != nil {
			return err
		}
	}
	if create {
		if err := embedded.Create(options); err != nil {
			return err
		}
	}
	s.store, err = embedded.Open(options)
	return s.named(err)
}

// close closes what is open.
func (s *state) close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	errs = append(errs, s.archive.Close())
	return errors.Join(errs...)
}

// offlineJournal writes records while no server runs.
func (s *state) offlineJournal() *journal.Journal {
	return journal.New(s.log, s.now, clockState, journal.Hooks{})
}

// sampledClock asks for the clock's state at most once a second.
func sampledClock(now func() time.Time) func() record.Clock {
	type sample struct {
		at    time.Time
		clock record.Clock
	}
	var last atomic.Pointer[sample]
	return func() record.Clock {
		at := now()
		if s := last.Load(); s != nil && at.Sub(s.at) < time.Second {
			return s.clock
		}
		s := &sample{at: at, clock: clockState()}
		last.Store(s)
		return s.clock
	}
}

// tables derives the registry's active generations from the snapshot of now, freshest first.
func (s *state) tables() registry.Tables {
	type derived struct {
		from   *directory.Snapshot
		tables []registry.Table
	}
	var cached atomic.Pointer[derived]
	return func() []registry.Table {
		now := s.directory.Now()
		if d := cached.Load(); d != nil && d.from == now {
			return d.tables
		}
		d := &derived{from: now, tables: activeTables(now, s.store)}
		cached.Store(d)
		return d.tables
	}
}

func activeTables(now *directory.Snapshot, s store.Datasets) []registry.Table {
	var active []*dataset.Dataset
	for _, entry := range now.Datasets {
		if _, ok := entry.Value.Active(); ok {
			active = append(active, &entry.Value)
		}
	}
	dataset.Freshest(active)
	tables := make([]registry.Table, 0, len(active))
	for _, d := range active {
		g, _ := d.Active()
		id, number := d.ID, g.Number
		tables = append(tables, registry.Table{
			Name: fmt.Sprintf("%s/%d", id, number), AsOf: g.AsOf,
			Lookup: func(ctx context.Context, anchor digest.Digest, each func([]byte) error) (bool, error) {
				return s.Lookup(ctx, id, number, anchor, each)
			},
		})
	}
	return tables
}

// verifier assembles the domain.
func (s *state) verifier() *verifier.Verifier {
	own := registry.New(s.keys, s.tables())
	routes := make(map[product.ID][]source.Source)
	for _, p := range s.catalogue.All() {
		routes[p.ID] = []source.Source{own}
	}
	return verifier.New(verifier.Config{
		Catalogue: s.catalogue, Rules: s.rules, Keys: s.keys, Directory: func() verifier.Directory { return s.directory.Now() },
		Ledger: s.store, Consents: s.store, Sources: source.NewRouter(routes, simulator.Source{}), Now: s.now, Random: rand.Reader,
	})
}

// authorities says which sources can answer. The registry's files lie in the store; the simulator needs nothing.
func authorities(store interface{ Healthy() error }) []record.Health {
	own := record.Health{Name: registry.Name, State: "up"}
	if store.Healthy() != nil {
		own.State = "down"
	}
	return []record.Health{own, {Name: simulator.Name, State: "up"}}
}

// instance is a server that listens, with its status port.
type instance struct {
	*state
	server   *server.Server
	forward  *forward.Forwarder // nil where nothing is forwarded
	listener net.Listener
	status   *http.Server
	statusAt net.Listener
	sender   *outside.Sender
	tracing  func(context.Context) error
	served   chan error
}

// startInstance assembles and starts everything; it serves when it returns.
func startInstance(ctx context.Context, s *state, lookup func(string) (string, bool)) (*instance, error) {
	certificates, err := s.certificates()
	if err != nil {
		return nil, err
	}
	policy, err := s.config.Log.Retention.Policy()
	if err != nil {
		return nil, err
	}
	handler, stopTracing, err := telemetry.Tracing(ctx, lookup, telemetry.TracingConfig{Methods: methods(), Version: buildVersion(), Logger: s.logger})
	if err != nil {
		return nil, err
	}
	// Before the server: what its start writes is forwarded too.
	forwarder, err := s.startForward()
	if err != nil {
		return nil, err
	}
	sender := s.sending()
	i := &instance{state: s, forward: forwarder, sender: sender, tracing: stopTracing, served: make(chan error, 1)}
	room, err := s.watchRoom()
	if err == nil {
		err = s.watch(forwarder, sender, room)
	}
	if err != nil {
		i.stopForward(ctx)
		return nil, err
	}
	i.server, err = server.New(ctx, server.Config{
		Verifier: s.verifier(), Store: s.store, Directory: s.directory, Log: s.log, Archive: s.archive, Recovery: s.recovery, Keys: s.keys, Rules: s.rules, Catalogue: s.catalogue,
		Now: s.now, Steady: time.Now, Random: rand.Reader, Clock: sampledClock(s.now), Machine: func() server.Machine { return machine(s.logDir()) }, Authorities: func() []record.Health { return authorities(s.store) }, Space: room, Logger: s.logger, Metrics: s.metrics, Tracing: handler,
		Certificates: certificates, ServerNames: s.config.TLS.ServerNames, TrustedProxies: s.config.Proxies(), AllowTLS12: s.config.TLS.MinVersion == "1.2",
		Production: s.config.Production, Region: s.config.Region, Retention: policy, Anchors: s.anchors(), Reflection: s.config.Reflection, RatePerSecond: s.config.Limits.RatePerSecond,
		Strangers: server.Strangers{Connections: s.config.Limits.Strangers, FromOneAddress: s.config.Limits.StrangersPerAddress, Idle: s.config.Limits.StrangerIdle},
		Streams:   s.config.Limits.Streams, StreamWorkers: s.config.Runtime.StreamWorkers, Drain: s.config.Limits.Drain, Silence: s.config.Limits.Silence,
		Notice: s.notice(), Digests: s.digests(), AcceptOlderStore: s.acceptOlderStore,
	})
	if err != nil {
		i.stopForward(ctx)
		return nil, err
	}
	if err := i.listen(); err != nil {
		err = errors.Join(err, i.server.Shutdown(ctx))
		i.stopForward(ctx)
		return nil, err
	}
	return i, nil
}

// newMetrics binds every series before the first call.
func newMetrics(catalogue *product.Catalogue) (*telemetry.Metrics, error) {
	var products []product.ID
	for _, p := range catalogue.All() {
		products = append(products, p.ID)
	}
	return telemetry.New(telemetry.Config{
		Methods: methods(), Products: products, Version: buildVersion(), Revision: readBuild().Revision,
	})
}

// watch adds what is read at each scrape.
func (s *state) watch(f *forward.Forwarder, sender *outside.Sender, room *space.Watch) error {
	return s.metrics.Watch(telemetry.State{
		LogQueue: s.log.Queued, LogSize: s.log.Size, LogHealthy: func() bool { return s.log.Healthy() == nil },
		ClaimsOpen: s.store.Claims, LogForward: forwardState(f),
		StoreHealthy: func() bool { return s.store.Healthy() == nil }, CertificateExpiry: s.certificateExpiry(), Now: s.now,
		Checkpoints: checkpointSeries(sender), LogSpace: s.spaceState(room),
	})
}

// methods lists what has series and spans of its own.
func methods() []telemetry.Method {
	return telemetry.MethodsOf(&heyanv1.VerificationService_ServiceDesc, &heyanv1.CatalogService_ServiceDesc, &heyanv1.ConsentService_ServiceDesc,
		&heyanv1.AdminService_ServiceDesc, &heyanv1.AccessService_ServiceDesc, &heyanv1.ComplianceService_ServiceDesc,
		&heyanv1.LogService_ServiceDesc, &healthv1.Health_ServiceDesc)
}

// certificateExpiry is when the server's own certificate ends.
func (s *state) certificateExpiry() func() time.Time {
	pair, err := keyfile.ReadTLS(s.config.TLS.Certificate, s.config.TLS.Key)
	if err != nil || pair.Leaf == nil {
		return nil
	}
	return func() time.Time { return pair.Leaf.NotAfter }
}

// notice is how long a stop says NOT_SERVING first: load balancers need it, development does not.
func (s *state) notice() time.Duration {
	if s.config.Production {
		return 2 * time.Second
	}
	return 0
}

func (i *instance) listen() (err error) {
	if i.listener, err = net.Listen("tcp", i.config.Listen); err != nil {
		return fmt.Errorf("listen: %w", err) // as the member of the configuration is called
	}
	if i.statusAt, err = net.Listen("tcp", i.config.StatusListen); err != nil {
		return errors.Join(fmt.Errorf("status_listen: %w", err), i.listener.Close())
	}
	i.status = telemetry.HTTPServer(i.metrics.Handler(i.server, false))
	go func() { _ = i.status.Serve(i.statusAt) }()
	go func() { i.served <- i.server.Serve(i.listener) }()
	i.sender.Start()
	return nil
}

// stop drains the server and closes everything.
func (i *instance) stop(ctx context.Context) error {
	err := i.server.Shutdown(ctx)
	// The store's newest checkpoint covers the record of the stop: whatever is cut off now, the next start notices.
	err = errors.Join(err, server.KeepOrigin(ctx, i.log, i.store))
	i.stopForward(ctx)
	i.sendLast(ctx)
	err = errors.Join(err, i.status.Close(), i.tracing(ctx), <-i.served)
	return errors.Join(err, i.close())
}

// address is where the server listens.
func (i *instance) address() string { return i.listener.Addr().String() }

// certificates loads the server's certificate and the CAs of callers.
func (s *state) certificates() (transport.Source, error) {
	pair, err := keyfile.ReadTLS(s.config.TLS.Certificate, s.config.TLS.Key)
	if err != nil {
		return nil, err
	}
	pool, err := keyfile.ReadCA(s.config.TLS.ClientCA...)
	if err != nil {
		return nil, err
	}
	return transport.Static(&transport.Material{Certificates: []tls.Certificate{pair}, ClientCAs: pool}), nil
}

// digests names what this process runs: its binary, its rule tables, its configuration.
func (s *state) digests() []record.Digest {
	list := []record.Digest{{Name: "rules", Value: "sha256:" + field.Version()}, {Name: "suite", Value: s.keys.Suite()}}
	if path, err := os.Executable(); err == nil {
		if sum, err := fileSHA256(path); err == nil {
			list = append(list, record.Digest{Name: "binary", Value: "sha256:" + sum})
		}
	}
	if text, err := json.Marshal(s.config); err == nil {
		sum := sha256.Sum256(text)
		list = append(list, record.Digest{Name: "config", Value: "sha256:" + hex.EncodeToString(sum[:])})
	}
	return list
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// applyRuntime sets how the process uses the machine: a server with a larger heap collects less often and is
// faster for it.
func applyRuntime(r config.Runtime) {
	debug.SetGCPercent(r.GCPercent)
	if r.MemoryLimit > 0 {
		debug.SetMemoryLimit(r.MemoryLimit)
	}
}
