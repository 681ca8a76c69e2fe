package outside

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// TestKept: every checkpoint of this log that a file was sent, also before it was put beside, once; a file that cannot be read
// is an error, one that was never written none.
func TestKept(t *testing.T) {
	target, path := fileTarget(t)
	fresh, _ := fileTarget(t)
	h := newHistory(t, "node1-0123456789abcdef", 1)
	target.carrier.(*file).max = 1000
	for range 7 {
		send(t, target, h.grow(h.Size()+10, "a").note())
	}
	send(t, target, newHistory(t, "node2-0123456789abcdef", 1).grow(35, "a").note())
	verifier, err := tree.NewVerifier(h.Key())
	if err != nil {
		t.Fatal(err)
	}
	all, err := Kept(t.Context(), []*Target{target, fresh}, verifier, 20, 60)
	var sizes []uint64
	for _, c := range all {
		sizes = append(sizes, c.Size)
	}
	slices.Sort(sizes)
	if err != nil || !slices.Equal(sizes, []uint64{30, 40, 50, 60}) {
		t.Errorf("%v, %v", sizes, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if all, err := Kept(t.Context(), []*Target{target}, verifier, 0, 100); err == nil {
		t.Errorf("a file that cannot be read holds %v", all)
	}
}

// TestCheckPurged: a checkpoint of records that were purged says nothing against the log.
func TestCheckPurged(t *testing.T) {
	target, _ := fileTarget(t)
	h := newHistory(t, "node1-0123456789abcdef", 1).grow(20, "a")
	send(t, target, h.note())
	h.purged = true
	var doubted error
	if err := Check(t.Context(), []*Target{target}, h, func(_ *Target, err error) { doubted = err }); err != nil || !errors.Is(doubted, netlog.ErrPurged) {
		t.Errorf("%v, doubt %v", err, doubted)
	}
}
