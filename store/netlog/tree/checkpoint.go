package tree

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the size and root of the log of an origin (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

var (
	// ErrCheckpoint is a text that is not a checkpoint.
	ErrCheckpoint = errors.New("tree: malformed checkpoint")
	// ErrUnknownKey is a checkpoint that no known key signed.
	ErrUnknownKey = errors.New("tree: checkpoint is not signed by a known key")
	// ErrSignature is a checkpoint with a wrong signature under a known key.
	ErrSignature = errors.New("tree: wrong signature on checkpoint")
)

// Text returns the checkpoint's note text: origin, size and base64 root, each on a line.
func (c Checkpoint) Text() string {
	b := make([]byte, 0, len(c.Origin)+72)
	b = append(append(b, c.Origin...), '\n')
	b = append(strconv.AppendUint(b, c.Size, 10), '\n')
	b = append(base64.StdEncoding.AppendEncode(b, c.Root[:]), '\n')
	return string(b)
}

// ParseCheckpoint reads a note text. Extension lines, which the format allows, are ignored: see [Verifier.OpenExtended].
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" && !strings.HasSuffix(lines[3], "\n") {
		return Checkpoint{}, ErrCheckpoint
	}
	// A tree of more than 2^62 leaves cannot be; tlog counts in int64.
	size, err := strconv.ParseUint(lines[1], 10, 62)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, ErrCheckpoint
	}
	root, ok := parseHash(lines[2])
	if !ok {
		return Checkpoint{}, ErrCheckpoint
	}
	return Checkpoint{lines[0], size, root}, nil
}

// parseHash reads the standard base64 form of a hash, with no other spelling of the same bytes.
func parseHash(s string) (Hash, bool) {
	var h Hash
	if len(s) != base64.StdEncoding.EncodedLen(len(h)) {
		return h, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, false
	}
	return Hash(b), true
}

// Signer signs the checkpoints of one origin.
type Signer struct {
	origin string
	signer note.Signer
	key    string
}

// NewSigner returns a signer for origin: the key's name is the origin, as tlog-checkpoint recommends.
func NewSigner(origin string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("tree: signing key is not an Ed25519 private key")
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("tree: origin is not a key name: %w", err)
	}
	return &Signer{origin, ed25519Signer{verifier, key}, vkey}, nil
}

// ed25519Signer makes the signature of algorithm 1 of signed notes; its name and hash are the verifier's.
type ed25519Signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s ed25519Signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Key returns the verifier key, to be given to those who verify: "origin+hash+base64".
func (s *Signer) Key() string { return s.key }

// Sign returns the signed note of the checkpoint of that size and root.
func (s *Signer) Sign(size uint64, root Hash) ([]byte, error) {
	return note.Sign(&note.Note{Text: Checkpoint{s.origin, size, root}.Text()}, s.signer)
}

// Verifier verifies the checkpoints of one origin. The zero Verifier is invalid.
type Verifier struct {
	known  note.Verifiers
	origin string
	key    string
	hash   uint32
}

// NewVerifier reads a verifier key, as [Signer.Key] gives it.
func NewVerifier(key string) (Verifier, error) {
	key = strings.TrimSpace(key)
	v, err := note.NewVerifier(key)
	if err != nil {
		return Verifier{}, fmt.Errorf("tree: malformed verifier key: %w", err)
	}
	return Verifier{note.VerifierList(v), v.Name(), key, v.KeyHash()}, nil
}

// Origin returns the origin whose checkpoints v verifies.
func (v Verifier) Origin() string { return v.origin }

// Key returns the verifier key.
func (v Verifier) Key() string { return v.key }

// KeyHash returns the four bytes by which a signature line says that it is of this key.
func (v Verifier) KeyHash() uint32 { return v.hash }

// Open verifies a signed checkpoint and returns it. Errors: [ErrUnknownKey] when the key's owner did not sign it or it
// is of another origin, [ErrSignature], [ErrCheckpoint].
func (v Verifier) Open(signed []byte) (Checkpoint, error) {
	n, err := note.Open(signed, v.known)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return Checkpoint{}, ErrUnknownKey
	case errors.As(err, &invalid):
		return Checkpoint{}, ErrSignature
	case err != nil:
		return Checkpoint{}, ErrCheckpoint
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.origin {
		return Checkpoint{}, ErrUnknownKey
	}
	return c, nil
}
