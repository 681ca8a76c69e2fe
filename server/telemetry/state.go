package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what is read at each scrape instead of being counted. A nil member has no series. The functions
// MUST be quick and safe for concurrent use.
type State struct {
	LogQueue     func() int    // records that wait for a flush
	LogSize      func() uint64 // records in the log of this origin
	LogHealthy   func() bool
	ClaimsOpen   func() int // requests claimed and not yet settled
	StoreHealthy func() bool
	// CertificateExpiry is when the server's own certificate ends, and Now the clock it is compared with.
	CertificateExpiry func() time.Time
	Now               func() time.Time
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
	return r.err
}
