// Package segment is the sealed, immutable form of a stretch of the network log: records in compressed frames, an index
// that finds them, and what proves that they are the log's.
//
// A file is
//
//	header    in clear: magic, version, origin, first index, end index, salt, seal check, CRC32C
//	frames    each one block: 256 records as a C2SP entry bundle (tlog-tiles), compressed by zstd
//	index     blocks of token → frame, sorted by token
//	footer    one block: see [Footer]
//	trailer   in clear: where the footer is, magic, CRC32C
//
// A block is sealed by AES-256-GCM where there is a seal key: the key is the file's own (package atrest), the nonce
// is the block's kind and number, and the header's SHA-256 is authenticated with it. Without a key a block ends in its CRC32C. A file is written once and never changed, so a nonce is used once. What
// was hashed into the tree is what is stored: a decompressed frame holds the leaves byte for byte.
//
// # Guaranteed
//
//   - A file appears under its name whole, durable, and read back: [Writer.Seal] decodes every frame from the disk and
//     compares the root before the rename. A crash leaves the file or nothing, perhaps with a "*.tmp" beside it.
//   - Every byte of a file is under a seal or a checksum. What is read is checked block by block: a changed byte is an
//     [ErrDamaged] that names the block, never other records. [File.Verify] reads everything and recomputes every hash
//     up to the signed checkpoint.
//   - Nothing of the index stays in memory but its table: 8 bytes for about a thousand tokens, and a frame's row.
//
// # Not guaranteed
//
//   - That [File.Candidates] are hits: tokens are cut to a few bits more than there are, so a frame may hold none. A
//     frame that holds the token is always among them.
//   - Secrecy of sizes, of times of writing and of the index range: header and trailer are in clear.
package segment

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/heyan-project/heyan/store/netlog/atrest"
)

const (
	// Version is the version of the format that this package writes, and the newest that it reads.
	Version = 1
	// FrameRecords is how many records a frame holds: those of a C2SP entry bundle, and of a tile.
	FrameRecords = 256
	// MaxFrames bounds a file: 2^16 frames are 2^24 records.
	MaxFrames = 1 << 16

	maxOrigin = 128
	maxBlock  = 1<<24 - 1 // of a stored block: 256 records of 16 KiB that do not compress fit
)

var (
	// ErrVersion is a file of a newer format.
	ErrVersion = errors.New("segment: file was written by a newer version")
	// ErrDamaged is a file whose bytes are not those that were sealed. See [DamageError] for where.
	ErrDamaged = errors.New("segment: damaged")
	// ErrNotFound is an index that the file does not hold.
	ErrNotFound = errors.New("segment: no such record")
)

// DamageError says where a file is damaged. It matches [ErrDamaged].
type DamageError struct {
	File   string // base name
	Part   string // "header", "frame 7", "index block 3", "footer", "trailer"
	First  uint64 // records [First, End) that cannot be vouched for
	End    uint64
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("segment: damaged: file %s, %s, records %d to %d: %s", e.File, e.Part, e.First, e.End, e.Reason)
}

// Is tells that e is an [ErrDamaged].
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// Block kinds.
const (
	kindFrame uint32 = iota + 1
	kindIndex
	kindFooter
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header begins a file.
type Header struct {
	Origin     string
	First, End uint64 // records [First, End), both multiples of FrameRecords
	stamp      atrest.Stamp
}

// magic is followed by the version, two bytes, big-endian. Both stay in place in every version.
var magic = [8]byte{'H', 'E', 'Y', 'A', 'N', 'S', 'E', 'G'}

const headerFixed = 8 + 2 + 2 + 8 + 8 + atrest.StampSize // and then the origin, and a CRC32C

// Sealed tells whether the file's blocks are sealed.
func (h *Header) Sealed() bool { return h.stamp.Sealed() }

// Frames returns how many frames the file holds.
func (h *Header) Frames() int { return int((h.End - h.First) / FrameRecords) }

func (h *Header) valid() bool {
	return len(h.Origin) > 0 && len(h.Origin) <= maxOrigin && h.First%FrameRecords == 0 && h.End%FrameRecords == 0 &&
		h.First < h.End && h.End < 1<<62 && (h.End-h.First)/FrameRecords <= MaxFrames
}

func (h *Header) marshal() []byte {
	b := append(make([]byte, 0, headerFixed+len(h.Origin)+4), magic[:]...)
	b = binary.BigEndian.AppendUint16(b, Version)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Origin)))
	b = binary.BigEndian.AppendUint64(b, h.First)
	b = binary.BigEndian.AppendUint64(b, h.End)
	b = h.stamp.Append(b)
	b = append(b, h.Origin...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHeader reads the header, and returns its bytes, too.
func readHeader(r io.ReaderAt) (h Header, raw []byte, err error) {
	b := make([]byte, headerFixed+maxOrigin+4)
	n, err := r.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return h, nil, err
	}
	b = b[:n]
	damaged := func(reason string) error { return &DamageError{Part: "header", Reason: reason} }
	if len(b) < headerFixed || [8]byte(b) != magic {
		return h, nil, damaged("not a header")
	}
	switch v := binary.BigEndian.Uint16(b[8:]); {
	case v > Version:
		return h, nil, ErrVersion
	case v == 0:
		return h, nil, damaged("no version")
	}
	size := headerFixed + int(binary.BigEndian.Uint16(b[10:])) + 4
	if len(b) < size {
		return h, nil, damaged("too short")
	}
	b = b[:size]
	if binary.BigEndian.Uint32(b[size-4:]) != crc32.Checksum(b[:size-4], castagnoli) {
		return h, nil, damaged("does not match its checksum")
	}
	h.First, h.End = binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:])
	h.stamp = atrest.ReadStamp(b[28:])
	h.Origin = string(b[headerFixed : size-4])
	if !h.valid() {
		return h, nil, damaged("impossible range")
	}
	return h, b, nil
}

