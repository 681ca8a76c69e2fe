package forward

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real log, the CA of the collector, and what a forwarder says to the operator.
type world struct {
	t   testing.TB
	log *netlog.Log
	ca  *authority

	mu   sync.Mutex
	said bytes.Buffer
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(b)
}

func (w *world) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log, err := netlog.Create(netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "node-1", Now: time.Now,
		SigningKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))}, "init")
	must(t, err)
	t.Cleanup(func() { log.Close() })
	return &world{t: t, log: log, ca: newAuthority(t)}
}

// add appends n records.
func (w *world) add(n int) {
	w.t.Helper()
	var last netlog.Ticket
	for range n {
		leaf, err := record.Append(nil, &record.Record{Time: moment, Event: record.VerificationVerify, Outcome: record.Outcome{Kind: record.Success},
			Actor: record.Actor{Kind: record.ActorClient, ID: "acme"}})
		must(w.t, err)
		last, err = w.log.Append(leaf)
		must(w.t, err)
	}
	must(w.t, last.Wait(w.t.Context()))
}

func (w *world) server(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, "127.0.0.1", false)}}
}

func (w *world) options(c *collector) Options {
	return Options{
		Log: w.log, Node: "node-1", Address: c.address(), TLS: &tls.Config{RootCAs: w.ca.pool()}, Now: time.Now, Logger: slog.New(slog.NewTextHandler(w, nil)),
		JSON:    func(index uint64, _ []byte) ([]byte, error) { return fmt.Appendf(nil, `{"index":"%d"}`, index), nil },
		Backoff: 10 * time.Millisecond, MaxBackoff: 40 * time.Millisecond, SaveEvery: 20 * time.Millisecond,
	}
}

func (w *world) start(opt Options) *Forwarder {
	w.t.Helper()
	f, err := Start(opt)
	must(w.t, err)
	w.t.Cleanup(func() { stop(f, 0) })
	return f
}

func stop(f *Forwarder, within time.Duration) uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return f.Stop(ctx)
}

// whole tells whether every record of [from, to) is there.
func whole(from, to int) func([]message) bool {
	return func(got []message) bool {
		have := map[int]bool{}
		for _, m := range got {
			have[m.index()] = true
		}
		for i := from; i < to; i++ {
			if !have[i] {
				return false
			}
		}
		return true
	}
}

func TestForwards(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.add(3) // the birth is record 0
			config := w.server(t)
			config.MinVersion, config.MaxVersion = version, version
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, w.ca.pool()
			c := newCollector(t, config, nil)
			opt := w.options(c)
			opt.TLS.Certificates = []tls.Certificate{w.ca.issue(t, "node-1", false)}
			opt.From = w.log.Size()
			first := int(opt.From)
			f := w.start(opt)
			w.add(40)
			got := c.wait(whole(first, first+40))
			w.add(1)
			c.wait(whole(first, first+41))
			for i, m := range got {
				if m.index() != first+i || m.host != "node-1" || m.app != "heyan" || m.event != "verification.verify" || m.priority != 110 ||
					m.text != fmt.Sprintf(`{"index":"%d"}`, first+i) || m.data["heyan@32473"]["origin"] != w.log.Origin() {
					t.Fatalf("message %d: %s", i, m.raw)
				}
			}
			if s := f.Status(); s != (Status{Connected: true, Sent: 41}) {
				t.Errorf("status %+v", s)
			}
			if left := stop(f, 5*time.Second); left != 0 || f.Status().Connected {
				t.Errorf("%d left, status %+v", left, f.Status())
			}
			if n := strings.Count(w.text(), "\n"); n != 1 || !strings.Contains(w.text(), "connected") {
				t.Errorf("the operator's log: %s", w.text())
			}
		})
	}
}

// A collector whose certificate is not to be trusted gets no byte, and the operator's log says so once.
func TestWrongCertificates(t *testing.T) {
	w := newWorld(t)
	w.add(3)
	stranger := newAuthority(t)
	for name, certificate := range map[string]tls.Certificate{
		"another CA": stranger.issue(t, "127.0.0.1", false), "another name": w.ca.issue(t, "syslog.example", false), "expired": w.ca.issue(t, "127.0.0.1", true),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, &tls.Config{Certificates: []tls.Certificate{certificate}}, nil)
			before := len(w.text())
			f := w.start(w.options(c))
			time.Sleep(150 * time.Millisecond)
			if n := stop(f, time.Second); n != w.log.Size() {
				t.Errorf("%d left of %d", n, w.log.Size())
			}
			if len(c.got()) > 0 || c.shaken > 0 || f.Status().Reconnects > 0 {
				t.Errorf("%d messages, %d handshakes", len(c.got()), c.shaken)
			}
			if said := w.text()[before:]; strings.Count(said, "\n") != 1 || !strings.Contains(said, "not connected") {
				t.Errorf("the operator's log: %s", said)
			}
		})
	}
}

