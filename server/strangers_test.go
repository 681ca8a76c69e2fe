package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
)

// TestStrangersLeaveRowsOnly: calls and connections of strangers are not recorded one by one; the minute's rows
// say what they were.
func TestStrangersLeaveRowsOnly(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	for range 20 {
		verify(w.anonymous, w.Request("a", 1))
		policies(w)
		invoke(w.anonymous, "/grpc.health.v1.Health/Check", false)
		send(w.anonymous, "/no.Such/Method13800138000", nil)
		send(w.anonymous, heyanv1.CatalogService_ListPolicies_FullMethodName, broken)
	}
	for range 3 {
		plaintext(t, w)
	}
	foreign(t, w)
	if got := w.Calls(from); len(got) > 0 {
		t.Fatalf("recorded %q before the minute", servertest.Brief(got))
	}
	flushUntil(t, w, from, record.TLSHandshakeFailed)
	want := map[string]uint64{
		"auth.failed DENIED CREDENTIAL_MISSING /heyan.v1.VerificationService/Verify":   20,
		"access.bulk SUCCESS /heyan.v1.CatalogService/ListPolicies":                    20,
		"rpc.unknown_method FAILED METHOD_UNKNOWN":                                     20,
		"rpc.malformed DENIED REQUEST_MALFORMED /heyan.v1.CatalogService/ListPolicies": 20,
		"tls.plaintext_dial DENIED plaintext":                                          3,
		"tls.handshake_failed DENIED unknown_ca":                                       1,
	}
	for _, r := range w.Calls(from) {
		name := strings.TrimSpace(servertest.Brief([]record.Record{r})[0] + " " + r.Action)
		if r.Actor.Kind != record.ActorStranger || r.Tally == nil || r.Tally.Count != want[name] || r.Tally.FirstPort == 0 || !r.Source.IP.IsLoopback() {
			t.Errorf("%s: %+v of %v from %v, want %d", name, r.Tally, r.Actor.Kind, r.Source, want[name])
		}
		if wantSecurity := r.Event.Category() == record.CategorySecurity; (r.Security != nil) != wantSecurity {
			t.Errorf("%s: security %+v", name, r.Security)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no rows of %v", want)
	}
}

// flushUntil ends the minute until a row of an event is there: a refused handshake is counted after its alert went
// out, so its caller may know of it first.
func flushUntil(t *testing.T, w *world, from uint64, event record.Event) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		must(t, w.Flush())
		if slices.ContainsFunc(w.Calls(from), func(r record.Record) bool { return r.Event == event }) {
			return
		}
	}
	t.Fatalf("no row of %v", event)
}

// plaintext speaks HTTP to the port of TLS, and waits for the end.
func plaintext(t *testing.T, w *world) {
	t.Helper()
	conn, err := net.Dial("tcp", w.Address)
	must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: heyan\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, 512)
	for err == nil {
		var n int
		if n, err = conn.Read(answer); strings.Contains(string(answer[:n]), "200") {
			t.Fatal("answered in clear")
		}
	}
}

// foreign presents a certificate of another authority.
func foreign(t *testing.T, w *world) {
	t.Helper()
	other := servertest.NewKeys(t, w.Clock.Now())
	issued := servertest.Issue(t, other.CA, "spiffe://heyan/operator/"+servertest.Audit, w.Clock.Now())
	conn, err := tls.Dial("tcp", w.Address, &tls.Config{
		RootCAs: w.Keys.CA.Pool(), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &issued, nil }})
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("a certificate of another authority was taken")
	}
}

// TestRefusalFlood: after 500 refusals further ones are answered and counted by second, the connection is closed behind
// their answers, and one record says that the budget is used up.
func TestRefusalFlood(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	thaw := w.Clock.Freeze()
	defer thaw()
	from := w.Log.Size()
	for i := range 500 {
		if seen, _ := verify(w.bank.Conn, groundless(w, "f")); seen.Reason != "CONSENT_MISSING" || seen.Entry == "" {
			t.Fatalf("refusal %d: %v", i, seen.Err)
		}
	}
	for range 5 {
		seen, _ := verify(w.bank.Conn, groundless(w, "f"))
		if seen.Reason != "CONSENT_MISSING" || seen.Entry != "" {
			t.Fatalf("above the budget: %v, trailer %q", seen.Code, seen.Entry)
		}
	}
	waitForLogout(t, w, from, "bank")
	if seen, _ := verify(w.bank.Conn, w.Request("good", 1)); seen.Code != codes.OK {
		t.Errorf("a good call over a new connection: %v", seen.Err)
	}
	records := w.Calls(from)
	if n := len(records); n != 502 || records[500].Event != record.BudgetExhausted || records[500].Actor.ID != "bank" || records[501].Event != record.VerificationVerify {
		t.Fatalf("%d records, the last %q", n, servertest.Brief(records[max(0, n-3):]))
	}
	from = w.Log.Size()
	must(t, w.Flush())
	rows := w.Calls(from)
	if len(rows) != 1 || rows[0].Event != record.RefusalBulk || rows[0].Actor.ID != "bank" || rows[0].Action != unary ||
		rows[0].Outcome.Reason != "CONSENT_MISSING" || rows[0].Tally.Count < 5 || rows[0].Tally.Last.Sub(rows[0].Tally.First) >= time.Second {
		t.Errorf("flushed %q: %+v", servertest.Brief(rows), rows)
	}
}

