package tree

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof is a C2SP tlog-proof: that the record at Index is in the tree of Checkpoint.
type Proof struct {
	Extra      []byte // not authenticated; nil when absent
	Index      uint64
	Hashes     []Hash // RFC 6962 audit path, from the leaf's sibling up
	Checkpoint []byte // signed note, verbatim
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// ErrMalformedProof is a text that is not a tlog-proof.
var ErrMalformedProof = errors.New("tree: malformed proof")

// maxProof bounds what a parser reads; a proof has at most 63 hashes, a checkpoint a few signatures.
const maxProof = 64 << 10

// Prove returns the proof for index in the tree of the signed checkpoint, whose size and root are given. It checks its
// own answer, so that damaged stored hashes give an error and never a wrong proof.
func Prove(index, size uint64, root Hash, signed []byte, r tlog.HashReader) (Proof, error) {
	if index >= size {
		return Proof{}, fmt.Errorf("tree: index %d is not in a tree of %d", index, size)
	}
	path, err := tlog.ProveRecord(int64(size), int64(index), r)
	if err != nil {
		return Proof{}, err
	}
	leaf, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))})
	if err != nil {
		return Proof{}, err
	}
	if err := tlog.CheckRecord(path, int64(size), root, int64(index), leaf[0]); err != nil {
		return Proof{}, fmt.Errorf("%w: stored hashes do not give the signed root", ErrProof)
	}
	return Proof{Index: index, Hashes: path, Checkpoint: signed}, nil
}

// Marshal returns the proof's text, which ends with the signed checkpoint.
func (p Proof) Marshal() []byte {
	b := []byte(proofHeader)
	if p.Extra != nil {
		b = append(b, "extra "...)
		b = append(base64.StdEncoding.AppendEncode(b, p.Extra), '\n')
	}
	b = append(b, "index "...)
	b = append(strconv.AppendUint(b, p.Index, 10), '\n')
	for _, h := range p.Hashes {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	return append(append(b, '\n'), p.Checkpoint...)
}

// ParseProof reads a proof's text. It verifies nothing.
func ParseProof(text []byte) (Proof, error) {
	rest, ok := bytes.CutPrefix(text, []byte(proofHeader))
	if !ok || len(text) > maxProof {
		return Proof{}, ErrMalformedProof
	}
	var p Proof
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	if extra, found := bytes.CutPrefix(line, []byte("extra ")); ok && found {
		var err error
		if p.Extra, err = base64.StdEncoding.Strict().AppendDecode([]byte{}, extra); err != nil || bytes.ContainsRune(extra, '\r') {
			return Proof{}, ErrMalformedProof
		}
		line, rest, ok = bytes.Cut(rest, []byte("\n"))
	}
	number, found := bytes.CutPrefix(line, []byte("index "))
	index, err := strconv.ParseUint(string(number), 10, 62)
	if !ok || !found || err != nil || strconv.FormatUint(index, 10) != string(number) {
		return Proof{}, ErrMalformedProof
	}
	p.Index = index
	for {
		if line, rest, ok = bytes.Cut(rest, []byte("\n")); !ok || len(p.Hashes) > 63 {
			return Proof{}, ErrMalformedProof
		}
		if len(line) == 0 {
			break
		}
		h, ok := parseHash(string(line))
		if !ok {
			return Proof{}, ErrMalformedProof
		}
		p.Hashes = append(p.Hashes, h)
	}
	if len(rest) == 0 {
		return Proof{}, ErrMalformedProof
	}
	p.Checkpoint = bytes.Clone(rest)
	return p, nil
}

// Verify verifies that leaf stands at p.Index of the tree that the key's owner signed, and returns that tree's
// checkpoint. Errors: [ErrProof], or those of [Verifier.Open].
func (p Proof) Verify(leaf []byte, v Verifier) (Checkpoint, error) {
	c, err := v.Open(p.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	if p.Index >= c.Size || len(p.Hashes) > bits.Len64(c.Size) {
		return Checkpoint{}, ErrProof
	}
	err = tlog.CheckRecord(p.Hashes, int64(c.Size), c.Root, int64(p.Index), LeafHash(leaf))
	if err != nil {
		return Checkpoint{}, ErrProof
	}
	return c, nil
}