const trailerSize = 8 + 4 + 8 + 4

var endMagic = [8]byte{'H', 'E', 'Y', 'A', 'N', 'E', 'N', 'D'}

// trailer says where the footer's block begins and how long it is.
type trailer struct {
	offset uint64
	size   uint32
}

func (t trailer) marshal() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, trailerSize), t.offset)
	b = binary.BigEndian.AppendUint32(b, t.size)
	b = append(b, endMagic[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func readTrailer(r io.ReaderAt, size int64) (trailer, error) {
	var b [trailerSize]byte
	damaged := func(reason string) (trailer, error) { return trailer{}, &DamageError{Part: "trailer", Reason: reason} }
	if size < trailerSize {
		return damaged("file is too short")
	}
	if _, err := r.ReadAt(b[:], size-trailerSize); err != nil {
		return trailer{}, err
	}
	if [8]byte(b[12:]) != endMagic || binary.BigEndian.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli) {
		return damaged("file does not end as a segment does")
	}
	t := trailer{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint32(b[8:])}
	if t.size > maxBlock || t.offset+uint64(t.size) != uint64(size-trailerSize) {
		return damaged("footer is not before it")
	}
	return t, nil
}

// blocks seals and opens the blocks of one file.
type blocks struct {
	aead   cipher.AEAD // nil: not sealed
	header [32]byte
}

// newBlocks returns what seals and opens the file with that header. Errors: [atrest.ErrNoKey], [atrest.ErrKey].
func newBlocks(sealKey []byte, h *Header, raw []byte) (*blocks, error) {
	aead, err := h.stamp.AEAD(sealKey, atrest.Segment, h.Origin)
	return &blocks{aead, sha256.Sum256(raw)}, err
}

func nonce(kind uint32, number int) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 12), kind)
	return binary.BigEndian.AppendUint64(b, uint64(number))
}

// close appends the stored form of a block to dst.
func (b *blocks) close(dst []byte, kind uint32, number int, plain []byte) []byte {
	if b.aead != nil {
		return b.aead.Seal(dst, nonce(kind, number), plain, b.header[:])
	}
	at := len(dst)
	dst = append(dst, plain...)
	return binary.BigEndian.AppendUint32(dst, b.sum(dst[at:], kind, number))
}

// sum covers header, kind and number, too: a block in another place is as damaged as one that was changed.
func (b *blocks) sum(plain []byte, kind uint32, number int) uint32 {
	sum := crc32.Update(crc32.Checksum(b.header[:], castagnoli), castagnoli, nonce(kind, number))
	return crc32.Update(sum, castagnoli, plain)
}

// open returns the content of a stored block, in its memory; ok is false where it is not what was sealed.
func (b *blocks) open(stored []byte, kind uint32, number int) (plain []byte, ok bool) {
	if b.aead != nil {
		plain, err := b.aead.Open(stored[:0], nonce(kind, number), stored, b.header[:])
		return plain, err == nil
	}
	if len(stored) < 4 {
		return nil, false
	}
	plain = stored[:len(stored)-4]
	return plain, binary.BigEndian.Uint32(stored[len(plain):]) == b.sum(plain, kind, number)
}
