package datafile

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
	"math/bits"
)

// Sizes that are part of the interface.
const (
	KeySize    = 32      // bytes of a key
	AnchorSize = 32      // bytes of an anchor
	MaxPayload = 1 << 16 // most bytes of one payload
	MaxList    = 1 << 24 // most bytes of all payloads of one anchor, with their lengths
)

// The failures that say something about a file. Test with errors.Is.
var (
	// ErrWrongKey: the file was made under another key.
	ErrWrongKey = errors.New("datafile: made under another key")
	// ErrNewerFormat: a newer release made the file.
	ErrNewerFormat = errors.New("datafile: made in a newer format than this release reads")
	// ErrTampered: the bytes are not those that were written, by accident or by intent.
	ErrTampered = errors.New("datafile: the stored bytes are not what was written")
	// ErrUnreadable: the file cannot be read: the disk failed, or the file was cut short.
	ErrUnreadable = errors.New("datafile: the file cannot be read")
	// ErrNotDatafile: the file is of another kind.
	ErrNotDatafile = errors.New("datafile: not a file of this kind")
	// ErrTooLarge: a payload, a list or a name exceeds its limit.
	ErrTooLarge = errors.New("datafile: larger than the format allows")
	// ErrNonce: two anchors agree in their first 12 bytes, so they are no keyed digests.
	ErrNonce = errors.New("datafile: two anchors share a nonce")
	// ErrClosed: the Reader was closed, or the Writer finished.
	ErrClosed = errors.New("datafile: closed")
)

// Header names what a file holds. The file's integrity covers all of it; nothing of it is secret.
type Header struct {
	Dataset    string // which dataset
	Generation string // which generation of it
	Suite      string // under which digest suite its anchors and digests stand
	Attributes []byte // anything else the caller wants to keep with the file, in the caller's encoding
}

const (
	formatVersion = 1

	fixedHeader   = 6 + 2 + 8 + 32 + 4
	maxNames      = 1 << 20 // most bytes of names and attributes
	footerSize    = 5*8 + sha256.Size + sha256.Size
	tagSize       = 16
	nonceSize     = 12
	perBucket     = 16      // anchors in a bucket, on average
	maxBucketHead = 1 << 24 // most bytes of a bucket up to its tag; a sane file has a thousandth of it
)

var magic = [6]byte{'H', 'Y', 'D', 'A', 'T', 'A'}

// keys are those of one file.
type keys struct {
	records cipher.AEAD
	buckets cipher.AEAD
	index   []byte
}

func keyID(key []byte) ([]byte, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("datafile: the key has %d bytes, want %d", len(key), KeySize)
	}
	return hkdf.Key(sha256.New, key, nil, "heyan datafile key id v1", 8)
}

func deriveKeys(key, salt []byte) (*keys, error) {
	records, err := deriveAEAD(key, salt, "heyan datafile records v1")
	if err != nil {
		return nil, err
	}
	buckets, err := deriveAEAD(key, salt, "heyan datafile buckets v1")
	if err != nil {
		return nil, err
	}
	index, err := hkdf.Key(sha256.New, key, salt, "heyan datafile index v1", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &keys{records: records, buckets: buckets, index: index}, nil
}

func deriveAEAD(key, salt []byte, use string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, salt, use, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// appendNames encodes the header's strings.
func (h Header) appendNames(p []byte) []byte {
	p = appendString(p, h.Dataset)
	p = appendString(p, h.Generation)
	p = appendString(p, h.Suite)
	return appendString(p, string(h.Attributes))
}

// context is the associated data of every record, but for the anchor.
func (h Header) context() []byte {
	return appendString(appendString(appendString(nil, h.Dataset), h.Generation), h.Suite)
}

func appendString(p []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(p, uint32(len(s))), s...)
}

func cutString(p []byte) (s string, rest []byte, ok bool) {
	if len(p) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return "", nil, false
	}
	return string(p[4 : 4+n]), p[4+n:], true
}

