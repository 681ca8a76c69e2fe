// Package telemetry is what an operator sees of a server from outside: Prometheus metrics, the status pages
// /livez and /readyz, the operator's log in JSON, and OpenTelemetry tracing where the standard variables ask
// for it.
//
// Every series is bound before the first call, so that counting is an addition and no map of labels is built
// on a call's path. Labels are of closed lists: methods, codes, products, verdicts, reasons, causes. There is
// no label for a client, an address or anything a caller chose; what is not on a list counts as "unknown"
// or "other".
//
// The rule for logs and spans: never hand over a request, a reply or any other protobuf message, nor a text
// that a caller sent. There is no filter behind that rule that could be trusted instead. An error's text is for
// the operator's log at most, and only of errors that follow the rule themselves.
//
// What is not guaranteed: that metrics are exact across a crash, or that a scrape sees one instant. Money and
// evidence are counted in the ledger and the log. Nothing is ever sent home; traces go where the operator's
// own OTEL_EXPORTER_OTLP_ENDPOINT says, and nowhere by default.
//
// Read next: call.go for what a call costs, status.go for the pages, tracing.go for the variables.
package telemetry

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

// Method is one RPC that has series of its own.
type Method struct {
	Service, Name                string // "heyan.v1.VerificationService", "Verify"
	ClientStreams, ServerStreams bool
}

// MethodsOf lists the methods of generated services.
func MethodsOf(services ...*grpc.ServiceDesc) []Method {
	var all []Method
	for _, s := range services {
		for _, m := range s.Methods {
			all = append(all, Method{Service: s.ServiceName, Name: m.MethodName})
		}
		for _, m := range s.Streams {
			all = append(all, Method{s.ServiceName, m.StreamName, m.ClientStreams, m.ServerStreams})
		}
	}
	return all
}

// full is the method as gRPC names it.
func (m Method) full() string { return "/" + m.Service + "/" + m.Name }

// kind is the label grpc_type, as other gRPC servers have it.
func (m Method) kind() string {
	switch {
	case m.ClientStreams && m.ServerStreams:
		return "bidi_stream"
	case m.ClientStreams:
		return "client_stream"
	case m.ServerStreams:
		return "server_stream"
	}
	return "unary"
}

// Config is what New needs.
type Config struct {
	Methods  []Method
	Products []product.ID
	// Version and Revision are those of the build, for heyan_build_info.
	Version, Revision string
}

// Metrics is every series of a server, in a registry of its own. Its methods are safe for concurrent use,
// wait for nothing and allocate nothing.
type Metrics struct {
	registry *prometheus.Registry
	methods  map[string]*method
	unknown  *method

	verifications map[verification]prometheus.Counter
	products      map[product.ID]bool
	refusals      []prometheus.Counter // by fault.Reason
	strangers     prometheus.Counter
	budgets       prometheus.Counter
	failures      map[string]prometheus.Counter // handshakes, by cause
	sessions      prometheus.Gauge
	sharedSource  prometheus.Gauge
	purges

	logAppend, logFlush, logBatch, ledgerCommit prometheus.Histogram
}

// verification is the labels of one series.
type verification struct {
	product product.ID
	verdict product.Verdict
	billing product.Billing
	test    bool
}

// otherProduct is what a product counts as that New was not told of.
const otherProduct product.ID = "other"

// callBuckets are from what an embedded look-up takes to a source's time limit, in seconds.
var callBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// flushBuckets are from a write cache's time to a hanging disk's, in seconds.
var flushBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

// New makes the series. It fails where a method or product is named twice.
func New(c Config) (*Metrics, error) {
	m := &Metrics{
		registry: prometheus.NewRegistry(), methods: map[string]*method{}, verifications: map[verification]prometheus.Counter{},
		products: map[product.ID]bool{}, failures: map[string]prometheus.Counter{},
	}
	r := registrar{m.registry, nil}
	m.bindMethods(&r, c.Methods)
	m.bindVerifications(&r, c.Products)
	m.bindRefusals(&r)
	m.bindConnections(&r)
	m.purges.bind(&r)
	m.logAppend = r.histogram("heyan_log_append_seconds", "Time from handing a record to the network log until it was durable.", flushBuckets)
	m.logFlush = r.histogram("heyan_log_flush_seconds", "Time of one write and flush of the network log.", flushBuckets)
	m.logBatch = r.histogram("heyan_log_batch_records", "Records made durable by one flush of the network log.", prometheus.ExponentialBuckets(1, 2, 13))
	m.ledgerCommit = r.histogram("heyan_ledger_commit_seconds", "Time of one durable commit of the ledger.", flushBuckets)
	build := r.counterOrGauge(prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "heyan_build_info", Help: "Always 1; the build is in the labels."}, []string{"version", "revision", "goversion"}))
	build.(*prometheus.GaugeVec).WithLabelValues(c.Version, c.Revision, runtime.Version()).Set(1)
	r.counterOrGauge(collectors.NewGoCollector())
	r.counterOrGauge(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, r.err
}

