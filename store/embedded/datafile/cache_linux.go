package datafile

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes the next read of a synced file come from the device. It is advice, and reading from
// the cache is only a weaker check.
func dropCache(file *os.File) {
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}
