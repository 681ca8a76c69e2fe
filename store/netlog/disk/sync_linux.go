package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync flushes data and what is needed to read it back (the size), not times: one journal commit less.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) { // interrupted before it began: not a failed flush
			if err != nil {
				return os.NewSyscallError("fdatasync", err)
			}
			return nil
		}
	}
}
