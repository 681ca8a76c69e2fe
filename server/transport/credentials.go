// Package transport is the TLS side of a Heyan server: gRPC transport credentials that know every
// connection by a session id, tell who opened and closed one and who failed to, and can close those of a
// revoked credential.
//
// What is guaranteed: TLS 1.3, or 1.2 with a closed list of ciphers where configured; no session tickets, so
// each connection proves itself anew; HTTP/2 by ALPN only. A client certificate is asked for; one that is
// presented is verified against the pool, and a connection whose certificate does not verify never opens. A
// handshake, with the HTTP/2 preface that follows it, ends within the timeout however slowly bytes drip in.
// Each accepted connection is observed exactly once: as a failed handshake, or as an opened session, and then
// once more when it has ended. No text of a certificate, a hello or an error of crypto/tls leaves this
// package but the fingerprint and the verified names. Connections without an identity are bounded in number, in all
// and from one address, in what they may send while they have calls open, and in how long they may have none. A load
// balancer that is trusted says whose connection it passes on, see [Config.TrustedProxies]: that client's address is the
// connection's from then on.
//
// What is not: a connection without a certificate is not refused here, since API keys and public methods
// need none; package authn decides for each call. Certificate revocation lists are not read: a credential is
// revoked in Heyan. Bytes are counted on the wire, with TLS and HTTP/2 around the messages.
//
// Read next: conn.go for what is known of a connection, cause.go for why a handshake fails.
package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// Defaults of [Config].
const (
	DefaultHandshakeTimeout   = 10 * time.Second
	DefaultProxyHeaderTimeout = 4 * time.Second // a lost packet is sent again after one, and after three
	DefaultMaxHandshakes      = 256
	DefaultMaxStrangers       = 1024
	DefaultMaxFromOne         = 64
	DefaultStrangerIdle       = 10 * time.Second
)

// Material is what a server presents and trusts. It is not changed once a Source has returned it.
type Material struct {
	// Certificates with their keys, the preferred one first.
	Certificates []tls.Certificate
	// ClientCAs are the CAs whose client certificates are taken. Nil: no client certificate is asked for.
	ClientCAs *x509.CertPool
}

// Source gives the material for the next handshake. It MUST return the same pointer for as long as nothing
// has changed, MUST NOT return nil, and MUST be safe for concurrent use.
type Source interface{ Material() *Material }

// Static is a Source that never changes.
func Static(m *Material) Source { return static{m} }

type static struct{ material *Material }

func (s static) Material() *Material { return s.material }

// Failure is one connection that did not become a session.
type Failure struct {
	Remote, Local netip.AddrPort
	Via           netip.AddrPort // as in Conn
	Time          time.Time
	Cause         Cause
	// Fingerprint is the SHA-256, in hexadecimal, of the client certificate that was refused; else empty.
	Fingerprint string
}

// Observer is told what becomes of connections, each time on the connection's own goroutine, so a slow
// observer delays that connection only. It MUST be safe for concurrent use.
type Observer interface {
	// HandshakeFailed is called once for each connection that did not become a session.
	HandshakeFailed(Failure)
	// SessionOpened is called before the first byte of HTTP/2 is read. An error closes the connection, and
	// nothing more is told of it: a session that cannot be recorded is not served.
	SessionOpened(*Conn) error
	// SessionClosed is called once for each session that was opened. Traffic and Duration of the Conn no
	// longer change.
	SessionClosed(*Conn)
}

// Config is what New needs. Certificates and Observer are required.
type Config struct {
	Certificates Source
	Observer     Observer
	// AllowTLS12 takes clients that cannot speak TLS 1.3.
	AllowTLS12 bool
	// ServerNames are the names, lower case, that a session's ServerName may have; any other is "other".
	ServerNames []string
	// TrustedProxies are the addresses of load balancers. A connection from one of them MUST begin with a header of PROXY
	// protocol version 2, and its client is whom the header names; from anywhere else none is read. Every address in
	// these prefixes can name any client it likes.
	TrustedProxies []netip.Prefix
	// ProxyHeaderTimeout is from the accepted connection to the end of that header; 0 = 4 s.
	ProxyHeaderTimeout time.Duration
	// HandshakeTimeout is from the accepted connection to the end of the HTTP/2 preface; 0 = 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes is how many are computed at the same time; 0 = 256. Further ones wait, within the
	// timeout. A connection that has not sent a byte does not count.
	MaxHandshakes int
	// MaxStrangers is how many connections may be open on which no call of a caller with an identity has come yet (see
	// [Conn.Identify]); 0 = 1024. MaxFromOne is how many of them may come from one address, or one /64 of IPv6; 0 = 64.
	// A connection that presented a certificate which was verified does not count. For a further one the longest idle is
	// closed; where none is idle, the further one is, as Overloaded. As many again may be in the handshake.
	MaxStrangers, MaxFromOne int
	// StrangerIdle is how long such a connection may have no call open; 0 = 10 s.
	StrangerIdle time.Duration
	// Random makes session ids; nil = crypto/rand.
	Random io.Reader
	// Now is the clock for certificates and observations; nil = time.Now. Deadlines of the network run on
	// the machine's.
	Now func() time.Time
}

