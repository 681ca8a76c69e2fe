package datafile

import (
	"fmt"
	"os"
	"slices"
)

// readAt is the mapping of systems without one: it reads what is looked at.
type readAt struct{ file *os.File }

var _ mapping = readAt{}

func (m readAt) view(offset, n int64, buffer *[]byte) ([]byte, error) {
	p := slices.Grow((*buffer)[:0], int(n))[:n]
	*buffer = p
	if _, err := m.file.ReadAt(p, offset); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return p, nil
}

func (readAt) close() error { return nil }
