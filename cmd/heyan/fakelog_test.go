package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

const fakeOrigin = "fake1-0123456789abcdef"

// fakeLog is a signed log in memory.
type fakeLog struct {
	mu     sync.Mutex
	signer *tree.Signer
	edge   tree.Frontier
	hashes []tree.Hash
	leaves [][]byte
}

func newFakeLog() (*fakeLog, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := tree.NewSigner(fakeOrigin, private)
	return &fakeLog{signer: signer}, err
}

// add appends a record and returns its index.
func (l *fakeLog) add(r *record.Record) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Time = time.Date(2026, 11, 22, 8, 0, len(l.leaves), 0, time.UTC)
	leaf, err := record.Append(nil, r)
	if err != nil {
		panic(err)
	}
	l.leaves = append(l.leaves, leaf)
	l.hashes = l.edge.Append(tree.LeafHash(leaf), l.hashes)
	return uint64(len(l.leaves) - 1)
}

func (l *fakeLog) checkpoint() *heyanv1.Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	root := l.edge.Root()
	note, err := l.signer.Sign(l.edge.Size(), root)
	if err != nil {
		panic(err)
	}
	return &heyanv1.Checkpoint{Origin: fakeOrigin, Size: l.edge.Size(), Root: root[:], Note: note, VerifierKey: l.signer.Key()}
}

func (l *fakeLog) receipt(index uint64) *heyanv1.Receipt {
	c := l.checkpoint()
	l.mu.Lock()
	defer l.mu.Unlock()
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, i := range indexes {
			hashes = append(hashes, l.hashes[i])
		}
		return hashes, nil
	})
	proof, err := tree.Prove(index, c.GetSize(), tree.Hash(c.GetRoot()), c.GetNote(), reader)
	if err != nil {
		panic(err)
	}
	return &heyanv1.Receipt{Leaf: l.leaves[index], Proof: proof.Marshal()}
}
