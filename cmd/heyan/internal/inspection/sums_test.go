package inspection

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filled makes a directory with a list of sums.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, JSONLDir), 0o700))
	for _, name := range []string{"a", "b", "jsonl/c"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	sums, err := Sums(t.Context(), dir, func(int64) {})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, SumsFile), sums, 0o600))
	return dir
}

func TestSums(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(dir string) error
		want []Problem
	}{
		"nothing": {func(string) error { return nil }, nil},
		"changed": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o600) }, []Problem{{"a", Changed}}},
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "jsonl/c")) }, []Problem{{"jsonl/c", Missing}}},
		"extra":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, "jsonl/d"), nil, 0o600) }, []Problem{{"jsonl/d", Extra}}},
		"renamed": {func(dir string) error { return os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")) }, []Problem{{"a", Missing}, {"z", Extra}}},
		"a link": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "b")), os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
		}, []Problem{{"b", NotPlain}}},
	} {
		dir := filled(t)
		must(t, c.do(dir))
		if got, err := CheckSums(t.Context(), dir, func(int64) {}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// TestListsOfOthers: a list that names what is outside, or names something twice, is none.
func TestListsOfOthers(t *testing.T) {
	sum := strings.Repeat("00", 32)
	for _, list := range []string{"", "x", "zz  a\n", sum + " a\n", sum + "  ../a\n", sum + "  /etc/passwd\n", sum + "  a\n" + sum + "  a\n"} {
		dir := filled(t)
		must(t, os.WriteFile(filepath.Join(dir, SumsFile), []byte(list), 0o600))
		if got, err := CheckSums(t.Context(), dir, func(int64) {}); !errors.Is(err, ErrSums) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	if Is(t.TempDir()) || !Is(filled(t)) {
		t.Error("a bundle is not told from a directory")
	}
}

// TestPack: the archive holds every file of the bundle below its name, and is the same each time.
func TestPack(t *testing.T) {
	dir := filled(t)
	var first, second bytes.Buffer
	must(t, Pack(t.Context(), &first, dir, "inspection", noon, func(int64) {}))
	must(t, Pack(t.Context(), &second, dir, "inspection", noon, func(int64) {}))
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one bundle differ")
	}
	archive, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
	must(t, err)
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
	}
	if got := fmt.Sprint(names); got != "[inspection/a inspection/b inspection/jsonl/c inspection/SHA256SUMS]" {
		t.Errorf("the archive holds %s", got)
	}
}
