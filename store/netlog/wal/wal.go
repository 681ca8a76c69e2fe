// Package wal is the write-ahead file of the network log: what one flush makes durable, and how it is read back.
//
// A file is a header and then batches. A batch is two frames: a body, which holds the records, and a commit, which
// says how large the tree is with them, its root, and carries the signed checkpoint. A frame is
//
//	length   4 bytes, big-endian: of the payload
//	type     1 byte
//	CRC32C   4 bytes, big-endian: over length, type and payload
//	payload
//
// The body's payload is a row of record frames, or those sealed by AES-256-GCM. The key is the file's own
// (package atrest), the nonce is the batch's number in the file, and the header, the
// number and the index of the first record are authenticated with it. A file is written by one process in one go and
// never appended to after a restart, so a nonce is never used twice, even when a torn tail was cut.
//
// # Torn or corrupt
//
// A batch is written by one write and one flush, and the next one is not begun before the flush returned. So after a
// crash at most one batch is damaged, and no commit of a later batch stands behind it: a torn tail, which [Scan]
// reports and the caller cuts. When a commit of a later batch does stand behind it, the damaged bytes had been flushed:
// that is corruption ([ErrCorrupt]), and nothing may be cut. A commit names its file and its number, so that a scan
// can find it behind damaged bytes.
//
// What this cannot tell: damage to the very last batch after it was flushed looks like a torn tail. A checkpoint or
// receipt that left the machine shows it.
package wal

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

// Version is the version of the file format that this package writes, and the newest that it reads.
const Version = 1

const (
	// MaxBody is the largest payload of a body, in bytes.
	MaxBody = 64 << 20
	// MaxCheckpoint is the largest signed checkpoint, in bytes.
	MaxCheckpoint = 4 << 10

	frameOverhead  = 9
	maxOrigin      = 128
	idSize         = 16
	commitOverhead = idSize + 8 + 8 + 8 + 4 + 8 + 32
)

// Frame types.
const (
	typeRecord byte = iota + 1
	typePlain
	typeSealed
	typeCommit
)

var (
	// ErrVersion is a file of a newer format.
	ErrVersion = errors.New("wal: file was written by a newer version")
	// ErrCorrupt is damage that no crash explains. See [CorruptError] for where.
	ErrCorrupt = errors.New("wal: corrupt")
	// ErrTooLarge is a batch that no file can hold.
	ErrTooLarge = errors.New("wal: batch too large")
)

// CorruptError says where a file is corrupt. It matches [ErrCorrupt].
type CorruptError struct {
	File   string // base name; set by whoever knows it
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: corrupt: file %s at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Is tells that e is an [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a whole frame.
func appendFrame(b []byte, typ byte, payload []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, frameOverhead)...)
	b = append(b, payload...)
	fillFrame(b[at:], typ)
	return b
}

// fillFrame writes the head of a frame whose payload is in place.
func fillFrame(frame []byte, typ byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-frameOverhead))
	frame[4] = typ
	binary.BigEndian.PutUint32(frame[5:], frameSum(frame))
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:5], castagnoli), castagnoli, frame[frameOverhead:])
}

// sumOf returns the checksum that stands in a frame.
func sumOf(frame []byte) uint32 { return binary.BigEndian.Uint32(frame[5:]) }

// parseFrame returns the type and payload of the frame at the start of b and the bytes after it.
func parseFrame(b []byte) (typ byte, payload, rest []byte, ok bool) {
	if len(b) < frameOverhead {
		return 0, nil, nil, false
	}
	size := uint64(binary.BigEndian.Uint32(b))
	if size > uint64(len(b)-frameOverhead) {
		return 0, nil, nil, false
	}
	frame := b[:frameOverhead+size]
	if frameSum(frame) != sumOf(frame) {
		return 0, nil, nil, false
	}
	return frame[4], frame[frameOverhead:], b[len(frame):], true
}

// Header begins a file.
type Header struct {
	Origin string
	First  uint64   // index of the first record
	Root   [32]byte // root of the tree before the first record
	stamp  atrest.Stamp
}

// magic is followed by the version, two bytes, big-endian. Both stay in place in every version.
var magic = [8]byte{'H', 'E', 'Y', 'A', 'N', 'W', 'A', 'L'}

const headerFixed = 8 + 2 + 2 + 8 + 32 + atrest.StampSize // and then the origin, and a CRC32C

// Sealed tells whether the file's bodies are sealed.
func (h *Header) Sealed() bool { return h.stamp.Sealed() }

