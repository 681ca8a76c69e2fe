package export

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The records of an export are read again in either form, without its proof; what is no row ends the reading.
func TestRead(t *testing.T) {
	w := newWorld(t, 1, 9)
	for _, format := range []Format{JSONL, CSV} {
		dir := w.export(w.some(format, 2, 5, 6))
		read := func() (indexes []uint64, err error) {
			m, err := ReadManifest(dir)
			must(t, err)
			err = Read(t.Context(), dir, m, func(index uint64, leaf []byte, _ string) error {
				if index < 7 && !bytes.Equal(leaf, w.leaves[index]) {
					t.Errorf("record %d has other bytes", index)
				}
				indexes = append(indexes, index)
				return nil
			})
			return indexes, err
		}
		if indexes, err := read(); err != nil || !slices.Equal(indexes, []uint64{2, 5, 6}) {
			t.Errorf("%s: read %v, %v", format, indexes, err)
		}
		path := filepath.Join(dir, EntriesFile(format))
		content, err := os.ReadFile(path)
		must(t, err)
		heading := 0
		if format == CSV {
			heading = bytes.IndexByte(content, '\n') + 1
		}
		rows := bytes.SplitAfter(content[heading:], []byte("\n"))
		for name, changed := range map[string][]byte{
			"a row dropped":    slices.Concat(content[:heading], rows[0], rows[1]),
			"rows exchanged":   slices.Concat(content[:heading], rows[1], rows[0], rows[2]),
			"a row twice":      slices.Concat(content[:heading], rows[0], rows[0], rows[1]),
			"a row spoilt":     slices.Concat(content[:heading], rows[0], []byte("x\n"), rows[2]),
			"cut in a row":     content[:len(content)-3],
			"another heading":  slices.Concat([]byte("x\n"), content[heading:]),
			"one row too many": slices.Concat(content, bytes.ReplaceAll(rows[2], []byte("6"), []byte("7"))),
		} {
			must(t, os.WriteFile(path, changed, 0o600))
			if _, err := read(); err == nil {
				t.Errorf("%s: %s: no error", format, name)
			}
		}
	}
	if _, err := ReadManifest(t.TempDir()); !errors.Is(err, ErrNoExport) {
		t.Errorf("no export: %v", err)
	}
}
