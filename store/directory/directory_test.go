package directory_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
)

// world opens a directory over a real store, and opens it again over the same data.
func world(t *testing.T) (d *directory.Directory, reopen func() *directory.Directory) {
	t.Helper()
	key := func() []byte {
		b := make([]byte, embedded.KeySize)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	options := embedded.Options{Dir: filepath.Join(t.TempDir(), "store"), SubjectKey: key(), BusinessKey: key(), RegistryKey: key()}
	if err := embedded.Create(options); err != nil {
		t.Fatal(err)
	}
	var engine *embedded.Store
	reopen = func() *directory.Directory {
		t.Helper()
		if engine != nil {
			if err := engine.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if engine, err = embedded.Open(options); err != nil {
			t.Fatal(err)
		}
		opened, err := directory.Open(ctx, engine)
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	t.Cleanup(func() { _ = engine.Close() })
	return reopen(), reopen
}

// fill puts one object of every kind.
func fill(t *testing.T, d *directory.Directory) {
	t.Helper()
	for name, put := range map[string]func() (int64, error){
		"client": func() (int64, error) {
			return d.PutClient(ctx, account.Client{ID: "acme", State: account.Active, PolicyGate: true}, 0)
		},
		"credential": func() (int64, error) {
			return d.PutCredential(ctx, account.Credential{ID: "c1", Client: "acme", Kind: account.Certificate, IssuerSHA256: "ab", SubjectAltName: "spiffe://acme", State: account.CredentialActive}, 0)
		},
		"operator": func() (int64, error) {
			return d.PutOperator(ctx, role.Operator{ID: "li", IssuerSHA256: "ab", SubjectAltName: "spiffe://li", State: role.Active, Binding: role.Binding{Person: "li", Roles: role.Of(role.AuditAdmin)}}, 0)
		},
		"entitlement": func() (int64, error) {
			return d.PutEntitlement(ctx, product.Entitlement{Client: "acme", Product: "id2", Expire: now.Add(time.Hour)}, 0)
		},
		"recipient": func() (int64, error) { return d.PutRecipient(ctx, consent.Recipient{ID: "cloud"}, 0) },
		"notice":    func() (int64, error) { return d.PutNotice(ctx, consent.Notice{ID: "n", Client: "acme"}, 0) },
		"basis":     func() (int64, error) { return d.PutLegalBasis(ctx, consent.LegalBasis{ID: "aml"}, 0) },
		"policy":    func() (int64, error) { return d.PutPolicy(ctx, policy.Version{ID: "p1", EffectiveTime: now}, 0) },
		"approval":  func() (int64, error) { return d.PutApproval(ctx, role.Approval{ID: "a1", State: role.Waiting}, 0) },
		"dataset":   func() (int64, error) { return d.PutDataset(ctx, dataset.Dataset{ID: "people"}, 0) },
	} {
		if revision, err := put(); err != nil || revision != 1 {
			t.Fatalf("%s: revision %d, %v", name, revision, err)
		}
	}
}

func look(t *testing.T, when string, s *directory.Snapshot) {
	t.Helper()
	client, byCertificate := s.ClientByCertificate(directory.CertificateKey("ab", "spiffe://acme"))
	operator, byOperator := s.OperatorByCertificate(directory.CertificateKey("ab", "spiffe://li"))
	version, acknowledged := s.Policy("acme", now)
	for name, ok := range map[string]bool{
		"client": s.Clients["acme"] != nil, "credential": byCertificate && client == "c1", "operator": byOperator && operator == "li",
		"entitlement": s.Entitlement("acme", "id2") != nil && s.Entitlement("other", "id2") == nil, "recipient": s.Recipients["cloud"] != nil,
		"notice": s.Notice("acme", "n") != nil && s.Notice("other", "n") == nil, "basis": s.LegalBasis("aml") != nil && s.LegalBasis("x") == nil,
		"policy": version == "p1" && !acknowledged, "approval": s.Approvals["a1"].Value.State == role.Waiting, "dataset": s.Datasets["people"] != nil,
		"before the policy": func() bool { v, ok := s.Policy("acme", now.Add(-1)); return v == "" && ok }(),
	} {
		if !ok {
			t.Errorf("%s: %s", when, name)
		}
	}
}

func TestEveryKindIsSeenAndKept(t *testing.T) {
	d, reopen := world(t)
	fill(t, d)
	look(t, "at once", d.Now())
	d = reopen()
	look(t, "after a restart", d.Now())
	if _, err := d.PutAck(ctx, directory.Acknowledgement{Client: "acme", Version: "p1", Time: now}, 0); err != nil {
		t.Fatal(err)
	}
	if _, acknowledged := d.Now().Policy("acme", now); !acknowledged {
		t.Error("an acknowledgement is not seen")
	}
}

// MV-8-reconsent
func TestRenewalIsSeenAtOnce(t *testing.T) {
	d, _ := world(t)
	fill(t, d)
	if got := d.Now().Renewal(now.Add(time.Hour)); !got.IsZero() {
		t.Errorf("renewal since %v, and no version requires it", got)
	}
	if _, err := d.PutPolicy(ctx, policy.Version{ID: "p2", EffectiveTime: now.Add(time.Hour), RequiresReconsent: true}, 0); err != nil {
		t.Fatal(err)
	}
	if before, at := d.Now().Renewal(now), d.Now().Renewal(now.Add(time.Hour)); !before.IsZero() || !at.Equal(now.Add(time.Hour)) {
		t.Errorf("renewal since %v before it applies, %v after", before, at)
	}
}

// A revoked certificate or binding is not found by its name any more, and the name may be bound anew.
func TestRevokedIsNotFound(t *testing.T) {
	d, _ := world(t)
	fill(t, d)
	credential, operator := d.Now().Credentials["c1"].Value, d.Now().Operators["li"].Value
	credential.State, operator.State = account.CredentialRevoked, role.Revoked
	if _, err := d.PutCredential(ctx, credential, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutOperator(ctx, operator, 1); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Now().ClientByCertificate(directory.CertificateKey("ab", "spiffe://acme")); ok {
		t.Error("a revoked credential is found")
	}
	if _, ok := d.Now().OperatorByCertificate(directory.CertificateKey("ab", "spiffe://li")); ok {
		t.Error("a revoked binding is found")
	}
}

// A snapshot never changes, and a write of a stale revision changes nothing.
func TestSnapshotsAndRevisions(t *testing.T) {
	d, _ := world(t)
	fill(t, d)
	before := d.Now()
	client := before.Clients["acme"].Value
	client.State = account.Suspended
	if revision, err := d.PutClient(ctx, client, 1); err != nil || revision != 2 {
		t.Fatal(revision, err)
	}
	if before.Clients["acme"].Value.State != account.Active || d.Now().Clients["acme"].Value.State != account.Suspended {
		t.Error("a snapshot changed, or the new one did not")
	}
	for _, stale := range []int64{0, 1, 3} {
		if _, err := d.PutClient(ctx, account.Client{ID: "acme"}, stale); !errors.Is(err, store.ErrConflict) {
			t.Errorf("revision %d: %v", stale, err)
		}
	}
	if d.Now().Clients["acme"].Revision != 2 {
		t.Error("a refused write is seen")
	}
}

func TestConcurrentWritesAreAllKept(t *testing.T) {
	d, reopen := world(t)
	var writers sync.WaitGroup
	for i := range 32 {
		writers.Go(func() {
			if _, err := d.PutNotice(ctx, consent.Notice{ID: fmt.Sprint(i), Client: "acme"}, 0); err != nil {
				t.Error(err)
			}
			if d.Now().Notice("acme", fmt.Sprint(i)) == nil {
				t.Error("a write is not seen when it returns")
			}
		})
	}
	writers.Wait()
	if n := len(directory.Under(d.Now().Notices, "acme")); n != 32 {
		t.Errorf("%d notices", n)
	}
	if n := len(directory.Under(reopen().Now().Notices, "acme")); n != 32 {
		t.Errorf("%d notices after a restart", n)
	}
}
