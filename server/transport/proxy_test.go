package transport_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/proxyproto/proxytest"
	"github.com/heyan-project/heyan/server/transport"
)

const (
	four = "203.0.113.7:40000"
	six  = "[2001:db8::7]:40001"
)

// trust makes loopback a trusted proxy.
func trust(c *transport.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
}

// dial sends a header and shakes hands after it, over one connection of its own.
func (s *server) dial(t *testing.T, header []byte) (*tls.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if _, err := raw.Write(header); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, s.client())
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	return conn, conn.Handshake()
}

// The client that a trusted proxy names is the connection's, for gRPC too, and the proxy is what it came by.
func TestTrustedProxy(t *testing.T) {
	s := serve(t, trust)
	for name, header := range map[string][]byte{
		four: proxytest.From(four),
		six:  proxytest.WithChecksum(proxytest.From(six, proxytest.Extra(proxytest.TypeAuthority, []byte("localhost")))),
	} {
		conn, err := s.dial(t, header)
		if err != nil {
			t.Fatal(name, err)
		}
		c := within(t, s.opened)
		if c.Remote.String() != name || c.Via.String() != conn.LocalAddr().String() || c.Local.String() != s.address {
			t.Errorf("%s: from %v via %v to %v", name, c.Remote, c.Via, c.Local)
		}
		conn.Close()
		within(t, s.closed)
	}
	if _, err := s.dial(t, proxytest.From(four, proxytest.Extra(proxytest.TypeNo, make([]byte, 3900)))); err != nil {
		t.Fatal(err)
	}
	if in, _ := within(t, s.opened).Traffic(); in < 4000 {
		t.Errorf("%d bytes came, the header is not among them", in)
	}
	none(t, s.failed, "a failure")
}

// A call through a proxy that passes bytes on, whose context says who called.
func TestCallThroughProxy(t *testing.T) {
	s := serve(t, trust)
	balancer := proxytest.Start(t, s.address, "127.0.0.1", func() []byte { return proxytest.From(four) })
	direct := s.address
	s.address = balancer.Address
	if _, err := s.call(t, s.client(s.ca.issue(t, nil))); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.Remote.String() != four || s.seen.Via.Addr() != balancer.Via || s.seen.Local.String() != direct || s.peer.String() != four || s.seen.Peer == nil {
		t.Errorf("a call of %v via %v, to gRPC of %v", s.seen.Remote, s.seen.Via, s.peer)
	}
}

// The proxy's own connections have no client but it.
func TestLocal(t *testing.T) {
	s := serve(t, trust)
	for _, header := range [][]byte{proxytest.Raw(proxytest.Local, proxytest.Unspecified, nil), proxytest.Raw(proxytest.Local, proxytest.TCP4, proxytest.From(four)[16:])} {
		conn, err := s.dial(t, header)
		if err != nil {
			t.Fatal(err)
		}
		if c := within(t, s.opened); c.Remote.String() != conn.LocalAddr().String() || c.Via.IsValid() {
			t.Errorf("from %v via %v", c.Remote, c.Via)
		}
	}
}

// What is no good header ends the connection with its cause, before a byte of TLS.
func TestBadHeaders(t *testing.T) {
	wrong := proxytest.WithChecksum(proxytest.From(four))
	wrong[18]++
	s := serve(t, func(c *transport.Config) { trust(c); c.ProxyHeaderTimeout = 500 * time.Millisecond })
	for name, c := range map[string]struct {
		header []byte
		cause  transport.Cause
	}{
		"none":            {nil, transport.ProxyMissing}, // the hello comes in its place
		"version 1":       {[]byte(proxytest.Version1), transport.ProxyVersion1},
		"UNIX":            {proxytest.Raw(proxytest.Proxy, proxytest.UnixStream, make([]byte, 216)), transport.ProxyFamily},
		"no family":       {proxytest.Raw(proxytest.Proxy, proxytest.Unspecified, nil), transport.ProxyFamily},
		"oversized":       {proxytest.From(four, proxytest.Extra(proxytest.TypeNo, make([]byte, 60000))), transport.ProxyOversized},
		"wrong checksum":  {wrong, transport.ProxyChecksum},
		"unknown command": {proxytest.Raw(0x2f, proxytest.TCP4, make([]byte, 12)), transport.ProxyMalformed},
	} {
		conn, err := s.dial(t, c.header)
		if err == nil {
			t.Errorf("%s: shook hands", name)
		}
		f := within(t, s.failed)
		if f.Cause != c.cause || f.Remote.String() != conn.LocalAddr().String() || f.Via.IsValid() {
			t.Errorf("%s: %v from %v via %v", name, f.Cause, f.Remote, f.Via)
		}
	}
	none(t, s.opened, "a session")
}

// open connects without TLS and sends some bytes.
func (s *server) open(t *testing.T, b []byte) *net.TCPConn {
	t.Helper()
	raw, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if _, err := raw.Write(b); err != nil {
		t.Fatal(err)
	}
	return raw.(*net.TCPConn)
}