// encodeHeader returns the whole header of a new file.
func encodeHeader(h Header, id, salt []byte) ([]byte, error) {
	names := h.appendNames(nil)
	if len(names) > maxNames {
		return nil, ErrTooLarge
	}
	p := append([]byte(nil), magic[:]...)
	p = binary.BigEndian.AppendUint16(p, formatVersion)
	p = append(p, id...)
	p = append(p, salt...)
	p = binary.BigEndian.AppendUint32(p, uint32(len(names)))
	return append(p, names...), nil
}

// checkFixedHeader checks the part of a header that has the same place in every version, and returns
// how long the whole header is.
func checkFixedHeader(p, id []byte) (length int, err error) {
	switch {
	case len(p) < fixedHeader || !bytes.Equal(p[:6], magic[:]):
		return 0, ErrNotDatafile
	case binary.BigEndian.Uint16(p[6:]) > formatVersion:
		return 0, ErrNewerFormat
	case binary.BigEndian.Uint16(p[6:]) != formatVersion:
		return 0, ErrTampered
	case !hmac.Equal(p[8:16], id):
		return 0, ErrWrongKey
	}
	names := binary.BigEndian.Uint32(p[48:])
	if names > maxNames {
		return 0, ErrTampered
	}
	return fixedHeader + int(names), nil
}

func decodeNames(p []byte) (h Header, ok bool) {
	var attributes string
	if h.Dataset, p, ok = cutString(p); !ok {
		return Header{}, false
	}
	if h.Generation, p, ok = cutString(p); !ok {
		return Header{}, false
	}
	if h.Suite, p, ok = cutString(p); !ok {
		return Header{}, false
	}
	if attributes, p, ok = cutString(p); !ok || len(p) != 0 {
		return Header{}, false
	}
	if attributes != "" {
		h.Attributes = []byte(attributes)
	}
	return h, true
}

// footer is the end of a file.
type footer struct {
	anchors, items, buckets, index, size uint64
	sum                                  [sha256.Size]byte
}

func (f footer) appendTo(p []byte) []byte {
	for _, n := range [...]uint64{f.anchors, f.items, f.buckets, f.index, f.size} {
		p = binary.BigEndian.AppendUint64(p, n)
	}
	return append(p, f.sum[:]...)
}

// decodeFooter reads a footer without its MAC and checks that its numbers fit each other and the file.
func decodeFooter(p []byte, header int, size int64) (footer, bool) {
	f := footer{
		anchors: binary.BigEndian.Uint64(p),
		items:   binary.BigEndian.Uint64(p[8:]),
		buckets: binary.BigEndian.Uint64(p[16:]),
		index:   binary.BigEndian.Uint64(p[24:]),
		size:    binary.BigEndian.Uint64(p[32:]),
	}
	copy(f.sum[:], p[40:])
	total := uint64(size)
	ok := f.size == total && f.buckets >= 1 && f.buckets < total/8 &&
		f.index >= uint64(header) && f.index <= total-footerSize &&
		f.index+8*(f.buckets+1)+footerSize == total
	return f, ok
}

// indexMAC authenticates everything that a look-up relies on without a tag of its own.
func (k *keys) indexMAC(header, index, foot []byte) []byte {
	mac := hmac.New(sha256.New, k.index)
	mac.Write(header)
	mac.Write(index)
	mac.Write(foot)
	return mac.Sum(nil)
}

// bucketOf returns the bucket of an anchor whose first eight bytes are prefix.
func bucketOf(prefix, buckets uint64) uint64 {
	bucket, _ := bits.Mul64(prefix, buckets)
	return bucket
}

func bucketNonce(p *[nonceSize]byte, bucket uint64) []byte {
	binary.BigEndian.PutUint64(p[nonceSize-8:], bucket)
	return p[:]
}

// Items calls yield for each payload of a list, as a part of it, until yield returns false. The list
// is one that Lookup or Iterate gave; of anything else Items reports what it can make sense of.
func Items(list []byte) func(yield func(payload []byte) bool) {
	return func(yield func([]byte) bool) {
		for len(list) > 0 {
			n, k := binary.Uvarint(list)
			if k <= 0 || n > uint64(len(list)-k) {
				return
			}
			if !yield(list[k : k+int(n) : k+int(n)]) {
				return
			}
			list = list[k+int(n):]
		}
	}
}

func appendItem(list, payload []byte) []byte {
	return append(binary.AppendUvarint(list, uint64(len(payload))), payload...)
}
