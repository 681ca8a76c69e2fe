package tree

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TestRFC6962Vectors: the leaves and roots of the reference implementation's test data for RFC 6962.
func TestRFC6962Vectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var f Frontier
	for i, want := range roots {
		if got := f.Root(); hex.EncodeToString(got[:]) != want {
			t.Errorf("root of %d leaves: %x", i, got)
		}
		if i < len(leaves) {
			leaf, _ := hex.DecodeString(leaves[i])
			f.Append(LeafHash(leaf), nil)
		}
	}
}

// stored reads from a slice of stored hashes, as tlog numbers them.
type stored []Hash

func (s stored) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(s)) {
			return nil, errors.New("no such hash")
		}
		out[i] = s[x]
	}
	return out, nil
}

func leafOf(n int) []byte { return fmt.Appendf(nil, "record %d", n) }

// TestAgainstTlog takes package tlog as oracle, for every size up to 600.
func TestAgainstTlog(t *testing.T) {
	var f Frontier
	var ours, theirs stored
	for n := range 600 {
		root := f.Root()
		if want, err := tlog.TreeHash(int64(n), theirs); err != nil || n > 0 && root != want {
			t.Fatalf("size %d: root %v, want %v, %v", n, root, want, err)
		}
		loaded, err := Load(uint64(n), theirs)
		if err != nil || loaded.Root() != root || loaded.Size() != uint64(n) {
			t.Fatalf("size %d: loaded %v, %v", n, loaded.Root(), err)
		}
		ours = f.Append(LeafHash(leafOf(n)), ours)
		add, err := tlog.StoredHashes(int64(n), leafOf(n), theirs)
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, add...)
		if len(ours) != len(theirs) || int64(len(ours)) != tlog.StoredHashCount(int64(n+1)) {
			t.Fatalf("size %d: %d stored hashes, want %d", n+1, len(ours), len(theirs))
		}
		loaded.Append(LeafHash(leafOf(n)), nil)
		if loaded.Root() != f.Root() {
			t.Fatalf("size %d: a loaded frontier grows another tree", n+1)
		}
	}
	for i := range ours {
		if ours[i] != theirs[i] {
			t.Fatalf("stored hash %d differs", i)
		}
	}
}

func TestLeafHash(t *testing.T) {
	for _, n := range []int{0, 1, 1023, 1024, 1025, 9000} {
		leaf := bytes.Repeat([]byte{1}, n)
		if LeafHash(leaf) != tlog.RecordHash(leaf) {
			t.Errorf("leaf of %d bytes", n)
		}
	}
}

const origin = "node-1-0123456789abcdef"

