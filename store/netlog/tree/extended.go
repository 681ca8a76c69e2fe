package tree

import (
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// SignExtended returns the signed note of a checkpoint with extension lines, each of which ends with a newline. Whoever
// does not know them reads a checkpoint like any other.
func (s *Signer) SignExtended(size uint64, root Hash, lines string) ([]byte, error) {
	return note.Sign(&note.Note{Text: Checkpoint{s.origin, size, root}.Text() + lines}, s.signer)
}

// OpenExtended is [Verifier.Open] that returns the checkpoint's extension lines, too, "" for none.
func (v Verifier) OpenExtended(signed []byte) (c Checkpoint, lines string, err error) {
	if c, err = v.Open(signed); err != nil {
		return c, "", err
	}
	n, err := note.Open(signed, v.known)
	if err != nil {
		return Checkpoint{}, "", err
	}
	return c, strings.TrimPrefix(n.Text, c.Text()), nil
}

// ParseHash reads a hash as its String method writes it.
func ParseHash(s string) (Hash, bool) { return parseHash(s) }

// Subtree returns the root of the n-th complete subtree of 2^level leaves, where it is one of those that make up the tree.
func (f *Frontier) Subtree(level int, n uint64) (Hash, bool) {
	if level < 0 || level >= len(f.edge) || f.size>>level&1 == 0 || n != f.size>>(level+1)<<1 {
		return Hash{}, false
	}
	return f.edge[level], true
}
