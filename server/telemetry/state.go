package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what is read at each scrape instead of being counted. A nil member has no series. The functions
// MUST be quick and safe for concurrent use.
type State struct {
	LogQueue     func() int    // records that wait for a flush
	LogSize      func() uint64 // records in the log of this origin
	LogHealthy   func() bool
	LogForward   func() Forwarding // where the log is forwarded to a collector
	LogSpace     func() Space      // room for the log
	ClaimsOpen   func() int        // requests claimed and not yet settled
	StoreHealthy func() bool
	// CertificateExpiry is when the server's own certificate ends, and Now the clock it is compared with.
	CertificateExpiry func() time.Time
	Now               func() time.Time
	Checkpoints       []CheckpointTarget // where the log's checkpoints are sent
}

// CheckpointTarget is one place that the log's checkpoints are sent to. Its number and kind are labels; its address may
// be a secret, and is none.
type CheckpointTarget struct {
	Number   int
	Kind     string
	Sent     func() time.Time // when one arrived last; the zero time = not since the start
	Failures func() uint64
}

// Forwarding is how far a collector is with the network log.
type Forwarding struct {
	Connected                      bool
	Sent, Skipped, Reconnects, Lag uint64
}

// Watch adds the series of s. It fails when it is called twice with the same member.
func (m *Metrics) Watch(s State) error {
	r := registrar{m.registry, nil}
	gauge := func(name, help string, read func() float64) {
		r.counterOrGauge(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	healthy := func(name, help string, read func() bool) {
		gauge(name, help+": 1, or 0.", func() float64 {
			if read() {
				return 1
			}
			return 0
		})
	}
	if s.LogQueue != nil {
		gauge("heyan_log_queue", "Records that wait to become durable in the network log.", func() float64 { return float64(s.LogQueue()) })
	}
	if s.LogSize != nil {
		gauge("heyan_log_size", "Records in the network log of this origin.", func() float64 { return float64(s.LogSize()) })
	}
	if s.LogHealthy != nil {
		healthy("heyan_log_healthy", "Whether the network log can be written", s.LogHealthy)
	}
	if s.LogSpace != nil {
		r.space(s.LogSpace)
	}
	if s.LogForward != nil {
		r.forwarding(s.LogForward)
	}
	if s.ClaimsOpen != nil {
		gauge("heyan_ledger_claims_open", "Requests that are claimed and not yet settled.", func() float64 { return float64(s.ClaimsOpen()) })
	}
	if s.StoreHealthy != nil {
		healthy("heyan_store_healthy", "Whether the store can be read and written", s.StoreHealthy)
	}
	if s.CertificateExpiry != nil && s.Now != nil {
		gauge("heyan_certificate_expiry_seconds", "Time until the server's certificate ends; negative once it has.", func() float64 {
			return s.CertificateExpiry().Sub(s.Now()).Seconds()
		})
	}
	for _, t := range s.Checkpoints {
		watchTarget(&r, t)
	}
	return r.err
}

func (r *registrar) forwarding(read func() Forwarding) {
	counter := func(name, help string, of func(Forwarding) uint64) {
		r.counterOrGauge(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of(read())) }))
	}
	counter("heyan_log_forward_sent_total", "Records written to the collector, repeated ones counted again.", func(f Forwarding) uint64 { return f.Sent })
	counter("heyan_log_forward_skipped_total", "Records that the collector was not sent, because it was too far behind.", func(f Forwarding) uint64 { return f.Skipped })
	counter("heyan_log_forward_reconnects_total", "Connections to the collector after the first.", func(f Forwarding) uint64 { return f.Reconnects })
	gauge := func(name, help string, of func(Forwarding) float64) {
		r.counterOrGauge(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return of(read()) }))
	}
	gauge("heyan_log_forward_lag", "Records of the network log that the collector was not sent yet.", func(f Forwarding) float64 { return float64(f.Lag) })
	gauge("heyan_log_forward_connected", "Whether the collector is connected: 1, or 0.", func(f Forwarding) float64 {
		if f.Connected {
			return 1
		}
		return 0
	})
}

func watchTarget(r *registrar, t CheckpointTarget) {
	labels := prometheus.Labels{"target": strconv.Itoa(t.Number), "kind": t.Kind}
	r.counterOrGauge(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "heyan_log_checkpoint_sent_timestamp_seconds",
		Help: "When a checkpoint of the network log last arrived elsewhere; 0 where none has since the start.", ConstLabels: labels}, func() float64 {
		if at := t.Sent(); !at.IsZero() {
			return float64(at.UnixMilli()) / 1000
		}
		return 0
	}))
	r.counterOrGauge(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "heyan_log_checkpoint_failures_total",
		Help: "Attempts to send a checkpoint of the network log elsewhere that failed.", ConstLabels: labels}, func() float64 { return float64(t.Failures()) }))
}
