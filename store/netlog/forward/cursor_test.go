package forward

import (
	"math/rand/v2"
	"testing"
)

func TestCursorRepeatsAndNeverCreepsBack(t *testing.T) {
	c := newCursor(10)
	for range 5000 {
		c.wrote()
	}
	for range 3 { // connections that break before they get far repeat the same records
		if g := c.rewind(); g != (gap{}) || c.next != 5010-Overlap {
			t.Fatalf("next %d, gap %v", c.next, g)
		}
		c.wrote()
	}
	short := newCursor(10)
	short.wrote()
	if short.rewind(); short.next != 10 {
		t.Errorf("next %d: nothing in front of the first record is sent", short.next)
	}
}

func TestCursorBehind(t *testing.T) {
	c := newCursor(100)
	for size, want := range map[uint64]uint64{50: 0, 100: 0, 1100: 0, 1101: 601, 5000: 4500} {
		if got := c.behind(size, 1000); got != want {
			t.Errorf("%d records: skips to %d, want %d", size, got, want)
		}
	}
}

// TestCursorAccountsForEverything plays collectors that lose the end of every connection: each record either reached
// the collector, or is in a gap that it was told of.
func TestCursorAccountsForEverything(t *testing.T) {
	for seed := range uint64(200) {
		chance := rand.New(rand.NewPCG(seed, 1))
		c := newCursor(0)
		const size = 30_000
		have, skipped := make([]bool, size), uint64(0)
		mark := func(g gap) {
			for i := g.from; i < g.to; i++ {
				have[i] = true
			}
		}
		for c.next < size {
			// What one connection carries, in order; of it the last few are lost, fewer than Overlap records.
			var carried []gap
			if g := c.rewind(); g != (gap{}) {
				carried = append(carried, g)
			}
			for range chance.IntN(3 * Overlap) {
				if c.next < size && chance.IntN(500) == 0 {
					g, lost := c.skip(min(c.next+1+chance.Uint64N(2000), size))
					carried, skipped = append(carried, g), skipped+lost
				}
				if c.next < size {
					carried = append(carried, gap{c.next, c.next + 1})
					c.wrote()
				}
			}
			keep := len(carried)
			if c.next < size {
				keep -= chance.IntN(min(keep, Overlap-1) + 1)
			}
			for _, g := range carried[:keep] {
				mark(g)
			}
		}
		for i, ok := range have {
			if !ok {
				t.Fatalf("seed %d: record %d was neither received nor named", seed, i)
			}
		}
		if skipped > size {
			t.Fatalf("seed %d: %d records counted as skipped of %d", seed, skipped, size)
		}
	}
}
