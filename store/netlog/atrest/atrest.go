// Package atrest is how a file of the network log is sealed at rest: a [Stamp] in its header, and from that and the seal
// key a key of the file's own.
//
// # Guaranteed
//
//   - No two files share a key: it is derived by HKDF-SHA-256 from the seal key, a random salt, what the file is used for
//     and the origin. So a nonce needs to differ within its file only; whoever seals sees to that.
//   - A wrong seal key is told apart from damage: a value derived beside the key stands in the header. Nothing of the
//     key can be had from it.
//
// # Not guaranteed
//
//   - That the stamp itself is what was written: it lies in clear, under the checksum of the header that holds it, and
//     whoever seals authenticates the whole header with each block.
package atrest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

const (
	// KeySize is the length of a seal key, in bytes.
	KeySize = 32
	// StampSize is the length of a stamp in a header, in bytes.
	StampSize = saltSize + checkSize

	saltSize  = 32
	checkSize = 16
)

var (
	// ErrNoKey is a sealed file read without a seal key.
	ErrNoKey = errors.New("atrest: file is sealed and no seal key was given")
	// ErrKey is a sealed file read with another key than it was sealed with.
	ErrKey = errors.New("atrest: seal key is not the file's")
)

// Use is what a file is: files of different use share no key, whatever their salt.
type Use string

// The uses. They are part of the formats.
const (
	WAL     Use = "heyan netlog wal v1 "
	Segment Use = "heyan netlog segment v1 "
)

// Stamp is what the header of a file says of its sealing. The salt is drawn for every file, so it also names it.
type Stamp struct {
	salt  [saltSize]byte
	check [checkSize]byte // zero: not sealed
}

// NewStamp draws a stamp for a file of an origin, which is sealed if there is a seal key.
func NewStamp(rand io.Reader, sealKey []byte, use Use, origin string) (s Stamp, err error) {
	if n := len(sealKey); n != 0 && n != KeySize {
		return s, fmt.Errorf("atrest: seal key has %d bytes, want %d", n, KeySize)
	}
	if _, err := io.ReadFull(rand, s.salt[:]); err != nil {
		return s, fmt.Errorf("atrest: no randomness: %w", err)
	}
	if len(sealKey) != 0 {
		_, s.check, err = s.derive(sealKey, use, origin)
	}
	return s, err
}

// ReadStamp reads what [Stamp.Append] wrote. b MUST have StampSize bytes.
func ReadStamp(b []byte) Stamp {
	return Stamp{[saltSize]byte(b[:saltSize]), [checkSize]byte(b[saltSize:StampSize])}
}

// Append appends the stamp as it stands in a header.
func (s *Stamp) Append(b []byte) []byte { return append(append(b, s.salt[:]...), s.check[:]...) }

// Sealed tells whether the file is sealed.
func (s *Stamp) Sealed() bool { return s.check != [checkSize]byte{} }

// ID names the file: no two share one.
func (s *Stamp) ID() [16]byte { return [16]byte(s.salt[:16]) }

// AEAD returns what seals and opens the file's blocks, AES-256-GCM under the file's key; nil for one that is not sealed.
// Errors: [ErrNoKey], [ErrKey].
func (s *Stamp) AEAD(sealKey []byte, use Use, origin string) (cipher.AEAD, error) {
	if !s.Sealed() {
		return nil, nil
	}
	if len(sealKey) == 0 {
		return nil, ErrNoKey
	}
	key, check, err := s.derive(sealKey, use, origin)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(check[:], s.check[:]) {
		return nil, ErrKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// derive returns the file's key, and the value by which another seal key is told.
func (s *Stamp) derive(sealKey []byte, use Use, origin string) (key []byte, check [checkSize]byte, err error) {
	okm, err := hkdf.Key(sha256.New, sealKey, s.salt[:], string(use)+origin, KeySize+checkSize)
	if err != nil {
		return nil, check, err
	}
	return okm[:KeySize], [checkSize]byte(okm[KeySize:]), nil
}
