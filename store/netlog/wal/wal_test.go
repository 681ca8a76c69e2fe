package wal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
)

var sealKey = bytes.Repeat([]byte{5}, atrest.KeySize)

// batches is what the small file of most tests holds.
var batches = [][]string{{"a", "bb"}, {"ccc"}, {"dddd", "", "f"}}

// write makes a file of the batches and returns its bytes and where each batch ends.
func write(t testing.TB, key []byte, batches [][]string) (content []byte, ends []int) {
	t.Helper()
	return writePaved(t, key, batches, 0)
}

func writePaved(t testing.TB, key []byte, batches [][]string, pave int64) (content []byte, ends []int) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.wal")
	h := Header{Origin: "node-1-ab", First: 10, Root: [32]byte{9}}
	w, err := Create(disk.OS(), name, h, key, pave, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	size := h.First
	var body Body
	for _, leaves := range batches {
		body.Reset(1 << 20)
		for _, leaf := range leaves {
			body.Add([]byte(leaf))
		}
		size += uint64(len(leaves))
		p, err := w.Prepare(&body, size, [32]byte{byte(size)}, fmt.Appendf(nil, "checkpoint of %d\n", size))
		if err != nil {
			t.Fatal(err)
		}
		if at, err := w.Commit(p); err != nil || len(ends) > 0 && at != int64(ends[len(ends)-1]) {
			t.Fatal(at, err)
		}
		ends = append(ends, int(w.Size()))
	}
	if content, err = os.ReadFile(name); err != nil || len(content) != int(w.FileSize()) {
		t.Fatal(len(content), w.FileSize(), err)
	}
	return content, ends
}

// scan reads a file's content; the batches come back as text.
func scan(content, key []byte) (got [][]string, tail Tail, err error) {
	r, err := NewReader(bytes.NewReader(content), key)
	if err != nil {
		return nil, Tail{}, err
	}
	tail, err = r.Scan(int64(len(content)), func(b *Batch) error {
		var leaves []string
		for _, leaf := range b.Leaves {
			leaves = append(leaves, string(leaf))
		}
		if string(b.Checkpoint) != fmt.Sprintf("checkpoint of %d\n", b.Size) || b.Root != [32]byte{byte(b.Size)} {
			return errors.New("commit differs")
		}
		got = append(got, leaves)
		return nil
	})
	return got, tail, err
}

func forms(t *testing.T, run func(t *testing.T, key []byte)) {
	t.Run("plain", func(t *testing.T) { run(t, nil) })
	t.Run("sealed", func(t *testing.T) { run(t, sealKey) })
}

func TestRoundTrip(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		content, _ := write(t, key, batches)
		got, tail, err := scan(content, key)
		if err != nil || tail.Bytes != 0 || tail.Offset != int64(len(content)) {
			t.Fatal(tail, err)
		}
		if !reflect.DeepEqual(got, batches) {
			t.Errorf("got %q", got)
		}
		if sealed := !bytes.Contains(content, []byte("dddd")); sealed != (key != nil) {
			t.Errorf("sealed: %v", sealed)
		}
	})
}

// TestPaved: zeros ahead of the batches are neither records nor damage, and a paved file holds the same.
func TestPaved(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		for _, pave := range []int64{1, 100, 333, 5000} {
			content, ends := writePaved(t, key, batches, pave)
			got, tail, err := scan(content, key)
			if err != nil || tail != (Tail{Offset: int64(ends[2])}) || !reflect.DeepEqual(got, batches) {
				t.Errorf("paved by %d: %q, %+v, %v", pave, got, tail, err)
			}
			if len(content) == ends[2] && pave == 5000 {
				t.Error("not paved")
			}
			content = append(content, 1)
			if _, tail, err := scan(content, key); err != nil || int(tail.Offset+tail.Bytes) != len(content) {
				t.Errorf("a byte behind the zeros: %+v, %v", tail, err)
			}
		}
	})
}

