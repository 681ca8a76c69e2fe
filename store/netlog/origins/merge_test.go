package origins

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

func merged(t testing.TB, streams ...Stream) string {
	t.Helper()
	var places []string
	broken, err := Merge(t.Context(), streams, func(e Entry) error {
		places = append(places, e.place())
		return nil
	})
	if err != nil || len(broken) > 0 {
		t.Fatal(broken, err)
	}
	return strings.Join(places, " ")
}

// The first record of each is its birth, of the second 0.
func TestMerge(t *testing.T) {
	a, b, c := newWorld(t, "a", tree.Checkpoint{}), newWorld(t, "b", tree.Checkpoint{}), newWorld(t, "c", tree.Checkpoint{})
	a.add(1, 4, 4, 9)
	b.add(2, 4, 5)
	c.add(7, 3, 8) // its clock was set back once
	for _, streams := range [][]Stream{
		{a.stream(0), b.stream(0), c.stream(0)},
		{c.stream(0), b.stream(0), a.stream(0)}, // in whatever order they are given
	} {
		if got, want := merged(t, streams...), "a0 b0 c0 a1 b1 a2 a3 b2 b3 c1 c2 c3 a4"; got != want {
			t.Errorf("merged to %s, want %s", got, want)
		}
	}
	if got := merged(t); got != "" {
		t.Errorf("nothing gives %s", got)
	}
}

// However far a merge came, one that goes on from the next index of each origin shows the rest as if it had not ended.
func TestMergeGoesOn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var worlds []*world
	for _, node := range []string{"a", "b", "c"} {
		w := newWorld(t, node, tree.Checkpoint{})
		var seconds []int
		for range 40 {
			seconds = append(seconds, random.IntN(60))
		}
		w.add(seconds...)
		worlds = append(worlds, w)
	}
	from := map[string]uint64{}
	page := func(limit int) (places []string) {
		var streams []Stream
		for _, w := range worlds {
			streams = append(streams, w.stream(from[w.Origin()]))
		}
		enough := errors.New("enough")
		_, err := Merge(t.Context(), streams, func(e Entry) error {
			places = append(places, e.place())
			from[e.Origin] = e.Index + 1
			if len(places) == limit {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return places
	}
	whole := page(-1)
	clear(from)
	var paged []string
	for len(paged) < len(whole) {
		paged = append(paged, page(1+random.IntN(9))...)
	}
	if len(whole) != 123 || !slices.Equal(paged, whole) {
		t.Errorf("in pages: %v\nin one: %v", paged, whole)
	}
}

// While the caller waits, every stream waits with one record.
func TestMergeWaits(t *testing.T) {
	read := map[string]int{}
	streams := make([]Stream, 0, 3)
	for i := range 3 {
		origin := string(rune('a' + i))
		streams = append(streams, Stream{origin, func(_ context.Context, fn func(uint64, []byte) error) error {
			for index := range uint64(100) {
				read[origin]++
				if err := fn(index, leafAt(t, int(index))); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	shown := 0
	_, err := Merge(t.Context(), streams, func(Entry) error {
		if shown++; read["a"]+read["b"]+read["c"] > shown+2 {
			t.Fatalf("%d shown, %v read", shown, read)
		}
		return nil
	})
	must(t, err)
	if shown != 300 {
		t.Errorf("%d shown", shown)
	}
}

func leafAt(t testing.TB, second int) []byte {
	leaf, err := record.Append(nil, &record.Record{Time: began.Add(time.Duration(second) * time.Second), Event: record.VerificationVerify,
		Outcome: record.Outcome{Kind: record.Success}})
	must(t, err)
	return leaf
}

// A stream that fails is named, and the others are shown to their end; a record that cannot be read keeps its place.
func TestMergeBrokenStream(t *testing.T) {
	a := newWorld(t, "a", tree.Checkpoint{})
	a.add(1, 5)
	damage := errors.New("damage")
	broken := Stream{"b", func(_ context.Context, fn func(uint64, []byte) error) error {
		if err := fn(0, leafAt(t, 3)); err != nil {
			return err
		}
		if err := fn(1, []byte("no record")); err != nil {
			return err
		}
		return damage
	}}
	var places []string
	failed, err := Merge(t.Context(), []Stream{a.stream(0), broken}, func(e Entry) error {
		places = append(places, e.place())
		return nil
	})
	if got := fmt.Sprint(places); err != nil || got != "[a0 a1 b0 b1 a2]" || len(failed) != 1 || failed[0].Origin != "b" || !errors.Is(failed[0].Err, damage) {
		t.Errorf("%s, broken %v, %v", got, failed, err)
	}
}

// The end of the caller ends every stream.
func TestMergeEnds(t *testing.T) {
	a, b := newWorld(t, "a", tree.Checkpoint{}), newWorld(t, "b", tree.Checkpoint{})
	a.add(1, 2)
	b.add(1, 2)
	gone := errors.New("gone")
	if _, err := Merge(t.Context(), []Stream{a.stream(0), b.stream(0)}, func(Entry) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	shown := 0
	_, err := Merge(ctx, []Stream{a.stream(0), b.stream(0)}, func(Entry) error {
		shown++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || shown != 1 {
		t.Errorf("ended with %v after %d", err, shown)
	}
}

// What netlog makes can be merged, and be a closed origin.
var (
	_ Log    = (*netlog.Log)(nil)
	_ Closed = (*netlog.Reader)(nil)
)
