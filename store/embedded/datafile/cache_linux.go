package datafile

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes the next read of a flushed range of a file come from the device. It is advice, and reading from
// the cache is only a weaker check.
func dropCache(file *os.File, offset, n int64) {
	_ = unix.Fadvise(int(file.Fd()), offset, n, unix.FADV_DONTNEED)
}
