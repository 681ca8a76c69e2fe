package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// purges is the series of the end of log records.
type purges struct {
	records, bytes, failures prometheus.Counter
	due                      prometheus.Gauge
}

func (p *purges) bind(r *registrar) {
	p.records = r.counters("heyan_log_purged_records_total", "Records of the network log that were purged, their time being over.").WithLabelValues()
	p.bytes = r.counters("heyan_log_purged_bytes_total", "Bytes of the segments that were purged.").WithLabelValues()
	p.failures = r.counters("heyan_log_purge_failures_total", "Purges of the network log that failed and are tried again.").WithLabelValues()
	p.due = r.counterOrGauge(prometheus.NewGauge(prometheus.GaugeOpts{Name: "heyan_log_purge_due_timestamp_seconds",
		Help: "When the oldest sealed records of the network log may go; 0 where none are sealed. In the past where a hold, or a clock that is not trusted, keeps them."})).(prometheus.Gauge)
}

// LogPurged counts what a purge removed.
func (p *purges) LogPurged(records, bytes uint64) {
	p.records.Add(float64(records))
	p.bytes.Add(float64(bytes))
}

// LogPurgeFailed counts a purge that is tried again.
func (p *purges) LogPurgeFailed() { p.failures.Inc() }

// LogPurgeDue notes when the oldest sealed records may go; the zero time = none are sealed.
func (p *purges) LogPurgeDue(at time.Time) {
	if at.IsZero() {
		p.due.Set(0)
		return
	}
	p.due.Set(float64(at.Unix()))
}
