package transport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Conn is what is known of one session. It is the AuthInfo of every call on the connection, see
// [FromContext]. Its exported members do not change.
type Conn struct {
	credentials.CommonAuthInfo

	Session       string         // id: 16 random bytes in hexadecimal
	Remote, Local netip.AddrPort // IPv4-mapped addresses as IPv4; the zero value where it is no TCP
	Via           netip.AddrPort // the trusted proxy that told of Remote; the zero value where Remote connected itself
	Version       string         // "TLSv1.3"
	Cipher        string         // its IANA name
	ServerName    string         // a configured name, "other", or empty where the client sent none
	Peer          *Certificate   // nil where the client presented none
	Opened        time.Time
	Handshake     time.Duration // from the accepted connection

	wire  *wire
	ended atomic.Int64 // nanoseconds from Opened, once closed

	mu        sync.Mutex
	bound     []string // who made calls, see Bind
	strangers int      // calls that are open, see Enter

	identified atomic.Bool
	stranger   *stranger // what it counts as until it is identified; nil where it presented a certificate
	hangUp     func()    // closes it
}

// A connection that nobody with an identity has used may have maxCalls calls open at a time, and send maxBytes, with
// TLS and HTTP/2 around them, while it has one.
const (
	maxCalls = 32
	maxBytes = 512 << 10
)

// begin says that the session can take calls, and how it is closed.
func (c *Conn) begin(unknown *stranger, hangUp func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stranger, c.hangUp = unknown, hangUp
	if c.identified.Load() {
		unknown.forget()
	} else if c.strangers == 0 {
		unknown.rest(hangUp)
	}
}

// Identify notes that a call came whose caller has an identity: the connection no longer counts among those of
// strangers. Again it is cheap.
func (c *Conn) Identify() {
	if !c.identified.Load() && c.identified.CompareAndSwap(false, true) {
		c.wire.limit.Store(0)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stranger.forget()
	}
}

// Enter begins a call of a stranger, unless the connection has too many open. Leave ends it.
func (c *Conn) Enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.strangers >= maxCalls {
		return false
	}
	c.strangers++
	if c.strangers == 1 && !c.identified.Load() {
		c.stranger.stir()
		c.wire.limit.Store(c.wire.in.Load() + maxBytes)
	}
	return true
}

// Leave ends a call that Enter began.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.strangers--; c.strangers == 0 {
		c.wire.limit.Store(0)
		c.stranger.rest(c.hangUp)
	}
}

// AuthType implements credentials.AuthInfo.
func (c *Conn) AuthType() string { return "tls" }

// Traffic returns the bytes that went over the wire so far, from and to the client.
func (c *Conn) Traffic() (in, out uint64) { return c.wire.in.Load(), c.wire.out.Load() }

// Duration returns how long the session lasted, or 0 while it is open.
func (c *Conn) Duration() time.Duration { return time.Duration(c.ended.Load()) }

// maxBound is how many identities a connection remembers.
const maxBound = 64

// Bind notes that a call on this connection was made by id, a credential or a client. Binding again is
// cheap.
func (c *Conn) Bind(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bound) < maxBound && !slices.Contains(c.bound, id) {
		c.bound = append(c.bound, id)
	}
}

// Bound reports whether id was bound. A connection that has changed identity more often than it can
// remember is taken to be bound to everyone: closing one too many only costs a reconnect.
func (c *Conn) Bound(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bound) >= maxBound || slices.Contains(c.bound, id)
}

// FromContext returns the connection that a call came over; nil outside a call over these credentials.
func FromContext(ctx context.Context) *Conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	c, _ := p.AuthInfo.(*Conn)
	return c
}

// Certificate is a client certificate that was verified. Digests are SHA-256 in hexadecimal.
type Certificate struct {
	Fingerprint string // of the certificate; changes with every renewal
	// Issuers are the digests of the CA certificates that issued it: one, or more where the CA's own certificate was
	// renewed or cross-signed, so that several chains verify.
	Issuers []string
	URIs    []string // subject alternative names
	DNS     []string
	Leaf    *x509.Certificate
}

// certificate describes the client's certificate; nil where there is none or it was not verified.
func certificate(state tls.ConnectionState) *Certificate {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	c := &Certificate{Fingerprint: fingerprint(leaf), DNS: leaf.DNSNames, Leaf: leaf}
	for _, chain := range state.VerifiedChains {
		// A chain of one is a certificate that is itself in the pool: its own issuer.
		if issuer := fingerprint(chain[min(1, len(chain)-1)]); !slices.Contains(c.Issuers, issuer) {
			c.Issuers = append(c.Issuers, issuer)
		}
	}
	slices.Sort(c.Issuers) // the order of chains means nothing
	for _, uri := range leaf.URIs {
		c.URIs = append(c.URIs, uri.String())
	}
	return c
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// versionName is as OpenSSL writes it: without a space, which a log record does not take.
func versionName(version uint16) string {
	switch version {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return "other"
}

// address returns the address and port of a TCP end.
func address(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