// A collector that wants a client's certificate gets nothing from one without.
func TestClientCertificateIsMissing(t *testing.T) {
	w := newWorld(t)
	w.add(3)
	config := w.server(t)
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, w.ca.pool()
	c := newCollector(t, config, nil)
	f := w.start(w.options(c))
	time.Sleep(100 * time.Millisecond)
	stop(f, time.Second)
	if len(c.got()) > 0 || !strings.Contains(w.text(), "certificate required") {
		t.Errorf("%d messages; the operator's log: %s", len(c.got()), w.text())
	}
}

// What was in the buffers of a connection that broke is sent again over the next one.
func TestCollectorThatClosesInTheMiddle(t *testing.T) {
	w := newWorld(t)
	var c *collector
	c = newCollector(t, w.server(t), func(number int, conn *tls.Conn) {
		if number < 4 {
			c.read(conn, 50+number)
			conn.NetConn().Close()
			return
		}
		c.readAll(conn)
	})
	f := w.start(w.options(c))
	for range 30 {
		w.add(20)
		time.Sleep(2 * time.Millisecond)
	}
	c.wait(whole(0, 600))
	if s := f.Status(); s.Reconnects != 4 || s.Skipped != 0 {
		t.Errorf("status %+v", s)
	}
	stop(f, 5*time.Second)
	highest := 0
	for _, m := range c.got() { // within a connection the indexes rise by one
		if i := m.index(); i > highest+1 {
			t.Fatalf("%d after %d", i, highest)
		} else {
			highest = max(highest, i)
		}
	}
}

// A collector that takes the connection and then nothing costs no append and no stop anything.
func TestCollectorThatHangs(t *testing.T) {
	for name, config := range map[string]bool{"after the handshake": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			release := make(chan struct{})
			server := w.server(t)
			hang := func(*tls.ClientHelloInfo) (*tls.Config, error) { <-release; return nil, nil }
			if !config {
				server.GetConfigForClient = hang
			}
			c := newCollector(t, server, func(_ int, conn *tls.Conn) { <-release })
			t.Cleanup(func() { close(release) })
			opt := w.options(c)
			opt.WriteTimeout = 200 * time.Millisecond
			opt.JSON = func(uint64, []byte) ([]byte, error) { return bytes.Repeat([]byte("x"), 8000), nil }
			f := w.start(opt)
			began := time.Now()
			w.add(5000)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("appending took %v", took)
			}
			if config {
				for f.Status().Reconnects == 0 { // it is left
					if time.Since(began) > 20*time.Second {
						t.Fatal("a collector that hangs is kept")
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
			began = time.Now()
			left := stop(f, 300*time.Millisecond)
			if took := time.Since(began); took > time.Second || left == 0 {
				t.Errorf("a stop took %v, with %d left", took, left)
			}
		})
	}
}

// A collector that is too slow is told which records it did not get, and they are counted.
func TestSlowCollector(t *testing.T) {
	w := newWorld(t)
	hurry := make(chan struct{})
	var c *collector
	c = newCollector(t, w.server(t), func(_ int, conn *tls.Conn) {
		c.read(conn, 5)
		<-hurry
		c.readAll(conn)
	})
	opt := w.options(c)
	opt.MaxLag = 1000
	opt.JSON = func(uint64, []byte) ([]byte, error) { return bytes.Repeat([]byte("x"), 20000), nil }
	f := w.start(opt)
	for range 8 {
		w.add(1000)
	}
	close(hurry)
	w.add(1)
	size := w.log.Size()
	got := c.wait(func(got []message) bool { return len(got) > 0 && got[len(got)-1].index() == int(size)-1 })
	if left := stop(f, 5*time.Second); left != 0 {
		t.Errorf("%d left", left)
	}
	next, named := 0, 0
	for _, m := range got {
		if m.event == "forward.gap" {
			var from, to int
			if _, err := fmt.Sscan(m.data["heyan-gap@32473"]["from"], &from); err != nil || from != next {
				t.Fatalf("after record %d: %s", next-1, m.raw)
			}
			if _, err := fmt.Sscan(m.data["heyan-gap@32473"]["to"], &to); err != nil || m.priority != 108 {
				t.Fatal(m.raw)
			}
			named, next = named+to-from, to
			continue
		}
		if m.index() != next {
			t.Fatalf("record %d follows %d, and no gap was named", m.index(), next-1)
		}
		next++
	}
	if s := f.Status(); named == 0 || s.Skipped != uint64(named) || int(s.Sent)+named != int(size) {
		t.Errorf("%d records named, status %+v, log %d", named, s, size)
	}
}