func TestTrim(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.wal")
	w, err := Create(disk.OS(), name, Header{Origin: "x"}, nil, 1000, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var body Body
	body.Add([]byte("a"))
	p, err := w.Prepare(&body, 1, [32]byte{}, []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	want := w.FileSizeWith(p)
	if _, err := w.Commit(p); err != nil || w.FileSize() != want {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != want || want != w.Size()+1000 {
		t.Fatal(info.Size(), want, err)
	}
	if err := w.Trim(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != w.Size() || w.FileSize() != w.Size() {
		t.Fatal(info.Size(), err)
	}
}

func TestSealKey(t *testing.T) {
	content, _ := write(t, sealKey, batches)
	if _, _, err := scan(content, nil); !errors.Is(err, atrest.ErrNoKey) {
		t.Error(err)
	}
	if _, _, err := scan(content, make([]byte, atrest.KeySize)); !errors.Is(err, atrest.ErrKey) {
		t.Error(err)
	}
	other, _ := write(t, sealKey, batches)
	if bytes.Equal(content[headerFixed+20:], other[headerFixed+20:]) {
		t.Error("two files of the same records are sealed alike")
	}
	if _, err := Create(disk.OS(), filepath.Join(t.TempDir(), "x"), Header{}, []byte("short"), 0, rand.Reader); err == nil {
		t.Error("a short seal key is taken")
	}
}

func TestNewerVersion(t *testing.T) {
	content, _ := write(t, nil, batches)
	binary.BigEndian.PutUint16(content[8:], Version+1)
	if _, _, err := scan(content, nil); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// TestTornTail cuts, and fills with zeros, at every byte: what was committed before stays, the rest is a tail.
func TestTornTail(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		content, ends := write(t, key, batches)
		start := headerFixed + len("node-1-ab") + 4
		for n := start; n < len(content); n++ {
			whole := 0
			for whole < len(ends) && ends[whole] <= n {
				whole++
			}
			zeros := bytes.Clone(content)
			clear(zeros[n:])
			for name, torn := range map[string][]byte{"cut": content[:n], "zeros": zeros} {
				got, tail, err := scan(torn, key)
				if name == "zeros" && err == nil && len(got) == whole+1 {
					continue // what was cleared was zero before
				}
				valid := start
				if whole > 0 {
					valid = ends[whole-1]
				}
				if err != nil || len(got) != whole || int(tail.Offset) != valid {
					t.Fatalf("%s at %d: %d batches, tail %+v, %v", name, n, len(got), tail, err)
				}
				if int(tail.Offset+tail.Bytes) != max(valid, len(bytes.TrimRight(torn, "\x00"))) {
					t.Fatalf("%s at %d: tail %+v of %d bytes", name, n, tail, len(torn))
				}
			}
		}
	})
}

// TestEveryByteFlipped: in the header the file is refused; in the last batch it is a torn tail; before, it is corrupt,
// and the offset is that of the batch. Nothing is ever read differently.
func TestEveryByteFlipped(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		content, ends := write(t, key, batches)
		start := headerFixed + len("node-1-ab") + 4
		for i := range content {
			flipped := bytes.Clone(content)
			flipped[i] ^= 0x10
			got, tail, err := scan(flipped, key)
			switch {
			case i < start:
				if err == nil {
					t.Fatalf("byte %d of the header: nothing noticed", i)
				}
				if i >= 10 && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("byte %d of the header: %v", i, err)
				}
			case i >= ends[1]:
				if err != nil || len(got) != 2 || int(tail.Offset) != ends[1] || tail.Bytes == 0 {
					t.Fatalf("byte %d of the last batch: %d batches, %+v, %v", i, len(got), tail, err)
				}
				// When only the body is damaged, the commit still tells that the batch was written.
				if commit := len(content) - frameOverhead - commitOverhead - len("checkpoint of 16\n"); i < commit && tail.Committed != 16 {
					t.Fatalf("byte %d of the last body: committed %d", i, tail.Committed)
				}
			default:
				batch := 0
				for ends[batch] <= i {
					batch++
				}
				at := start
				if batch > 0 {
					at = ends[batch-1]
				}
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || corrupt.Offset != int64(at) || len(got) != batch {
					t.Fatalf("byte %d of batch %d: %d batches, %v", i, batch, len(got), err)
				}
			}
			if !reflect.DeepEqual(got, batches[:len(got)]) && len(got) > 0 {
				t.Fatalf("byte %d: read differently", i)
			}
		}
	})
}

