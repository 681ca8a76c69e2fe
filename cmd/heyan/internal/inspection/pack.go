package inspection

import (
	"archive/zip"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Pack writes the bundle in dir as a zip archive whose files lie below name. Equal bundles give equal bytes.
func Pack(ctx context.Context, out io.Writer, dir, name string, made time.Time, read func(int64)) error {
	files, _, err := filesOf(dir)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(out)
	for _, file := range append(files, SumsFile) {
		if err := packOne(ctx, archive, dir, file, path.Join(name, file), made, read); err != nil {
			return err
		}
	}
	return archive.Close()
}

func packOne(ctx context.Context, archive *zip.Writer, dir, file, name string, made time.Time, read func(int64)) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return err
	}
	defer in.Close()
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: made.UTC()})
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, counting{ctx, in, read})
	return err
}