func (h *Header) size() int64 { return int64(headerFixed + len(h.Origin) + 4) }

// ID names the file: it stands in each of its commits, and no two files share one.
func (h *Header) ID() [idSize]byte { return h.stamp.ID() }

func (h *Header) id() []byte {
	id := h.stamp.ID()
	return id[:]
}

func (h *Header) marshal() []byte {
	b := append(make([]byte, 0, h.size()), magic[:]...)
	b = binary.BigEndian.AppendUint16(b, Version)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Origin)))
	b = binary.BigEndian.AppendUint64(b, h.First)
	b = append(b, h.Root[:]...)
	b = h.stamp.Append(b)
	b = append(b, h.Origin...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// ReadHeader reads a file's header. Errors: [ErrVersion], [CorruptError].
func ReadHeader(r io.ReaderAt) (Header, error) {
	var h Header
	b := make([]byte, headerFixed+maxOrigin+4)
	n, err := r.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return h, err
	}
	b = b[:n]
	if len(b) < headerFixed || [8]byte(b) != magic {
		return h, &CorruptError{Reason: "not a header"}
	}
	if binary.BigEndian.Uint16(b[8:]) > Version {
		return h, ErrVersion
	}
	origin := int(binary.BigEndian.Uint16(b[10:]))
	if origin > maxOrigin || len(b) < headerFixed+origin+4 {
		return h, &CorruptError{Reason: "malformed header"}
	}
	b = b[:headerFixed+origin+4]
	if binary.BigEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return h, &CorruptError{Reason: "header does not match its checksum"}
	}
	h.First = binary.BigEndian.Uint64(b[12:])
	copy(h.Root[:], b[20:])
	h.stamp = atrest.ReadStamp(b[52:])
	h.Origin = string(b[headerFixed : headerFixed+origin])
	return h, nil
}

// sealer seals and opens the bodies of one file.
type sealer struct {
	aead   cipher.AEAD
	header [32]byte // SHA-256 of the header's bytes
}

// newSealer returns nil for a file that is not sealed. Errors: [atrest.ErrNoKey], [atrest.ErrKey].
func newSealer(sealKey []byte, h *Header) (*sealer, error) {
	aead, err := h.stamp.AEAD(sealKey, atrest.WAL, h.Origin)
	if aead == nil || err != nil {
		return nil, err
	}
	return &sealer{aead, sha256.Sum256(h.marshal())}, nil
}

func (s *sealer) nonce(number uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), number)
}

func (s *sealer) bind(number, first uint64) []byte {
	b := append(make([]byte, 0, 48), s.header[:]...)
	b = binary.BigEndian.AppendUint64(b, number)
	return binary.BigEndian.AppendUint64(b, first)
}

// Commit is the end of a batch.
type Commit struct {
	Number     uint64 // of the batch in its file, from 0
	First      uint64 // index of the batch's first record
	Size       uint64 // of the tree with the batch
	Root       [32]byte
	Checkpoint []byte // signed note

	bodySize uint64 // of the body frame, in bytes
	bodySum  uint32 // CRC32C of the body frame
}

func (c *Commit) append(b []byte, id []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, frameOverhead)...)
	b = append(b, id...)
	b = binary.BigEndian.AppendUint64(b, c.Number)
	b = binary.BigEndian.AppendUint64(b, c.bodySize)
	b = binary.BigEndian.AppendUint64(b, c.First)
	b = binary.BigEndian.AppendUint32(b, c.bodySum)
	b = binary.BigEndian.AppendUint64(b, c.Size)
	b = append(b, c.Root[:]...)
	b = append(b, c.Checkpoint...)
	fillFrame(b[at:], typeCommit)
	return b
}

func parseCommit(p []byte, id []byte) (Commit, bool) {
	if len(p) < commitOverhead || len(p) > commitOverhead+MaxCheckpoint || [idSize]byte(p) != [idSize]byte(id) {
		return Commit{}, false
	}
	p = p[idSize:]
	c := Commit{
		Number:   binary.BigEndian.Uint64(p),
		bodySize: binary.BigEndian.Uint64(p[8:]),
		First:    binary.BigEndian.Uint64(p[16:]),
		bodySum:  binary.BigEndian.Uint32(p[24:]),
		Size:     binary.BigEndian.Uint64(p[28:]),
	}
	copy(c.Root[:], p[36:])
	c.Checkpoint = p[68:]
	return c, c.Size > c.First
}
