// Package authn finds out who calls: a client or an operator, by certificate or API key.
//
// Certificates bind by issuing CA and URI or DNS name, so that a renewal locks nobody out; the fingerprint is
// only logged. API keys are 256 random bits; a digest is compared in constant time. Every call is checked
// against the snapshot of now, so a revocation binds the next call on an open connection too.
//
// A caller whose credential proves an identity, and is refused all the same (expired, revoked, locked, from a
// wrong address), is returned together with the refusal: its refusals are recorded one by one. Anybody else is a
// stranger, whose refusals are counted.
package authn

import (
	"context"
	"crypto/subtle"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/role"
)

// Kind is what a principal is.
type Kind uint8

// The kinds. The zero Kind is a stranger.
const (
	Stranger Kind = iota
	Client
	Operator
)

// Methods of authentication, as the log shows them.
const (
	ByCertificate = "mtls"
	ByAPIKey      = "api_key"
)

// Principal is who calls.
type Principal struct {
	Kind        Kind
	ID          string // of the client or operator
	Person      string // of an operator
	Roles       role.Set
	ReadOnly    bool // an inspector
	Test        bool // a test credential
	Credential  string
	Fingerprint string // of the certificate presented, hexadecimal
	Method      string
	Client      *account.Client
	Expire      time.Time // of the credential; zero = never
	Operator    *role.Operator
}

// Peer is what a connection proved.
type Peer struct {
	Address     netip.Addr
	Issuers     []string // SHA-256 of each CA certificate that issued the verified leaf, hexadecimal; none = no certificate
	Names       []string // its URI and DNS names
	Fingerprint string
	NotAfter    time.Time // its end, which a connection may outlive
}

// Authenticator checks callers. It is safe for concurrent use.
type Authenticator struct {
	snapshot func() *directory.Snapshot
	keys     *digest.Keyring
	now      func() time.Time
	misuse   *misuse
	used     sync.Map // credential → *atomic.Int64, Unix minutes
}

// New makes an Authenticator. lock is called, once, when an API key has shown to be in wrong hands.
func New(snapshot func() *directory.Snapshot, keys *digest.Keyring, now func() time.Time, lock func(ctx context.Context, credential string)) *Authenticator {
	return &Authenticator{snapshot: snapshot, keys: keys, now: now, misuse: newMisuse(lock)}
}

// Authenticate finds out who calls. authorization is the metadata value of that name, empty where there is none.
func (a *Authenticator) Authenticate(ctx context.Context, peer Peer, authorization string) (Principal, *fault.Fault) {
	s, now := a.snapshot(), a.now()
	byCertificate, refused := a.certificate(s, peer, now)
	if authorization == "" {
		if byCertificate.Kind == Stranger && refused == nil {
			return byCertificate, fault.New(fault.CredentialMissing)
		}
		return byCertificate, refused
	}
	byKey, keyRefused := a.apiKey(ctx, s, peer, authorization, now)
	if keyRefused == nil && byCertificate.Kind != Stranger && (byCertificate.Kind != byKey.Kind || byCertificate.ID != byKey.ID) {
		return Principal{}, fault.New(fault.CredentialInvalid).WithHint("The certificate and the API key belong to different clients.")
	}
	return byKey, keyRefused
}

// certificate looks up a verified certificate, under each CA certificate that issued it and each of its names: a CA whose
// own certificate was renewed or cross-signed has several, and people may be bound to any. A binding that has lapsed
// leaves the way to one that has not. A connection without a certificate is a stranger and no refusal.
func (a *Authenticator) certificate(s *directory.Snapshot, peer Peer, now time.Time) (Principal, *fault.Fault) {
	if len(peer.Issuers) == 0 {
		return Principal{}, nil
	}
	lapsed, why := Principal{Fingerprint: peer.Fingerprint}, fault.New(fault.CredentialInvalid).
		WithHint("The certificate is valid, but nobody is bound to its issuer and name.")
	for _, name := range peer.Names {
		for _, issuer := range peer.Issuers {
			key := directory.CertificateKey(issuer, name)
			var p Principal
			var refused *fault.Fault
			if id, ok := s.OperatorByCertificate(key); ok {
				p, refused = operator(&s.Operators[id].Value, peer, now)
			} else if id, ok := s.ClientByCertificate(key); ok {
				p, refused = a.client(s, &s.Credentials[id].Value, peer, now)
				p.Method = ByCertificate
			} else {
				continue
			}
			if refused == nil && !peer.NotAfter.IsZero() && now.After(peer.NotAfter) {
				return p, fault.New(fault.CredentialExpired).WithHint("The certificate has ended. Renew it and connect again.")
			}
			if refused == nil || refused.Reason != fault.CredentialExpired {
				return p, refused
			}
			lapsed, why = p, refused
		}
	}
	return lapsed, why
}

