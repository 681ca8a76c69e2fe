package digest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Errors of key files. None of them ever holds a part of a key.
var (
	ErrKeyFile  = errors.New("digest: not a Heyan digest key file")
	ErrChecksum = errors.New("digest: a key's checksum is wrong: the file is damaged")
	ErrNewer    = errors.New("digest: the key file was written by a newer version of Heyan")
)

// keyFileMagic is the first line that counts; the number is the format's version.
const (
	keyFilePrefix = "heyan-digest-key-v"
	keyFileMagic  = keyFilePrefix + "1"
)

// Chain is the secret roots of digests, oldest first. A rotation adds one; older ones stay for as long as a
// stored row names them.
type Chain struct{ roots []root }

type root struct {
	secret  [Size]byte
	id      string
	created time.Time
}

func newRoot(secret [Size]byte, created time.Time) root {
	// The id tells roots apart in suites and logs and says nothing about the secret.
	sum := sha256.Sum256(append([]byte("heyan digest key id v1\x00"), secret[:]...))
	return root{secret: secret, id: hex.EncodeToString(sum[:4]), created: created}
}

// NewChain makes a chain of one root from 32 bytes of random.
func NewChain(random io.Reader, created time.Time) (*Chain, error) {
	return (&Chain{}).Extend(random, created)
}

// Extend returns a longer chain.
func (c *Chain) Extend(random io.Reader, created time.Time) (*Chain, error) {
	var secret [Size]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return nil, fmt.Errorf("digest: reading randomness: %w", err)
	}
	longer := append(append([]root{}, c.roots...), newRoot(secret, created.UTC().Truncate(time.Second)))
	return &Chain{roots: longer}, nil
}

// IDs returns the roots' ids, oldest first.
func (c *Chain) IDs() []string {
	ids := make([]string, len(c.roots))
	for i, r := range c.roots {
		ids[i] = r.id
	}
	return ids
}

// Created returns when the newest root was made.
func (c *Chain) Created() time.Time { return c.roots[len(c.roots)-1].created }

// Suite names algorithm and chain, e.g. "hmac-sha256:9f3a22c1+0b77e6d4".
func (c *Chain) Suite() string { return Algorithm + ":" + strings.Join(c.IDs(), "+") }

// Format prints c as a key file. Write it with mode 0600, outside the data directory.
func (c *Chain) Format() []byte {
	var b bytes.Buffer
	b.WriteString("# Heyan digest key. Keep it secret and keep a copy offline: without it no stored digest can be\n" +
		"# matched again; with it and the data, any value can be found by trial.\n" + keyFileMagic + "\n")
	for _, r := range c.roots {
		fmt.Fprintf(&b, "%s %s %s\n", r.id, base64.StdEncoding.EncodeToString(r.secret[:]), r.created.Format(time.RFC3339))
	}
	return b.Bytes()
}

// GenerateKeyFile returns a new key file with one root.
func GenerateKeyFile(random io.Reader, now time.Time) ([]byte, error) {
	chain, err := NewChain(random, now)
	if err != nil {
		return nil, err
	}
	return chain.Format(), nil
}

// ParseKeyFile reads what Format printed. Blank lines and lines that begin with # are skipped.
func ParseKeyFile(file []byte) (*Chain, error) {
	chain := &Chain{}
	begun := false
	lines := bufio.NewScanner(bytes.NewReader(file))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !begun:
			if line != keyFileMagic {
				if strings.HasPrefix(line, keyFilePrefix) {
					return nil, ErrNewer
				}
				return nil, ErrKeyFile
			}
			begun = true
		default:
			r, err := parseRoot(line)
			if err != nil {
				return nil, err
			}
			chain.roots = append(chain.roots, r)
		}
	}
	if lines.Err() != nil || len(chain.roots) == 0 {
		return nil, ErrKeyFile
	}
	return chain, nil
}

func parseRoot(line string) (root, error) {
	parts := strings.Fields(line)
	if len(parts) != 3 {
		return root{}, ErrKeyFile
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(parts[1])
	if err != nil || len(secret) != Size {
		return root{}, ErrKeyFile
	}
	created, err := time.Parse(time.RFC3339, parts[2])
	if err != nil {
		return root{}, ErrKeyFile
	}
	r := newRoot([Size]byte(secret), created)
	if subtle.ConstantTimeCompare([]byte(r.id), []byte(parts[0])) != 1 {
		return root{}, ErrChecksum
	}
	return r, nil
}
