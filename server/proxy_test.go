package server_test

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/proxyproto/proxytest"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

func getAccount(conn *grpc.ClientConn) servertest.Seen {
	return invoke(conn, heyanv1.CatalogService_GetAccount_FullMethodName, false)
}

// balanced is a world whose server trusts one balancer, at another address than everybody else's.
type balanced struct {
	*world
	balancer *proxytest.Balancer
	header   atomic.Pointer[[]byte]
}

const balancerAt = "127.0.0.77"

func newBalanced(t *testing.T) *balanced {
	t.Helper()
	b := &balanced{world: newWorld(t, servertest.Options{Trusted: []netip.Prefix{netip.MustParsePrefix(balancerAt + "/32")}})}
	b.balancer = proxytest.Start(t, b.Address, balancerAt, func() []byte { return *b.header.Load() })
	return b
}

// from is a connection by way of the balancer, as a client's at an address.
func (b *balanced) from(t *testing.T, source, key string) *grpc.ClientConn {
	t.Helper()
	header := proxytest.From(source)
	b.header.Store(&header)
	direct := b.Address
	b.Address = b.balancer.Address
	defer func() { b.Address = direct }()
	conn := b.WithKey(key)
	return conn
}

// both checks that a record shows the client and the balancer.
func both(t *testing.T, r *record.Record, source string) {
	t.Helper()
	want := netip.MustParseAddrPort(source)
	if r.Source.IP != want.Addr() || r.Source.Port != want.Port() || r.Via.IP != netip.MustParseAddr(balancerAt) {
		t.Errorf("%v: from %v via %v, want %s", r.Event, r.Source, r.Via, source)
	}
}

// TestBothAddresses: log-in, call and log-out through a balancer show the client and the balancer, port and all; a call
// that comes by itself shows no balancer.
func TestBothAddresses(t *testing.T) {
	w := newBalanced(t)
	for _, source := range []string{"203.0.113.7:40000", "[2001:db8::7]:40001"} {
		from := w.Log.Size()
		conn := w.from(t, source, w.bank.Key)
		seen := getAccount(conn)
		if seen.Code != codes.OK {
			t.Fatal(seen.Err)
		}
		must(t, conn.Close())
		found := map[record.Event]bool{}
		for deadline := time.Now().Add(10 * time.Second); !found[record.SessionClosed] && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			for _, r := range w.Records(from) {
				if r.Session == w.Open(seen.Entry).Session {
					found[r.Event] = true
				}
			}
		}
		for _, r := range w.Records(from) {
			if r.Session == w.Open(seen.Entry).Session {
				both(t, &r, source)
				if r.Via.Port == 0 || r.Destination.Port == 0 {
					t.Errorf("%v: via %v to %v", r.Event, r.Via, r.Destination)
				}
			}
		}
		if len(found) != 3 {
			t.Errorf("%s has records of %v", source, found)
		}
	}
	if r := w.Open(getAccount(w.bank.Conn).Entry); r.Via.IP.IsValid() || !r.Source.IP.IsLoopback() {
		t.Errorf("a direct call from %v via %v", r.Source, r.Via)
	}
}

// TestAllowedSourceBehindProxy: a credential is bound to the client's address, never to the balancer's.
func TestAllowedSourceBehindProxy(t *testing.T) {
	w := newBalanced(t)
	ctx, admin := t.Context(), heyanv1.NewAdminServiceClient(w.system)
	for id, allowed := range map[string]string{"far": "203.0.113.0/24", "near": balancerAt + "/32"} {
		_, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{Client: &heyanv1.Client{Id: id, DisplayName: id, Establishment: "CN"}})
		must(t, err)
		issued, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{
			Client: id, Kind: heyanv1.Credential_KIND_API_KEY, AllowedSources: []string{allowed}})
		must(t, err)
		if seen := getAccount(w.from(t, "203.0.113.7:1", issued.GetApiKey())); (seen.Code == codes.OK) != (id == "far") {
			t.Errorf("%s from 203.0.113.7: %v", id, seen.Err)
		}
		if seen := getAccount(w.from(t, "198.51.100.7:1", issued.GetApiKey())); seen.Reason != "CREDENTIAL_INVALID" {
			t.Errorf("%s from 198.51.100.7: %v", id, seen.Err)
		}
	}
}

