// Package row seals the value of one stored row, so that a row that was changed or moved is noticed.
//
// The embedded engine's files are encrypted in counter mode (package sealed), which hides bytes but
// does not protect them: whoever can write to the disk can flip a chosen bit of a value, and can make
// up the checksums that the storage engine keeps for accidents. So every value carries a tag:
//
//	stored = value ‖ HMAC-SHA-256(K, len(store) ‖ store ‖ len(key) ‖ key ‖ value)[:16]
//
// with K derived by HKDF (RFC 5869) from the store's key, lengths as 4 bytes big endian, and the tag
// truncated to its left 16 bytes as RFC 2104 section 5 allows.
//
// Guaranteed: [Rows.Open] returns only a value that was sealed under the same store key, in a store of
// the same name, for the same row key. A row that was altered, cut short, or copied from another row
// or another store is [ErrTampered].
//
// Not guaranteed: that the row is the newest one. A row put back as it once was, or a row that was
// removed altogether, cannot be told from the row itself; the ledger is compared with the network log
// for that. Nor does this package hide anything.
package row

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// Overhead is how many bytes a stored row is longer than its value.
const Overhead = 16

// KeySize is the length of a store key in bytes.
const KeySize = 32

// ErrTampered reports a stored row that is not what was sealed under this key.
var ErrTampered = errors.New("row: the stored row is not what was written")

// Rows seals and opens the rows of one store. It is safe for concurrent use.
type Rows struct {
	store  []byte    // len(store) ‖ store
	states sync.Pool // of *state
}

// state is one HMAC with room for its result, kept so that sealing allocates nothing.
type state struct {
	mac    hash.Hash
	sum    [sha256.Size]byte
	length [4]byte
}

// New derives the row key of the store called name from storeKey, which has KeySize bytes.
func New(storeKey []byte, name string) (*Rows, error) {
	if len(storeKey) != KeySize {
		return nil, fmt.Errorf("row: the store key has %d bytes, want %d", len(storeKey), KeySize)
	}
	key, err := hkdf.Key(sha256.New, storeKey, nil, "heyan row tag v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("row: derive the key: %w", err)
	}
	rows := &Rows{store: append(binary.BigEndian.AppendUint32(nil, uint32(len(name))), name...)}
	rows.states.New = func() any { return &state{mac: hmac.New(sha256.New, key)} }
	return rows, nil
}

// Seal appends value and its tag to dst and returns the longer slice: Overhead bytes more than value.
func (r *Rows) Seal(dst, key, value []byte) []byte {
	s := r.tag(key, value)
	dst = append(dst, value...)
	dst = append(dst, s.sum[:Overhead]...)
	r.states.Put(s)
	return dst
}

// SealInto writes value and its tag to stored, which must have exactly Overhead bytes more than value.
func (r *Rows) SealInto(stored, key, value []byte) {
	_ = stored[len(value)+Overhead-1]
	r.Seal(stored[:0], key, value)
}

// Open returns the value of a stored row, as a part of stored, or ErrTampered.
func (r *Rows) Open(key, stored []byte) ([]byte, error) {
	if len(stored) < Overhead {
		return nil, ErrTampered
	}
	value := stored[:len(stored)-Overhead]
	s := r.tag(key, value)
	same := hmac.Equal(s.sum[:Overhead], stored[len(value):])
	r.states.Put(s)
	if !same {
		return nil, ErrTampered
	}
	return value, nil
}

func (r *Rows) tag(key, value []byte) *state {
	s := r.states.Get().(*state)
	s.mac.Reset()
	s.mac.Write(r.store)
	binary.BigEndian.PutUint32(s.length[:], uint32(len(key)))
	s.mac.Write(s.length[:])
	s.mac.Write(key)
	s.mac.Write(value)
	s.mac.Sum(s.sum[:0])
	return s
}
