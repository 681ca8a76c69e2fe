package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// watched is a server's operator log and the metric of shared sources.
type watched struct {
	servertest.Uncounted
	mu     sync.Mutex
	shared bool
	log    bytes.Buffer
}

func (w *watched) SourcesShared(shared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shared = shared
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// warnings are the lines that name trusted_proxies, and the metric.
func (w *watched) warnings() (lines []map[string]any, shared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && strings.Contains(fmt.Sprint(m["msg"]), "trusted_proxies") {
			lines = append(lines, m)
		}
	}
	return lines, w.shared
}

// TestSharedSource: nearly all of an hour's log-ins from one address are said once an hour, and held by metric and
// heartbeats until an hour passes without.
func TestSharedSource(t *testing.T) {
	m := &watched{}
	w := newWorld(t, servertest.Options{Metrics: m, LogOutput: m})
	start := w.Clock.Now()
	w.ForgetLogins() // those that built the world
	heartbeat := func() record.Record {
		t.Helper()
		must(t, w.Heartbeat())
		all := w.Records(0)
		return all[len(all)-1]
	}
	expect := func(when string, said int, shared bool) {
		t.Helper()
		r := heartbeat()
		lines, metric := m.warnings()
		if len(lines) != said || metric != shared || (r.Security != nil) != shared || (r.Severity == record.Warning) != shared {
			t.Errorf("%s: said %d times, metric %v, heartbeat %v %+v", when, len(lines), metric, r.Severity, r.Security)
		}
	}
	w.CountLogins("203.0.113.7", 949)
	w.CountLogins("203.0.113.8", 50)
	expect("999 log-ins", 0, false)
	w.CountLogins("203.0.113.7", 1)
	expect("950 of 1000", 1, true)
	if r := heartbeat(); r.Security.Rule != "ONE_SOURCE" || r.Security.Count != 950 || r.Security.Window != time.Hour {
		t.Errorf("%+v", r.Security)
	}
	if lines, _ := m.warnings(); lines[0]["address"] != "203.0.113.7" || lines[0]["sessions"] != 950.0 || lines[0]["of"] != 1000.0 || lines[0]["level"] != "WARN" {
		t.Errorf("said %v", lines[0])
	}
	w.CountLogins("203.0.113.8", 1)
	expect("950 of 1001", 1, false)
	w.CountLogins("203.0.113.7", 100)
	expect("1050 of 1101: said in this hour", 1, true)
	w.Clock.Set(start.Add(time.Hour))
	expect("the end of the hour", 1, true)
	expect("a new hour", 1, true)
	w.CountLogins("2001:db8::7", 1000)
	expect("the next hour's many", 2, true)
	w.Clock.Set(start.Add(2*time.Hour + time.Minute)) // the hour began some microseconds after the one before it
	expect("its end", 2, true)
	w.Clock.Set(start.Add(4 * time.Hour))
	expect("an hour without", 2, false)
	w.CountLogins("203.0.113.7", 500)
	w.Clock.Set(start)
	expect("the clock set back", 2, false)
	w.CountLogins("203.0.113.7", 500)
	expect("500 since", 2, false)
}

// TestManySources: addresses beyond those that are told apart still count as others.
func TestManySources(t *testing.T) {
	m := &watched{}
	w := newWorld(t, servertest.Options{Metrics: m})
	for i := range 5000 {
		w.CountLogins(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), 1)
	}
	w.CountLogins("10.0.0.1", 4000)
	must(t, w.Heartbeat())
	if _, shared := m.warnings(); shared {
		t.Error("4001 of 9000 are nearly all")
	}
}

// TestLoginsAreCounted: one a connection with an identity, and none where there are trusted proxies.
func TestLoginsAreCounted(t *testing.T) {
	for _, trusted := range [][]netip.Prefix{nil, {netip.MustParsePrefix("192.0.2.0/24")}} {
		w := newWorld(t, servertest.Options{Trusted: trusted})
		before := w.Logins()
		conn := w.WithKey(w.bank.Key)
		for range 3 {
			getAccount(conn)
		}
		getAccount(w.anonymous)
		want := before + 1
		if trusted != nil {
			want = 0
		}
		if got := w.Logins(); got != want {
			t.Errorf("with %v: %d log-ins, then %d", trusted, before, got)
		}
	}
}

// TestTrustedProxiesAreStated: the record of the configuration says whose word is taken.
func TestTrustedProxiesAreStated(t *testing.T) {
	w := newWorld(t, servertest.Options{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}})
	for _, r := range w.Records(0) {
		if r.Event == record.ConfigLoaded {
			if r.Change.Diff != "trusted_proxies=192.0.2.0/24,2001:db8::/64" {
				t.Errorf("%q", r.Change.Diff)
			}
			return
		}
	}
	t.Error("no record")
}
