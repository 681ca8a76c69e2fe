package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/server/transport"
)

func TestRefusedHandshakes(t *testing.T) {
	s := serve(t, nil)
	stranger := newAuthority(t, "another CA")
	expired := s.ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := s.ca.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })
	foreign := stranger.issue(t, nil)
	wrongUse := s.ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	// Somebody else's certificate without its key.
	stolen := s.ca.issue(t, nil)
	stolen.PrivateKey = expired.PrivateKey
	edit := func(f func(*tls.Config)) *tls.Config {
		c := s.client()
		f(c)
		return c
	}
	for _, c := range []struct {
		name   string
		client *tls.Config // nil: plaintext gRPC
		want   transport.Cause
		cert   *tls.Certificate // whose fingerprint is reported
		alert  string           // what the client is told
	}{
		{"expired", s.client(expired), transport.ExpiredCertificate, &expired, "expired"},
		{"not valid yet", s.client(early), transport.ExpiredCertificate, &early, "expired"},
		{"of another CA", s.client(foreign), transport.UnknownCA, &foreign, "certificate"},
		{"for another use", s.client(wrongUse), transport.BadCertificate, &wrongUse, "certificate"},
		{"without its key", s.client(stolen), transport.BadCertificate, nil, "decrypt"},
		{"TLS 1.1", edit(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), transport.NoSharedVersion, nil, "version"},
		{"TLS 1.2", edit(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), transport.NoSharedVersion, nil, "version"},
		{"HTTP/1.1 by ALPN", edit(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }), transport.NoSharedProtocol, nil, ""},
		{"another protocol by ALPN", edit(func(c *tls.Config) { c.NextProtos = []string{"spdy/3"} }), transport.NoSharedProtocol, nil, "protocol"},
		{"a client that does not trust the server", edit(func(c *tls.Config) { c.RootCAs = stranger.pool() }), transport.Rejected, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := tls.Dial("tcp", s.address, c.client)
			if err == nil {
				// With TLS 1.3 the client learns of a refused certificate when it first reads.
				_, err = raw.Read(make([]byte, 1))
				raw.Close()
			}
			f := within(t, s.failed)
			if f.Cause != c.want {
				t.Errorf("cause %s, want %s", f.Cause, c.want)
			}
			var alert *net.OpError
			if c.alert != "" && (!errors.As(err, &alert) || alert.Op != "remote error" || !strings.Contains(err.Error(), c.alert)) {
				t.Errorf("the client is told %v, want an alert about %q", err, c.alert)
			}
			wantFingerprint := ""
			if c.cert != nil {
				wantFingerprint = digest(c.cert.Leaf.Raw)
			}
			if f.Fingerprint != wantFingerprint {
				t.Errorf("fingerprint %q, want %q", f.Fingerprint, wantFingerprint)
			}
			if !f.Remote.Addr().IsLoopback() || f.Remote.Port() == 0 || f.Local.String() != s.address || f.Time.IsZero() {
				t.Errorf("%+v", f)
			}
			none(t, s.failed, "a second failure")
			none(t, s.opened, "a session")
		})
	}
	if _, err := s.call(t, s.client()); err != nil {
		t.Errorf("the server must still answer: %v", err)
	}
}

// A client without ALPN finishes the handshake, and is refused after it.
func TestWithoutALPN(t *testing.T) {
	s := serve(t, nil)
	config := s.client()
	config.NextProtos = nil
	raw, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if f := within(t, s.failed); f.Cause != transport.NoSharedProtocol {
		t.Errorf("cause %s", f.Cause)
	}
	if _, err := raw.Read(make([]byte, 1)); err == nil {
		t.Error("the connection must be closed")
	}
	none(t, s.opened, "a session")
}

func TestBytesThatAreNoTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *transport.Config) { c.HandshakeTimeout = 2 * time.Second })
	for _, c := range []struct {
		name  string
		send  string
		close bool
		want  transport.Cause
	}{
		{"HTTP/1", "GET / HTTP/1.1\r\nHost: heyan\r\n\r\n", false, transport.Plaintext},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", false, transport.Plaintext},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", false, transport.Plaintext},
		{"zeros", strings.Repeat("\x00", 64), false, transport.Plaintext},
		{"a record, then garbage", "\x16\x03\x01\x00\x10" + strings.Repeat("\xff", 40), false, transport.Other},
		{"a record of 65535 bytes", "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 40), false, transport.Other},
		{"a hello that breaks off", "\x16\x03\x01\x02\x00\x01\x00", true, transport.Closed},
		{"nothing", "", true, transport.Closed},
		{"a hello that never ends", "\x16\x03\x01\x02\x00\x01\x00", false, transport.Timeout},
		{"silence", "", false, transport.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := io.WriteString(raw, c.send); err != nil {
				t.Fatal(err)
			}
			if c.close {
				raw.Close()
			}
			if f := within(t, s.failed); f.Cause != c.want || f.Fingerprint != "" {
				t.Errorf("cause %s, want %s", f.Cause, c.want)
			}
			if !c.close {
				raw.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection must be closed")
				}
			}
			none(t, s.failed, "a second failure")
		})
	}
	if _, err := s.call(t, s.client()); err != nil {
		t.Errorf("the server must still answer: %v", err)
	}
	none(t, s.failed, "a failure")
}

// A gRPC client that dials without TLS fails with UNAVAILABLE; each connection it tries is observed once.
func TestPlaintextGRPC(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	if _, err := s.call(t, nil); status.Code(err) != codes.Unavailable {
		t.Errorf("want UNAVAILABLE, got %v", err)
	}
	if f := within(t, s.failed); f.Cause != transport.Plaintext {
		t.Errorf("cause %s", f.Cause)
	}
}

// Bytes that drip in do not extend the time.
func TestSlowHello(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *transport.Config) { c.HandshakeTimeout = time.Second })
	raw, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for _, b := range append([]byte("\x16\x03\x01\x3f\x00\x01\x00\x3e\x00"), make([]byte, 16000)...) {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				raw.Write([]byte{b})
			}
		}
	}()
	if f := within(t, s.failed); f.Cause != transport.Timeout {
		t.Errorf("cause %s", f.Cause)
	}
}

// After the handshake the HTTP/2 preface has to come within the same time.
func TestSilenceAfterHandshake(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *transport.Config) { c.HandshakeTimeout = time.Second })
	raw, err := tls.Dial("tcp", s.address, s.client())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if opened := within(t, s.opened); within(t, s.closed) != opened {
		t.Error("another session ended")
	}
}

// With one slot and one client that holds it, others wait and are told apart; a connection that sends
// nothing takes none.
func TestSlots(t *testing.T) {
	t.Parallel()
	held := &gate{open: make(chan struct{})}
	s := serve(t, func(c *transport.Config) {
		c.MaxHandshakes, c.HandshakeTimeout = 1, 2*time.Second
		held.Source, c.Certificates = c.Certificates, held
	})
	idle, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := s.call(t, s.client()); err != nil {
		t.Fatal("an idle connection took the slot:", err)
	}
	within(t, s.opened)
	if cause := within(t, s.failed).Cause; cause != transport.Timeout {
		t.Fatal("the idle connection ended with", cause)
	}
	hello := func() {
		raw, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		if _, err := io.WriteString(raw, "\x16\x03\x01\x02\x00\x01\x00"); err != nil {
			t.Fatal(err)
		}
	}
	held.shut.Store(true)
	hello() // takes the slot and keeps it until the gate opens
	for !held.inside.Load() {
		time.Sleep(time.Millisecond)
	}
	hello()
	hello()
	for range 2 {
		if cause := within(t, s.failed).Cause; cause != transport.Overloaded {
			t.Error("without a slot:", cause)
		}
	}
	held.shut.Store(false)
	close(held.open)
	if cause := within(t, s.failed).Cause; cause != transport.Timeout {
		t.Error("with the slot:", cause)
	}
	if _, err := s.call(t, s.client()); err != nil {
		t.Error("the slot must be free again:", err)
	}
}

// gate is a Source that keeps who asks it waiting while it is shut.
type gate struct {
	transport.Source
	shut, inside atomic.Bool
	open         chan struct{}
}

func (g *gate) Material() *transport.Material {
	if g.shut.Load() {
		g.inside.Store(true)
		<-g.open
	}
	return g.Source.Material()
}

func TestCauses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range transport.Causes() {
		if name := c.String(); name == "" || name == "invalid" || seen[name] {
			t.Errorf("cause %d is called %q", c, name)
		} else {
			seen[name] = true
		}
	}
	if len(seen) != int(transport.ProxyTimeout) || transport.Cause(0).String() != "invalid" || (transport.ProxyTimeout+1).String() != "invalid" {
		t.Error("the list is not closed")
	}
}
