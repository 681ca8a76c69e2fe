package sidecar_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/sidecar"
)

var (
	info    = sidecar.Info{ID: [16]byte{1}, First: 5, End: 12, Bytes: 999, Root: [32]byte{7}, Batches: 3}
	batches = []sidecar.Batch{{First: 5, Offset: 100}, {First: 6, Offset: 300}, {First: 10, Offset: 700}}
)

func hashes() []tlog.Hash {
	var out []tlog.Hash
	for x := tlog.StoredHashCount(5); x < tlog.StoredHashCount(12); x++ {
		out = append(out, tlog.Hash{byte(x)})
	}
	return out
}

func write(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.idx")
	if err := sidecar.Write(disk.OS(), name, info, slices.Values(batches), slices.Values(hashes())); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRoundTrip(t *testing.T) {
	name := write(t)
	if got, err := sidecar.ReadInfo(name); err != nil || got != info {
		t.Fatalf("%+v, %v", got, err)
	}
	f, err := sidecar.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[uint64]int{5: 0, 6: 1, 7: 1, 9: 1, 10: 2, 11: 2}
	for index, i := range want {
		if got, err := f.Find(index); err != nil || got != batches[i] {
			t.Errorf("batch of %d: %+v, %v", index, got, err)
		}
	}
	for _, index := range []uint64{0, 4, 12, 1 << 40} {
		if got, err := f.Find(index); err == nil {
			t.Errorf("batch of %d: %+v", index, got)
		}
	}
	for x := tlog.StoredHashCount(5); x < tlog.StoredHashCount(12); x++ {
		if h, err := f.Hash(x); err != nil || h != (tlog.Hash{byte(x)}) {
			t.Errorf("hash %d: %v, %v", x, h, err)
		}
	}
	for _, x := range []int64{-1, 0, tlog.StoredHashCount(5) - 1, tlog.StoredHashCount(12)} {
		if _, err := f.Hash(x); err == nil {
			t.Errorf("hash %d is there", x)
		}
	}
}

func TestWriteChecksCounts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.idx")
	if err := sidecar.Write(disk.OS(), name, info, slices.Values(batches), slices.Values(hashes()[1:])); err == nil {
		t.Error("a hash too few")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEveryByteFlipped(t *testing.T) {
	name := write(t)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		flipped := bytes.Clone(content)
		flipped[i] ^= 1
		open(t, name, flipped)
	}
	for n := range content {
		open(t, name, content[:n])
	}
	open(t, name, append(content, 0))
}

func open(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := sidecar.Open(name); !errors.Is(err, sidecar.ErrDamaged) {
		t.Errorf("%+v, %v", f, err)
	}
}
