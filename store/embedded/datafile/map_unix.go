//go:build linux || darwin

package datafile

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapped is a file in memory, read only.
type mapped []byte

func mapFile(file *os.File, size int64) (mapping, error) {
	memory, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	// Digests come in no order, so reading ahead would only push out pages that are in use. It is
	// advice: if the kernel does not take it, look-ups are as right and a little slower.
	_ = unix.Madvise(memory, unix.MADV_RANDOM)
	return mapped(memory), nil
}

func (m mapped) view(offset, n int64, _ *[]byte) ([]byte, error) {
	return m[offset : offset+n : offset+n], nil
}

func (m mapped) close() error { return unix.Munmap(m) }
