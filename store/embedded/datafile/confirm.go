package datafile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// segmentSize is how much is written before it is flushed and read back, beside further writing.
const segmentSize = 32 << 20

// confirmer flushes a file while it is being written, reads it back from the device where the kernel
// can be told to, and compares. Against accidents a CRC does, at a fraction of the cost of the SHA-256
// that Verify compares.
type confirmer struct {
	file     *os.File
	segments chan segment
	result   chan error

	// Of the writer.
	start int64
	sum   uint32
}

// segment is a part of the file that is written, with its CRC-32C.
type segment struct {
	start, end int64
	sum        uint32
}

func newConfirmer(file *os.File) *confirmer {
	c := &confirmer{file: file, segments: make(chan segment, 1024), result: make(chan error, 1)}
	go c.run()
	return c
}

// wrote takes note of bytes that were written, up to the offset end.
func (c *confirmer) wrote(p []byte, end int64) {
	c.sum = crc32.Update(c.sum, castagnoli(), p)
	if end-c.start >= segmentSize {
		c.hand(end)
	}
}

func (c *confirmer) hand(end int64) {
	c.segments <- segment{c.start, end, c.sum}
	c.start, c.sum = end, 0
}

// end waits until everything up to the end of the file is flushed and compared.
func (c *confirmer) end(size int64) error {
	c.hand(size)
	close(c.segments)
	return <-c.result
}

func (c *confirmer) run() {
	var first error
	buffer := make([]byte, 1<<20)
	for s := range c.segments {
		if first == nil { // what follows a failed flush is not flushed again: its outcome would say nothing
			first = c.check(s, buffer)
		}
	}
	c.result <- first
}

func (c *confirmer) check(s segment, buffer []byte) error {
	if err := c.file.Sync(); err != nil {
		return err
	}
	dropCache(c.file, s.start, s.end-s.start)
	var sum uint32
	in := io.NewSectionReader(c.file, s.start, s.end-s.start)
	for left := s.end - s.start; left > 0; {
		n, err := in.Read(buffer)
		sum = crc32.Update(sum, castagnoli(), buffer[:n])
		left -= int64(n)
		if err != nil && (left > 0 || !errors.Is(err, io.EOF)) {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	if sum != s.sum {
		return fmt.Errorf("%w: reading it back gives other bytes", ErrTampered)
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
