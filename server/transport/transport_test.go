package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
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
	if p == nil || p.Fingerprint != digest(cert.Leaf.Raw) || p.Issuer != s.ca.digest() || len(p.Issuers) != 1 ||
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
				if _, err := io.Copy(io.Discard, raw); errors.Is(err, context.DeadlineExceeded) {
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
	s := serve(t, func(c *transport.Config) { c.MaxHandshakes, c.HandshakeTimeout = 1, 2*time.Second })
	idle, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := s.call(t, s.client()); err != nil {
		t.Fatal("an idle connection took the slot:", err)
	}
	within(t, s.opened)
	counts := map[transport.Cause]int{within(t, s.failed).Cause: 1}
	if counts[transport.Timeout] != 1 {
		t.Fatal(counts)
	}
	var conns []net.Conn
	for range 3 {
		raw, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if _, err := io.WriteString(raw, "\x16\x03\x01\x02\x00\x01\x00"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, raw)
	}
	counts = map[transport.Cause]int{}
	for range conns {
		counts[within(t, s.failed).Cause]++
	}
	if counts[transport.Overloaded] == 0 || counts[transport.Timeout] == 0 || counts[transport.Overloaded]+counts[transport.Timeout] != 3 {
		t.Error(counts)
	}
	if _, err := s.call(t, s.client()); err != nil {
		t.Error("the slot must be free again:", err)
	}
}

func TestAllowTLS12(t *testing.T) {
	s := serve(t, func(c *transport.Config) { c.AllowTLS12 = true })
	config := s.client(s.ca.issue(t, nil))
	config.MaxVersion = tls.VersionTLS12
	if _, err := s.call(t, config); err != nil {
		t.Fatal(err)
	}
	if c := within(t, s.opened); c.Version != "TLSv1.2" || c.Peer == nil || c.Peer.Issuer != s.ca.digest() {
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
	if c := within(t, s.opened); c.Peer == nil || c.Peer.Issuer != next.digest() {
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
	if len(p.Issuers) != 2 || p.Issuers[0] == p.Issuers[1] || p.Issuer != p.Issuers[0] {
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
	if p := within(t, s.opened).Peer; p == nil || p.Issuer != middle.digest() || p.Fingerprint != digest(cert.Leaf.Raw) {
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
	if p := within(t, s.opened).Peer; p == nil || p.Issuer != p.Fingerprint || p.Issuer != digest(pinned.Leaf.Raw) {
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

func TestCauses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range transport.Causes() {
		if name := c.String(); name == "" || name == "invalid" || seen[name] {
			t.Errorf("cause %d is called %q", c, name)
		} else {
			seen[name] = true
		}
	}
	if len(seen) != int(transport.Other) || transport.Cause(0).String() != "invalid" || (transport.Other+1).String() != "invalid" {
		t.Error("the list is not closed")
	}
}
