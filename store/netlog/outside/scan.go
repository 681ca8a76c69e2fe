package outside

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// maxNote bounds one signed note. Ours have some 220 bytes; other signatures may stand below.
const maxNote = 16 << 10

// Note is a text that has the form of a signed checkpoint. Nothing about it is verified.
type Note struct {
	Signed  []byte // what tree.Verifier.Open takes
	Claims  tree.Checkpoint
	signers []signer
}

// signer is who a signature line says that it is of.
type signer struct {
	name  string
	hash  uint32
	whole bool // as long as an Ed25519 signature with its hash
}

// by reports whether the note has a signature line of that key, and whether a whole one.
func (n *Note) by(v tree.Verifier) (named, whole bool) {
	for _, s := range n.signers {
		if s.name == v.Origin() && s.hash == v.KeyHash() {
			named, whole = true, whole || s.whole
		}
	}
	return named, whole
}

// signatureMark begins a signature line of a signed note (C2SP signed-note).
const signatureMark = "— "

// Scan reads a text of any number of signed checkpoints, one behind the other, with empty lines between them or without,
// and calls each with every one. What is between them, such as one that was cut short while it was written, is counted in
// parts and left out. It ends at the first error of in or each.
func Scan(in io.Reader, each func(Note) error) (malformed int, err error) {
	s := scanner{each: each}
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if err := s.line(line); err != nil {
				return s.malformed, err
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull), err == nil:
		case errors.Is(err, io.EOF):
			return s.malformed, s.end()
		default:
			return s.malformed, err
		}
	}
}

// scanner gathers one note at a time.
type scanner struct {
	each      func(Note) error
	signed    []byte // all of it
	signing   bool   // in the signature lines
	blank     bool   // the last line was empty
	malformed int
}

func (s *scanner) line(line []byte) error {
	signature := bytes.HasPrefix(line, []byte(signatureMark))
	empty := len(line) == 1 && line[0] == '\n'
	switch {
	case signature:
		s.signing = true
	case s.signing: // the first line behind a note
		if err := s.end(); err != nil {
			return err
		}
	case s.blank && !empty && len(s.signed) > 0:
		s.drop() // an empty line ended a text that no signature followed
	}
	s.blank = empty
	if empty && len(s.signed) == 0 {
		return nil
	}
	if len(s.signed) <= maxNote { // a longer one is no note, and is not kept
		s.signed = append(s.signed, line...)
	}
	return nil
}

func (s *scanner) drop() {
	s.malformed++
	s.signed, s.signing = s.signed[:0], false
}

// end closes the note that was gathered.
func (s *scanner) end() error {
	if len(s.signed) == 0 {
		return nil
	}
	n, ok := parseNote(s.signed)
	if !s.signing || !ok {
		s.drop()
		return nil
	}
	s.signed, s.signing = nil, false
	return s.each(n)
}

// parseNote reads a note's form: text, an empty line, signature lines.
func parseNote(signed []byte) (Note, bool) {
	n := Note{Signed: signed}
	at := bytes.LastIndex(signed, []byte("\n\n"))
	if at < 0 || len(signed) > maxNote {
		return n, false
	}
	var err error
	if n.Claims, err = tree.ParseCheckpoint(string(signed[:at+1])); err != nil {
		return n, false
	}
	for line := range strings.Lines(string(signed[at+2:])) {
		rest, marked := strings.CutPrefix(line, signatureMark)
		rest, ended := strings.CutSuffix(rest, "\n")
		name, code, two := strings.Cut(rest, " ")
		raw, err := base64.StdEncoding.DecodeString(code)
		if !marked || !ended || !two || err != nil || len(raw) < 5 {
			return n, false
		}
		n.signers = append(n.signers, signer{name, binary.BigEndian.Uint32(raw), len(raw) == 4+ed25519.SignatureSize})
	}
	return n, len(n.signers) > 0
}
