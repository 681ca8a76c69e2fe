package disk

import (
	"errors"
	"io/fs"
	"syscall"
)

// Allocator is a file whose room can be taken ahead. The files of [OS] are such.
type Allocator interface {
	// Allocate takes room for the first size bytes of the file, whose size it leaves as it is. ok is false where the
	// system or the file system cannot. After an error some of the room may be taken.
	Allocate(size int64) (ok bool, err error)
}

// Allocate takes room for the first size bytes of a file, so that writing them needs no more: [NoSpace] errors are then
// the file system's fault. The size of the file does not change, and what is read of it neither. ok is false where that
// cannot be done.
func Allocate(f File, size int64) (ok bool, err error) {
	if a, can := f.(Allocator); can {
		return a.Allocate(size)
	}
	return false, nil
}

// NoSpace tells whether an error says that the disk, or a quota, is full.
func NoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Reserve makes an empty file under a temporary name that takes size bytes of room. [Release] gives the room back, and
// [ReplaceWith] makes it the room of another file. ok is false, and there is no file, where that cannot be done. Nothing
// of it is durable: after a crash the name may be there with less, and has to be removed.
func Reserve(fsys FS, name string, size int64) (ok bool, err error) {
	if err := Release(fsys, name); err != nil {
		return false, err
	}
	f, err := fsys.OpenFile(name, true)
	if err != nil {
		return false, err
	}
	ok, err = Allocate(f, size)
	err = errors.Join(err, f.Close())
	if !ok || err != nil {
		return false, errors.Join(err, fsys.Remove(name))
	}
	return true, nil
}

// Release removes what Reserve made, if it is there.
func Release(fsys FS, name string) error {
	if err := fsys.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReplaceWith is [Replace] in the room that was reserved under a name in the same folder.
func ReplaceWith(fsys FS, reserved, name string) (*Pending, error) {
	if err := fsys.Rename(reserved, name+TempSuffix); err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(name+TempSuffix, false)
	if err != nil {
		return nil, err
	}
	return &Pending{File: f, fsys: fsys, name: name}, nil
}