// TestOneLogIn: however many first calls come side by side, a connection has one log-in.
func TestOneLogIn(t *testing.T) {
	var slow atomic.Bool
	w := newWorld(t, servertest.Options{OnRecord: func() {
		if slow.Load() {
			time.Sleep(100 * time.Millisecond) // so that the other calls come while the log-in is written
		}
	}})
	conn := w.WithKey(w.bank.Key)
	invoke(conn, "/grpc.health.v1.Health/Check", false) // connected, and nobody yet
	from := w.Log.Size()
	slow.Store(true)
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() { invoke(conn, heyanv1.CatalogService_GetAccount_FullMethodName, false) })
	}
	calls.Wait()
	slow.Store(false)
	opened := 0
	for _, r := range w.Records(from) {
		if r.Event == record.SessionOpened {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d log-ins", opened)
	}
}

// TestSessions: a connection has one log-in, at its first call with an identity, and one log-out.
func TestSessions(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	conn := w.WithKey(w.bank.Key)
	invoke(conn, heyanv1.CatalogService_GetAccount_FullMethodName, false)
	session := ""
	for _, r := range w.Calls(from) {
		session = r.Session
	}
	must(t, conn.Close())
	var opened, closed []record.Record
	for deadline := time.Now().Add(10 * time.Second); len(closed) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		opened, closed = nil, nil
		for _, r := range w.Records(from) {
			switch {
			case r.Session != session:
			case r.Event == record.SessionOpened:
				opened = append(opened, r)
			case r.Event == record.SessionClosed:
				closed = append(closed, r)
			}
		}
	}
	if len(opened) != 1 || len(closed) != 1 {
		t.Fatalf("%d log-ins and %d log-outs", len(opened), len(closed))
	}
	if o, c := opened[0], closed[0]; o.Actor.ID != "bank" || c.Actor != o.Actor || c.Source != o.Source || c.Traffic.BytesIn == 0 || c.Traffic.BytesOut == 0 || o.Protocol.TLSVersion != "TLSv1.3" {
		t.Errorf("log-in %+v, log-out %+v", o, c)
	}
	from = w.Log.Size()
	quiet := w.As(servertest.Audit)
	invoke(quiet, "/grpc.health.v1.Health/Check", false)
	invoke(quiet, "/grpc.health.v1.Health/Watch", true)
	invoke(w.anonymous, "/grpc.health.v1.Health/Watch", true)
	must(t, quiet.Close())
	must(t, w.Flush())
	if got := w.Records(from); len(got) > 0 {
		t.Errorf("health checks left %q", servertest.Brief(got))
	}
}

// TestStolenKey: a right key from a wrong address locks after ten times, and again after it was unlocked.
func TestStolenKey(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	ctx := context.Background()
	admin := heyanv1.NewAdminServiceClient(w.system)
	_, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{Client: &heyanv1.Client{Id: "far", DisplayName: "Far", Establishment: "CN"}})
	must(t, err)
	issued, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{
		Client: "far", Kind: heyanv1.Credential_KIND_API_KEY, AllowedSources: []string{"203.0.113.0/24"}})
	must(t, err)
	stolen := w.WithKey(issued.GetApiKey())
	use := func() servertest.Seen {
		return invoke(stolen, heyanv1.CatalogService_GetAccount_FullMethodName, false)
	}
	for round := range 2 {
		from := w.Log.Size()
		for i := range 10 {
			if seen := use(); seen.Reason != "CREDENTIAL_INVALID" || w.Open(seen.Entry).Event != record.AuthFailed || w.Open(seen.Entry).Actor.ID != "far" {
				t.Fatalf("round %d, use %d: %v", round, i, seen.Err)
			}
		}
		seen := use()
		if seen.Code != codes.Unauthenticated || seen.Reason != "CREDENTIAL_LOCKED" || w.Open(seen.Entry).Event != record.AuthLocked {
			t.Fatalf("round %d, use 11: %v", round, seen.Err)
		}
		locks := 0
		for _, r := range w.Calls(from) {
			if r.Event == record.AuthLocked && r.Actor.Kind == record.ActorSystem {
				locks++
				if r.Object.ID != issued.GetCredential().GetId() || r.Actor.OnBehalfOf != "far" || r.Outcome.Reason != "WRONG_ADDRESS" {
					t.Errorf("lock recorded as %+v %+v", r.Object, r.Outcome)
				}
			}
		}
		if locks != 1 {
			t.Errorf("round %d: %d locks recorded", round, locks)
		}
		_, err := heyanv1.NewAccessServiceClient(w.security).UnlockCredential(ctx, &heyanv1.UnlockCredentialRequest{Id: issued.GetCredential().GetId(), Reason: "owner asked"})
		must(t, err)
	}
	id, secret, err := account.ParseKey(w.bank.Key)
	must(t, err)
	secret[0] ^= 1
	guess := w.WithKey(account.FormatKey(id, secret, false))
	for range 100 { // guessing locks nobody out
		if seen := invoke(guess, heyanv1.CatalogService_GetAccount_FullMethodName, false); seen.Reason != "CREDENTIAL_INVALID" || seen.Entry != "" {
			t.Fatalf("a guessed key: %v, trailer %q", seen.Err, seen.Entry)
		}
	}
	if seen, _ := verify(w.bank.Conn, w.Request("still", 1)); seen.Code != codes.OK {
		t.Errorf("the owner of a guessed key: %v", seen.Err)
	}
}
