package keyfile_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/server/pki"
	"github.com/heyan-project/heyan/verifier/digest"
)

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "log-seal.key")
	if err := keyfile.Generate(path, keyfile.LogSeal, rand.Reader); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Read(path, keyfile.LogSeal)
	if err != nil || len(key) != keyfile.Size {
		t.Fatal(len(key), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := keyfile.Read(path, keyfile.SubjectSeal); !errors.Is(err, keyfile.ErrKind) {
		t.Errorf("as another kind: %v", err)
	}
	if err := keyfile.Generate(path, keyfile.LogSeal, rand.Reader); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an old key: %v", err)
	}
	if again, err := keyfile.Read(path, keyfile.LogSeal); err != nil || string(again) != string(key) {
		t.Error("the old key was changed")
	}
}

// A key file that others may read is refused, whatever its kind.
func TestReadableByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if err := keyfile.Generate(path, keyfile.LogSign, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o604, 0o640, 0o601, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.ReadSigning(path); !errors.Is(err, keyfile.ErrReadable) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if _, err := keyfile.ReadDigest(path); !errors.Is(err, keyfile.ErrReadable) {
			t.Errorf("mode %o as digest key: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if key, err := keyfile.ReadSigning(path); err != nil || len(key) == 0 {
		t.Errorf("mode 400: %v", err)
	}
}

// A key file that others may replace is refused; a sticky folder, as secrets are mounted in, keeps them from that.
func TestFolderOfOthers(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "k")
	if err := keyfile.Generate(path, keyfile.LogSign, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]error{
		0o700: nil, 0o755: nil, 0o777 | os.ModeSticky: nil, 0o770: keyfile.ErrFolder, 0o702: keyfile.ErrFolder, 0o777: keyfile.ErrFolder,
	} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.ReadSigning(path); !errors.Is(err, want) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	for name, text := range map[string]string{
		"empty": "", "another file": "-----BEGIN", "no key": "heyan-key-v1 log-seal", "short": "heyan-key-v1 log-seal QUJD",
		"newer": "heyan-key-v2 log-seal " + strings.Repeat("A", 43) + "=", "a word more": "heyan-key-v1 log-seal " + strings.Repeat("A", 43) + "= x",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Read(path, keyfile.LogSeal); !errors.Is(err, keyfile.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keyfile.Read(path+"x", keyfile.LogSeal); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.ReadDigest(path); !errors.Is(err, digest.ErrKeyFile) {
		t.Errorf("digest: %v", err)
	}
}

func TestDigestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	if err := keyfile.GenerateDigest(path, rand.Reader, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if chain, err := keyfile.ReadDigest(path); err != nil || len(chain.IDs()) != 1 {
		t.Error(err)
	}
}

// The server's TLS key is a secret like the others.
func TestTLSKey(t *testing.T) {
	authority, err := pki.New("test", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(pki.Leaf{Name: "server", Hosts: []string{"localhost"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(t.TempDir(), "c.pem"), filepath.Join(t.TempDir(), "c.key")
	for path, text := range map[string][]byte{certificate: issued.Certificate, key: issued.Key} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keyfile.ReadTLS(certificate, key); !errors.Is(err, keyfile.ErrReadable) {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if pair, err := keyfile.ReadTLS(certificate, key); err != nil || pair.Leaf == nil {
		t.Errorf("%v", err)
	}
	if _, err := keyfile.ReadTLS(key, key); err == nil {
		t.Error("a key as certificate")
	}
}

// An id tells keys and kinds apart, and stays the same for as long as a key does.
func TestID(t *testing.T) {
	key := []byte(strings.Repeat("k", keyfile.Size))
	if got := keyfile.ID(keyfile.SubjectSeal, key); got != "ee9d509c" {
		t.Errorf("the id of a known key is %s", got)
	}
	seen := map[string]bool{}
	for _, kind := range []keyfile.Kind{keyfile.SubjectSeal, keyfile.BusinessSeal, keyfile.RegistrySeal, keyfile.LogSeal, keyfile.LogSign} {
		seen[keyfile.ID(kind, key)] = true
		seen[keyfile.ID(kind, key[1:])] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d ids of ten keys", len(seen))
	}
}

// TestReadCA: without a file nobody is trusted, and a file without a certificate is none.
func TestReadCA(t *testing.T) {
	none, err := keyfile.ReadCA()
	if err != nil || !none.Equal(x509.NewCertPool()) {
		t.Errorf("without a file: %v, %v", none, err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("-----BEGIN NOTHING-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".gone"} {
		if _, err := keyfile.ReadCA(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}
