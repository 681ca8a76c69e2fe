package server_test

import (
	"testing"

	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// TestMarkKeepsTheCheckpoint: with the mark the store learns the log's newest checkpoint, and writes nothing where the
// log has not grown.
func TestMarkKeepsTheCheckpoint(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	w.answer("r", 1)
	kept := func() (tree.Checkpoint, int64) {
		row, err := store.TableOf[api.OriginRow](w.Store, store.Origins).Get(t.Context(), w.Log.Origin())
		must(t, err)
		verifier, err := tree.NewVerifier(row.Value.Key)
		must(t, err)
		c, err := verifier.Open(row.Value.Checkpoint)
		must(t, err)
		return c, row.Revision
	}
	mark, err := w.Mark()
	must(t, err)
	known, _ := kept()
	if known.Size < mark {
		t.Errorf("the mark is at %d, and the store knows %d records", mark, known.Size)
	}
	w.Stop()
	w.Server = servertest.Start(t, servertest.Options{Start: w.Clock.Now(), Dir: w.Dir, Keys: w.Keys}) // nobody calls it
	must(t, server.KeepOrigin(t.Context(), w.Log, w.Store))
	_, before := kept()
	must(t, server.KeepOrigin(t.Context(), w.Log, w.Store))
	if _, after := kept(); after != before {
		t.Error("the same checkpoint is written again")
	}
}
