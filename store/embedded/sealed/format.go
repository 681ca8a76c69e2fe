package sealed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// storeVersion is the version of what the engine keeps in a database: the files of this package, the
// tags of package row, and the layout of keys and values above them. It rises when an older release
// must not open a newer directory.
const storeVersion = 1

const (
	formatName      = "FORMAT"
	formatTemporary = "FORMAT.new"
	lockName        = "LOCK"
)

// checkFormat makes sure that dir holds a store of this name that this release can read, and marks an
// empty directory as one. The caller holds the directory's lock.
//
// The mark is a sealed file, so that it also tells a wrong key before Pebble reads anything.
func checkFormat(files *FS, dir, name string) error {
	text, err := readFormat(files, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return markFormat(files, dir, name)
	}
	if err != nil {
		return err
	}
	version, store, err := parseFormat(text)
	switch {
	case err != nil:
		return err
	case version > storeVersion:
		return fmt.Errorf("%w: store format %d, this release reads up to %d", ErrNewerFormat, version, storeVersion)
	case store != name:
		return fmt.Errorf("%w: the directory holds another store than %q", ErrNotSealed, name)
	}
	return nil
}

func readFormat(files *FS, dir string) (string, error) {
	file, err := files.Open(files.PathJoin(dir, formatName))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, 4096))
	return string(text), errors.Join(err, file.Close())
}

func formatText(name string) string {
	return fmt.Sprintf("heyan store %d\n%s\n", storeVersion, name)
}

func parseFormat(text string) (version int, name string, err error) {
	first, rest, _ := strings.Cut(text, "\n")
	number, found := strings.CutPrefix(first, "heyan store ")
	if !found {
		return 0, "", ErrTampered
	}
	version, err = strconv.Atoi(number)
	if err != nil || version < 1 {
		return 0, "", ErrTampered
	}
	if version > storeVersion {
		return version, "", nil // what follows the first line is the newer release's business
	}
	name, rest, found = strings.Cut(rest, "\n")
	if !found || rest != "" {
		return 0, "", ErrTampered
	}
	return version, name, nil
}

// markFormat writes the mark into a directory that holds nothing yet.
func markFormat(files *FS, dir, name string) (err error) {
	present, err := files.List(dir)
	if err != nil {
		return err
	}
	for _, entry := range present {
		if entry != lockName && entry != formatTemporary {
			return &os.PathError{Op: "open", Path: files.PathJoin(dir, formatName),
				Err: fmt.Errorf("%w: the directory is not empty and has no format mark", ErrNotSealed)}
		}
	}
	temporary := files.PathJoin(dir, formatTemporary)
	file, err := files.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = file.Write([]byte(formatText(name))); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := files.Rename(temporary, files.PathJoin(dir, formatName)); err != nil {
		return err
	}
	return syncDir(files, dir)
}

func syncDir(files vfs.FS, dir string) error {
	opened, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// CheckKey reports whether a key opens the database in a directory, without opening it: nil, [ErrWrongKey], or why
// that cannot be told. It changes nothing, and a running server may have the database open.
func CheckKey(dir string, storeKey []byte) error {
	files, err := NewFS(vfs.Default, storeKey, nil)
	if err != nil {
		return err
	}
	file, err := files.Open(files.PathJoin(dir, formatName))
	if err != nil {
		return err
	}
	return file.Close()
}
