package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/embedded/datafile"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/subject"
)

// stores is what a folder holds, opened with its keys.
type stores struct {
	home  string
	rows  map[string][][]byte // by store: subject, business, registry, log
	files map[string][]byte   // Pebble's own files, decrypted: logs keep what rows do not show any more
	ring  *digest.Keyring
	words *regexp.Regexp // Heyan's own: ids in text, methods, the log's origin, the digest suite
}

func openStores(t testing.TB, home string) *stores {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(home, "heyan.yaml"))
	must(err)
	s := &stores{home: home, rows: map[string][][]byte{}, files: map[string][]byte{}}
	chain, err := keyfile.ReadDigest(c.Keys.Digest)
	must(err)
	s.ring = digest.NewKeyring(chain)
	for _, db := range []struct {
		name, dir, path string
		kind            keyfile.Kind
	}{
		{"subject", "subject", c.Keys.Subject, keyfile.SubjectSeal}, {"business", "business", c.Keys.Business, keyfile.BusinessSeal},
		{"registry", filepath.Join("registry", "deleted"), c.Keys.Registry, keyfile.RegistrySeal},
	} {
		key, err := keyfile.Read(db.path, db.kind)
		must(err)
		dir := filepath.Join(c.DataDir, "store", db.dir)
		must(s.readFiles(db.name, dir, key)) // before the database is opened, which rolls its logs
		must(s.readRows(db.name, dir, key))
		if db.name == "registry" {
			must(s.readData(filepath.Join(c.DataDir, "store", "registry", "data"), key))
		}
	}
	seal, err := keyfile.Read(c.Keys.LogSeal, keyfile.LogSeal)
	must(err)
	log, err := netlog.OpenReader(netlog.ReaderOptions{Dir: filepath.Join(c.DataDir, "log"), SealKey: seal})
	must(err)
	must(log.Read(context.Background(), 0, log.Size(), func(_ uint64, leaf []byte) error {
		s.rows["log"] = append(s.rows["log"], bytes.Clone(leaf))
		return nil
	}))
	words := []string{uuidText, regexp.QuoteMeta(log.Origin()), regexp.QuoteMeta(s.ring.Suite())}
	for _, m := range methodsOfAPI() {
		words = append(words, regexp.QuoteMeta(m.full))
	}
	slices.Reverse(words) // the longer ones first
	s.words = regexp.MustCompile(strings.Join(words, "|"))
	must(log.Close())
	for _, name := range storeNames {
		if len(s.rows[name]) < 40 {
			t.Fatalf("%s holds %d rows: not what the test made", name, len(s.rows[name]))
		}
	}
	return s
}

// readFiles decrypts the files of a database.
func (s *stores) readFiles(name, dir string, key []byte) error {
	files, err := sealed.NewFS(vfs.Default, key, nil)
	if err != nil {
		return err
	}
	names, err := files.List(dir)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if entry == "LOCK" {
			continue
		}
		file, err := files.Open(filepath.Join(dir, entry))
		if err != nil {
			return err
		}
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		_ = file.Close()
		s.files[name+"/"+entry] = content
	}
	return nil
}

func (s *stores) readRows(name, dir string, key []byte) error {
	db, err := sealed.Open(dir, name, key, sealed.Options{CacheBytes: 4 << 20})
	if err != nil {
		return err
	}
	rows, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	for rows.Next() {
		s.rows[name] = append(s.rows[name], append(bytes.Clone(rows.Key()), rows.Value()...))
	}
	if err := rows.Close(); err != nil {
		return err
	}
	return db.Close()
}

// readData reads the files of generations.
func (s *stores) readData(dir string, key []byte) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.hydata"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		reader, err := datafile.Open(path, key)
		if err != nil {
			return err
		}
		if err := reader.Iterate(func(anchor [datafile.AnchorSize]byte, list []byte) error {
			s.rows["registry"] = append(s.rows["registry"], append(anchor[:], list...))
			return nil
		}); err != nil {
			return err
		}
		if err := reader.Close(); err != nil {
			return err
		}
	}
	return nil
}

// window is 16 bytes, half of the shortest digest that is kept.
type window [16]byte