// Credentials implements credentials.TransportCredentials for servers.
type Credentials struct {
	config   Config
	registry *Registry
	slots    chan struct{}
	arriving *strangers // in the handshake
	unknown  *strangers // after it
	current  atomic.Pointer[prepared]
}

// prepared is the TLS configuration of one material.
type prepared struct {
	material *Material
	tls      *tls.Config
}

// New makes the credentials. It fails where a certificate is missing or has no key.
func New(config Config) (*Credentials, error) {
	if config.Certificates == nil || config.Observer == nil {
		return nil, errors.New("transport: certificates and observer are required")
	}
	material := config.Certificates.Material()
	if material == nil || len(material.Certificates) == 0 {
		return nil, errors.New("transport: no server certificate")
	}
	for _, c := range material.Certificates {
		if len(c.Certificate) == 0 || c.PrivateKey == nil {
			return nil, errors.New("transport: a server certificate without its key")
		}
	}
	if config.HandshakeTimeout <= 0 {
		config.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if config.ProxyHeaderTimeout <= 0 {
		config.ProxyHeaderTimeout = DefaultProxyHeaderTimeout
	}
	if config.MaxHandshakes <= 0 {
		config.MaxHandshakes = DefaultMaxHandshakes
	}
	if config.MaxStrangers <= 0 {
		config.MaxStrangers = DefaultMaxStrangers
	}
	if config.MaxFromOne <= 0 {
		config.MaxFromOne = DefaultMaxFromOne
	}
	if config.StrangerIdle <= 0 {
		config.StrangerIdle = DefaultStrangerIdle
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.ServerNames, config.TrustedProxies = slices.Clone(config.ServerNames), slices.Clone(config.TrustedProxies)
	return &Credentials{
		config:   config,
		registry: &Registry{open: map[*session]struct{}{}},
		slots:    make(chan struct{}, config.MaxHandshakes),
		arriving: &strangers{most: config.MaxStrangers, mostFromOne: config.MaxFromOne, from: map[netip.Prefix]int{}},
		unknown:  &strangers{most: config.MaxStrangers, mostFromOne: config.MaxFromOne, patience: config.StrangerIdle, from: map[netip.Prefix]int{}},
	}, nil
}

// Registry returns the open sessions.
func (c *Credentials) Registry() *Registry { return c.registry }

// tls12Ciphers are the ciphers taken from TLS 1.2 clients: forward secret and authenticated (RFC 9325
// section 4.2). Those of TLS 1.3 cannot be chosen, and are.
var tls12Ciphers = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsConfig returns the configuration for the material of now.
func (c *Credentials) tlsConfig() *tls.Config {
	material := c.config.Certificates.Material()
	if p := c.current.Load(); p != nil && p.material == material {
		return p.tls
	}
	lowest := uint16(tls.VersionTLS13)
	if c.config.AllowTLS12 {
		lowest = tls.VersionTLS12
	}
	config := &tls.Config{
		Certificates:           material.Certificates,
		ClientCAs:              material.ClientCAs,
		MinVersion:             lowest,
		MaxVersion:             tls.VersionTLS13,
		CipherSuites:           tls12Ciphers,
		NextProtos:             []string{"h2"},
		SessionTicketsDisabled: true,
		Time:                   c.config.Now,
		GetConfigForClient:     noteHello(lowest),
	}
	// Without a pool crypto/tls would take certificates of the machine's public CAs.
	if material.ClientCAs != nil {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	c.current.Store(&prepared{material: material, tls: config})
	return config
}

// noteHello remembers why a hello will be refused, which crypto/tls only says in words.
func noteHello(lowest uint16) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if w, ok := hello.Conn.(*wire); ok {
			w.noVersion = !slices.ContainsFunc(hello.SupportedVersions, func(v uint16) bool {
				return v >= lowest && v <= tls.VersionTLS13
			})
			w.noProtocol = !slices.Contains(hello.SupportedProtos, "h2")
		}
		return nil, nil
	}
}

// ServerHandshake implements credentials.TransportCredentials. Its errors say no more than the cause.
func (c *Credentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	start := time.Now()
	// grpc-go lifts the deadline when the preface has been read.
	_ = raw.SetDeadline(start.Add(c.config.HandshakeTimeout))
	w := &wire{Conn: raw}
	conn, from, cause, fingerprint := c.admit(w, start)
	// Whoever presented a certificate is vouched for by a CA of ours: strangers do not keep it out.
	var unknown *stranger
	if ok := true; cause == 0 && len(conn.ConnectionState().VerifiedChains) == 0 {
		if unknown, ok = c.unknown.enter(from.remote.Addr()); !ok {
			cause = Overloaded
		}
	}
	if cause != 0 {
		c.config.Observer.HandshakeFailed(Failure{
			Remote: from.remote, Via: from.via, Local: address(raw.LocalAddr()),
			Time: c.config.Now(), Cause: cause, Fingerprint: fingerprint,
		})
		w.hangUp(cause)
		if cause == Closed || cause == Probe {
			return nil, nil, io.EOF // not worth a line in grpc-go's own log
		}
		return nil, nil, handshakeError(cause)
	}
	info, err := c.describe(w, from, conn.ConnectionState(), time.Since(start))
	if err == nil {
		err = c.config.Observer.SessionOpened(info)
	}
	if err != nil {
		unknown.forget()
		_ = raw.Close()
		return nil, nil, errRefused
	}
	s := &session{Conn: conn, info: info, credentials: c}
	c.registry.add(s)
	info.begin(unknown, func() { _ = s.Close() })
	return s, info, nil
}

var errRefused = errors.New("transport: the session could not be opened")

type handshakeError Cause

func (e handshakeError) Error() string { return "transport: handshake failed: " + Cause(e).String() }

// admit finds out whose connection it is, whether there is room for one more of theirs, and shakes hands. A cause other
// than 0 is why nothing came of it.
func (c *Credentials) admit(w *wire, start time.Time) (*tls.Conn, origin, Cause, string) {
	arriving, ok := c.arriving.arrive()
	if !ok {
		return nil, origin{remote: address(w.Conn.RemoteAddr())}, Overloaded, ""
	}
	defer arriving.forget()
	from, cause := c.origin(w, start)
	if cause != 0 {
		return nil, from, cause, ""
	}
	if from.via.IsValid() {
		w.client = from.remote
	}
	if !arriving.take(from.remote.Addr()) {
		return nil, from, Overloaded, ""
	}
	conn, cause, fingerprint := c.handshake(w, start)
	if cause == Closed && from.own && !w.began {
		cause = Probe
	}
	return conn, from, cause, fingerprint
}

// handshake waits for a first byte, then for a slot, and then shakes hands.
func (c *Credentials) handshake(w *wire, start time.Time) (*tls.Conn, Cause, string) {
	if err := w.await(); err != nil {
		return nil, causeOf(w, err), ""
	}
	timer := time.NewTimer(time.Until(start.Add(c.config.HandshakeTimeout)))
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
	case <-timer.C:
		return nil, Overloaded, ""
	}
	defer func() { <-c.slots }()
	conn := tls.Server(w, c.tlsConfig())
	if err := conn.Handshake(); err != nil {
		return nil, causeOf(w, err), refusedCertificate(err)
	}
	// Where the client offers no ALPN at all, the handshake succeeds without a protocol.
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, NoSharedProtocol, ""
	}
	return conn, 0, ""
}

// describe makes the Conn of a finished handshake.
func (c *Credentials) describe(w *wire, from origin, state tls.ConnectionState, took time.Duration) (*Conn, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.config.Random, id[:]); err != nil {
		return nil, err
	}
	return &Conn{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		Session:        hex.EncodeToString(id[:]),
		Remote:         from.remote,
		Via:            from.via,
		Local:          address(w.LocalAddr()),
		Version:        versionName(state.Version),
		Cipher:         tls.CipherSuiteName(state.CipherSuite),
		ServerName:     c.serverName(state.ServerName),
		Peer:           certificate(state),
		Opened:         c.config.Now(),
		Handshake:      took,
		wire:           w,
	}, nil
}

func (c *Credentials) serverName(name string) string {
	if name == "" {
		return ""
	}
	if name = strings.ToLower(name); slices.Contains(c.config.ServerNames, name) {
		return name
	}
	return "other"
}

// ClientHandshake implements credentials.TransportCredentials; it always fails.
func (c *Credentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("transport: these credentials are for servers")
}

// Info implements credentials.TransportCredentials.
func (c *Credentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. The clone is c itself: the sessions are one set.
func (c *Credentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials; it does nothing on a server.
func (c *Credentials) OverrideServerName(string) error { return nil }