// TestStrangersBehindProxyApart: two clients without an identity have a row each, and so has one that came by itself.
func TestStrangersBehindProxyApart(t *testing.T) {
	w := newBalanced(t)
	from := w.Log.Size()
	sources := []string{"203.0.113.7:1001", "203.0.113.8:1002"}
	for i, source := range sources {
		conn := w.from(t, source, "")
		for range i + 2 {
			getAccount(conn)
		}
	}
	getAccount(w.anonymous)
	must(t, w.Flush())
	rows := map[string]record.Record{}
	for _, r := range w.Calls(from) {
		rows[r.Source.IP.String()] = r
	}
	for i, source := range sources {
		host, _, _ := net.SplitHostPort(source)
		r := rows[host]
		if r.Tally == nil || r.Tally.Count != uint64(i+2) || r.Event != record.AuthFailed {
			t.Fatalf("%s: %+v", source, r)
		}
		both(t, &r, source)
	}
	if r := rows["127.0.0.1"]; r.Tally == nil || r.Tally.Count != 1 || r.Via.IP.IsValid() {
		t.Errorf("by itself: %+v", r)
	}
}

// TestBadHeadersAreRecorded: each is a failed handshake of the balancer's, with its cause; a forged one is one of whoever
// forged it; and a balancer's own looks are nothing.
func TestBadHeadersAreRecorded(t *testing.T) {
	w := newBalanced(t)
	from := w.Log.Size()
	send := func(at string, b []byte) {
		t.Helper()
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at + ":0"))}
		conn, err := dialer.Dial("tcp", w.Address)
		must(t, err)
		defer conn.Close()
		_, err = conn.Write(b)
		must(t, err)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
	}
	local := proxytest.Raw(proxytest.Local, proxytest.Unspecified, nil)
	for range 20 {
		send(balancerAt, nil)
		send(balancerAt, local)
	}
	send(balancerAt, []byte(proxytest.Version1))
	send(balancerAt, []byte("GET / HTTP/1.1\r\n\r\n"))
	send(balancerAt, proxytest.From("203.0.113.7:1")[:20])
	send(balancerAt, append(proxytest.From("203.0.113.7:1"), "GET / HTTP/1.1\r\n\r\n"...))
	send("127.0.0.1", proxytest.From("203.0.113.7:1"))
	flushUntil(t, w.world, from, record.TLSPlaintextDial)
	want := map[string]string{
		"tls.handshake_failed DENIED proxy_header_v1":        balancerAt,
		"tls.handshake_failed DENIED proxy_header_missing":   balancerAt,
		"tls.handshake_failed DENIED proxy_header_truncated": balancerAt,
		"tls.plaintext_dial DENIED plaintext":                "127.0.0.1, or 203.0.113.7 via " + balancerAt,
	}
	plaintext := 0
	for deadline := time.Now().Add(10 * time.Second); plaintext < 2 && time.Now().Before(deadline); must(t, w.Flush()) {
		plaintext = 0
		for _, r := range w.Calls(from) {
			if r.Event == record.TLSPlaintextDial {
				plaintext++
			}
		}
	}
	for _, r := range w.Calls(from) {
		name, at := servertest.Brief([]record.Record{r})[0], r.Source.IP.String()
		if r.Via.IP.IsValid() {
			at += " via " + r.Via.IP.String()
		}
		if !strings.Contains(want[name], at) || r.Tally.Count != 1 {
			t.Errorf("%s from %s: %+v", name, at, r.Tally)
		}
		if r.Event != record.TLSPlaintextDial {
			delete(want, name)
		}
	}
	if len(want) != 1 || plaintext != 2 {
		t.Errorf("no rows of %v; %d of plaintext", want, plaintext)
	}
}