func testSigner(t testing.TB, seed byte, name string) (*Signer, Verifier) {
	t.Helper()
	s, err := NewSigner(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(s.Key() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestCheckpoint(t *testing.T) {
	signer, verifier := testSigner(t, 1, origin)
	want := Checkpoint{origin, 7, LeafHash(nil)}
	signed, err := signer.Sign(want.Size, want.Root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verifier.Open(signed); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	// Package note, given the same key by its own road, agrees byte for byte.
	seed := append([]byte{1}, bytes.Repeat([]byte{1}, 32)...)
	hash := strings.Split(signer.Key(), "+")[1]
	oracle, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(seed))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := note.Sign(&note.Note{Text: want.Text()}, oracle); err != nil || !bytes.Equal(other, signed) {
		t.Errorf("package note signs\n%s\nwe sign\n%s", other, signed)
	}
	otherKey, _ := testSigner(t, 2, origin)
	byOther, _ := otherKey.Sign(want.Size, want.Root)
	otherName, _ := testSigner(t, 1, "node-2")
	byName, _ := otherName.Sign(want.Size, want.Root)
	foreign, _ := note.Sign(&note.Note{Text: Checkpoint{"elsewhere", 7, want.Root}.Text()}, oracle)
	noTree, _ := note.Sign(&note.Note{Text: "hello\n"}, oracle)
	changed := bytes.Replace(signed, []byte("\n7\n"), []byte("\n8\n"), 1)
	for name, c := range map[string]struct {
		signed []byte
		want   error
	}{
		"other key": {byOther, ErrUnknownKey}, "other name": {byName, ErrUnknownKey}, "other origin": {foreign, ErrUnknownKey},
		"changed": {changed, ErrSignature}, "not a tree": {noTree, ErrCheckpoint}, "empty": {nil, ErrCheckpoint},
	} {
		if got, err := verifier.Open(c.signed); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	if _, err := NewSigner("has space", ed25519.NewKeyFromSeed(make([]byte, 32))); err == nil {
		t.Error("a name with a space signs")
	}
	if _, err := NewSigner(origin, nil); err == nil {
		t.Error("an empty key signs")
	}
	for _, key := range []string{"", "a+b+c", origin} {
		if _, err := NewVerifier(key); err == nil {
			t.Errorf("verifier key of %d bytes accepted", len(key))
		}
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	root := LeafHash(nil).String()
	for _, text := range []string{
		"", "a\n", "a\n1\n", "a\n1\n" + root, "\n1\n" + root + "\n", "a\n01\n" + root + "\n", "a\n-1\n" + root + "\n", "a\n+1\n" + root + "\n",
		"a\n1\n" + root[:43] + "\n", "a\n1\n" + root[:42] + "5=\n", "a\n9223372036854775808\n" + root + "\n", "a\n1\n" + root + "\nx",
	} {
		if c, err := ParseCheckpoint(text); err == nil {
			t.Errorf("%q gives %+v", text, c)
		}
	}
	if _, err := ParseCheckpoint("a\n1\n" + root + "\nextension\n"); err != nil {
		t.Error(err)
	}
}

func grow(n int) (Frontier, stored) {
	var f Frontier
	var s stored
	for i := range n {
		s = f.Append(LeafHash(leafOf(i)), s)
	}
	return f, s
}

func TestProofs(t *testing.T) {
	signer, verifier := testSigner(t, 1, origin)
	for _, size := range []int{1, 2, 3, 7, 8, 100} {
		f, hashes := grow(size)
		signed, err := signer.Sign(f.Size(), f.Root())
		if err != nil {
			t.Fatal(err)
		}
		for i := range size {
			p, err := Prove(uint64(i), f.Size(), f.Root(), signed, hashes)
			if err != nil {
				t.Fatal(err)
			}
			if p.Extra = nil; i%2 == 1 {
				p.Extra = leafOf(i)
			}
			got, err := ParseProof(p.Marshal())
			if err != nil || !bytes.Equal(got.Marshal(), p.Marshal()) {
				t.Fatalf("%d of %d: %v", i, size, err)
			}
			if c, err := got.Verify(leafOf(i), verifier); err != nil || c.Size != uint64(size) {
				t.Fatalf("%d of %d: %v", i, size, err)
			}
			if _, err := got.Verify(leafOf(i+1), verifier); !errors.Is(err, ErrProof) {
				t.Errorf("%d of %d: another leaf verifies: %v", i, size, err)
			}
			if size > 1 {
				got.Index = uint64((i + 1) % size)
				if _, err := got.Verify(leafOf(i), verifier); !errors.Is(err, ErrProof) {
					t.Errorf("%d of %d: another index verifies: %v", i, size, err)
				}
			}
		}
		if _, err := Prove(uint64(size), f.Size(), f.Root(), signed, hashes); err == nil {
			t.Error("proof for an index outside")
		}
		hashes[0][0]++
		if _, err := Prove(0, f.Size(), f.Root(), signed, hashes); size > 1 && !errors.Is(err, ErrProof) {
			t.Errorf("damaged hashes: %v", err)
		}
	}
}

// TestProofFormat holds the text of C2SP tlog-proof.
func TestProofFormat(t *testing.T) {
	h := LeafHash(nil)
	p := Proof{Index: 5, Hashes: []Hash{h}, Checkpoint: []byte("checkpoint\n")}
	if got, want := string(p.Marshal()), "c2sp.org/tlog-proof@v1\nindex 5\n"+h.String()+"\n\ncheckpoint\n"; got != want {
		t.Errorf("%q", got)
	}
	p.Extra = []byte("hi")
	if got := string(p.Marshal()); !strings.HasPrefix(got, "c2sp.org/tlog-proof@v1\nextra aGk=\nindex 5\n") {
		t.Errorf("%q", got)
	}
	for _, text := range []string{
		"", proofHeader, proofHeader + "index 0\n", proofHeader + "index 0\n\n", proofHeader + "index 00\n\nc\n", proofHeader + "index -1\n\nc\n",
		proofHeader + "extra !\nindex 0\n\nc\n", proofHeader + "index 0\nextra aGk=\n\nc\n", proofHeader + "index 0\nAAAA\n\nc\n",
		proofHeader + "index 0\n" + strings.Repeat(h.String()+"\n", 65) + "\nc\n", "c2sp.org/tlog-proof@v2\nindex 0\n\nc\n",
	} {
		if p, err := ParseProof([]byte(text)); !errors.Is(err, ErrMalformedProof) {
			t.Errorf("%q gives %+v, %v", text, p, err)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	fr, hashes := grow(9)
	signer, verifier := testSigner(f, 1, origin)
	signed, _ := signer.Sign(fr.Size(), fr.Root())
	p, err := Prove(4, 9, fr.Root(), signed, hashes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Marshal())
	p.Extra = []byte{}
	f.Add(p.Marshal())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProof(text)
		if err != nil {
			return
		}
		if again := p.Marshal(); !bytes.Equal(again, text) {
			t.Fatalf("not canonical: %q, %q", text, again)
		}
		if _, err := p.Verify([]byte("never logged"), verifier); err == nil {
			t.Fatal("a leaf that is not in the log verifies")
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(Checkpoint{origin, 7, LeafHash(nil)}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text); err == nil && !strings.HasPrefix(text, c.Text()) {
			t.Fatalf("%q gives %q", text, c.Text())
		}
	})
}

func BenchmarkFrontierAppend(b *testing.B) {
	var f Frontier
	buf := make([]Hash, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		f.Append(Hash{1}, buf)
	}
}

func BenchmarkSign(b *testing.B) {
	signer, _ := testSigner(b, 1, origin)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Sign(123456, Hash{1}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEdges: a frontier is its edge and its size, and a subtree may come whole.
func TestEdges(t *testing.T) {
	var f Frontier
	for n := range 600 {
		again, ok := FromEdge(f.Size(), f.Edge())
		if !ok || again.Root() != f.Root() || again.Size() != f.Size() {
			t.Fatalf("size %d does not come back", n)
		}
		if _, ok := FromEdge(f.Size(), append(f.Edge(), Hash{})); ok {
			t.Fatalf("size %d with an edge too long", n)
		}
		f.Append(LeafHash([]byte{byte(n), byte(n >> 8)}), nil)
	}
	var whole, parts Frontier
	for n := range 8 {
		var part Frontier
		for i := range 64 {
			h := LeafHash([]byte{byte(n), byte(i)})
			part.Append(h, nil)
			whole.Append(h, nil)
		}
		parts.AppendSubtree(6, part.Root(), nil)
		if parts.Size() != whole.Size() || !slices.Equal(parts.Edge(), whole.Edge()) {
			t.Fatalf("%d subtrees give another frontier", n+1)
		}
	}
}
