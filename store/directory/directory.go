// Package directory holds what is on file of clients, operators and sales as immutable snapshots in memory, and
// writes it through to a store.
//
// Every call reads one [Snapshot] and so sees a state that fits together. A write goes to the store first, by
// compare-and-swap on the revision, and then to a new snapshot, which every later call reads.
//
// Not guaranteed: that a snapshot of another process is as new as this one. Whoever runs several processes on
// one store calls [Directory.Reload] when another one has written.
//
// A write copies the map of its kind, so its cost grows with the number of objects of that kind: thousands of
// clients are well, millions are not what this is for.
package directory

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

// Entry is one object with its revision.
type Entry[T any] struct {
	Revision int64
	Value    T
}

// entries is all objects of one kind.
type entries[T any] map[string]*Entry[T]

// Snapshot is everything at one moment. Do not change what it returns.
type Snapshot struct {
	Clients      entries[account.Client]
	Credentials  entries[account.Credential]
	Operators    entries[role.Operator]
	Entitlements entries[product.Entitlement] // by EntitlementID
	Recipients   entries[consent.Recipient]
	Notices      entries[consent.Notice] // by NoticeID
	LegalBases   entries[consent.LegalBasis]
	Policies     entries[policy.Version]
	Approvals    entries[role.Approval]
	Datasets     entries[dataset.Dataset]
	Acks         entries[Acknowledgement] // by AckID

	index index
}

// Acknowledgement is a client's note that it has read a policy version.
type Acknowledgement struct {
	Client, Version string
	Time            time.Time
}

// EntitlementID, NoticeID and AckID are ids of objects that belong to a client.
func EntitlementID(client string, id product.ID) string { return client + "/" + string(id) }

// NoticeID is the id of a client's notice.
func NoticeID(client, notice string) string { return client + "/" + notice }

// AckID is the id of a client's acknowledgement.
func AckID(client, version string) string { return client + "/" + version }

// index is what is derived from a snapshot's objects.
type index struct {
	clientCertificates   map[string]string // certificate key → credential
	operatorCertificates map[string]string // certificate key → operator
	policies             []*policy.Version
}

// CertificateKey is how certificates are found: issuing CA and name.
func CertificateKey(issuerSHA256, subjectAltName string) string {
	return issuerSHA256 + " " + subjectAltName
}

// Directory is the snapshot of now. It is safe for concurrent use.
type Directory struct {
	documents store.Documents
	current   atomic.Pointer[Snapshot]
	mu        sync.Mutex // held over a write and its new snapshot
}

// Open loads everything.
func Open(ctx context.Context, documents store.Documents) (*Directory, error) {
	d := &Directory{documents: documents}
	return d, d.Reload(ctx)
}

// Now returns the snapshot of now.
func (d *Directory) Now() *Snapshot { return d.current.Load() }

// Reload reads everything again.
func (d *Directory) Reload(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &Snapshot{}
	for _, load := range []func() error{
		func() error { return loadAll(ctx, d, store.Clients, &s.Clients) },
		func() error { return loadAll(ctx, d, store.Credentials, &s.Credentials) },
		func() error { return loadAll(ctx, d, store.Operators, &s.Operators) },
		func() error { return loadAll(ctx, d, store.Entitlements, &s.Entitlements) },
		func() error { return loadAll(ctx, d, store.Recipients, &s.Recipients) },
		func() error { return loadAll(ctx, d, store.Notices, &s.Notices) },
		func() error { return loadAll(ctx, d, store.LegalBases, &s.LegalBases) },
		func() error { return loadAll(ctx, d, store.Policies, &s.Policies) },
		func() error { return loadAll(ctx, d, store.Approvals, &s.Approvals) },
		func() error { return loadAll(ctx, d, store.DatasetKind, &s.Datasets) },
		func() error { return loadAll(ctx, d, store.Acks, &s.Acks) },
	} {
		if err := load(); err != nil {
			return err
		}
	}
	s.reindex()
	d.current.Store(s)
	return nil
}

func loadAll[T any](ctx context.Context, d *Directory, kind store.Kind, into *entries[T]) error {
	rows, err := store.TableOf[T](d.documents, kind).List(ctx, "", "", 0)
	if err != nil {
		return err
	}
	*into = make(entries[T], len(rows))
	for i := range rows {
		(*into)[rows[i].ID] = &Entry[T]{Revision: rows[i].Revision, Value: rows[i].Value}
	}
	return nil
}

