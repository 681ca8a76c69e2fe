package rows

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is the longest line of a CSV file, in bytes: six values, however much too long, and what is around them.
const maxLine = 1 << 20

// wholeLines passes on the lines of a CSV file, and puts one that cannot be a row in place of each whose quotes are not
// closed, or that is too long. No value holds a line break, and a reader of CSV would take everything behind a stray quote
// for one value: rows would be lost, and the numbers of the others wrong.
type wholeLines struct {
	in   *bufio.Reader
	line []byte
	rest []byte // of line, to be read
}

// noRow is a line that every reader of CSV refuses by itself.
var noRow = []byte("x\"\n")

// Read implements io.Reader.
func (w *wholeLines) Read(b []byte) (int, error) {
	if len(w.rest) == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// next reads a line.
func (w *wholeLines) next() error {
	w.line = w.line[:0]
	long := false
	for {
		part, err := w.in.ReadSlice('\n')
		if long = long || len(w.line)+len(part) > maxLine; !long {
			w.line = append(w.line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(w.line) == 0 && !long) {
			return err
		}
		break
	}
	w.rest = w.line
	if long || bytes.Count(w.line, []byte{'"'})%2 == 1 {
		w.rest = noRow
	}
	return nil
}
