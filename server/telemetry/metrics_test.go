package telemetry_test

import (
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/telemetry"
	"github.com/heyan-project/heyan/server/transport"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
)

const verify = "/heyan.v1.VerificationService/Verify"

func methods() []telemetry.Method {
	return telemetry.MethodsOf(&heyanv1.VerificationService_ServiceDesc, &heyanv1.AdminService_ServiceDesc, &heyanv1.LogService_ServiceDesc)
}

func newMetrics(t testing.TB) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(telemetry.Config{Methods: methods(), Products: []product.ID{"id2", "card4"}, Version: "1.2.3", Revision: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape gets /metrics as Prometheus does, and parses and lints it.
func scrape(t *testing.T, m *telemetry.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	response := httptest.NewRecorder()
	m.Handler(ready{}, false).ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	if response.Code != 200 {
		t.Fatalf("code %d", response.Code)
	}
	text := response.Body.String()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value finds the one series with the labels, "name=value" each; NaN where there is none. Of a histogram it is
// the count of observations.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	found := math.NaN()
	for _, metric := range families[name].GetMetric() {
		have := map[string]bool{}
		for _, l := range metric.GetLabel() {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		all := true
		for _, l := range labels {
			all = all && have[l]
		}
		if !all {
			continue
		}
		if !math.IsNaN(found) {
			t.Fatalf("%s %v is more than one series", name, labels)
		}
		switch families[name].GetType() {
		case dto.MetricType_COUNTER:
			found = metric.GetCounter().GetValue()
		case dto.MetricType_GAUGE:
			found = metric.GetGauge().GetValue()
		case dto.MetricType_HISTOGRAM:
			found = float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return found
}

func TestCalls(t *testing.T) {
	m := newMetrics(t)
	const follow, imports = "/heyan.v1.LogService/ListLogEntries", "/heyan.v1.AdminService/ImportRecords"
	m.Started(verify)
	m.Started(verify)
	m.Handled(verify, codes.OK, 3*time.Millisecond)
	m.Handled(verify, codes.InvalidArgument, time.Millisecond)
	m.Started(follow)
	m.Received(follow)
	m.Sent(follow)
	m.Sent(follow)
	m.Handled(follow, codes.OK, time.Minute)
	m.Received(imports)
	m.Started("/heyan.v1.VerificationService/13800138000")
	m.Handled("/heyan.v1.VerificationService/13800138000", codes.Unimplemented, time.Millisecond)
	m.Handled(verify, codes.Code(99), time.Millisecond)
	families := scrape(t, m)
	verifyLabels := []string{"grpc_type=unary", "grpc_service=heyan.v1.VerificationService", "grpc_method=Verify"}
	followLabels := []string{"grpc_type=server_stream", "grpc_service=heyan.v1.LogService", "grpc_method=ListLogEntries"}
	unknown := []string{"grpc_type=unknown", "grpc_service=unknown", "grpc_method=unknown"}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"grpc_server_started_total", verifyLabels, 2},
		{"grpc_server_msg_received_total", verifyLabels, 2},
		{"grpc_server_msg_sent_total", verifyLabels, 1},
		{"grpc_server_handled_total", append(verifyLabels, "grpc_code=OK"), 1},
		{"grpc_server_handled_total", append(verifyLabels, "grpc_code=InvalidArgument"), 1},
		{"grpc_server_handled_total", append(verifyLabels, "grpc_code=Unknown"), 1},
		{"grpc_server_handled_total", append(verifyLabels, "grpc_code=Internal"), 0},
		{"grpc_server_handling_seconds", verifyLabels, 3},
		{"grpc_server_started_total", followLabels, 1},
		{"grpc_server_msg_received_total", followLabels, 1},
		{"grpc_server_msg_sent_total", followLabels, 2},
		{"grpc_server_handled_total", append(followLabels, "grpc_code=OK"), 1},
		{"grpc_server_msg_received_total", []string{"grpc_type=client_stream", "grpc_method=ImportRecords"}, 1},
		{"grpc_server_started_total", unknown, 1},
		{"grpc_server_handled_total", append(unknown, "grpc_code=Unimplemented"), 1},
	} {
		if got := value(t, families, c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, h := range families["grpc_server_handling_seconds"].GetMetric() {
		if h.GetHistogram().GetSampleCountFloat() != 0 || len(h.GetHistogram().GetBucket()) < 10 {
			t.Error("the histogram is not a classic one")
		}
	}
}

func TestCounts(t *testing.T) {
	m := newMetrics(t)
	m.Verified("id2", product.Match, product.Billed, false)
	m.Verified("id2", product.Match, product.Billed, false)
	m.Verified("id2", product.Match, product.Billed, true)
	m.Verified("id2", 0, product.BillingUnknown, false)
	m.Verified("a product made later", product.NoRecord, product.Free, false)
	m.Refused(fault.ConsentExpired)
	m.Refused(0)
	m.Refused(255)
	m.StrangerCounted()
	m.HandshakeFailed(transport.UnknownCA.String())
	m.HandshakeFailed("something new")
	m.SessionOpened()
	m.SessionOpened()
	m.SessionClosed()
	m.SourcesShared(true)
	m.LogPurged(100, 4096)
	m.LogPurged(1, 4)
	m.LogPurgeFailed()
	m.LogPurgeDue(time.Unix(1_800_000_000, 0))
	m.LogAppended(time.Millisecond)
	m.LogFlushed(7, time.Millisecond)
	m.LedgerCommitted(time.Millisecond)
	families := scrape(t, m)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"heyan_verifications_total", []string{"product=id2", "verdict=MATCH", "billing=BILLED", "test=false"}, 2},
		{"heyan_verifications_total", []string{"product=id2", "verdict=MATCH", "billing=BILLED", "test=true"}, 1},
		{"heyan_verifications_total", []string{"product=id2", "verdict=PENDING", "billing=UNKNOWN", "test=false"}, 1},
		{"heyan_verifications_total", []string{"product=other", "verdict=NO_RECORD", "billing=FREE", "test=false"}, 1},
		{"heyan_verifications_total", []string{"product=card4", "verdict=MISMATCH", "billing=BILLED", "test=false"}, 0},
		{"heyan_refusals_total", []string{"reason=CONSENT_EXPIRED"}, 1},
		{"heyan_refusals_total", []string{"reason=INTERNAL"}, 2},
		{"heyan_refusals_total", []string{"reason=QUOTA_EXCEEDED"}, 0},
		{"heyan_strangers_total", nil, 1},
		{"heyan_tls_handshake_failures_total", []string{"cause=unknown_ca"}, 1},
		{"heyan_tls_handshake_failures_total", []string{"cause=other"}, 1},
		{"heyan_tls_handshake_failures_total", []string{"cause=plaintext"}, 0},
		{"heyan_sessions_open", nil, 1},
		{"heyan_sources_shared", nil, 1},
		{"heyan_log_purged_records_total", nil, 101},
		{"heyan_log_purged_bytes_total", nil, 4100},
		{"heyan_log_purge_failures_total", nil, 1},
		{"heyan_log_purge_due_timestamp_seconds", nil, 1_800_000_000},
		{"heyan_log_append_seconds", nil, 1},
		{"heyan_log_flush_seconds", nil, 1},
		{"heyan_log_batch_records", nil, 1},
		{"heyan_ledger_commit_seconds", nil, 1},
		{"heyan_build_info", []string{"version=1.2.3", "revision=abc"}, 1},
	} {
		if got := value(t, families, c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if sum := families["heyan_log_batch_records"].GetMetric()[0].GetHistogram().GetSampleSum(); sum != 7 {
		t.Errorf("%v records flushed", sum)
	}
	if families["go_goroutines"] == nil || families["process_cpu_seconds_total"] == nil {
		t.Error("the collectors of Go and the process are missing")
	}
	if len(families["heyan_refusals_total"].GetMetric()) != len(fault.Reasons()) {
		t.Error("every reason must have its series from the start, or an alert misses the first one")
	}
}

func TestState(t *testing.T) {
	m := newMetrics(t)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	state := telemetry.State{
		LogQueue: func() int { return 3 }, LogSize: func() uint64 { return 812 }, LogHealthy: func() bool { return true },
		LogForward: func() telemetry.Forwarding {
			return telemetry.Forwarding{Connected: true, Sent: 11, Skipped: 12, Reconnects: 13, Lag: 14}
		},
		LogSpace: func() telemetry.Space {
			return telemetry.Space{Free: 21, Total: 22, Low: true, UntilFloor: 23.5, Reserved: 24}
		},
		ClaimsOpen: func() int { return 2 }, StoreHealthy: func() bool { return false },
		CertificateExpiry: func() time.Time { return now.Add(time.Hour) }, Now: func() time.Time { return now },
	}
	if err := m.Watch(state); err != nil {
		t.Fatal(err)
	}
	families := scrape(t, m)
	for name, want := range map[string]float64{
		"heyan_log_queue": 3, "heyan_log_size": 812, "heyan_log_healthy": 1, "heyan_ledger_claims_open": 2,
		"heyan_log_forward_sent_total": 11, "heyan_log_forward_skipped_total": 12, "heyan_log_forward_reconnects_total": 13,
		"heyan_log_forward_lag": 14, "heyan_log_forward_connected": 1,
		"heyan_log_disk_free_bytes": 21, "heyan_log_disk_bytes": 22, "heyan_log_disk_low": 1, "heyan_log_disk_full": 0, "heyan_log_seconds_to_floor": 23.5, "heyan_log_reserved_bytes": 24,
		"heyan_store_healthy": 0, "heyan_certificate_expiry_seconds": 3600,
	} {
		if got := value(t, families, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if m.Watch(telemetry.State{LogQueue: state.LogQueue}) == nil {
		t.Error("watching twice must fail")
	}
	bare := newMetrics(t)
	if err := bare.Watch(telemetry.State{}); err != nil || scrape(t, bare)["heyan_log_queue"] != nil {
		t.Error("nothing to watch must have no series", err)
	}
}

func TestNamedTwice(t *testing.T) {
	if _, err := telemetry.New(telemetry.Config{Methods: append(methods(), methods()[0])}); err == nil {
		t.Error("a method named twice was taken")
	}
	if _, err := telemetry.New(telemetry.Config{Products: []product.ID{"id2", "id2"}}); err == nil {
		t.Error("a product named twice was taken")
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := newMetrics(t)
	if n := testing.AllocsPerRun(100, func() { oneCall(m) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// oneCall is all that one Verify counts.
func oneCall(m *telemetry.Metrics) {
	m.Started(verify)
	m.Verified("id2", product.Match, product.Billed, false)
	m.LogAppended(time.Millisecond)
	m.Handled(verify, codes.OK, time.Millisecond)
}

// BenchmarkCall is all that one Verify counts.
func BenchmarkCall(b *testing.B) {
	m := newMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		oneCall(m)
	}
}

// BenchmarkScrape is one answer of /metrics.
func BenchmarkScrape(b *testing.B) {
	h := newMetrics(b).Handler(ready{}, false)
	b.ReportAllocs()
	for b.Loop() {
		response := httptest.NewRecorder()
		h.ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
		n, _ := io.Copy(io.Discard, response.Body)
		b.ReportMetric(float64(n), "bytes")
	}
}
