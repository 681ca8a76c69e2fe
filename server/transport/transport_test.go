package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/server/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an Observer whose reports can be waited for.
type recorder struct {
	failed chan transport.Failure
	opened chan *transport.Conn
	closed chan *transport.Conn
	refuse error
}

func newRecorder() *recorder {
	return &recorder{failed: make(chan transport.Failure, 100), opened: make(chan *transport.Conn, 100), closed: make(chan *transport.Conn, 100)}
}

func (r *recorder) HandshakeFailed(f transport.Failure) { r.failed <- f }
func (r *recorder) SessionOpened(c *transport.Conn) error {
	if r.refuse != nil {
		return r.refuse
	}
	r.opened <- c
	return nil
}
func (r *recorder) SessionClosed(c *transport.Conn) { r.closed <- c }

// within waits for a report; the bound only ends a test that has failed.
func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("no report came")
		panic("unreachable")
	}
}

func none[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%s was reported: %v", what, v)
	default:
	}
}

// server is a gRPC server over loopback with the health service.
type server struct {
	*recorder
	creds   *transport.Credentials
	address string
	ca      *authority
	grpc    *grpc.Server
	mu      sync.Mutex
	seen    *transport.Conn // of the last call
	peer    net.Addr        // of the last call, by gRPC
}

func serve(t *testing.T, change func(*transport.Config)) *server {
	t.Helper()
	s := &server{recorder: newRecorder(), ca: newAuthority(t, "test CA")}
	config := transport.Config{
		Certificates: transport.Static(&transport.Material{Certificates: []tls.Certificate{s.ca.issue(t, nil)}, ClientCAs: s.ca.pool()}),
		Observer:     s.recorder, ServerNames: []string{"localhost"},
	}
	if change != nil {
		change(&config)
	}
	creds, err := transport.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.creds = creds
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = lis.Addr().String()
	s.grpc = grpc.NewServer(grpc.Creds(creds), grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.mu.Lock()
			s.seen = transport.FromContext(ctx)
			if p, ok := peer.FromContext(ctx); ok {
				s.peer = p.Addr
			}
			s.mu.Unlock()
			return next(ctx, req)
		}))
	healthpb.RegisterHealthServer(s.grpc, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); s.grpc.Serve(lis) }()
	t.Cleanup(func() { s.grpc.Stop(); <-done })
	return s
}

// client is a TLS configuration that trusts the server.
func (s *server) client(certs ...tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: s.ca.pool(), ServerName: "localhost", NextProtos: []string{"h2"}}
	if len(certs) > 0 {
		// Sent whether or not the server says that it knows the CA.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	return config
}

// call makes one health check over a fresh connection.
func (s *server) call(t *testing.T, config *tls.Config) (*grpc.ClientConn, error) {
	t.Helper()
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	return conn, err
}

func TestSession(t *testing.T) {
	s := serve(t, nil)
	cert := s.ca.issue(t, nil)
	conn, err := s.call(t, s.client(cert))
	if err != nil {
		t.Fatal(err)
	}
	opened := within(t, s.opened)
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if seen != opened {
		t.Fatal("the call's connection is not the opened one")
	}
	if len(opened.Session) != 32 || opened.Version != "TLSv1.3" || !strings.HasPrefix(opened.Cipher, "TLS_") || opened.ServerName != "localhost" {
		t.Errorf("%+v", opened)
	}
	if !opened.Remote.Addr().IsLoopback() || opened.Remote.Port() == 0 || opened.Local.String() != s.address {
		t.Errorf("from %v to %v", opened.Remote, opened.Local)
	}
	p := opened.Peer
	if p == nil || p.Fingerprint != digest(cert.Leaf.Raw) || !slices.Equal(p.Issuers, []string{s.ca.digest()}) ||
		len(p.URIs) != 1 || p.URIs[0] != "spiffe://heyan/test" || len(p.DNS) != 1 || p.DNS[0] != "localhost" {
		t.Errorf("peer %+v", p)
	}
	if opened.SecurityLevel != credentials.PrivacyAndIntegrity || opened.AuthType() != "tls" {
		t.Error("gRPC must see a secure connection")
	}
	if s.creds.Registry().Len() != 1 || opened.Duration() != 0 {
		t.Error("the session must be open")
	}
	in, out := opened.Traffic()
	// A hello and a certificate each way, and a call: some hundreds of bytes at the least.
	if in < 500 || out < 500 {
		t.Errorf("%d bytes in, %d out", in, out)
	}
	conn.Close()
	closed := within(t, s.closed)
	if closed != opened || closed.Duration() <= 0 || s.creds.Registry().Len() != 0 {
		t.Error("the session must be closed")
	}
	none(t, s.failed, "a failure")
	none(t, s.closed, "a second end")
}

