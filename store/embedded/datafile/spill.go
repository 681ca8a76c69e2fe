package datafile

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// source gives rows in ascending order of anchor and payload, and at the end io.EOF. What it returns is
// good until the next call.
type source interface {
	read() (anchor, payload []byte, err error)
}

// spill is a temporary file of sorted runs. Each run is encrypted by AES-256-CTR under a random key of
// its own that is never stored: after the process is gone nobody reads it, also where the file could
// not be unlinked while open.
type spill struct {
	file   *os.File
	random io.Reader
	runs   []run
	end    int64
	gone   bool // the file has no name any more
}

// run is one sorted run: the segments of all parts, one after the other.
type run struct {
	key   [32]byte
	start [parts + 1]int64 // offsets of the segments in the file, and of the end
}

const minReadBuffer = 4 << 10

func newSpill(dir string, random io.Reader) (*spill, error) {
	file, err := os.CreateTemp(dir, ".spill-*") // mode 0600
	if err != nil {
		return nil, err
	}
	s := &spill{file: file, random: random}
	if runtime.GOOS != "windows" {
		if err := os.Remove(file.Name()); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		s.gone = true
	}
	return s, nil
}

// stream returns the keystream of one segment. Segments are told apart by the upper half of the
// counter; none is long enough to overflow the lower.
func (r *run) stream(part int) (cipher.Stream, error) {
	block, err := aes.NewCipher(r.key[:])
	if err != nil {
		return nil, err
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:], uint64(part))
	return cipher.NewCTR(block, iv[:]), nil
}

// run writes one run of sorted parts.
func (s *spill) run(all *[parts]part) error {
	r := run{}
	if _, err := io.ReadFull(s.random, r.key[:]); err != nil {
		return fmt.Errorf("datafile: draw a key: %w", err)
	}
	out := bufio.NewWriterSize(s.file, 1<<20)
	for i := range all {
		r.start[i] = s.end
		if len(all[i].rows) == 0 {
			continue
		}
		stream, err := r.stream(i)
		if err != nil {
			return err
		}
		if err := s.segment(out, stream, &partSource{part: &all[i]}); err != nil {
			return err
		}
	}
	r.start[parts] = s.end
	s.runs = append(s.runs, r)
	return out.Flush()
}

// segment encrypts and writes the rows of one part. A row equal to the one before is left out.
func (s *spill) segment(out io.Writer, stream cipher.Stream, rows source) error {
	var encoded, last []byte
	for {
		anchor, payload, err := rows.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		encoded = appendItem(append(encoded[:0], anchor...), payload)
		if bytes.Equal(encoded, last) {
			continue
		}
		last = append(last[:0], encoded...)
		stream.XORKeyStream(encoded, encoded)
		if _, err := out.Write(encoded); err != nil {
			return err
		}
		s.end += int64(len(encoded))
	}
}

// sources opens the segments of the parts [from, to) of all runs, with buffers of the given size.
func (s *spill) sources(from, to, buffer int) ([]source, error) {
	var all []source
	for i := range s.runs {
		for part := from; part < to; part++ {
			start, end := s.runs[i].start[part], s.runs[i].start[part+1]
			if start == end {
				continue
			}
			stream, err := s.runs[i].stream(part)
			if err != nil {
				return nil, err
			}
			section := io.NewSectionReader(s.file, start, end-start)
			size := int(min(int64(buffer), end-start))
			all = append(all, &runSource{in: bufio.NewReaderSize(&cipher.StreamReader{S: stream, R: section}, size)})
		}
	}
	return all, nil
}

func (s *spill) close() error {
	err := s.file.Close()
	if !s.gone {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	return err
}

// runSource reads one segment back.
type runSource struct {
	in      *bufio.Reader
	anchor  [AnchorSize]byte
	payload []byte
}

func (r *runSource) read() (anchor, payload []byte, err error) {
	if _, err := io.ReadFull(r.in, r.anchor[:]); err != nil {
		return nil, nil, err // io.EOF between rows
	}
	n, err := binary.ReadUvarint(r.in)
	if err != nil || n > MaxPayload {
		return nil, nil, fmt.Errorf("%w: the temporary file", ErrUnreadable)
	}
	if uint64(cap(r.payload)) < n {
		r.payload = make([]byte, n)
	}
	r.payload = r.payload[:n]
	if _, err := io.ReadFull(r.in, r.payload); err != nil {
		return nil, nil, fmt.Errorf("%w: the temporary file", ErrUnreadable)
	}
	return r.anchor[:], r.payload, nil
}

// merge calls f with the rows of all sources in order. What f is given is good until it returns.
func merge(sources []source, f func(anchor, payload []byte) error) error {
	heads := make([]head, 0, len(sources))
	for _, s := range sources {
		h := head{source: s}
		more, err := h.advance()
		if err != nil {
			return err
		}
		if more {
			heads = append(heads, h)
		}
	}
	for i := len(heads)/2 - 1; i >= 0; i-- {
		sift(heads, i)
	}
	for len(heads) > 0 {
		if err := f(heads[0].anchor, heads[0].payload); err != nil {
			return err
		}
		more, err := heads[0].advance()
		if err != nil {
			return err
		}
		if !more {
			heads[0] = heads[len(heads)-1]
			heads = heads[:len(heads)-1]
		}
		sift(heads, 0)
	}
	return nil
}

// head is a source and its next row.
type head struct {
	source          source
	prefix          uint64
	anchor, payload []byte
}

func (h *head) advance() (more bool, err error) {
	h.anchor, h.payload, err = h.source.read()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h.prefix = binary.BigEndian.Uint64(h.anchor)
	return true, nil
}

func (h *head) less(other *head) bool {
	if h.prefix != other.prefix {
		return h.prefix < other.prefix
	}
	return compareRows(h.anchor, h.payload, other.anchor, other.payload) < 0
}

// sift restores the heap below i.
func sift(heads []head, i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(heads) && heads[child].less(&heads[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		heads[i], heads[least] = heads[least], heads[i]
		i = least
	}
}