// registrar registers collectors and keeps the errors.
type registrar struct {
	registry *prometheus.Registry
	err      error
}

func (r *registrar) counterOrGauge(c prometheus.Collector) prometheus.Collector {
	r.err = errors.Join(r.err, r.registry.Register(c))
	return c
}

func (r *registrar) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return r.counterOrGauge(prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)).(*prometheus.CounterVec)
}

func (r *registrar) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return r.counterOrGauge(prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})).(prometheus.Histogram)
}

func (m *Metrics) bindVerifications(r *registrar, products []product.ID) {
	vec := r.counters("heyan_verifications_total", "Verifications answered, by verdict (PENDING where there is none yet) and billing.",
		"product", "verdict", "billing", "test")
	for _, id := range append(slices.Clone(products), otherProduct) {
		if m.products[id] {
			r.err = errors.Join(r.err, errors.New("telemetry: a product is named twice"))
		}
		m.products[id] = true
		for v := product.Verdict(0); v == 0 || v.Valid(); v++ {
			for b := product.Billed; b.String() != ""; b++ {
				verdict := v.String()
				if v == 0 {
					verdict = "PENDING"
				}
				m.verifications[verification{id, v, b, false}] = vec.WithLabelValues(string(id), verdict, b.String(), "false")
				m.verifications[verification{id, v, b, true}] = vec.WithLabelValues(string(id), verdict, b.String(), "true")
			}
		}
	}
}

func (m *Metrics) bindRefusals(r *registrar) {
	vec := r.counters("heyan_refusals_total", "Refusals and failures, by reason; items of a batch count each.", "reason")
	m.refusals = make([]prometheus.Counter, len(fault.Reasons())+1)
	for _, reason := range fault.Reasons() {
		m.refusals[reason] = vec.WithLabelValues(reason.String())
	}
}

func (m *Metrics) bindConnections(r *registrar) {
	m.budgets = r.counters("heyan_refusal_budgets_exhausted_total", "Clients whose refusal budget was used up: their connections are closed.").WithLabelValues()
	m.strangers = r.counters("heyan_strangers_total", "Replies to callers without identity, which the network log counts in bulk.").WithLabelValues()
	vec := r.counters("heyan_tls_handshake_failures_total", "Connections that did not become a session, by cause.", "cause")
	for _, cause := range transport.Causes() {
		m.failures[cause.String()] = vec.WithLabelValues(cause.String())
	}
	m.sessions = r.counterOrGauge(prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "heyan_sessions_open", Help: "TLS connections open now."})).(prometheus.Gauge)
	m.sharedSource = r.counterOrGauge(prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "heyan_sources_shared", Help: "Whether nearly all log-ins of an hour come from one address, and no trusted proxy is configured: 1, or 0."})).(prometheus.Gauge)
}

// SourcesShared notes whether nearly all log-ins come from one address.
func (m *Metrics) SourcesShared(shared bool) {
	value := 0.0
	if shared {
		value = 1
	}
	m.sharedSource.Set(value)
}

// Verified counts one answer. Verdict 0 is a pending one. A product that New was not told of counts as "other".
func (m *Metrics) Verified(id product.ID, verdict product.Verdict, billing product.Billing, test bool) {
	if !m.products[id] {
		id = otherProduct
	}
	if c, ok := m.verifications[verification{id, verdict, billing, test}]; ok {
		c.Inc()
	}
}

// Refused counts one refusal.
func (m *Metrics) Refused(reason fault.Reason) {
	if !reason.Valid() {
		reason = fault.InternalError
	}
	m.refusals[reason].Inc()
}

// BudgetExhausted counts a client that was refused more often than is recorded one by one.
func (m *Metrics) BudgetExhausted() { m.budgets.Inc() }

// StrangerCounted counts one reply to a caller without identity.
func (m *Metrics) StrangerCounted() { m.strangers.Inc() }

// HandshakeFailed counts one connection that did not become a session. cause is the name of a
// [transport.Cause].
func (m *Metrics) HandshakeFailed(cause string) {
	c, ok := m.failures[cause]
	if !ok {
		c = m.failures[transport.Other.String()]
	}
	c.Inc()
}

// SessionOpened counts a session in.
func (m *Metrics) SessionOpened() { m.sessions.Inc() }

// SessionClosed counts a session out.
func (m *Metrics) SessionClosed() { m.sessions.Dec() }

// LogAppended notes how long one record took to become durable.
func (m *Metrics) LogAppended(took time.Duration) { m.logAppend.Observe(took.Seconds()) }

// LogFlushed notes one flush of the network log and how many records it made durable.
func (m *Metrics) LogFlushed(records int, took time.Duration) {
	m.logBatch.Observe(float64(records))
	m.logFlush.Observe(took.Seconds())
}

// LedgerCommitted notes one durable commit of the ledger.
func (m *Metrics) LedgerCommitted(took time.Duration) { m.ledgerCommit.Observe(took.Seconds()) }