// reindex derives the index from the objects.
func (s *Snapshot) reindex() {
	s.index = index{clientCertificates: map[string]string{}, operatorCertificates: map[string]string{}}
	for id, c := range s.Credentials {
		if c.Value.Kind == account.Certificate && c.Value.State != account.CredentialRevoked {
			key := CertificateKey(c.Value.IssuerSHA256, c.Value.SubjectAltName)
			// A client's newer credential takes the place of its own older one, which may still be there.
			if older, ok := s.index.clientCertificates[key]; !ok || older < id { // ids carry their time
				s.index.clientCertificates[key] = id
			}
		}
	}
	for id, o := range s.Operators {
		if o.Value.State == role.Active {
			s.index.operatorCertificates[CertificateKey(o.Value.IssuerSHA256, o.Value.SubjectAltName)] = id
		}
	}
	for _, p := range s.Policies {
		s.index.policies = append(s.index.policies, &p.Value)
	}
}

// ClientByCertificate returns the credential that a certificate is, by issuer and name.
func (s *Snapshot) ClientByCertificate(key string) (id string, ok bool) {
	id, ok = s.index.clientCertificates[key]
	return id, ok
}

// OperatorByCertificate returns the operator that a certificate is bound to.
func (s *Snapshot) OperatorByCertificate(key string) (id string, ok bool) {
	id, ok = s.index.operatorCertificates[key]
	return id, ok
}

// Access implements verifier.Directory.
func (s *Snapshot) Access(client, credential string, now time.Time) *fault.Fault {
	owner, known := s.Clients[client]
	if !known {
		return fault.New(fault.CredentialInvalid)
	}
	if refused := owner.Value.Check(); refused != nil {
		return refused
	}
	c, known := s.Credentials[credential]
	if !known || c.Value.Client != client {
		return fault.New(fault.CredentialInvalid)
	}
	return c.Value.Check(now)
}

// Entitlement implements verifier.Directory.
func (s *Snapshot) Entitlement(client string, id product.ID) *product.Entitlement {
	if e, ok := s.Entitlements[EntitlementID(client, id)]; ok {
		return &e.Value
	}
	return nil
}

// Notice implements verifier.Directory.
func (s *Snapshot) Notice(client, id string) *consent.Notice {
	if n, ok := s.Notices[NoticeID(client, id)]; ok {
		return &n.Value
	}
	return nil
}

// LegalBasis implements verifier.Directory.
func (s *Snapshot) LegalBasis(id string) *consent.LegalBasis {
	if b, ok := s.LegalBases[id]; ok {
		return &b.Value
	}
	return nil
}

// PolicyInForce returns the version that applies at a time, or nil.
func (s *Snapshot) PolicyInForce(now time.Time) *policy.Version {
	return policy.InForce(s.index.policies, now)
}

// Policy implements verifier.Directory.
func (s *Snapshot) Policy(client string, now time.Time) (version string, acknowledged bool) {
	p := s.PolicyInForce(now)
	if p == nil {
		return "", true
	}
	if c, ok := s.Clients[client]; ok && c.Value.PolicyGate {
		_, acknowledged = s.Acks[AckID(client, p.ID)]
		return p.ID, acknowledged
	}
	return p.ID, true
}

// Renewal implements verifier.Directory.
func (s *Snapshot) Renewal(now time.Time) time.Time { return policy.Renewal(s.index.policies, now) }

// Under lists the ids of a map that begin with a client's prefix.
func Under[T any](all entries[T], client string) []string {
	var ids []string
	for id := range all {
		if strings.HasPrefix(id, client+"/") {
			ids = append(ids, id)
		}
	}
	return ids
}

// Put writes one object of a kind in place of revision expect (0 = there is none yet), or answers
// store.ErrConflict, and returns its new revision. The snapshot is new when it returns.
func put[T any](ctx context.Context, d *Directory, kind store.Kind, id string, value T, expect int64, at func(*Snapshot) *entries[T]) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	revision, err := store.TableOf[T](d.documents, kind).Put(ctx, id, value, expect)
	if err != nil {
		return 0, err
	}
	next := *d.current.Load()
	all := at(&next)
	*all = maps.Clone(*all)
	(*all)[id] = &Entry[T]{Revision: revision, Value: value}
	next.reindex()
	d.current.Store(&next)
	return revision, nil
}