// An outage that is longer than the bound is named on return, and bytes that are no record hold nothing up.
func TestOutageAndGarbage(t *testing.T) {
	w := newWorld(t)
	w.add(10)
	ticket, err := w.log.Append([]byte("garbage"))
	must(t, err)
	must(t, ticket.Wait(t.Context()))
	w.add(4)
	bad := int(ticket.Index())
	c := newCollector(t, w.server(t), nil)
	f := w.start(w.options(c))
	c.wait(func(got []message) bool { return whole(0, bad)(got) && whole(bad+1, bad+5)(got) })
	if got := c.got(); got[bad].event != "forward.gap" || got[bad].data["heyan-gap@32473"]["from"] != fmt.Sprint(bad) || f.Status().Skipped != 1 {
		t.Errorf("%s", got[bad].raw)
	}
	stop(f, 5*time.Second)

	other := newCollector(t, w.server(t), nil)
	opt := w.options(other)
	opt.MaxLag, opt.From = 4, 2
	f = w.start(opt)
	size := int(w.log.Size())
	other.wait(whole(size-2, size))
	stop(f, 5*time.Second)
	if m := other.got()[0]; m.data["heyan-gap@32473"]["from"] != "2" || m.data["heyan-gap@32473"]["to"] != fmt.Sprint(size-2) {
		t.Errorf("%s", m.raw)
	}
}

func TestStopFlushes(t *testing.T) {
	w := newWorld(t)
	c := newCollector(t, w.server(t), nil)
	opt := w.options(c)
	opt.Position = filepath.Join(t.TempDir(), "position")
	f := w.start(opt)
	w.add(5000)
	if left := stop(f, 10*time.Second); left != 0 || !whole(0, 5000)(c.got()) {
		t.Fatalf("%d left, %d messages", left, len(c.got()))
	}
	text, err := os.ReadFile(opt.Position)
	if want := fmt.Sprintf(`{"origin":"%s","next":%d}`, w.log.Origin(), w.log.Size()); err != nil || strings.TrimSpace(string(text)) != want {
		t.Errorf("position %s, want %s", text, want)
	}

	w.add(3)
	f = w.start(opt) // goes on exactly there: nothing twice, nothing missing
	size := int(w.log.Size())
	got := c.wait(whole(0, size))
	if len(got) != size {
		t.Errorf("%d messages for %d records", len(got), size)
	}
	stop(f, 10*time.Second)
}

// A stop that its collector does not confirm leaves a position from which the last records are repeated.
func TestUnconfirmedStopRepeats(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	c := newCollector(t, w.server(t), func(_ int, conn *tls.Conn) { <-release })
	t.Cleanup(func() { close(release) })
	opt := w.options(c)
	opt.Position = filepath.Join(t.TempDir(), "position")
	f := w.start(opt)
	w.add(100) // they all fit the kernels' buffers
	for f.Status().Lag > 0 {
		time.Sleep(time.Millisecond)
	}
	stop(f, 50*time.Millisecond)
	if text, _ := os.ReadFile(opt.Position); !strings.Contains(string(text), `"next":0}`) {
		t.Errorf("position %s", text)
	}
}

func TestPositions(t *testing.T) {
	w := newWorld(t)
	w.add(9)
	for name, c := range map[string]struct {
		text  string
		first uint64
		says  string
	}{
		"none":           {"", 8, ""},
		"its own":        {fmt.Sprintf(`{"origin":"%s","next":3}`, w.log.Origin()), 3, ""},
		"another origin": {`{"origin":"node-1-0123456789abcdef","next":3}`, 0, ""},
		"ahead":          {fmt.Sprintf(`{"origin":"%s","next":300}`, w.log.Origin()), 8, "ahead of the log"},
		"torn":           {`{"orig`, 8, "cannot be read"},
		"empty":          {`{}`, 8, "cannot be read"},
	} {
		opt := w.options(newCollector(t, w.server(t), nil))
		opt.From, opt.Position = 8, filepath.Join(t.TempDir(), "position")
		if c.text != "" {
			must(t, os.WriteFile(opt.Position, []byte(c.text), 0o600))
		}
		before := len(w.text())
		opt, err := opt.withDefaults()
		must(t, err)
		if got := (&Forwarder{opt: opt}).first(); got != c.first || !strings.Contains(w.text()[before:], c.says) {
			t.Errorf("%s: begins with %d, want %d; says %s", name, got, c.first, w.text()[before:])
		}
	}
}

// When the log has stopped the collector gets what is durable, and the forwarder ends by itself.
func TestLogThatEnds(t *testing.T) {
	w := newWorld(t)
	c := newCollector(t, w.server(t), nil)
	f := w.start(w.options(c))
	w.add(50)
	must(t, w.log.Close())
	c.wait(whole(0, 50))
	select {
	case <-f.done:
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	c := newCollector(t, w.server(t), nil)
	for name, change := range map[string]func(*Options){
		"unverified": func(o *Options) { o.TLS.InsecureSkipVerify = true },
		"plaintext":  func(o *Options) { o.TLS = nil },
		"no port":    func(o *Options) { o.Address = "127.0.0.1" },
		"a scheme":   func(o *Options) { o.Address = "udp://127.0.0.1:514" },
	} {
		opt := w.options(c)
		change(&opt)
		if f, err := Start(opt); err == nil {
			stop(f, 0)
			t.Errorf("%s: started", name)
		}
	}
	opt := w.options(c)
	opt.TLS.MinVersion = tls.VersionTLS10
	if opt, err := opt.withDefaults(); err != nil || opt.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("TLS %x %v", opt.TLS.MinVersion, err)
	}
}
