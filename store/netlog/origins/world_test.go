package origins

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// began is when the first record of every log of these tests was written.
var began = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// world is a log that is written on a real disk.
type world struct {
	t         testing.TB
	node, dir string
	*netlog.Log
}

func newWorld(t testing.TB, node string, before tree.Checkpoint) *world {
	t.Helper()
	w := &world{t: t, node: node, dir: filepath.Join(t.TempDir(), "log")}
	log, err := netlog.Create(netlog.Options{Dir: w.dir, Node: node, Now: func() time.Time { return began },
		SigningKey: keyOf(node), Predecessor: before}, "init")
	must(t, err)
	w.Log = log
	t.Cleanup(func() { must(t, log.Close()) })
	return w
}

// keyOf is a node's signing key.
func keyOf(node string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, node)
	return ed25519.NewKeyFromSeed(seed)
}

// add appends records of some seconds after the beginning.
func (w *world) add(seconds ...int) {
	w.t.Helper()
	var last netlog.Ticket
	for _, s := range seconds {
		leaf, err := record.Append(nil, &record.Record{Time: began.Add(time.Duration(s) * time.Second), Event: record.VerificationVerify,
			Actor: record.Actor{Kind: record.ActorClient, ID: "acme"}, Outcome: record.Outcome{Kind: record.Success}})
		must(w.t, err)
		last, err = w.Append(leaf)
		must(w.t, err)
	}
	must(w.t, last.Wait(context.Background()))
}

// head is the log's newest checkpoint.
func (w *world) head() tree.Checkpoint {
	w.t.Helper()
	verifier, err := tree.NewVerifier(w.Key())
	must(w.t, err)
	c, err := verifier.Open(w.Checkpoint())
	must(w.t, err)
	return c
}

// reader opens the log as it lies there now.
func (w *world) reader() *netlog.Reader {
	w.t.Helper()
	r, err := netlog.OpenReader(netlog.ReaderOptions{Dir: w.dir})
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, r.Close()) })
	return r
}

// stream is the log's records from an index on.
func (w *world) stream(from uint64) Stream {
	return Stream{w.Origin(), func(ctx context.Context, fn func(uint64, []byte) error) error {
		return w.Read(ctx, from, w.Size(), fn)
	}}
}

// place names an entry by its node and index.
func (e Entry) place() string { return fmt.Sprintf("%s%d", e.Origin[:1], e.Index) }
