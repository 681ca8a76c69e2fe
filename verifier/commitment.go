package verifier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Commitment returns HMAC-SHA-256(opening, content) over the published bytes of heyan.log.v1: the product,
// then for each field in ascending order of its number the number, the form and the canonical value; numbers
// and forms four bytes, big-endian, each part after its length in four bytes, big-endian.
func Commitment(opening [32]byte, id product.ID, values []field.Value) (sum [32]byte) {
	ordered := values
	if !slices.IsSortedFunc(ordered, byKind) {
		ordered = slices.Clone(values)
		slices.SortFunc(ordered, byKind)
	}
	mac := hmac.New(sha256.New, opening[:])
	var scratch [256]byte
	content := appendPart(scratch[:0], string(id))
	for _, v := range ordered {
		content = appendNumber(content, uint32(v.Kind()))
		content = appendNumber(content, uint32(v.Form()))
		content = appendPart(content, v.Canonical().Reveal())
	}
	mac.Write(content)
	mac.Sum(sum[:0])
	return sum
}

func byKind(a, b field.Value) int { return int(a.Kind()) - int(b.Kind()) }

func appendNumber(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), n)
}

func appendPart(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
