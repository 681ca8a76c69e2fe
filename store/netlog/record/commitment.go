package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"slices"
)

// OpeningSize is the length of an opening: 32 random bytes made for each answer, given to the client, never kept.
const OpeningSize = 32

// CommittedField is one field of the content that a commitment commits to.
type CommittedField struct {
	Number    uint32 // of heyan.v1.Field
	Form      uint32 // of the normalisation that gave Canonical
	Canonical []byte // the canonical value, UTF-8
}

// Committed returns the content that a verification's commitment commits to, as proto/heyan/log/v1/record.proto
// publishes it: the product id, then for each field in ascending order of its number the number, the form and the
// canonical value. Numbers and forms are four bytes, big-endian; each part follows its length in four bytes, big-endian.
//
// The result holds plaintext values: the caller MUST NOT keep it beyond the call.
func Committed(product string, fields []CommittedField) []byte {
	if !slices.IsSortedFunc(fields, byNumber) {
		fields = slices.Clone(fields)
		slices.SortStableFunc(fields, byNumber)
	}
	size := 4 + len(product)
	for _, f := range fields {
		size += 8 + 8 + 4 + len(f.Canonical)
	}
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint32(b, uint32(len(product)))
	b = append(b, product...)
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, f.Number)
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, f.Form)
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.Canonical)))
		b = append(b, f.Canonical...)
	}
	return b
}

func byNumber(a, b CommittedField) int { return int(int64(a.Number) - int64(b.Number)) }

// Commit returns HMAC-SHA-256(opening, content), RFC 2104. The opening MUST be [OpeningSize] random bytes, used once.
func Commit(opening, content []byte) [32]byte {
	mac := hmac.New(sha256.New, opening)
	mac.Write(content)
	var sum [32]byte
	mac.Sum(sum[:0])
	return sum
}

// Opens tells whether opening and content are what the commitment was made of. It is false for a zero commitment,
// which stands for "absent", and for an opening of another length than [OpeningSize].
func Opens(commitment [32]byte, opening, content []byte) bool {
	if commitment == ([32]byte{}) || len(opening) != OpeningSize {
		return false
	}
	sum := Commit(opening, content)
	return subtle.ConstantTimeCompare(sum[:], commitment[:]) == 1
}
