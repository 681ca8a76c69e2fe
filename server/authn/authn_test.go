package authn_test

import (
	"context"
	"crypto/rand"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/role"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

const (
	ca    = "c0ffee"
	other = "decade"
)

var (
	inside  = netip.MustParseAddr("203.0.113.7")
	outside = netip.MustParseAddr("198.51.100.7")
)

// documents is a store of documents in memory.
type documents struct {
	mu   sync.Mutex
	rows map[store.Kind]map[string]store.Document
}

func (d *documents) GetDocument(_ context.Context, kind store.Kind, id string) (store.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	row, ok := d.rows[kind][id]
	if !ok {
		return row, store.ErrNotFound
	}
	return row, nil
}

func (d *documents) PutDocument(_ context.Context, kind store.Kind, id string, value []byte, expect int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rows[kind] == nil {
		d.rows[kind] = map[string]store.Document{}
	}
	if d.rows[kind][id].Revision != expect {
		return 0, store.ErrConflict
	}
	d.rows[kind][id] = store.Document{ID: id, Revision: expect + 1, Value: value}
	return expect + 1, nil
}

func (d *documents) ListDocuments(_ context.Context, kind store.Kind, _, _ string, _ int) ([]store.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []store.Document
	for _, row := range d.rows[kind] {
		list = append(list, row)
	}
	return list, nil
}

// world is a directory with clients and operators, and what was locked.
type world struct {
	*directory.Directory
	t      *testing.T
	keys   *digest.Keyring
	at     time.Time
	locked []string
	authn  *authn.Authenticator
}

func newWorld(t *testing.T) *world {
	t.Helper()
	chain, err := digest.NewChain(rand.Reader, now)
	must(t, err)
	w := &world{t: t, keys: digest.NewKeyring(chain), at: now}
	w.Directory, err = directory.Open(t.Context(), &documents{rows: map[store.Kind]map[string]store.Document{}})
	must(t, err)
	w.authn = authn.New(w.Now, w.keys, func() time.Time { return w.at }, func(_ context.Context, id string) { w.locked = append(w.locked, id) })
	return w
}

func (w *world) client(c account.Client) {
	w.t.Helper()
	if c.State == 0 {
		c.State = account.Active
	}
	_, err := w.PutClient(w.t.Context(), c, 0)
	must(w.t, err)
}

// key puts an API key on file and returns the metadata that carries it.
func (w *world) key(c account.Credential) (authorization, id string) {
	w.t.Helper()
	number, err := ledger.NewID(now, rand.Reader)
	must(w.t, err)
	var secret [32]byte
	_, err = rand.Read(secret[:])
	must(w.t, err)
	c.ID, c.Kind, c.KeyDigest = number.String(), account.APIKey, account.KeyDigest(w.keys, number, secret)
	w.credential(c)
	return "Bearer " + account.FormatKey(number, secret, c.Test), c.ID
}

func (w *world) credential(c account.Credential) {
	w.t.Helper()
	if c.State == 0 {
		c.State = account.CredentialActive
	}
	if c.ExpireTime.IsZero() {
		c.ExpireTime = now.AddDate(1, 0, 0)
	}
	_, err := w.PutCredential(w.t.Context(), c, 0)
	must(w.t, err)
}

func (w *world) certificate(id, client, san string) {
	w.t.Helper()
	w.credential(account.Credential{ID: id, Client: client, Kind: account.Certificate, IssuerSHA256: ca, SubjectAltName: san})
}

func (w *world) operator(o role.Operator) {
	w.t.Helper()
	if o.State == 0 {
		o.State = role.Active
	}
	o.IssuerSHA256, o.Person, o.Roles = ca, o.ID, role.Of(role.AuditAdmin)
	_, err := w.PutOperator(w.t.Context(), o, 0)
	must(w.t, err)
}

func peer(address netip.Addr, issuer string, names ...string) authn.Peer {
	p := authn.Peer{Address: address, Names: names}
	if issuer != "" {
		p.Issuers, p.Fingerprint = strings.Fields(issuer), "feed"
	}
	return p
}

// ending is a peer whose certificate ends at a time.
func ending(p authn.Peer, at time.Time) authn.Peer {
	p.NotAfter = at
	return p
}

// TestWhoCalls: what a caller presents, and whom that makes it. A caller who proves an identity and is refused all
// the same keeps the identity, for the record.
func TestWhoCalls(t *testing.T) {
	w := newWorld(t)
	w.client(account.Client{ID: "bank"})
	w.client(account.Client{ID: "shop"})
	w.client(account.Client{ID: "auditor"}) // named like the operator below
	w.client(account.Client{ID: "paused", State: account.Suspended})
	w.client(account.Client{ID: "gone", State: account.Closed})
	w.client(account.Client{ID: "office", AllowedSources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	w.certificate("c-bank", "bank", "spiffe://bank")
	w.certificate("c-old", "bank", "spiffe://renewed")
	old := w.Now().Credentials["c-old"]
	old.Value.ExpireTime = now
	_, err := w.PutCredential(t.Context(), old.Value, old.Revision)
	must(t, err)
	w.credential(account.Credential{ID: "c-new", Client: "bank", Kind: account.Certificate, IssuerSHA256: other, SubjectAltName: "spiffe://renewed"})
	w.certificate("c-1", "bank", "spiffe://twice") // revoked only when the next one works
	first := w.Now().Credentials["c-1"]
	first.Value.ExpireTime = now
	_, err = w.PutCredential(t.Context(), first.Value, first.Revision)
	must(t, err)
	w.certificate("c-2", "bank", "spiffe://twice")
	w.operator(role.Operator{ID: "auditor", SubjectAltName: "spiffe://auditor"})
	w.operator(role.Operator{ID: "lapsed", SubjectAltName: "spiffe://lapsed", ExpireTime: now})
	bank, _ := w.key(account.Credential{Client: "bank"})
	shop, _ := w.key(account.Credential{Client: "shop", Test: true})
	namesake, _ := w.key(account.Credential{Client: "auditor"})
	paused, _ := w.key(account.Credential{Client: "paused"})
	gone, _ := w.key(account.Credential{Client: "gone"})
	office, _ := w.key(account.Credential{Client: "office"})
	bound, _ := w.key(account.Credential{Client: "bank", AllowedSources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	expired, _ := w.key(account.Credential{Client: "bank", ExpireTime: now})
	locked, _ := w.key(account.Credential{Client: "bank", State: account.CredentialLocked})
	revoked, _ := w.key(account.Credential{Client: "bank", State: account.CredentialRevoked})
	orphan, _ := w.key(account.Credential{Client: "nobody"})
	plain := peer(outside, "")
	for _, c := range []struct {
		name          string
		peer          authn.Peer
		authorization string
		kind          authn.Kind
		id            string
		reason        fault.Reason // 0 = let in
	}{
		{"nothing", plain, "", authn.Stranger, "", fault.CredentialMissing},
		{"a key", plain, bank, authn.Client, "bank", 0},
		{"a key, in lower case", plain, "bearer" + bank[6:], authn.Client, "bank", 0},
		{"a certificate", peer(outside, ca, "spiffe://bank"), "", authn.Client, "bank", 0},
		{"a certificate, by its second name", peer(outside, ca, "https://x", "spiffe://bank"), "", authn.Client, "bank", 0},
		{"the same name by another CA", peer(outside, other, "spiffe://bank"), "", authn.Stranger, "", fault.CredentialInvalid},
		{"a certificate of a CA that was renewed", peer(outside, other+" "+ca, "spiffe://bank"), "", authn.Client, "bank", 0},
		{"an operator of a CA that was renewed", peer(outside, other+" "+ca, "https://x", "spiffe://auditor"), "", authn.Operator, "auditor", 0},
		{"a certificate whose binding to one of its CAs has lapsed", peer(outside, ca+" "+other, "spiffe://renewed"), "", authn.Client, "bank", 0},
		{"a certificate whose credential was renewed", peer(outside, ca, "spiffe://twice"), "", authn.Client, "bank", 0},
		{"a certificate whose only binding has lapsed", peer(outside, ca, "spiffe://renewed"), "", authn.Client, "bank", fault.CredentialExpired},
		{"a certificate on its last instant", ending(peer(outside, ca, "spiffe://bank"), now), "", authn.Client, "bank", 0},
		{"a certificate that has ended since", ending(peer(outside, ca, "spiffe://bank"), now.Add(-1)), "", authn.Client, "bank", fault.CredentialExpired},
		{"an operator's certificate that has ended since", ending(peer(outside, ca, "spiffe://auditor"), now.Add(-1)), "", authn.Operator, "auditor", fault.CredentialExpired},
		{"a key beside a certificate that has ended since", ending(peer(outside, ca, "spiffe://bank"), now.Add(-1)), bank, authn.Client, "bank", 0},
		{"an operator", peer(outside, ca, "spiffe://auditor"), "", authn.Operator, "auditor", 0},
		{"an operator whose time is over", peer(outside, ca, "spiffe://lapsed"), "", authn.Operator, "lapsed", fault.CredentialExpired},
		{"a certificate and a key of one client", peer(outside, ca, "spiffe://bank"), bank, authn.Client, "bank", 0},
		{"a certificate and a key of two clients", peer(outside, ca, "spiffe://bank"), shop, authn.Stranger, "", fault.CredentialInvalid},
		{"an operator with the key of a client of that name", peer(outside, ca, "spiffe://auditor"), namesake, authn.Stranger, "", fault.CredentialInvalid},
		{"an unknown certificate beside a key", peer(outside, ca, "spiffe://x"), bank, authn.Client, "bank", 0},
		{"a certificate beside a key that is none", peer(outside, ca, "spiffe://bank"), "Bearer x", authn.Stranger, "", fault.CredentialInvalid},
		{"another scheme", plain, "Basic" + bank[6:], authn.Stranger, "", fault.CredentialInvalid},
		{"no scheme", plain, bank[7:], authn.Stranger, "", fault.CredentialInvalid},
		{"a key cut short", plain, bank[:len(bank)-1], authn.Stranger, "", fault.CredentialInvalid},
		{"a suspended client", plain, paused, authn.Client, "paused", fault.ClientSuspended},
		{"a closed client", plain, gone, authn.Client, "gone", fault.CredentialInvalid},
		{"an expired key", plain, expired, authn.Client, "bank", fault.CredentialExpired},
		{"a locked key", plain, locked, authn.Client, "bank", fault.CredentialLocked},
		{"a revoked key", plain, revoked, authn.Client, "bank", fault.CredentialInvalid},
		{"a key of nobody", plain, orphan, authn.Client, "nobody", fault.CredentialInvalid},
		{"from the key's address", peer(inside, ""), bound, authn.Client, "bank", 0},
		{"from another than the key's address", plain, bound, authn.Client, "bank", fault.CredentialInvalid},
		{"from the client's address, as IPv6 writes it", peer(netip.MustParseAddr("::ffff:203.0.113.7"), ""), office, authn.Client, "office", 0},
		{"from another than the client's address", plain, office, authn.Client, "office", fault.CredentialInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, refused := w.authn.Authenticate(t.Context(), c.peer, c.authorization)
			var reason fault.Reason
			if refused != nil {
				reason = refused.Reason
				if key := strings.TrimPrefix(c.authorization, "Bearer "); len(key) > 20 && strings.Contains(refused.Error()+refused.Hint, key) {
					t.Error("the refusal repeats the key")
				}
			}
			if p.Kind != c.kind || p.ID != c.id || reason != c.reason {
				t.Errorf("%v %q, %v; want %v %q, %v", p.Kind, p.ID, refused, c.kind, c.id, c.reason)
			}
			if reason == 0 && p.Kind == authn.Client && (p.Client == nil || !p.Roles.Has(role.Client) || p.Test != (c.id == "shop")) {
				t.Errorf("principal %+v", p)
			}
		})
	}
}

// TestRevocationBindsTheNextCall: every call is checked against what is on file now.
func TestRevocationBindsTheNextCall(t *testing.T) {
	w := newWorld(t)
	w.client(account.Client{ID: "bank"})
	key, id := w.key(account.Credential{Client: "bank"})
	if _, refused := w.authn.Authenticate(t.Context(), peer(outside, ""), key); refused != nil {
		t.Fatal(refused)
	}
	entry := w.Now().Credentials[id]
	after := entry.Value
	after.State = account.CredentialRevoked
	_, err := w.PutCredential(t.Context(), after, entry.Revision)
	must(t, err)
	if _, refused := w.authn.Authenticate(t.Context(), peer(outside, ""), key); refused == nil || refused.Reason != fault.CredentialInvalid {
		t.Errorf("after the revocation: %v", refused)
	}
}

// TestMisuse: ten uses of a right key from a wrong address within ten minutes lock it; guesses never do, nor uses
// that are further apart.
func TestMisuse(t *testing.T) {
	w := newWorld(t)
	w.client(account.Client{ID: "bank"})
	key, id := w.key(account.Credential{Client: "bank", AllowedSources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	number, secret, err := account.ParseKey(strings.TrimPrefix(key, "Bearer "))
	must(t, err)
	secret[0] ^= 1
	guess := "Bearer " + account.FormatKey(number, secret, false)
	use := func(authorization string, times int) {
		for range times {
			if _, refused := w.authn.Authenticate(t.Context(), peer(outside, ""), authorization); refused == nil {
				t.Fatal("let in")
			}
		}
	}
	use(guess, 100)
	use(key, 9)
	w.at = w.at.Add(11 * time.Minute)
	use(key, 9)
	if len(w.locked) > 0 {
		t.Fatalf("locked %v too early", w.locked)
	}
	use(key, 1)
	if len(w.locked) != 1 || w.locked[0] != id {
		t.Fatalf("locked %v, want %s once", w.locked, id)
	}
	use(key, 10) // it was unlocked meanwhile, here by never having been locked
	if len(w.locked) != 2 {
		t.Errorf("locked %d times, want again after ten more", len(w.locked))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