// uuidText is Heyan's own ids in text, which stores may share.
const uuidText = `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

// word is sixteen letters of the names of members and events. No digest in hexadecimal is such a word, and hardly one in
// base64.
var word = regexp.MustCompile(`^[A-Za-z_.]{16}$`)

// uuid reports whether a window is a UUIDv7 of the last hours, upright or with its bits turned, which is the order of
// rows. Of random bytes one in 10¹² looks so.
func uuid(w window) bool {
	for range 2 {
		made := time.UnixMilli(int64(binary.BigEndian.Uint64(w[:8]) >> 16))
		if age := time.Since(made); w[6]>>4 == 7 && w[8]>>6 == 2 && age > -time.Hour && age < time.Hour {
			return true
		}
		for i := range w {
			w[i] = ^w[i]
		}
	}
	return false
}

// separate checks that no 16 bytes stand in two stores, Heyan's own ids excepted (SO-2.1-separation). It returns which
// store has which.
func (s *stores) separate(t testing.TB) windows {
	t.Helper()
	seen := windows{}
	for store, name := range storeNames {
		found := seen.add(store, s, s.rows[name])
		for _, line := range found[:min(len(found), 10)] {
			t.Errorf("%s: %s", name, line)
		}
	}
	// The comparison can fail: half of a handle of the subject store, among what other stores hold.
	at := slices.IndexFunc(s.rows["subject"], func(row []byte) bool { return row[0] == 'H' })
	planted := slices.Concat([]byte("planted "), s.rows["subject"][at][1:17], []byte("."))
	for store, name := range storeNames[1:] {
		if len(seen.add(store+1, s, [][]byte{planted})) == 0 {
			t.Errorf("a handle planted in %s is not found", name)
		}
	}
	return seen
}

var storeNames = []string{"subject", "business", "registry", "log"}

// windows says which store had each window first.
type windows map[window]int

// add adds the rows of a store and describes each window that another store has too.
func (seen windows) add(store int, s *stores, rows [][]byte) (found []string) {
	told := map[window]bool{}
	for _, row := range rows {
		for _, part := range s.between(row) {
			for i := 0; i+16 <= len(part); i++ {
				w := window(part[i:])
				if first, ok := seen[w]; !ok {
					seen[w] = store
				} else if first != store && !told[w] && !plain16(w) {
					told[w] = true
					found = append(found, fmt.Sprintf("shares %x %q with %s", w, w[:], storeNames[first]))
				}
			}
		}
	}
	return found
}

// between cuts Heyan's own ids and words out of a row.
func (s *stores) between(row []byte) (parts [][]byte) {
	for _, part := range s.words.Split(string(row), -1) {
		from := 0
		for i := 0; i+16 <= len(part); {
			if uuid(window([]byte(part[i : i+16]))) {
				parts = append(parts, []byte(part[from:i]))
				i += 16
				from = i
			} else {
				i++
			}
		}
		parts = append(parts, []byte(part[from:]))
	}
	return parts
}

// plain16 reports whether a window is too regular to come from a digest: a word, four zeros in a row, few different bytes.
func plain16(w window) bool {
	distinct := map[byte]bool{}
	for _, b := range w {
		distinct[b] = true
	}
	return word.Match(w[:]) || len(distinct) < 6 || bytes.Contains(w[:], make([]byte, 4))
}

// digests checks what is kept of values: keyed digests of 32 bytes, each in the one store that it is for (T-DIG-1),
// different for one number in two fields (T-DIG-3), and nothing without the key (T-DIG-4).
func (s *stores) digests(t testing.TB, c *canaries, kept windows) {
	t.Helper()
	other, err := digest.NewChain(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger := digest.NewKeyring(other)
	found := map[string]int{}
	expect := func(ring *digest.Keyring, what string, d digest.Digest, want string) {
		t.Helper()
		if ring == stranger {
			want = ""
		}
		for _, half := range []window{window(d[:16]), window(d[16:])} {
			store, is := kept[half]
			if is != (want != "") || is && storeNames[store] != want {
				t.Errorf("%s: half of its digest is kept: %v, in %s; want it in %q", what, is, storeNames[store], want)
			}
			if is {
				found[what]++
			}
		}
	}
	for _, ring := range []*digest.Keyring{s.ring, stranger} {
		for i, fields := range c.people[:2*len(allProducts)] {
			values := valuesOfFields(t, fields)
			for _, v := range values {
				if v.Kind() == field.Name {
					expect(ring, "an anchor of a name", ring.Values(digest.RegistryAnchor, v), "")
				} else {
					expect(ring, "an anchor", ring.Values(digest.RegistryAnchor, v), "registry")
				}
				for _, use := range []digest.Use{digest.Restriction, digest.Guard, digest.Content, digest.Idempotency, digest.Reference, digest.Consent, digest.Credential, digest.Approval} {
					expect(ring, "a digest of another use", ring.Values(use, v), "")
				}
			}
			// Who was verified under a product's own number has a handle for it, and one as often as they call.
			if product := allProducts[i/2]; i%2 == 0 {
				for _, handle := range subject.Handles(ring, valuesOfFields(t, fieldsOfProduct(product, fields)), false) {
					expect(ring, "a handle", handle, "subject")
				}
			}
		}
		for i, r := range c.replayed {
			id := c.asked(i).id
			expect(ring, "a request_id", verifier.RequestKey(ring, id, r.GetRequestId()), "business")
			expect(ring, "a client_reference", verifier.ReferenceKey(ring, id, r.GetClientReference()), "business")
			expect(ring, "an evidence_ref", verifier.EvidenceKey(ring, id, r.GetConsent().GetEvidenceRef()), "subject")
		}
	}
	for _, what := range []string{"an anchor", "a handle", "a request_id", "a client_reference", "an evidence_ref"} {
		if found[what] == 0 {
			t.Errorf("%s was never found: the search is broken", what)
		}
	}
	both := valuesOfFields(t, &heyanv1.Fields{IdNumber: c.sameText.IdNumber, DriverLicenseNumber: c.sameText.DriverLicenseNumber})
	as := func(use digest.Use, i int) digest.Digest { return s.ring.Values(use, both[i]) }
	if as(digest.RegistryAnchor, 0) == as(digest.RegistryAnchor, 1) || both[0].Canonical().Reveal() != both[1].Canonical().Reveal() {
		t.Error("one number as identity card and as licence gives one anchor")
	}
	expect(s.ring, "one number as an identity card", as(digest.RegistryAnchor, 0), "registry")
	expect(s.ring, "one number as a licence", as(digest.RegistryAnchor, 1), "registry")
}

func valuesOfFields(t testing.TB, fields *heyanv1.Fields) (values []field.Value) {
	t.Helper()
	var rules *field.Rules
	for _, kind := range field.Kinds() {
		text := getField(fields, kind)
		if text == nil {
			continue
		}
		v, err := rules.Parse(kind, *text, time.Now())
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		values = append(values, v)
	}
	return values
}
