package digest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// counting is a source of the bytes 0, 1, 2, …, so that chains are the same in every run.
type counting struct{ next byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.next
		c.next++
	}
	return len(b), nil
}

func chain(t testing.TB, length int) *digest.Chain {
	t.Helper()
	source := &counting{}
	c, err := digest.NewChain(source, now)
	for range length - 1 {
		if err == nil {
			c, err = c.Extend(source, now)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func value(t testing.TB, kind field.Kind, text string) field.Value {
	t.Helper()
	v, err := (*field.Rules)(nil).Parse(kind, text, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The vectors were made by testdata/vectors.py, which knows RFC 2104 and RFC 5869 and nothing of this code.
// T-DIG-1 of MV-3.1-sha256: 32 bytes, the same for the same input for ever.
func TestVectors(t *testing.T) {
	file, err := os.Open("testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rings := map[int]*digest.Keyring{1: digest.NewKeyring(chain(t, 1)), 2: digest.NewKeyring(chain(t, 2)), 3: digest.NewKeyring(chain(t, 3))}
	lines := bufio.NewScanner(file)
	count := 0
	for lines.Scan() {
		var v struct {
			Chain  int
			Use    digest.Use
			Values [][2]string
			Owner  string
			Texts  []string
			Digest string
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		var got digest.Digest
		if len(v.Values) > 0 {
			var values []field.Value
			for _, pair := range v.Values {
				kind, _ := field.KindByName(pair[0])
				values = append(values, value(t, kind, pair[1]))
			}
			got = rings[v.Chain].Values(v.Use, values...)
		} else {
			got = rings[v.Chain].Text(v.Use, v.Owner, v.Texts...)
		}
		if got.Hex() != v.Digest {
			t.Errorf("vector %d: got %s, want %s", count+1, got.Hex(), v.Digest)
		}
		count++
	}
	if lines.Err() != nil || count < 20 {
		t.Fatalf("%d vectors, %v", count, lines.Err())
	}
}

// T-DIG-3 of MV-3.1-sha256: the same digits under another field, use or owner, or split otherwise, are other bytes.
func TestNothingAgreesByAccident(t *testing.T) {
	ring := digest.NewKeyring(chain(t, 1))
	id, licence := value(t, field.IDNumber, "11010519491231002X"), value(t, field.DriverLicenseNumber, "11010519491231002X")
	name := value(t, field.Name, "王小明")
	seen := map[digest.Digest]string{}
	add := func(what string, d digest.Digest) {
		if d.IsZero() {
			t.Errorf("%s is zero", what)
		}
		if before, ok := seen[d]; ok {
			t.Errorf("%s and %s are equal", before, what)
		}
		seen[d] = what
	}
	for use := digest.RegistryAnchor; use <= digest.Approval; use++ {
		add("id", ring.Values(use, id))
		add("licence", ring.Values(use, licence))
		add("id, name", ring.Values(use, id, name))
		add("name, id", ring.Values(use, name, id))
		add("text", ring.Text(use, "acme", "11010519491231002X"))
		add("text of another", ring.Text(use, "acme2", "11010519491231002X"))
		add("split", ring.Text(use, "acme", "1101051949", "1231002X"))
		add("split otherwise", ring.Text(use, "acme", "11010519491", "231002X"))
		add("owner moved", ring.Text(use, "acme1101051949", "1231002X"))
	}
}

// T-DIG-4 of MV-3.1-sha256: without the chain nothing matches.
func TestAnotherChainGivesOtherDigests(t *testing.T) {
	one := digest.NewKeyring(chain(t, 1))
	c, err := digest.NewChain(&counting{next: 1}, now)
	if err != nil {
		t.Fatal(err)
	}
	other := digest.NewKeyring(c)
	phone := value(t, field.PhoneNumber, "13800138000")
	if one.Values(digest.Subject, phone) == other.Values(digest.Subject, phone) || one.Suite() == other.Suite() {
		t.Error("two chains agree")
	}
}

func TestKeyFile(t *testing.T) {
	for length := 1; length <= 3; length++ {
		c := chain(t, length)
		parsed, err := digest.ParseKeyFile(c.Format())
		if err != nil || parsed.Suite() != c.Suite() || !parsed.Created().Equal(c.Created()) || len(parsed.IDs()) != length {
			t.Fatalf("chain of %d: %v %v", length, parsed, err)
		}
		phone := value(t, field.PhoneNumber, "13800138000")
		if digest.NewKeyring(parsed).Values(digest.Subject, phone) != digest.NewKeyring(c).Values(digest.Subject, phone) {
			t.Error("a chain read back gives other digests")
		}
		if !bytes.Equal(parsed.Format(), c.Format()) {
			t.Error("printing what was read gives another file")
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	good := string(chain(t, 1).Format())
	last := strings.TrimSpace(good[strings.LastIndex(strings.TrimSpace(good), "\n")+1:])
	parts := strings.Fields(last)
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"empty":         {"", digest.ErrKeyFile},
		"no roots":      {"heyan-digest-key-v1\n", digest.ErrKeyFile},
		"another file":  {"-----BEGIN PRIVATE KEY-----\n", digest.ErrKeyFile},
		"newer":         {strings.Replace(good, "key-v1", "key-v2", 1), digest.ErrNewer},
		"bit flipped":   {strings.Replace(good, parts[1][:4], flip(parts[1][:4]), 1), digest.ErrChecksum},
		"short secret":  {"heyan-digest-key-v1\n" + parts[0] + " AAAA " + parts[2] + "\n", digest.ErrKeyFile},
		"bad time":      {"heyan-digest-key-v1\n" + parts[0] + " " + parts[1] + " yesterday\n", digest.ErrKeyFile},
		"a member more": {good[:len(good)-1] + " x\n", digest.ErrKeyFile},
	} {
		_, err := digest.ParseKeyFile([]byte(c.file))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), parts[1][:8]) {
			t.Errorf("%s: the error shows a part of the key", name)
		}
	}
}

func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add(chain(f, 1).Format())
	f.Add(chain(f, 2).Format())
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := digest.ParseKeyFile(file)
		if err != nil {
			return
		}
		again, err := digest.ParseKeyFile(c.Format())
		if err != nil || again.Suite() != c.Suite() {
			t.Errorf("printing and reading again: %v", err)
		}
	})
}

func BenchmarkValues(b *testing.B) {
	ring := digest.NewKeyring(chain(b, 1))
	phone, name := value(b, field.PhoneNumber, "13800138000"), value(b, field.Name, "王小明")
	b.ReportAllocs()
	for b.Loop() {
		ring.Values(digest.RegistryLink, phone, name)
	}
}
