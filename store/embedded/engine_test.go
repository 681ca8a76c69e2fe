package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

const (
	client = "acme"
	origin = "node-1"
	quota  = "quota/acme"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(dir string, base vfs.FS) Options {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }
	return Options{Dir: filepath.Join(dir, "data"), SubjectKey: key(1), BusinessKey: key(2), RegistryKey: key(3), base: base}
}

func created(t testing.TB, base vfs.FS) Options {
	t.Helper()
	o := options(t.TempDir(), base)
	must(t, Create(o))
	for dir := o.Dir; base != nil; dir = filepath.Dir(dir) { // Create did so on the disk
		opened, err := base.OpenDir(dir)
		must(t, err)
		must(t, errors.Join(opened.Sync(), opened.Close()))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return o
}

func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	must(t, err)
	return s
}

func sumOf(kind string, i int) digest.Digest {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
}

// request is request i, of a person of its own with an evidence of its own.
func request(i int) *ledger.Begin {
	return &ledger.Begin{
		Client: client, Request: sumOf("request", i), Content: sumOf("content", i),
		Consent: ledger.ConsentUse{Notice: "n", Evidence: sumOf("evidence", i)},
		Handles: []subject.Handle{sumOf("handle", i)}, Restrictions: []subject.Handle{sumOf("restriction", i)},
		Reserves: []ledger.Reserve{{Key: quota, Limit: 1 << 40, Reason: fault.QuotaExceeded, Name: "quota"}},
		Lease:    time.Minute, Now: time.Now(),
	}
}

// answerTo is the answer to request i, at place i of the log.
func answerTo(t testing.TB, b *ledger.Begin, begun ledger.Begun, i int) *ledger.Commit {
	now := time.Now()
	id, err := ledger.NewID(now, rand.Reader)
	if err != nil {
		t.Error(err)
	}
	v := &ledger.Verification{
		ID: id, Client: client, Product: "id2", Purpose: product.AccountOpening, Fields: field.SetOf(field.Name, field.IDNumber),
		Verdict: product.Match, Billing: product.Billed, VerifyTime: now, ExpireTime: now.Add(time.Hour), State: ledger.Active,
		Source: "registry", Dataset: "people/1", PolicyVersion: "2026-01", ConsentUse: id,
		Consent: id, Request: b.Request, QuotaKey: quota, Log: ledger.Position{Origin: origin, Index: uint64(i)},
	}
	return &ledger.Commit{Token: begun.Token, Verification: v, Handles: b.Handles, Evidence: b.Consent.Evidence,
		NewConsent: &consent.Consent{ID: id.String(), Client: client, Notice: "n", ObtainTime: now, ExpireTime: now.Add(time.Hour),
			Status: consent.Active, Revision: 1, CreateTime: now},
		Usage: usage.Of(v.Verdict, v.Billing, 30), UsageKey: usage.Key{Day: workday.DateOf(now), Client: client, Product: "id2"}, Now: now}
}

// verify runs request i to its end.
func verify(t testing.TB, s *Store, i int) (*ledger.Commit, error) {
	b := request(i)
	begun, err := s.Begin(t.Context(), b)
	if err != nil {
		return nil, err
	}
	c := answerTo(t, b, begun, i)
	wait, err := s.Commit(t.Context(), c)
	if err != nil {
		return nil, err
	}
	return c, wait()
}

func count(t testing.TB, db *sealed.DB, letter byte) (n int) {
	t.Helper()
	must(t, each(db, []byte{letter}, nil, func(_, _ []byte) error { n++; return nil }))
	return n
}

// checkWhole wants the acknowledged requests to be there, everything there to be whole, and totals to agree.
func checkWhole(t testing.TB, s *Store, acknowledged []int) (found int) {
	t.Helper()
	var list []*ledger.Verification
	must(t, s.Committed(t.Context(), origin, 0, func(v *ledger.Verification) error {
		list = append(list, v)
		return nil
	}))
	there := map[int]bool{}
	for _, v := range list {
		i := int(v.Log.Index)
		there[i] = true
		begun, err := s.Begin(t.Context(), request(i))
		if err != nil || begun.Replay == nil || begun.Replay.ID != v.ID {
			t.Errorf("request %d is in the ledger and not answered: %v", i, err)
		}
		if c, err := s.ConsentByEvidence(t.Context(), sumOf("evidence", i), "n"); err != nil || c.ID != v.Consent.String() {
			t.Errorf("request %d lost its consent: %v", i, err)
		}
		if links, err := s.consentLinks(client, []subject.Handle{sumOf("handle", i)}); err != nil || len(links) != 1 {
			t.Errorf("request %d has %d links: %v", i, len(links), err)
		}
	}
	for _, i := range acknowledged {
		if !there[i] {
			t.Errorf("request %d was acknowledged and is gone", i)
		}
	}
	for letter, db := range map[byte]*sealed.DB{rowVerification: s.business, rowRequest: s.business, rowConsent: s.business,
		rowSubject: s.subject, rowLink: s.subject, rowEvidence: s.subject} {
		if n := count(t, db, letter); n != len(list) {
			t.Errorf("%d rows %c for %d verifications", n, letter, len(list))
		}
	}
	used, reserved, err := s.Counter(t.Context(), quota)
	if err != nil || used != int64(len(list)) || reserved != 0 {
		t.Errorf("%d used and %d reserved for %d verifications: %v", used, reserved, len(list), err)
	}
	today := workday.DateOf(time.Now())
	rows, err := s.Usage(t.Context(), client, today.AddDays(-1), today)
	must(t, err)
	var billed int64
	for _, row := range rows {
		billed += row.Billed
	}
	if billed != int64(len(list)) {
		t.Errorf("usage counts %d of %d verifications", billed, len(list))
	}
	return len(list)
}

