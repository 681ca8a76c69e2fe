//go:build linux || darwin

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes are free in the file system of a folder, as others than root have them, and how many it has.
func Room(dir string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	for {
		err = unix.Statfs(dir, &fs)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize), nil
}