// operator checks an operator whose certificate was verified.
func operator(o *role.Operator, peer Peer, now time.Time) (Principal, *fault.Fault) {
	return Principal{
		Kind: Operator, ID: o.ID, Person: o.Person, Roles: o.Roles, ReadOnly: o.ReadOnly,
		Fingerprint: peer.Fingerprint, Method: ByCertificate, Expire: o.ExpireTime, Operator: o,
	}, o.Check(now)
}

// client checks a credential whose possession is proven.
func (a *Authenticator) client(s *directory.Snapshot, c *account.Credential, peer Peer, now time.Time) (Principal, *fault.Fault) {
	p := Principal{
		Kind: Client, ID: c.Client, Roles: role.Of(role.Client), Test: c.Test, Credential: c.ID, Fingerprint: peer.Fingerprint, Expire: c.ExpireTime,
	}
	owner, ok := s.Clients[c.Client]
	if !ok {
		return p, fault.New(fault.CredentialInvalid)
	}
	p.Client = &owner.Value
	if refused := c.Check(now); refused != nil {
		return p, refused
	}
	if !account.Allowed(owner.Value.AllowedSources, peer.Address) || !account.Allowed(c.AllowedSources, peer.Address) {
		return p, fault.New(fault.CredentialInvalid).WithHint("It is used from an address that it is not bound to.")
	}
	a.use(c.ID, now)
	return p, owner.Value.Check()
}

// use notes that a credential was used. A call on the same minute costs a look-up and no write.
func (a *Authenticator) use(credential string, now time.Time) {
	minute := now.Unix() / 60
	last, ok := a.used.Load(credential)
	if !ok {
		last, _ = a.used.LoadOrStore(credential, new(atomic.Int64))
	}
	if at := last.(*atomic.Int64); at.Load() < minute {
		at.Store(minute)
	}
}

// LastUsed returns when a credential was last used, to the minute, since the server's start; zero for never.
func (a *Authenticator) LastUsed(credential string) time.Time {
	last, ok := a.used.Load(credential)
	if !ok {
		return time.Time{}
	}
	return time.Unix(last.(*atomic.Int64).Load()*60, 0).UTC()
}

// apiKey checks "Bearer <key>".
func (a *Authenticator) apiKey(ctx context.Context, s *directory.Snapshot, peer Peer, authorization string, now time.Time) (Principal, *fault.Fault) {
	invalid := fault.New(fault.CredentialInvalid)
	scheme, key, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return Principal{}, invalid.WithHint("Metadata authorization has to read: Bearer <key>.")
	}
	id, secret, err := account.ParseKey(strings.TrimSpace(key))
	if err != nil {
		return Principal{}, invalid.WithHint("That is no Heyan API key, or a character of it is wrong.")
	}
	entry, known := s.Credentials[id.String()]
	sum := account.KeyDigest(a.keys, id, secret)
	var want digest.Digest
	if known {
		want = entry.Value.KeyDigest
	}
	if subtle.ConstantTimeCompare(sum[:], want[:]) != 1 || !known || entry.Value.Kind != account.APIKey {
		return Principal{}, invalid
	}
	p, refused := a.client(s, &entry.Value, peer, now)
	p.Method = ByAPIKey
	if refused != nil && refused.Reason == fault.CredentialInvalid && entry.Value.StateAt(now) == account.CredentialActive {
		a.misuse.note(ctx, entry.Value.ID, now)
	}
	return p, refused
}
