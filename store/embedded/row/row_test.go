package row_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/row"
)

func rows(t testing.TB, fill byte, name string) *row.Rows {
	t.Helper()
	r, err := row.New(bytes.Repeat([]byte{fill}, row.KeySize), name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The tag as the package documentation defines it, written out once more.
func TestTagIsAsDocumented(t *testing.T) {
	key, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{7}, 32), nil, "heyan row tag v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("\x00\x00\x00\x08business\x00\x00\x00\x02k1the value"))
	want := append([]byte("the value"), mac.Sum(nil)[:16]...)
	if got := rows(t, 7, "business").Seal(nil, []byte("k1"), []byte("the value")); !bytes.Equal(got, want) {
		t.Errorf("Seal = %x, want %x", got, want)
	}
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	r := rows(t, 1, "s")
	for _, value := range [][]byte{nil, {0}, []byte("value"), bytes.Repeat([]byte("x"), 1<<16)} {
		stored := r.Seal([]byte("before"), []byte("key"), value)
		if !bytes.HasPrefix(stored, []byte("before")) {
			t.Fatal("Seal overwrote dst")
		}
		stored = stored[len("before"):]
		if len(stored) != len(value)+row.Overhead {
			t.Errorf("%d bytes became %d", len(value), len(stored))
		}
		got, err := r.Open([]byte("key"), stored)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("Open of %d bytes: %d bytes, %v", len(value), len(got), err)
		}
		into := make([]byte, len(stored))
		r.SealInto(into, []byte("key"), value)
		if !bytes.Equal(into, stored) {
			t.Error("SealInto and Seal differ")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	r := rows(t, 1, "s")
	key, value := []byte("key"), []byte("value")
	stored := r.Seal(nil, key, value)
	for name, open := range map[string]func() ([]byte, error){
		"another key of the row":         func() ([]byte, error) { return r.Open([]byte("kez"), stored) },
		"another store":                  func() ([]byte, error) { return rows(t, 1, "t").Open(key, stored) },
		"another store key":              func() ([]byte, error) { return rows(t, 2, "s").Open(key, stored) },
		"a byte moved from key to value": func() ([]byte, error) { return r.Open([]byte("ke"), append([]byte("y"), stored...)) },
		"a byte moved from value to key": func() ([]byte, error) { return r.Open([]byte("keyv"), stored[1:]) },
		"a byte moved from name to key":  func() ([]byte, error) { return rows(t, 1, "sk").Open([]byte("ey"), stored) },
		"cut short":                      func() ([]byte, error) { return r.Open(key, stored[:len(stored)-1]) },
		"shorter than a tag":             func() ([]byte, error) { return r.Open(key, stored[:row.Overhead-1]) },
		"empty":                          func() ([]byte, error) { return r.Open(key, nil) },
	} {
		if got, err := open(); !errors.Is(err, row.ErrTampered) || got != nil {
			t.Errorf("%s: %q, %v, want ErrTampered", name, got, err)
		}
	}
	for i := range stored {
		for bit := range 8 {
			flipped := bytes.Clone(stored)
			flipped[i] ^= 1 << bit
			if _, err := r.Open(key, flipped); !errors.Is(err, row.ErrTampered) {
				t.Errorf("bit %d of byte %d flipped: %v, want ErrTampered", bit, i, err)
			}
		}
	}
}

func TestNewRefusesAShortKey(t *testing.T) {
	if _, err := row.New(make([]byte, 16), "s"); err == nil {
		t.Error("a key of 16 bytes was accepted")
	}
}

func BenchmarkSeal(b *testing.B) {
	r := rows(b, 1, "business")
	key, value, buffer := make([]byte, 32), make([]byte, 100), make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		r.Seal(buffer, key, value)
	}
}

func BenchmarkOpen(b *testing.B) {
	r := rows(b, 1, "business")
	key := make([]byte, 32)
	stored := r.Seal(nil, key, make([]byte, 100))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(key, stored); err != nil {
			b.Fatal(err)
		}
	}
}
