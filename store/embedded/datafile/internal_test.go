package datafile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	random "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func small(t testing.TB, path string, rows int) [][AnchorSize]byte {
	t.Helper()
	w, err := Create(path, Header{Dataset: "d", Generation: "g", Suite: "s"}, make([]byte, KeySize), Options{Random: random.NewChaCha8([32]byte{1})})
	if err != nil {
		t.Fatal(err)
	}
	rng := random.New(random.NewPCG(1, 2))
	var anchors [][AnchorSize]byte
	for range rows {
		var a [AnchorSize]byte
		for i := 0; i < len(a); i += 8 {
			binary.LittleEndian.PutUint64(a[i:], rng.Uint64())
		}
		anchors = append(anchors, a)
		if err := w.Add(a, a[:20]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return anchors
}

// Where there is no mapping, the same look-ups read the file.
func TestWithoutMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	anchors := small(t, path, 1000)
	r, err := openWith(path, make([]byte, KeySize), func(f *os.File, _ int64) (mapping, error) { return readAt{f}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range anchors {
		list, found, err := r.Lookup(a, nil)
		if err != nil || !found || !bytes.Equal(list, appendItem(nil, a[:20])) {
			t.Fatalf("Lookup: %v, %v", found, err)
		}
		a[31]++
		if _, found, err := r.Lookup(a, nil); err != nil || found {
			t.Fatalf("Lookup of an absent anchor: %v, %v", found, err)
		}
	}
	if err := os.Truncate(path, 200); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Lookup(anchors[len(anchors)/2], nil); !errors.Is(err, ErrUnreadable) {
		t.Errorf("Lookup in a file cut short: %v, want ErrUnreadable", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestSketch(t *testing.T) {
	rng := random.New(random.NewPCG(1, 1))
	for _, n := range []int{0, 1, 100, maxKept, maxKept + 1, 50_000, 300_000} {
		var s sketch
		for range n {
			p := rng.Uint64()
			s.add(p)
			s.add(p)
		}
		got := float64(s.estimate())
		if n <= maxKept && got != float64(n) || math.Abs(got-float64(n)) > 0.08*float64(n) {
			t.Errorf("estimate of %d is %v", n, got)
		}
	}
}

// resign gives a changed file a valid checksum and MAC, so that what lies behind them is reached.
func resign(p []byte) {
	if len(p) < fixedHeader+footerSize {
		return
	}
	names := binary.BigEndian.Uint32(p[48:])
	if uint64(names) > uint64(len(p)-fixedHeader-footerSize) {
		return
	}
	length := fixedHeader + int(names)
	foot := p[len(p)-footerSize:]
	index := binary.BigEndian.Uint64(foot[24:])
	if index > uint64(len(p)-footerSize) {
		return
	}
	sum := sha256.Sum256(p[:len(p)-footerSize])
	copy(foot[40:], sum[:])
	keys, err := deriveKeys(make([]byte, KeySize), p[16:48])
	if err != nil {
		return
	}
	copy(foot[72:], keys.indexMAC(p[:length], p[index:len(p)-footerSize], foot[:72]))
}

// FuzzOpen: whatever a file holds, opening and searching it neither panics nor reads outside of it,
// even if whoever changed it knows the key.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	for _, rows := range []int{0, 1, 40} {
		small(f, path, rows)
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint16(0), byte(0), false)
		f.Add(raw, uint16(len(raw)-footerSize+20), byte(3), true)
		if err := os.Remove(path); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, at uint16, flip byte, sign bool) {
		if len(raw) > 0 {
			raw = bytes.Clone(raw)
			raw[int(at)%len(raw)] ^= flip
		}
		if sign {
			resign(raw)
		}
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path, make([]byte, KeySize))
		if err != nil {
			return
		}
		for i := range 64 {
			var a [AnchorSize]byte
			a[0] = byte(i * 4)
			if i%2 == 0 && len(raw) > 200 {
				copy(a[:], raw[(i*31)%(len(raw)-AnchorSize):])
			}
			list, _, err := r.Lookup(a, nil)
			if err == nil {
				for range Items(list) {
				}
			} else if !errors.Is(err, ErrTampered) {
				t.Errorf("Lookup: %v", err)
			}
		}
		_ = r.Iterate(func([AnchorSize]byte, []byte) error { return nil })
		_ = r.Verify()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzFind: a bucket of any bytes.
func FuzzFind(f *testing.F) {
	f.Add([]byte{0}, []byte("anchor"))
	f.Add(append([]byte{1}, make([]byte, 80)...), []byte{})
	f.Fuzz(func(t *testing.T, data, name []byte) {
		var a [AnchorSize]byte
		copy(a[:], name)
		p, err := find(data, &a)
		if err != nil {
			return
		}
		if p.tag+tagSize > len(data) || p.sealed != nil && len(p.sealed) < tagSize {
			t.Errorf("a place outside: %d, %d", p.tag, len(p.sealed))
		}
		if p.sealed != nil && !bytes.Equal(p.anchor, a[:]) {
			t.Error("another anchor")
		}
	})
}
