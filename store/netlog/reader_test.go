package netlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

func TestReadBounds(t *testing.T) {
	l := create(t, options(filepath.Join(t.TempDir(), "log")))
	fill(t, l, 1, 5)
	for _, c := range []struct{ from, to, n uint64 }{{0, 5, 5}, {2, 3, 1}, {3, 99, 2}, {5, 9, 0}, {4, 2, 0}} {
		n := uint64(0)
		if err := l.Read(t.Context(), c.from, c.to, func(index uint64, _ []byte) error {
			if index != c.from+n {
				t.Errorf("index %d", index)
			}
			n++
			return nil
		}); err != nil || n != c.n {
			t.Errorf("[%d, %d): %d records, %v", c.from, c.to, n, err)
		}
	}
	if _, err := l.Get(t.Context(), 5); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := l.Proof(t.Context(), 5); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	boom := errors.New("boom")
	if err := l.Read(t.Context(), 0, 5, func(uint64, []byte) error { return boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Read(ctx, 0, 5, func(uint64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFollow(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FileSize = 1500
	l := create(t, opt)
	fill(t, l, 1, 5)
	got := make(chan uint64)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Follow(context.Background(), 3, func(index uint64, b []byte) error {
			if !bytes.Equal(b, leaf(int(index))) {
				return fmt.Errorf("record %d differs", index)
			}
			got <- index
			return nil
		})
	}()
	go func() {
		for n := 5; n < 30; n++ {
			if ticket, err := l.Append(leaf(n)); err != nil || ticket.Wait(context.Background()) != nil {
				t.Errorf("append %d: %v", n, err)
				return
			}
		}
	}()
	for want := uint64(3); want < 30; want++ {
		if index := <-got; index != want {
			t.Fatalf("got %d, want %d", index, want)
		}
	}
	closeLog(t, l)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l, _ = open(t, opt)
	if err := l.Follow(ctx, 30, func(uint64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReceiptAndOpening(t *testing.T) {
	l := create(t, options(filepath.Join(t.TempDir(), "log")))
	opening := bytes.Repeat([]byte{4}, record.OpeningSize)
	content := record.Committed("id2", []record.CommittedField{{Number: 1, Form: 1, Canonical: []byte("测试")}})
	r := record.Record{Time: moment, Event: record.VerificationVerify, Outcome: record.Outcome{Kind: record.Success}, Commitment: record.Commit(opening, content)}
	b, err := record.Append(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := l.Append(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	proof, err := l.Proof(t.Context(), ticket.Index())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := proven(b, proof, l.Key()); err != nil {
		t.Error(err)
	}
	parsed, err := record.Parse(b)
	if err != nil || !record.Opens(parsed.Commitment, opening, content) {
		t.Error("the record does not open", err)
	}
	opening[0]++
	if record.Opens(parsed.Commitment, opening, content) {
		t.Error("the record opens by another opening")
	}
	b[9] ^= 1
	if _, _, err := proven(b, proof, l.Key()); !errors.Is(err, tree.ErrProof) {
		t.Error(err)
	}
	b[9] ^= 1
	stranger, _ := tree.NewSigner(l.Origin(), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)))
	if _, _, err := proven(b, proof, stranger.Key()); !errors.Is(err, tree.ErrUnknownKey) {
		t.Error(err)
	}
}
