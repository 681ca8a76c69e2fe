package sealed_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

const headerSize = 64

func storeKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, sealed.KeySize) }

func newFS(t testing.TB, base vfs.FS, fill byte) *sealed.FS {
	t.Helper()
	files, err := sealed.NewFS(base, storeKey(fill), nil)
	must(t, err)
	return files
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write creates a file with the given contents, handed over in pieces.
func write(t testing.TB, files vfs.FS, name string, contents []byte, pieces ...int) {
	t.Helper()
	file, err := files.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	contents = bytes.Clone(contents) // Write may change what it is given
	for _, n := range pieces {
		_, err := file.Write(contents[:n])
		must(t, err)
		contents = contents[n:]
	}
	_, err = file.Write(contents)
	must(t, err)
	must(t, file.Sync())
	must(t, file.Close())
}

func read(t testing.TB, files vfs.FS, name string) []byte {
	t.Helper()
	file, err := files.Open(name)
	must(t, err)
	contents, err := io.ReadAll(file)
	must(t, err)
	must(t, file.Close())
	return contents
}

// overwrite replaces a file of the base file system, past the sealing.
func overwrite(t testing.TB, base vfs.FS, name string, raw []byte) {
	t.Helper()
	write(t, base, name, raw)
}

func random(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

func TestContentsComeBack(t *testing.T) {
	base := vfs.NewMem()
	files := newFS(t, base, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{0, 1, 15, 16, 17, 63, 64, 65, 4096, 100_003} {
		contents := random(size, uint64(size))
		var pieces []int
		for left := size; left > 0; {
			n := rng.IntN(left + 1)
			pieces = append(pieces, n)
			left -= n
			if len(pieces) > 20 {
				break
			}
		}
		write(t, files, "f", contents, pieces...)
		if got := read(t, files, "f"); !bytes.Equal(got, contents) {
			t.Fatalf("%d bytes did not come back", size)
		}
		info, err := files.Stat("f")
		must(t, err)
		if info.Size() != int64(size) {
			t.Errorf("Stat: %d bytes, want %d", info.Size(), size)
		}
		file, err := files.Open("f")
		must(t, err)
		opened, err := file.Stat()
		must(t, err)
		if opened.Size() != int64(size) {
			t.Errorf("Stat of the open file: %d bytes, want %d", opened.Size(), size)
		}
		for range 50 {
			offset := rng.IntN(size + 1)
			p := make([]byte, rng.IntN(size-offset+1))
			if n, err := file.ReadAt(p, int64(offset)); n != len(p) || err != nil && err != io.EOF {
				t.Fatalf("ReadAt %d+%d of %d: %d, %v", offset, len(p), size, n, err)
			}
			if !bytes.Equal(p, contents[offset:offset+len(p)]) {
				t.Fatalf("ReadAt %d+%d of %d differs", offset, len(p), size)
			}
		}
		if _, err := file.ReadAt(make([]byte, 1), int64(size)); err != io.EOF {
			t.Errorf("ReadAt at the end: %v, want EOF", err)
		}
		if _, err := file.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("ReadAt -1, which is inside the header, did not fail")
		}
		must(t, file.Close())
	}
}

// MV-3.2-desensitised: what is kept is kept encrypted.
func TestContentsAreNotOnDisk(t *testing.T) {
	base := vfs.NewMem()
	files := newFS(t, base, 1)
	contents := bytes.Repeat([]byte("sixteen bytes.. "), 64)
	write(t, files, "a", contents)
	write(t, files, "b", contents)
	a, b := read(t, base, "a"), read(t, base, "b")
	if bytes.Contains(a, []byte("sixteen")) {
		t.Error("the contents are in the file")
	}
	if len(a) != headerSize+len(contents) {
		t.Errorf("%d bytes became %d", len(contents), len(a))
	}
	for i := headerSize; i+16 <= len(a); i += 16 {
		if bytes.Equal(a[i:i+16], b[i:i+16]) {
			t.Fatalf("two files of equal contents agree at %d", i)
		}
		if i >= headerSize+16 && bytes.Equal(a[i:i+16], a[i-16:i]) {
			t.Fatalf("equal blocks are equal on disk at %d", i)
		}
	}
}

func TestNothingIsRewritten(t *testing.T) {
	base := vfs.NewMem()
	files := newFS(t, base, 1)
	if _, err := files.OpenReadWrite("f", vfs.WriteCategoryUnspecified); !errors.Is(err, sealed.ErrRewrite) {
		t.Errorf("OpenReadWrite: %v, want ErrRewrite", err)
	}
	file, err := files.Create("f", vfs.WriteCategoryUnspecified)
	must(t, err)
	if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, sealed.ErrRewrite) {
		t.Errorf("WriteAt: %v, want ErrRewrite", err)
	}
	if file.Fd() != vfs.InvalidFd {
		t.Error("a descriptor was given away")
	}
	must(t, file.Close())
	opened, err := files.Open("f")
	must(t, err)
	if _, err := opened.Write([]byte("x")); !errors.Is(err, sealed.ErrRewrite) {
		t.Errorf("Write to a file opened for reading: %v, want ErrRewrite", err)
	}
	must(t, opened.Close())
	if files.Unwrap() != nil {
		t.Error("Unwrap shows the way past the sealing")
	}
}

func TestReuseMakesAFreshFile(t *testing.T) {
	base := vfs.NewMem()
	files := newFS(t, base, 1)
	old := random(500, 1)
	write(t, files, "old", old)
	rawOld := read(t, base, "old")
	file, err := files.ReuseForWrite("old", "new", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = file.Write(bytes.Clone(old[:100]))
	must(t, err)
	must(t, file.Close())
	if got := read(t, files, "new"); !bytes.Equal(got, old[:100]) {
		t.Error("the reused file does not hold exactly what was written")
	}
	rawNew := read(t, base, "new")
	if bytes.Equal(rawNew[16:48], rawOld[16:48]) || bytes.Equal(rawNew[64:], rawOld[64:164]) {
		t.Error("the reused file has the old salt or keystream")
	}
	if _, err := base.Stat("old"); !os.IsNotExist(err) {
		t.Errorf("the old file is still there: %v", err)
	}
	if _, err := files.ReuseForWrite("old", "new2", vfs.WriteCategoryUnspecified); err == nil {
		t.Error("reusing a file that is not there did not fail")
	}
}

func TestRenameAndLinkKeepTheHeader(t *testing.T) {
	files := newFS(t, vfs.NewMem(), 1)
	contents := random(300, 1)
	write(t, files, "a", contents)
	must(t, files.Link("a", "b"))
	must(t, files.Rename("a", "c"))
	for _, name := range []string{"b", "c"} {
		if !bytes.Equal(read(t, files, name), contents) {
			t.Errorf("%s differs", name)
		}
	}
	names, err := files.List("")
	must(t, err)
	slices.Sort(names)
	if !slices.Equal(names, []string{"b", "c"}) {
		t.Errorf("List = %v", names)
	}
}

// After a failed write nothing may be written at the same place, where the keystream was spent.
func TestNoWriteAfterAFailedOne(t *testing.T) {
	broken := errors.New("broken")
	fail := false
	base := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail && op.Kind == errorfs.OpFileWrite {
			return broken
		}
		return nil
	}))
	file, err := newFS(t, base, 1).Create("f", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = file.Write([]byte("first"))
	must(t, err)
	fail = true
	if _, err := file.Write([]byte("second")); !errors.Is(err, broken) {
		t.Fatalf("Write: %v", err)
	}
	fail = false
	if n, err := file.Write([]byte("other!")); !errors.Is(err, broken) || n != 0 {
		t.Errorf("a write after a failed one: %d, %v", n, err)
	}
	must(t, file.Close())
}