// TestWholeButWrong: frames with right checksums in a wrong place are corruption, never a tail.
func TestWholeButWrong(t *testing.T) {
	forms(t, func(t *testing.T, key []byte) {
		content, ends := write(t, key, batches)
		dropped := append(bytes.Clone(content[:ends[0]]), content[ends[1]:]...)
		doubled := append(bytes.Clone(content), content[ends[1]:]...)
		for name, c := range map[string][]byte{"batch dropped": dropped, "batch doubled": doubled} {
			if _, _, err := scan(c, key); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		foreign, otherEnds := write(t, key, batches)
		mixed := append(bytes.Clone(content[:ends[1]]), foreign[otherEnds[1]:]...)
		if got, tail, err := scan(mixed, key); err != nil || len(got) != 2 || tail.Bytes == 0 {
			t.Errorf("a batch of another file: %d batches, %+v, %v", len(got), tail, err)
		}
	})
}

func TestResume(t *testing.T) {
	content, ends := write(t, sealKey, batches)
	content[ends[0]+20] ^= 1
	r, err := NewReader(bytes.NewReader(content), sealKey)
	if err != nil {
		t.Fatal(err)
	}
	c, end, ok, err := r.Resume(int64(ends[0]), int64(len(content)))
	if err != nil || !ok || c.First != 12 || c.Size != 13 || int(end) != ends[1] {
		t.Fatal(c, end, ok, err)
	}
	n := 0
	if _, err := r.ScanFrom(c, end, int64(len(content)), func(b *Batch) error { n += len(b.Leaves); return nil }); err != nil || n != 3 {
		t.Error(n, err)
	}
	if _, _, ok, err := r.Resume(int64(len(content)-5), int64(len(content))); ok || err != nil {
		t.Error(ok, err)
	}
}

// TestCommitsAcrossWindows lets a later commit stand on and around the edge of the search window.
func TestCommitsAcrossWindows(t *testing.T) {
	content, ends := write(t, nil, [][]string{{"a"}, {"b"}, {"c"}})
	const body = frameOverhead + frameOverhead + 1
	for shift := -idSize - frameOverhead - 2; shift < idSize+frameOverhead+2; shift++ {
		damaged := append(bytes.Clone(content[:ends[0]]), make([]byte, 1<<20-body+shift)...)
		damaged = append(damaged, content[ends[1]:]...)
		if _, _, err := scan(damaged, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("shift %d: %v", shift, err)
		}
	}
}

func TestWriteFaults(t *testing.T) {
	boom := errors.New("boom")
	for name, fault := range map[string]func(disktest.Op) error{
		"flush": func(op disktest.Op) error {
			if op.Kind == disktest.Sync {
				return boom
			}
			return nil
		},
		"short": func(op disktest.Op) error {
			if op.Kind == disktest.Write {
				return disktest.Short{N: 5}
			}
			return nil
		},
	} {
		fsys := disktest.New()
		w, err := Create(fsys, filepath.Join(t.TempDir(), "a.wal"), Header{Origin: "x"}, nil, 0, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		fsys.Hook(fault)
		var body Body
		body.Add([]byte("a"))
		p, err := w.Prepare(&body, 1, [32]byte{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(p); err == nil {
			t.Errorf("%s: no error", name)
		}
		w.Close()
	}
}

func TestPrepareLimits(t *testing.T) {
	w, err := Create(disk.OS(), filepath.Join(t.TempDir(), "a.wal"), Header{Origin: "x", First: 5}, nil, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var empty, body Body
	body.Add([]byte("a"))
	if _, err := w.Prepare(&empty, 6, [32]byte{}, nil); err == nil {
		t.Error("an empty batch")
	}
	if _, err := w.Prepare(&body, 5, [32]byte{}, nil); err == nil {
		t.Error("a batch that adds nothing")
	}
	if _, err := w.Prepare(&body, 6, [32]byte{}, make([]byte, MaxCheckpoint+1)); err == nil {
		t.Error("a large checkpoint")
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, typeRecord, []byte("abc")))
	f.Add(appendFrame(appendFrame(nil, typePlain, nil), typeCommit, make([]byte, commitOverhead)))
	f.Fuzz(func(t *testing.T, b []byte) {
		typ, payload, rest, ok := parseFrame(b)
		if !ok {
			return
		}
		if again := append(appendFrame(nil, typ, payload), rest...); !bytes.Equal(again, b) {
			t.Fatalf("frame differs:\n%x\n%x", b, again)
		}
	})
}

func FuzzCommit(f *testing.F) {
	id := make([]byte, idSize)
	f.Add((&Commit{Size: 1, Checkpoint: []byte("x")}).append(nil, id)[frameOverhead:])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := parseCommit(b, id)
		if ok && !bytes.Equal(c.append(nil, id)[frameOverhead:], b) {
			t.Fatalf("%x", b)
		}
	})
}

// FuzzScan changes a valid file: whatever is read is a prefix of what was written.
func FuzzScan(f *testing.F) {
	content, _ := write(f, nil, batches)
	f.Add(0, []byte{1}, len(content))
	f.Add(200, []byte{1, 2, 3}, 300)
	f.Fuzz(func(t *testing.T, at int, with []byte, size int) {
		b := bytes.Clone(content)
		if at < 0 || at > len(b) || size < 0 || size > len(b) {
			return
		}
		copy(b[at:], with)
		got, tail, err := scan(b[:size], nil)
		if len(got) > len(batches) || len(got) > 0 && !reflect.DeepEqual(got, batches[:len(got)]) {
			t.Fatalf("read %q, %+v, %v", got, tail, err)
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	content, _ := write(f, sealKey, batches)
	f.Add(content[:headerFixed+13])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader(bytes.NewReader(b))
		if err == nil && binary.BigEndian.Uint16(b[8:]) == Version && !bytes.HasPrefix(b, h.marshal()) {
			t.Fatal("header differs")
		}
	})
}
