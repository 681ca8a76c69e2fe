package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Allocate is [Allocator]. The size stays (FALLOC_FL_KEEP_SIZE): it says where a file ends, to recovery and to whoever
// looks for a second writer.
func (f osFile) Allocate(size int64) (bool, error) {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return false, nil
		default:
			return false, os.NewSyscallError("fallocate", err)
		}
	}
}