func TestWithoutCertificate(t *testing.T) {
	s := serve(t, nil)
	config := s.client()
	config.ServerName = ""
	config.InsecureSkipVerify = true
	if _, err := s.call(t, config); err != nil {
		t.Fatal(err)
	}
	// gRPC sends the target's host, here an address, which is no server name.
	if c := within(t, s.opened); c.Peer != nil || c.ServerName != "" {
		t.Errorf("%+v", c)
	}
	other := s.client()
	other.ServerName, other.InsecureSkipVerify = "A-NAME-THAT-THE-CALLER-CHOSE.example", true
	raw, err := tls.Dial("tcp", s.address, other)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if c := within(t, s.opened); c.ServerName != "other" {
		t.Errorf("server name %q", c.ServerName)
	}
}

// Without a pool nobody is asked for a certificate, and one of a public CA is not taken.
func TestWithoutPool(t *testing.T) {
	s := serve(t, func(c *transport.Config) {
		c.Certificates = transport.Static(&transport.Material{Certificates: c.Certificates.Material().Certificates})
	})
	asked := false
	config := s.client()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &tls.Certificate{}, nil
	}
	if _, err := s.call(t, config); err != nil {
		t.Fatal(err)
	}
	if within(t, s.opened).Peer != nil || asked {
		t.Error("a certificate was asked for")
	}
}

func TestAllowTLS12(t *testing.T) {
	s := serve(t, func(c *transport.Config) { c.AllowTLS12 = true })
	config := s.client(s.ca.issue(t, nil))
	config.MaxVersion = tls.VersionTLS12
	if _, err := s.call(t, config); err != nil {
		t.Fatal(err)
	}
	if c := within(t, s.opened); c.Version != "TLSv1.2" || c.Peer == nil || !slices.Equal(c.Peer.Issuers, []string{s.ca.digest()}) {
		t.Errorf("%+v", c)
	}
	if _, err := s.call(t, s.client()); err != nil {
		t.Fatal(err)
	}
	if c := within(t, s.opened); c.Version != "TLSv1.3" {
		t.Errorf("a client that can TLS 1.3 got %s", c.Version)
	}
	// A cipher without forward secrecy, and one that is not authenticated.
	for _, cipher := range []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA} {
		weak := s.client()
		weak.MaxVersion, weak.CipherSuites = tls.VersionTLS12, []uint16{cipher}
		if raw, err := tls.Dial("tcp", s.address, weak); err == nil {
			raw.Close()
			t.Errorf("%s was taken", tls.CipherSuiteName(cipher))
		}
		if f := within(t, s.failed); f.Cause != transport.Other {
			t.Errorf("cause %s", f.Cause)
		}
	}
	old := s.client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if raw, err := tls.Dial("tcp", s.address, old); err == nil {
		raw.Close()
		t.Error("TLS 1.1 was taken")
	}
	if f := within(t, s.failed); f.Cause != transport.NoSharedVersion {
		t.Errorf("cause %s", f.Cause)
	}
}

// No session is ever resumed: a revoked certificate must be shown again.
func TestNoTickets(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := serve(t, func(c *transport.Config) { c.AllowTLS12 = true })
		config := s.client()
		config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
		for range 2 {
			raw, err := tls.Dial("tcp", s.address, config)
			if err != nil {
				t.Fatal(err)
			}
			raw.SetReadDeadline(time.Now().Add(5 * time.Second))
			// The settings of HTTP/2: a ticket would have come before them.
			if _, err := raw.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if raw.ConnectionState().DidResume {
				t.Error("resumed")
			}
			raw.Close()
		}
	}
}

