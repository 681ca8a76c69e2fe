package atrest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
)

func TestStamp(t *testing.T) {
	key, other := bytes.Repeat([]byte{7}, KeySize), bytes.Repeat([]byte{8}, KeySize)
	made, err := NewStamp(rand.Reader, key, WAL, "node1-0011")
	if err != nil {
		t.Fatal(err)
	}
	s := ReadStamp(made.Append([]byte("head"))[len("head"):])
	if s != made || !s.Sealed() {
		t.Fatalf("read as %+v, written as %+v", s, made)
	}
	first, err := made.AEAD(key, WAL, "node1-0011")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.AEAD(key, WAL, "node1-0011")
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, first.NonceSize())
	if plain, err := again.Open(nil, nonce, first.Seal(nil, nonce, []byte("leaf"), nil), nil); err != nil || string(plain) != "leaf" {
		t.Errorf("opened as %q, %v", plain, err)
	}
	for name, open := range map[string]struct {
		key    []byte
		use    Use
		origin string
		want   error
	}{
		"no key":         {nil, WAL, "node1-0011", ErrNoKey},
		"another key":    {other, WAL, "node1-0011", ErrKey},
		"another use":    {key, Segment, "node1-0011", ErrKey},
		"another origin": {key, WAL, "node1-0012", ErrKey},
	} {
		if _, err := s.AEAD(open.key, open.use, open.origin); !errors.Is(err, open.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStampsDiffer(t *testing.T) {
	key := bytes.Repeat([]byte{7}, KeySize)
	a, errA := NewStamp(rand.Reader, key, WAL, "o")
	b, errB := NewStamp(rand.Reader, key, WAL, "o")
	if errA != nil || errB != nil || a.ID() == b.ID() || a.check == b.check {
		t.Errorf("two files share what is theirs: %v, %v", errA, errB)
	}
}

func TestUnsealed(t *testing.T) {
	s, err := NewStamp(rand.Reader, nil, WAL, "o")
	if err != nil || s.Sealed() {
		t.Fatalf("sealed without a key: %v", err)
	}
	if aead, err := s.AEAD(nil, WAL, "o"); aead != nil || err != nil {
		t.Errorf("%v, %v", aead, err)
	}
}

func TestBadKeyOrRandomness(t *testing.T) {
	if _, err := NewStamp(rand.Reader, make([]byte, KeySize-1), WAL, "o"); err == nil {
		t.Error("a short key seals")
	}
	if _, err := NewStamp(bytes.NewReader(nil), nil, WAL, "o"); err == nil {
		t.Error("a stamp without randomness")
	}
}
