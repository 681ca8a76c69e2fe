// Package account is a customer and the ways in which its backends prove who they are.
//
// A credential is a client certificate, bound by its issuing CA and its URI or DNS name so that a renewal locks
// nobody out, or an API key of 256 random bits, of which only a keyed digest is kept.
package account

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// State is the state of a client. Numbers are those of heyan.v1.Client.State.
type State uint8

// The states. The zero State is invalid.
const (
	Active State = iota + 1
	Suspended
	Closed
)

// Client is a customer.
type Client struct {
	ID             string
	DisplayName    string
	State          State
	Establishment  string // ISO 3166-1 alpha-2; only CN is accepted (MV-4-overseas)
	AllowedSources []netip.Prefix
	RatePerSecond  int
	PolicyGate     bool
	CreateTime     time.Time
	Reason         string
}

// Check refuses calls of a client that is not active.
func (c *Client) Check() *fault.Fault {
	if c == nil || c.State == Closed {
		return fault.New(fault.CredentialInvalid)
	}
	if c.State == Suspended {
		return fault.New(fault.ClientSuspended)
	}
	return nil
}

// Kind is the kind of a credential. Numbers are those of heyan.v1.Credential.Kind.
type Kind uint8

// The kinds. The zero Kind is invalid.
const (
	Certificate Kind = iota + 1
	APIKey
)

// CredentialState is the state of a credential. Numbers are those of heyan.v1.Credential.State.
type CredentialState uint8

// The states. The zero CredentialState is invalid. Expiry follows from the time and is never stored.
const (
	CredentialActive CredentialState = iota + 1
	CredentialLocked
	CredentialRevoked
	CredentialExpired
)

// Credential is one way to prove to be a client.
type Credential struct {
	ID             string // UUIDv7
	Client         string
	Kind           Kind
	Test           bool
	IssuerSHA256   string // of the issuing CA's certificate, hexadecimal
	SubjectAltName string // URI or DNS name
	KeyDigest      digest.Digest
	State          CredentialState
	ExpireTime     time.Time
	CreateTime     time.Time
	AllowedSources []netip.Prefix
	Label          string
	IssuedBy       string // person
	Reason         string
}

// StateAt returns the state at a time.
func (c *Credential) StateAt(now time.Time) CredentialState {
	if c.State != CredentialRevoked && !now.Before(c.ExpireTime) {
		return CredentialExpired
	}
	return c.State
}

// Check refuses a credential that does not work now.
func (c *Credential) Check(now time.Time) *fault.Fault {
	switch c.StateAt(now) {
	case CredentialActive:
		return nil
	case CredentialLocked:
		return fault.New(fault.CredentialLocked)
	case CredentialExpired:
		return fault.New(fault.CredentialExpired)
	}
	return fault.New(fault.CredentialInvalid)
}

// Allowed reports whether an address is in the list; an empty list allows every address.
func Allowed(list []netip.Prefix, address netip.Addr) bool {
	if len(list) == 0 {
		return true
	}
	address = address.Unmap()
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// API keys look like heyan_live_… or heyan_test_…, then base64url of the credential's id, of 32 random bytes
// and of a CRC-32, so that scanners for leaked keys recognise them and a typing error is told from a wrong key.
const (
	livePrefix = "heyan_live_"
	testPrefix = "heyan_test_"
	secretSize = 32
	keySize    = 16 + secretSize + 4
)

// ErrKey is what ParseKey answers for anything that is not a key. It does not hold the text.
var ErrKey = errors.New("account: not a Heyan API key, or one character of it is wrong")

// FormatKey prints the API key of a credential.
func FormatKey(id ledger.ID, secret [secretSize]byte, test bool) string {
	b := make([]byte, 0, keySize)
	b = append(append(b, id[:]...), secret[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if test {
		return testPrefix + base64.RawURLEncoding.EncodeToString(b)
	}
	return livePrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseKey reads an API key.
func ParseKey(key string) (id ledger.ID, secret [secretSize]byte, err error) {
	text, ok := strings.CutPrefix(key, livePrefix)
	if !ok {
		if text, ok = strings.CutPrefix(key, testPrefix); !ok {
			return id, secret, ErrKey
		}
	}
	if len(text) != base64.RawURLEncoding.EncodedLen(keySize) {
		return id, secret, ErrKey
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The decoder skips line ends, so that the right length of text may be too few bytes.
	if err != nil || len(b) != keySize || crc32.ChecksumIEEE(b[:keySize-4]) != binary.BigEndian.Uint32(b[keySize-4:]) {
		return id, secret, ErrKey
	}
	return ledger.ID(b[:16]), [secretSize]byte(b[16 : 16+secretSize]), nil
}

// KeyDigest is what is kept of an API key's secret.
func KeyDigest(keys *digest.Keyring, id ledger.ID, secret [secretSize]byte) digest.Digest {
	return keys.Text(digest.Credential, id.String(), string(secret[:]))
}