// A header has to come whole, and within its own time however slowly bytes drip in.
func TestHeaderInTime(t *testing.T) {
	s := serve(t, func(c *transport.Config) {
		trust(c)
		c.ProxyHeaderTimeout, c.HandshakeTimeout = 300*time.Millisecond, time.Minute
	})
	header := proxytest.From(four)
	for _, n := range []int{0, 1, 15, 16, 27} {
		raw := s.open(t, header[:n])
		if f := within(t, s.failed); f.Cause != transport.ProxyTimeout {
			t.Errorf("%d bytes and no more: %v", n, f.Cause)
		}
		_ = raw.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection is left open: %v", err)
		}
	}
	begun := time.Now()
	raw := s.open(t, nil)
	for _, b := range header {
		if _, err := raw.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(40 * time.Millisecond)
	}
	if f := within(t, s.failed); f.Cause != transport.ProxyTimeout || time.Since(begun) > 10*time.Second {
		t.Errorf("dripping: %v after %v", f.Cause, time.Since(begun))
	}
	for _, n := range []int{1, 15, 16, 27} {
		if err := s.open(t, header[:n]).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if f := within(t, s.failed); f.Cause != transport.ProxyTruncated {
			t.Errorf("cut after %d bytes: %v", n, f.Cause)
		}
	}
}

// The time of the header is not the handshake's: a slow client behind a quick proxy has all of it.
func TestSlowClientBehindProxy(t *testing.T) {
	s := serve(t, func(c *transport.Config) { trust(c); c.ProxyHeaderTimeout = 200 * time.Millisecond })
	raw := s.open(t, proxytest.From(four))
	time.Sleep(400 * time.Millisecond)
	conn := tls.Client(raw, s.client())
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if c := within(t, s.opened); c.Remote.String() != four {
		t.Errorf("from %v", c.Remote)
	}
}

// A health check that says nothing, or nothing after the proxy's own header, is no failure; a client that does so is one.
func TestProbes(t *testing.T) {
	s := serve(t, trust)
	ownByProxy := proxytest.Raw(proxytest.Proxy, proxytest.TCP6, proxytest.Addresses(
		netip.MustParseAddrPort("[2001:db8:ffff::1]:9"), netip.MustParseAddrPort("[2001:db8::443]:443")))
	for name, c := range map[string]struct {
		header []byte
		cause  transport.Cause
	}{
		"silent": {nil, transport.Probe}, "local": {proxytest.Raw(proxytest.Local, 0, nil), transport.Probe},
		"of a proxy": {ownByProxy, transport.Probe}, "a client": {proxytest.From(four), transport.Closed},
		"local, with a byte": {append(proxytest.Raw(proxytest.Local, 0, nil), 22), transport.Closed},
	} {
		for how, end := range map[string]func(*net.TCPConn){
			"closed": func(c *net.TCPConn) { _ = c.Close() },
			"reset":  func(c *net.TCPConn) { _ = c.SetLinger(0); time.Sleep(50 * time.Millisecond); _ = c.Close() },
		} {
			end(s.open(t, c.header))
			f := within(t, s.failed)
			if f.Cause != c.cause {
				t.Errorf("%s, %s: %v", name, how, f.Cause)
			}
			if isClient := name == "a client"; isClient != (f.Remote.String() == four && f.Via.IsValid()) {
				t.Errorf("%s, %s: from %v via %v", name, how, f.Remote, f.Via)
			}
		}
	}
}

// A header of anybody else is bytes that are no TLS.
func TestForgedHeader(t *testing.T) {
	s := serve(t, func(c *transport.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for _, header := range [][]byte{proxytest.From(four), []byte(proxytest.Version1), proxytest.Raw(proxytest.Local, 0, nil)} {
		conn, err := s.dial(t, header)
		if err == nil {
			t.Error("believed")
		}
		if f := within(t, s.failed); f.Cause != transport.Plaintext || f.Remote.String() != conn.LocalAddr().String() || f.Via.IsValid() {
			t.Errorf("%v from %v via %v", f.Cause, f.Remote, f.Via)
		}
	}
	if _, err := s.dial(t, nil); err != nil {
		t.Errorf("a client that connects by itself: %v", err)
	}
	// Behind a trusted one, the second header is no TLS either.
	s = serve(t, trust)
	if _, err := s.dial(t, bytes.Repeat(proxytest.From(four), 2)); err == nil {
		t.Error("two headers are believed")
	}
	if f := within(t, s.failed); f.Cause != transport.Plaintext || f.Remote.String() != four || !f.Via.IsValid() {
		t.Errorf("%v from %v via %v", f.Cause, f.Remote, f.Via)
	}
}

// Clients behind one proxy are bounded apart, and one before its header counts as nobody's but in all.
func TestStrangersBehindProxy(t *testing.T) {
	s := serve(t, func(c *transport.Config) { trust(c); c.MaxFromOne, c.MaxStrangers = 2, 5 })
	connect := func(source string) {
		t.Helper()
		if _, err := s.dial(t, proxytest.From(source)); err != nil {
			t.Fatal(source, err)
		}
		if !within(t, s.opened).Enter() { // busy, so that it is not put out for another
			t.Fatal("no call may be open")
		}
	}
	refused := func(source string) {
		t.Helper()
		_, _ = s.dial(t, proxytest.From(source)) // the client's handshake may end before it is told
		if f := within(t, s.failed); f.Cause != transport.Overloaded {
			t.Errorf("%s: %v", source, f.Cause)
		}
	}
	connect("203.0.113.1:1")
	connect("203.0.113.1:2")
	refused("203.0.113.1:3")
	connect("[2001:db8::1]:1")
	connect("[2001:db8::2]:1") // of the same /64
	refused("[2001:db8::3]:1")
	connect("203.0.113.2:1")
	refused("203.0.113.3:1") // in all
	for range 5 {
		waits := s.open(t, nil)
		defer waits.Close()
	}
	time.Sleep(200 * time.Millisecond)
	refused("203.0.113.4:1") // as many are before their header
}
