package telemetry

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of being ready, by a name of the program's own, such as "log".
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // of a closed list; never an error's text
}

// Readiness tells whether calls would be served now. It is asked at each request of /readyz, and MUST be
// quick.
type Readiness interface{ Ready() []Check }

// Handler serves
//
//	/metrics  Prometheus, text or OpenMetrics
//	/livez    200 while the process answers at all: restart it when this fails
//	/readyz   200 when every check is OK, else 503: send no calls; with ?verbose the checks as JSON
//
// and, if profiling, /debug/pprof/ to callers on the same machine. None of it needs a credential and none of
// it shows personal data; a profile shows the program's inside, so it never leaves the machine.
func (m *Metrics) Handler(ready Readiness, profiling bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { serveReadiness(w, r, ready) })
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", local(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", local(http.NotFound)) // holds paths and flags
		mux.HandleFunc("GET /debug/pprof/profile", local(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", local(pprof.Symbol))
		mux.HandleFunc("GET /debug/pprof/trace", local(pprof.Trace))
	}
	return mux
}

// HTTPServer returns a server for a Handler whose every phase has an end.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      90 * time.Second, // a profile takes half a minute
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func serveReadiness(w http.ResponseWriter, r *http.Request, ready Readiness) {
	checks := ready.Ready()
	code, text := http.StatusOK, "ok\n"
	for _, c := range checks {
		if !c.OK {
			code, text = http.StatusServiceUnavailable, "not ready\n"
		}
	}
	if !r.URL.Query().Has("verbose") {
		writeText(w, code, text)
		return
	}
	if checks == nil {
		checks = []Check{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// The caller may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Ready  bool    `json:"ready"`
		Checks []Check `json:"checks"`
	}{code == http.StatusOK, checks})
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

// local lets only callers from a loopback address in; to others the page does not exist.
func local(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().IsLoopback() {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}
}
