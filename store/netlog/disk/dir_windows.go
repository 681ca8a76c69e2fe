package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// syncDir: NTFS journals names by itself, and a directory handle cannot be flushed.
func syncDir(string) error { return nil }

func lock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}
