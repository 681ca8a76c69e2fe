package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/transport"
)

// TestStrangersAreFew: connections without an identity that are busy are bounded in number; one that has shown who it is,
// or has ended, makes room, and so does one that is idle, the longest idle first. A certificate is an identity enough.
func TestStrangersAreFew(t *testing.T) {
	for name, limit := range map[string]func(*transport.Config){
		"from one": func(c *transport.Config) { c.MaxFromOne = 2 },
		"in all":   func(c *transport.Config) { c.MaxStrangers = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, limit)
			connect := func(certs ...tls.Certificate) (*tls.Conn, *transport.Conn) {
				t.Helper()
				conn, err := tls.Dial("tcp", s.address, s.client(certs...))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				info := within(t, s.opened)
				if !info.Enter() {
					t.Fatal("no call may be open")
				}
				return conn, info
			}
			full := func() {
				t.Helper()
				conn, err := tls.Dial("tcp", s.address, s.client())
				if err == nil { // the handshake of TLS 1.3 ends for the client before the server has seen it
					defer conn.Close()
				}
				if f := within(t, s.failed); f.Cause != transport.Overloaded {
					t.Errorf("refused as %v", f.Cause)
				}
			}
			_, first := connect()
			second, secondInfo := connect()
			full()
			first.Identify()
			first.Identify() // counts once
			_, third := connect()
			full()
			third.Leave()
			secondInfo.Leave()
			_, fourth := connect()
			if closed := within(t, s.closed); closed != third {
				t.Error("another than the longest idle was closed")
			}
			secondInfo.Enter()
			full()
			second.Close()
			within(t, s.closed)
			connect()
			full()
			fourth.Leave()
			connect()
			if closed := within(t, s.closed); closed != fourth {
				t.Error("a busy one was closed")
			}
			full()
			connect(s.ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
		})
	}
}

// TestIdleStrangers are closed when their time is over, and not while they have a call open or once they have an identity.
func TestIdleStrangers(t *testing.T) {
	s := serve(t, func(c *transport.Config) { c.StrangerIdle = 100 * time.Millisecond })
	connect := func() *transport.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", s.address, s.client())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return within(t, s.opened)
	}
	busy, known, idle := connect(), connect(), connect()
	busy.Enter()
	known.Identify()
	if closed := within(t, s.closed); closed != idle {
		t.Errorf("busy %v, known %v was closed", closed == busy, closed == known)
	}
	time.Sleep(200 * time.Millisecond)
	none(t, s.closed, "a busy one, or one with an identity, was closed")
	busy.Leave()
	if closed := within(t, s.closed); closed != busy {
		t.Error("another was closed")
	}
}
