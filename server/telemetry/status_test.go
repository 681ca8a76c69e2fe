package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/server/telemetry"
)

// ready is a Readiness with fixed answers.
type ready struct{ checks []telemetry.Check }

func (r ready) Ready() []telemetry.Check { return r.checks }

func get(t *testing.T, r telemetry.Readiness, profiling bool, from, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	response := httptest.NewRecorder()
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = from
	newMetrics(t).Handler(r, profiling).ServeHTTP(response, request)
	return response
}

func TestPages(t *testing.T) {
	good := ready{[]telemetry.Check{{Name: "log", OK: true}, {Name: "store", OK: true}}}
	bad := ready{[]telemetry.Check{{Name: "log", OK: false, Detail: "disk_full"}, {Name: "store", OK: true}}}
	const near, far, mapped = "127.0.0.1:1234", "192.0.2.1:1234", "[::ffff:127.0.0.1]:1234"
	for _, c := range []struct {
		name, from, method, target string
		ready                      ready
		profiling                  bool
		code                       int
		body                       string
	}{
		{"live", far, "GET", "/livez", good, false, 200, "ok\n"},
		{"live while not ready", far, "GET", "/livez", bad, false, 200, "ok\n"},
		{"ready", far, "GET", "/readyz", good, false, 200, "ok\n"},
		{"not ready", far, "GET", "/readyz", bad, false, 503, "not ready\n"},
		{"HEAD", far, "HEAD", "/readyz", bad, false, 503, ""},
		{"no POST", far, "POST", "/readyz", good, false, 405, ""},
		{"no such page", far, "GET", "/", good, true, 404, ""},
		{"no profiles unless asked", near, "GET", "/debug/pprof/", good, false, 404, ""},
		{"profiles", near, "GET", "/debug/pprof/goroutine?debug=1", good, true, 200, ""},
		{"profiles by a mapped address", mapped, "GET", "/debug/pprof/", good, true, 200, ""},
		{"no profiles from afar", far, "GET", "/debug/pprof/", good, true, 404, ""},
		{"no profile from afar", far, "GET", "/debug/pprof/heap", good, true, 404, ""},
		{"no trace from afar", far, "GET", "/debug/pprof/trace", good, true, 404, ""},
		{"no profiles without an address", "@", "GET", "/debug/pprof/", good, true, 404, ""},
		{"no command line", near, "GET", "/debug/pprof/cmdline", good, true, 404, ""},
	} {
		response := get(t, c.ready, c.profiling, c.from, c.method, c.target)
		if response.Code != c.code || c.body != "" && response.Body.String() != c.body {
			t.Errorf("%s: %d %q", c.name, response.Code, response.Body.String())
		}
	}
	for _, c := range []struct {
		ready ready
		code  int
		want  string
	}{
		{good, 200, `{"ready":true,"checks":[{"name":"log","ok":true},{"name":"store","ok":true}]}`},
		{bad, 503, `{"ready":false,"checks":[{"name":"log","ok":false,"detail":"disk_full"},{"name":"store","ok":true}]}`},
		{ready{}, 200, `{"ready":true,"checks":[]}`},
	} {
		response := get(t, c.ready, false, far, "GET", "/readyz?verbose")
		if response.Code != c.code || strings.TrimSpace(response.Body.String()) != c.want || response.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s", response.Code, response.Body)
		}
	}
}

func TestHTTPServerEnds(t *testing.T) {
	s := telemetry.HTTPServer(newMetrics(t).Handler(ready{}, false))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a phase without an end: %+v", s)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	logger := telemetry.Logger(&out, level)
	logger.Debug("hidden")
	logger.Info("served", "method", verify)
	level.Set(slog.LevelDebug)
	logger.Debug("shown")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), out.String())
	}
	var entry struct{ Time, Level, Msg, Method string }
	if err := json.Unmarshal([]byte(lines[0]), &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Level != "INFO" || entry.Msg != "served" || entry.Method != verify || !strings.HasSuffix(entry.Time, "Z") {
		t.Errorf("%+v", entry)
	}
}