func TestOpenRefuses(t *testing.T) {
	o := created(t, nil)
	other := o
	other.SubjectKey = o.BusinessKey
	if _, err := Open(other); !errors.Is(err, ErrKeys) {
		t.Errorf("equal keys: %v", err)
	}
	other.SubjectKey = o.SubjectKey[1:]
	if _, err := Open(other); !errors.Is(err, ErrKeys) {
		t.Errorf("a short key: %v", err)
	}
	for name, key := range map[string]*[]byte{"subject": &other.SubjectKey, "business": &other.BusinessKey, "registry": &other.RegistryKey} {
		other = o
		*key = bytes.Repeat([]byte{9}, KeySize)
		if _, err := Open(other); !errors.Is(err, ErrWrongKey) {
			t.Errorf("another %s key: %v", name, err)
		}
	}
	if err := Create(o); !errors.Is(err, ErrExists) {
		t.Errorf("Create over a store: %v", err)
	}
	for _, name := range []string{subjectName, businessName, filepath.Join(registryName, deletedDir)} {
		must(t, os.Rename(filepath.Join(o.Dir, name), filepath.Join(o.Dir, "gone")))
		if _, err := Open(o); !errors.Is(err, ErrNoStore) {
			t.Errorf("without %s: %v", name, err)
		}
		must(t, os.Rename(filepath.Join(o.Dir, "gone"), filepath.Join(o.Dir, name)))
	}
	s := opened(t, o)
	if second, err := Open(o); err == nil {
		t.Error("a directory was opened twice")
		must(t, second.Close())
	}
	must(t, s.Close())
	must(t, s.Close())

	format := filepath.Join(o.Dir, formatName)
	must(t, os.WriteFile(format, []byte("heyan embedded store 2\n"), 0o600))
	if _, err := Open(o); !errors.Is(err, store.ErrNewerFormat) {
		t.Errorf("a newer format: %v", err)
	}
	must(t, os.WriteFile(format, []byte("something else"), 0o600))
	if _, err := Open(o); !errors.Is(err, ErrNoStore) {
		t.Errorf("no format: %v", err)
	}
	must(t, os.Remove(format))
	if _, err := Open(o); !errors.Is(err, ErrNoStore) {
		t.Errorf("without a mark: %v", err)
	}
	must(t, Create(o)) // as after a creation that was cut short
	must(t, opened(t, o).Close())
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing there")
	}
	o := created(t, nil)
	s := opened(t, o)
	_, err := verify(t, s, 1)
	must(t, err)
	i, err := s.ImportDataset(t.Context(), store.ImportInfo{Dataset: "d", Generation: 1})
	must(t, err)
	must(t, i.Add(sumOf("anchor", 1), []byte("record")))
	_, _, err = i.Finish()
	must(t, err)
	must(t, filepath.WalkDir(o.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
	must(t, s.Close())
}

// No digest of the subject store, nor of what a person submitted, is in the business store (architecture:
// "State, kept apart").
func TestStoresShareNoDigest(t *testing.T) {
	s := opened(t, created(t, nil))
	defer s.Close()
	for i := range 3 {
		_, err := verify(t, s, i)
		must(t, err)
	}
	var business []byte
	must(t, each(s.business, nil, nil, func(key, value []byte) error {
		business = append(append(business, key...), value...)
		return nil
	}))
	var person []byte
	must(t, each(s.subject, nil, nil, func(key, value []byte) error {
		person = append(append(person, key...), value...)
		return nil
	}))
	for i := range 3 {
		for kind, where := range map[string][]byte{"handle": person, "evidence": person, "content": person, "request": business} {
			d := sumOf(kind, i)
			other := business
			if kind == "request" {
				other = person
			}
			if !bytes.Contains(where, d[:16]) || bytes.Contains(other, d[:16]) {
				t.Errorf("%s digests are not where they belong", kind)
			}
		}
	}
}

// Whoever changes what stands under an evidence has it to himself from looking to applying.
func TestOneAtATimeUnderAnEvidence(t *testing.T) {
	s := opened(t, created(t, nil))
	defer s.Close()
	b := request(1)
	begun, err := s.Begin(t.Context(), b)
	must(t, err)
	commit := answerTo(t, b, begun, 1)
	create := answerTo(t, request(2), ledger.Begun{}, 2)
	for name, c := range map[string]struct {
		evidence digest.Digest
		act      func() error
	}{
		"Commit": {commit.Evidence, func() error {
			wait, err := s.Commit(t.Context(), commit)
			if err == nil {
				err = wait()
			}
			return err
		}},
		"CreateConsent": {create.Evidence, func() error {
			_, err := s.CreateConsent(t.Context(), create.NewConsent, create.Evidence, create.Handles, nil)
			return err
		}},
	} {
		stripe := &s.evidence[s.evidence.of(c.evidence)]
		stripe.Lock()
		done := make(chan error, 1)
		go func() { done <- c.act() }()
		time.Sleep(20 * time.Millisecond)
		select {
		case err := <-done:
			t.Errorf("%s went past another who has the evidence: %v", name, err)
			stripe.Unlock()
		default:
			stripe.Unlock()
			must(t, <-done)
		}
	}
}