func TestCloseWhere(t *testing.T) {
	s := serve(t, nil)
	_, err := s.call(t, s.client())
	if err != nil {
		t.Fatal(err)
	}
	first := within(t, s.opened)
	conn, err := s.call(t, s.client(s.ca.issue(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	second := within(t, s.opened)
	if first.Session == second.Session {
		t.Error("two sessions of one id")
	}
	second.Bind("cred-1")
	second.Bind("cred-1")
	if first.Bound("cred-1") || !second.Bound("cred-1") || second.Bound("cred-2") {
		t.Error("bound to the wrong one")
	}
	if n := s.creds.Registry().CloseWhere(func(c *transport.Conn) bool { return c.Bound("cred-1") }); n != 1 {
		t.Errorf("closed %d", n)
	}
	if within(t, s.closed) != second || s.creds.Registry().Len() != 1 {
		t.Error("the wrong one was closed")
	}
	// The client reconnects by itself, and is a new session.
	for {
		_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err == nil {
			break
		}
		if status.Code(err) != codes.Unavailable { // what a call on the dying connection gets
			t.Fatal(err)
		}
	}
	if third := within(t, s.opened); third.Session == second.Session {
		t.Error("the session came back")
	}
	for i := range 200 {
		first.Bind(strings.Repeat("x", i))
	}
	if !first.Bound("cred-9") {
		t.Error("a connection that forgets must be taken for everyone's")
	}
	none(t, s.closed, "a second end")
}

func TestRefusedSession(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.refuse = errors.New("the log cannot be written")
	if _, err := s.call(t, s.client()); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if s.creds.Registry().Len() != 0 {
		t.Error("a refused session is registered")
	}
	none(t, s.closed, "the end of a session that never was")
}

func TestRandomnessFails(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *transport.Config) { c.Random = bytes.NewReader(make([]byte, 15)) })
	if _, err := s.call(t, s.client()); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	none(t, s.opened, "a session without an id")
}

// swapped is a Source that changes.
type swapped struct {
	mu       sync.Mutex
	material *transport.Material
}

func (s *swapped) Material() *transport.Material {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.material
}

func TestReload(t *testing.T) {
	source := &swapped{}
	s := serve(t, func(c *transport.Config) {
		source.material = c.Certificates.Material()
		c.Certificates = source
	})
	if _, err := s.call(t, s.client(s.ca.issue(t, nil))); err != nil {
		t.Fatal(err)
	}
	before := within(t, s.opened)
	next := newAuthority(t, "next CA")
	source.mu.Lock()
	source.material = &transport.Material{Certificates: []tls.Certificate{next.issue(t, nil)}, ClientCAs: next.pool()}
	source.mu.Unlock()
	config := s.client(next.issue(t, nil))
	config.RootCAs = next.pool()
	if _, err := s.call(t, config); err != nil {
		t.Fatal(err)
	}
	if c := within(t, s.opened); c.Peer == nil || !slices.Equal(c.Peer.Issuers, []string{next.digest()}) {
		t.Errorf("%+v", c.Peer)
	}
	if s.creds.Registry().Len() != 2 || before.Duration() != 0 {
		t.Error("a reload must not end sessions")
	}
}

// A CA certificate that was renewed under the same key: both certificates count as the issuer.
func TestIssuers(t *testing.T) {
	var renewed *x509.Certificate
	s := serve(t, nil)
	template := *s.ca.cert
	template.NotAfter = template.NotAfter.Add(time.Hour)
	renewed = reissue(t, &template, s.ca)
	pool := s.ca.pool()
	pool.AddCert(renewed)
	s2 := serve(t, func(c *transport.Config) {
		c.Certificates = transport.Static(&transport.Material{Certificates: []tls.Certificate{s.ca.issue(t, nil)}, ClientCAs: pool})
	})
	if _, err := s2.call(t, s.client(s.ca.issue(t, nil))); err != nil {
		t.Fatal(err)
	}
	p := within(t, s2.opened).Peer
	if len(p.Issuers) != 2 || p.Issuers[0] == p.Issuers[1] {
		t.Errorf("issuers %v", p.Issuers)
	}
	for _, want := range []string{s.ca.digest(), digest(renewed.Raw)} {
		if want != p.Issuers[0] && want != p.Issuers[1] {
			t.Errorf("%s is not among %v", want, p.Issuers)
		}
	}
}

// The issuer is the CA that signed the certificate, not the root above it.
func TestIssuerIsTheNearest(t *testing.T) {
	s := serve(t, nil)
	middle := s.ca.intermediate(t)
	cert := middle.issue(t, nil)
	cert.Certificate = append(cert.Certificate, middle.cert.Raw)
	if _, err := s.call(t, s.client(cert)); err != nil {
		t.Fatal(err)
	}
	if p := within(t, s.opened).Peer; p == nil || !slices.Equal(p.Issuers, []string{middle.digest()}) || p.Fingerprint != digest(cert.Leaf.Raw) {
		t.Errorf("%+v", p)
	}
}

// A client's certificate may itself be in the pool: it is its own issuer.
func TestPinnedCertificate(t *testing.T) {
	pinned := newAuthority(t, "elsewhere").issue(t, nil)
	s := serve(t, func(c *transport.Config) {
		m := *c.Certificates.Material()
		m.ClientCAs = x509.NewCertPool()
		m.ClientCAs.AddCert(pinned.Leaf)
		c.Certificates = transport.Static(&m)
	})
	if _, err := s.call(t, s.client(pinned)); err != nil {
		t.Fatal(err)
	}
	if p := within(t, s.opened).Peer; p == nil || !slices.Equal(p.Issuers, []string{p.Fingerprint}) || p.Fingerprint != digest(pinned.Leaf.Raw) {
		t.Errorf("%+v", p)
	}
}

func TestNew(t *testing.T) {
	cert := newAuthority(t, "CA").issue(t, nil)
	for name, config := range map[string]transport.Config{
		"nothing":        {},
		"no observer":    {Certificates: transport.Static(&transport.Material{Certificates: []tls.Certificate{cert}})},
		"no material":    {Observer: newRecorder(), Certificates: transport.Static(nil)},
		"no certificate": {Observer: newRecorder(), Certificates: transport.Static(&transport.Material{})},
		"no key":         {Observer: newRecorder(), Certificates: transport.Static(&transport.Material{Certificates: []tls.Certificate{{Certificate: cert.Certificate}}})},
	} {
		if _, err := transport.New(config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
