package inspection

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Problem is a file that is not as the list says.
type Problem struct {
	File string
	What string // changed, missing, extra, or not a plain file
}

// What can be said of a file.
const (
	Changed  = "changed"
	Missing  = "missing"
	Extra    = "extra"
	NotPlain = "not a plain file"
)

// ErrSums is a list that `heyan log bundle` did not write.
var ErrSums = errors.New("SHA256SUMS cannot be read")

// maxSums bounds what is read of a list.
const maxSums = 1 << 20

// Is reports whether a directory is a bundle, by its list of sums and the export in it.
func Is(dir string) bool {
	for _, name := range []string{SumsFile, JSONLDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// Sums returns the list of every file below dir but the list itself, in the form of sha256sum, ordered by name.
func Sums(ctx context.Context, dir string, read func(int64)) ([]byte, error) {
	files, strange, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	if len(strange) > 0 {
		return nil, fmt.Errorf("%s: %s", strange[0], NotPlain)
	}
	var list bytes.Buffer
	for _, name := range files {
		sum, err := sumOf(ctx, filepath.Join(dir, filepath.FromSlash(name)), read)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "%s  %s\n", sum, name)
	}
	return list.Bytes(), nil
}

// CheckSums compares every file below dir with the list. The error is of the file system, the context, or [ErrSums].
func CheckSums(ctx context.Context, dir string, read func(int64)) ([]Problem, error) {
	want, err := readSums(filepath.Join(dir, SumsFile))
	if err != nil {
		return nil, err
	}
	files, strange, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	var all []Problem
	for _, name := range strange {
		delete(want, name)
		all = append(all, Problem{name, NotPlain})
	}
	for _, name := range files {
		listed, ok := want[name]
		delete(want, name)
		if !ok {
			all = append(all, Problem{name, Extra})
			continue
		}
		got, err := sumOf(ctx, filepath.Join(dir, filepath.FromSlash(name)), read)
		if err != nil {
			return nil, err
		}
		if got != listed {
			all = append(all, Problem{name, Changed})
		}
	}
	for name := range want {
		all = append(all, Problem{name, Missing})
	}
	slices.SortFunc(all, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return all, nil
}

// filesOf lists the plain files below dir but the list of sums, and what is neither a plain file nor a directory: a link
// could lead out of the bundle.
func filesOf(dir string) (files, strange []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case name == SumsFile:
		case d.Type().IsRegular():
			files = append(files, name)
		default:
			strange = append(strange, name)
		}
		return nil
	})
	slices.Sort(files)
	return files, strange, err
}

// readSums reads a list: names by sums. A name that leads out of the bundle, or stands there twice, is none of ours.
func readSums(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	want := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(file, maxSums))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		raw, err := hex.DecodeString(sum)
		if !ok || err != nil || len(raw) != sha256.Size || want[name] != "" || !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, ErrSums
		}
		want[name] = strings.ToLower(sum)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(want) == 0 {
		return nil, ErrSums
	}
	return want, nil
}

// counting tells of what is read, and stops when the context does.
type counting struct {
	ctx  context.Context
	in   io.Reader
	read func(int64)
}

func (c counting) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.in.Read(b)
	c.read(int64(n))
	return n, err
}

func sumOf(ctx context.Context, path string, read func(int64)) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, counting{ctx, file, read}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
