package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// KeySize is the length of a store key in bytes.
const KeySize = 32

// headerSize is what a sealed file is longer than its contents. It is less than a sector, so a crash
// leaves a header whole or absent, and a multiple of the cipher's block.
const headerSize = 64

// formatVersion is the version of the header and of everything that follows from it.
const formatVersion = 1

var magic = [6]byte{'H', 'Y', 'S', 'E', 'A', 'L'}

// The failures that say something about the stored bytes. Test with errors.Is.
var (
	// ErrWrongKey: the file was sealed under another store key.
	ErrWrongKey = errors.New("sealed: written under another store key")
	// ErrNewerFormat: a newer release wrote this. Nothing was changed.
	ErrNewerFormat = errors.New("sealed: written in a newer format than this release reads")
	// ErrTampered: the stored bytes are not what was written, by accident or by intent.
	ErrTampered = errors.New("sealed: the stored bytes are not what was written")
	// ErrNotSealed: the file or directory was not written by this package.
	ErrNotSealed = errors.New("sealed: not written by this store")
	// ErrRewrite: writing anywhere but at the end of a new file was asked for.
	ErrRewrite = errors.New("sealed: a sealed file is written once, from its beginning")
)

// keyring holds what is derived from one store key for all files.
type keyring struct {
	store []byte
	id    [8]byte
	check []byte
}

func newKeyring(storeKey []byte) (*keyring, error) {
	if len(storeKey) != KeySize {
		return nil, fmt.Errorf("sealed: the store key has %d bytes, want %d", len(storeKey), KeySize)
	}
	k := &keyring{store: bytes.Clone(storeKey)}
	id, err := hkdf.Key(sha256.New, k.store, nil, "heyan sealed file key id v1", len(k.id))
	if err != nil {
		return nil, fmt.Errorf("sealed: derive the key id: %w", err)
	}
	copy(k.id[:], id)
	if k.check, err = hkdf.Key(sha256.New, k.store, nil, "heyan sealed file check v1", sha256.Size); err != nil {
		return nil, fmt.Errorf("sealed: derive the check key: %w", err)
	}
	return k, nil
}

// newHeader makes a header with a fresh salt.
func (k *keyring) newHeader(random io.Reader) ([headerSize]byte, error) {
	var h [headerSize]byte
	copy(h[:], magic[:])
	binary.BigEndian.PutUint16(h[6:], formatVersion)
	copy(h[8:16], k.id[:])
	if _, err := io.ReadFull(random, h[16:48]); err != nil {
		return h, fmt.Errorf("sealed: draw a salt: %w", err)
	}
	copy(h[48:], k.sum(h[:48]))
	return h, nil
}

// open checks a header and returns the cipher of its file.
func (k *keyring) open(h *[headerSize]byte) (cipher.Block, error) {
	switch {
	case !bytes.Equal(h[:6], magic[:]):
		return nil, ErrNotSealed
	case binary.BigEndian.Uint16(h[6:]) > formatVersion:
		return nil, ErrNewerFormat
	case binary.BigEndian.Uint16(h[6:]) == 0:
		return nil, ErrTampered
	case !hmac.Equal(h[8:16], k.id[:]):
		return nil, ErrWrongKey
	case !hmac.Equal(h[48:], k.sum(h[:48])):
		return nil, ErrTampered
	}
	return k.block(h)
}

func (k *keyring) block(h *[headerSize]byte) (cipher.Block, error) {
	key, err := hkdf.Key(sha256.New, k.store, h[16:48], "heyan sealed file AES-256-CTR v1", 32)
	if err != nil {
		return nil, fmt.Errorf("sealed: derive a file key: %w", err)
	}
	return aes.NewCipher(key)
}

func (k *keyring) sum(head []byte) []byte {
	mac := hmac.New(sha256.New, k.check)
	mac.Write(head)
	return mac.Sum(nil)[:headerSize-48]
}

// keystream returns the keystream of a file from the given offset of its contents on.
func keystream(block cipher.Block, offset int64) cipher.Stream {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(offset)/aes.BlockSize)
	stream := cipher.NewCTR(block, iv[:])
	if skip := offset % aes.BlockSize; skip != 0 {
		var discard [aes.BlockSize]byte
		stream.XORKeyStream(discard[:skip], discard[:skip])
	}
	return stream
}
