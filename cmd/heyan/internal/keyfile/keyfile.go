// Package keyfile reads and writes the secrets that a server needs at start, one file each.
//
// A file that anybody but its owner may read is refused, as is one in a folder that others may write to, who could put
// another in its place (but where the sticky bit is set), and one inside the data directory: a copy of the data must never
// carry its keys. A file is written with mode 0600 and never over an existing one. Windows has no such
// modes: there the check is left out, and access lists are the operator's to set.
//
// The digest chain has a format of its own (package digest). All others hold one line:
//
//	heyan-key-v1 KIND BASE64-OF-32-BYTES
package keyfile

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
)

// Kind is what a key is for. A file of one kind is refused as another.
type Kind string

// The kinds of 32-byte keys.
const (
	SubjectSeal  Kind = "subject-seal"
	BusinessSeal Kind = "business-seal"
	RegistrySeal Kind = "registry-seal"
	LogSeal      Kind = "log-seal"
	LogSign      Kind = "log-sign" // seed of an Ed25519 key
)

// Size is the length of a key in bytes.
const Size = 32

// Errors that callers tell apart.
var (
	ErrReadable = errors.New("the key file may be read by others than its owner: chmod 600")
	ErrFolder   = errors.New("others than its owner may write to the folder of the key file, and so put another in its place: chmod go-w")
	ErrKind     = errors.New("the key file holds a key of another kind")
	ErrFormat   = errors.New("this is not a Heyan key file, or it is damaged")
)

const magic = "heyan-key-v1"

// Read returns the key of a file.
func Read(path string, kind Kind) ([]byte, error) {
	text, err := private(path)
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			parts = append(parts, strings.Fields(line)...)
		}
	}
	if len(parts) != 3 || parts[0] != magic {
		return nil, fmt.Errorf("%s: %w", path, ErrFormat)
	}
	if Kind(parts[1]) != kind {
		return nil, fmt.Errorf("%s: %w: it is %q, wanted %q", path, ErrKind, parts[1], kind)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(key) != Size {
		return nil, fmt.Errorf("%s: %w", path, ErrFormat)
	}
	return key, nil
}

// ID names a key without telling it: the first four bytes of SHA-256("heyan key id v1", 0, kind, 0, key), hexadecimal.
// Ids of the digest chain are made likewise by package digest.
func ID(kind Kind, key []byte) string {
	sum := sha256.Sum256(append([]byte("heyan key id v1\x00"+string(kind)+"\x00"), key...))
	return hex.EncodeToString(sum[:4])
}

// ReadSigning returns the signing key of a file.
func ReadSigning(path string) (ed25519.PrivateKey, error) {
	seed, err := Read(path, LogSign)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// ReadDigest returns the digest chain of a file.
func ReadDigest(path string) (*digest.Chain, error) {
	text, err := private(path)
	if err != nil {
		return nil, err
	}
	chain, err := digest.ParseKeyFile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return chain, nil
}

// ReadTLS returns a certificate with its key, in PEM form. The key is a secret like the others.
func ReadTLS(certificate, key string) (tls.Certificate, error) {
	keyText, err := private(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text, err := os.ReadFile(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(text, keyText)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w", certificate, key, err)
	}
	return pair, nil
}

// ReadCA returns the certificates of authorities in PEM files. No path gives a pool that nobody is in, not the system's.
func ReadCA(paths ...string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in PEM form", path)
		}
	}
	return pool, nil
}

// private reads a file that only its owner may read.
func private(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrReadable)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && folder.Mode().Perm()&0o022 != 0 && folder.Mode()&os.ModeSticky == 0 {
		return nil, fmt.Errorf("%s: %w %s", path, ErrFolder, filepath.Dir(path))
	}
	return os.ReadFile(path)
}

// Generate makes a new key of a kind and writes its file.
func Generate(path string, kind Kind, random io.Reader) error {
	var key [Size]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return err
	}
	text := fmt.Sprintf("# Heyan key. Keep it secret, outside the data directory, with a copy offline.\n%s %s %s\n",
		magic, kind, base64.StdEncoding.EncodeToString(key[:]))
	return Write(path, []byte(text))
}

// GenerateDigest makes a new digest chain and writes its file.
func GenerateDigest(path string, random io.Reader, now time.Time) error {
	text, err := digest.GenerateKeyFile(random, now)
	if err != nil {
		return err
	}
	return Write(path, text)
}

// Write writes a secret with mode 0600; a file that exists is left as it is and an error.
func Write(path string, text []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
