package digest

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/heyan-project/heyan/verifier/field"
)

// Size is the length of a Digest in bytes.
const Size = sha256.Size

// Digest is one keyed digest. The zero Digest stands for none.
type Digest [Size]byte

// IsZero reports whether d is none.
func (d Digest) IsZero() bool { return d == Digest{} }

// Hex returns d in lower-case hexadecimal.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// Algorithm names how digests are made. It enters the key derivation and every suite.
const Algorithm = "hmac-sha256"

// Use is what a digest is for. Digests of different uses never agree.
type Use uint8

// The uses. Their numbers enter the key derivation and never change.
const (
	RegistryAnchor Use = iota + 1 // what a dataset is looked up by
	RegistryLink                  // two values that belong together
	Subject                       // a person's handle
	Restriction                   // deny list, objections, suppression: outlives an erasure
	Consent                       // evidence references of consents
	Idempotency                   // request ids
	Content                       // the content of a request, compared at a replay
	Guard                         // enumeration counters
	Reference                     // client references
	Credential                    // API keys
	Approval                      // requests that a second person approves
	TestSubject                   // a person's handle, to test credentials
	lastUse
)

// Keyring makes digests under one chain. It is safe for concurrent use.
type Keyring struct {
	chain *Chain
	// One pool of chained HMAC states for each use and field: a state costs two block operations to
	// make and none to reset.
	pools [lastUse][fieldSlots]sync.Pool
}

// Slot 0 is for texts that are no field.
const fieldSlots = 7

// NewKeyring derives the keys of every use and field from chain.
func NewKeyring(chain *Chain) *Keyring {
	ring := &Keyring{chain: chain}
	for use := Use(1); use < lastUse; use++ {
		for slot := range fieldSlots {
			keys := chain.derive(use, field.Kind(slot))
			ring.pools[use][slot].New = func() any { return newState(keys) }
		}
	}
	return ring
}

// Suite names what digests of this ring are made with: algorithm and chain. It is stored beside digests
// and never hashed.
func (r *Keyring) Suite() string { return r.chain.Suite() }

// state is one chained HMAC, with its scratch space.
type state struct {
	macs []hash.Hash
	buf  []byte
	sum  [Size]byte
}

func newState(keys [][]byte) *state {
	s := &state{buf: make([]byte, 0, 512)}
	for _, key := range keys {
		s.macs = append(s.macs, hmac.New(sha256.New, key))
	}
	return s
}

// finish chains the MACs over the bytes in s.buf.
func (s *state) finish() Digest {
	message := s.buf
	for _, mac := range s.macs {
		mac.Reset()
		mac.Write(message)
		message = mac.Sum(s.sum[:0])
	}
	clear(s.buf[:cap(s.buf)])
	return Digest(s.sum)
}

// Values digests values in the order given, under the key of use and of the first value's field.
// It panics without values or on an invalid one: both are defects of the caller.
func (r *Keyring) Values(use Use, values ...field.Value) Digest {
	pool := &r.pools[use][values[0].Kind()]
	s := pool.Get().(*state)
	s.buf = append(s.buf[:0], byte(use))
	for _, v := range values {
		if !v.Valid() {
			panic("digest: invalid value")
		}
		s.buf = append(s.buf, byte(v.Kind()), byte(v.Form()))
		s.buf = appendSized(s.buf, v.Canonical().Reveal())
	}
	d := s.finish()
	pool.Put(s)
	return d
}

// Text digests texts that are no field, such as references that a caller chose, each length-prefixed, under
// the key of use. owner keeps equal texts of different clients apart.
func (r *Keyring) Text(use Use, owner string, texts ...string) Digest {
	pool := &r.pools[use][0]
	s := pool.Get().(*state)
	s.buf = append(s.buf[:0], byte(use), 0, 0)
	s.buf = appendSized(s.buf, owner)
	for _, text := range texts {
		s.buf = appendSized(s.buf, text)
	}
	d := s.finish()
	pool.Put(s)
	return d
}

func appendSized(dst []byte, text string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)))
	return append(dst, text...)
}

// derive returns the chain's keys for one use and field, oldest first.
func (c *Chain) derive(use Use, kind field.Kind) [][]byte {
	name := "text"
	if kind.Valid() {
		name = kind.String()
	}
	info := "heyan digest v1\x00" + Algorithm + "\x00" + string(rune('A'+use)) + "\x00" + name
	keys := make([][]byte, len(c.roots))
	for i, root := range c.roots {
		key, err := hkdf.Key(sha256.New, root.secret[:], nil, info, Size)
		if err != nil {
			panic("digest: " + err.Error()) // only for a length over 255 × 32
		}
		keys[i] = key
	}
	return keys
}
