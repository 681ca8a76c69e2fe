package export

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadManifest reads the manifest of the export in dir, as it stands there. Error: [ErrNoExport].
func ReadManifest(dir string) (*Manifest, error) {
	in, err := os.Open(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoExport
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(in)
	return m, errors.Join(err, in.Close())
}

// Read calls fn with the records of the export in dir, in order; leaf is valid during the call. It proves nothing, and
// looks at the leaves only: [Verify] does the rest. A row that is none, or stands behind a later one, ends it.
func Read(ctx context.Context, dir string, m *Manifest, fn func(index uint64, leaf []byte, amended string) error) (err error) {
	s, err := newSheet(Layout{m.Format, m.Lang, m.BOM, m.Columns})
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(dir, EntriesFile(m.Format)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReaderSize(file, maxLine)
	if heading := s.heading(); len(heading) > 0 {
		got, err := in.ReadSlice('\n')
		if err != nil || !bytes.Equal(got, heading) {
			return fmt.Errorf("%w: the heading", errRow)
		}
	}
	var r row
	next := uint64(0)
	for number := uint64(1); ; number++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && number == m.Count+1:
			return nil
		case errors.Is(err, io.EOF) && len(line) == 0:
			return fmt.Errorf("%w: %d rows, and the manifest counts %d", errRow, number-1, m.Count)
		case err == nil:
			err = s.parse(bytes.TrimRight(line, "\r\n"), &r)
		}
		if err == nil && r.index < next {
			err = errRow
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", number, err)
		}
		next = r.index + 1
		if err := fn(r.index, r.leaf, r.amended); err != nil {
			return err
		}
	}
}