func TestOpenRefuses(t *testing.T) {
	base := vfs.NewMem()
	write(t, newFS(t, base, 1), "f", []byte("contents"))
	raw := read(t, base, "f")
	version := func(v uint16) []byte {
		changed := bytes.Clone(raw)
		binary.BigEndian.PutUint16(changed[6:], v)
		return changed
	}
	for name, c := range map[string]struct {
		raw  []byte
		key  byte
		want error
	}{
		"another key":             {raw, 2, sealed.ErrWrongKey},
		"the next version":        {version(2), 1, sealed.ErrNewerFormat},
		"version 0":               {version(0), 1, sealed.ErrTampered},
		"a newer one, other key":  {version(2), 2, sealed.ErrNewerFormat},
		"a file in clear":         {bytes.Repeat([]byte("clear"), 20), 1, sealed.ErrNotSealed},
		"a header of zeros, then": {append(make([]byte, 63), raw[63:]...), 1, sealed.ErrNotSealed},
	} {
		overwrite(t, base, "f", c.raw)
		if _, err := newFS(t, base, c.key).Open("f"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range headerSize {
		changed := bytes.Clone(raw)
		changed[i] ^= 0x10
		overwrite(t, base, "f", changed)
		if _, err := newFS(t, base, 1).Open("f"); err == nil {
			t.Errorf("byte %d of the header changed: opened", i)
		}
	}
}

// A crash may leave a name without a durable header: nobody was told that such a file holds anything.
func TestFileWithoutHeaderIsEmpty(t *testing.T) {
	base := vfs.NewMem()
	files := newFS(t, base, 1)
	for _, raw := range [][]byte{nil, random(1, 1), random(headerSize-1, 1), make([]byte, headerSize), make([]byte, 500)} {
		overwrite(t, base, "f", raw)
		file, err := files.Open("f")
		must(t, err)
		if n, err := file.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes raw: Read %d, %v", len(raw), n, err)
		}
		if n, err := file.ReadAt(make([]byte, 10), 0); n != 0 || err != io.EOF {
			t.Errorf("%d bytes raw: ReadAt %d, %v", len(raw), n, err)
		}
		must(t, file.Close())
	}
}

func TestNewFSRefusesAShortKey(t *testing.T) {
	if _, err := sealed.NewFS(vfs.NewMem(), make([]byte, 16), nil); err == nil {
		t.Error("a key of 16 bytes was accepted")
	}
}

type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNoFileWithoutRandomness(t *testing.T) {
	base := vfs.NewMem()
	files, err := sealed.NewFS(base, storeKey(1), noRandom{})
	must(t, err)
	if _, err := files.Create("f", vfs.WriteCategoryUnspecified); err == nil {
		t.Error("a file was made without a salt")
	}
	if _, err := base.Stat("f"); !os.IsNotExist(err) {
		t.Error("a file was left behind")
	}
}

// MV-3.2-desensitised: access rights.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on Windows")
	}
	root := filepath.Join(t.TempDir(), "a", "store")
	db, err := sealed.Open(root, "s", storeKey(1), sealed.Options{})
	must(t, err)
	put(t, db, "k", "v")
	must(t, db.Flush())
	defer closing(t, db)
	must(t, filepath.WalkDir(filepath.Dir(root), func(path string, entry os.DirEntry, err error) error {
		must(t, err)
		info, err := entry.Info()
		if os.IsNotExist(err) {
			return nil
		}
		must(t, err)
		want := os.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", entry.Name(), info.Mode().Perm(), want)
		}
		return nil
	}))
}
