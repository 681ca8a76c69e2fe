package sealed

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Most keys that are looked up are absent. In tables a filter says so; in memory tables only a search would,
// at several cache misses each. So the keys written lately are noted here, and a look-up of any other leaves
// the memory tables out.

const (
	// recentLines is how many cache lines a generation has: 512 KiB.
	recentLines = 1 << 13
	// recentKeys is how many keys fill it: 16 bits a key, and fewer than one absent key in 200 taken for a recent one.
	recentKeys = recentLines * 512 / 16
	// recentBits is how many bits a key sets in its line.
	recentBits = 4
)

// recent knows which keys may be in memory tables: those of the current generation, and those of the previous one
// until the memory table that was closed with it is flushed.
type recent struct {
	seed maphash.Seed

	// applying is held for reading from noting a batch's keys to applying it: a key and the memory table that holds
	// it belong to the same generation, or the key to a later one.
	applying sync.RWMutex
	current  atomic.Pointer[generation]
	previous atomic.Pointer[generation] // nil once its memory tables are flushed
}

// generation is a Bloom filter in blocks of one cache line (Putze, Sanders, Singler 2007).
type generation struct {
	lines  [recentLines][8]atomic.Uint64
	keys   atomic.Int64
	ranged [256]atomic.Bool // by first byte: a range of such keys was deleted
}

func (r *recent) open() {
	r.seed = maphash.MakeSeed()
	r.current.Store(new(generation))
}

// hash is what a generation knows of a key.
func (r *recent) hash(key []byte) uint64 { return maphash.Bytes(r.seed, key) }

// has reports whether a key may be in a memory table.
func (r *recent) has(key []byte) bool {
	h := r.hash(key)
	if r.current.Load().has(key[0], h) {
		return true
	}
	// In this order: a key that moves to the previous generation meanwhile is met there.
	previous := r.previous.Load()
	return previous != nil && previous.has(key[0], h)
}

func (g *generation) has(first byte, h uint64) bool {
	if g.ranged[first].Load() {
		return true
	}
	line := &g.lines[h%recentLines]
	for h >>= 64 - 9*recentBits; h > 0; h >>= 9 {
		if line[h>>6&7].Load()&(1<<(h&63)) == 0 {
			return false
		}
	}
	return true
}

func (g *generation) add(h uint64) {
	line := &g.lines[h%recentLines]
	for h >>= 64 - 9*recentBits; h > 0; h >>= 9 {
		if word, bit := &line[h>>6&7], uint64(1)<<(h&63); word.Load()&bit == 0 {
			word.Or(bit)
		}
	}
}

// noted is what a batch touches.
type noted struct {
	room   [12]uint64 // for the keys of an ordinary batch
	keys   []uint64
	ranges [][2]byte // first bytes of deleted ranges, both included
}

func (n *noted) delete(start, end []byte) {
	last := end[0]
	if bytes.Equal(end, end[:1]) && last > start[0] {
		last-- // the range ends before the first key of that letter
	}
	n.ranges = append(n.ranges, [2]byte{start[0], last})
}

// apply notes what a batch touches and applies it. It reports whether the generation is full.
func (r *recent) apply(n *noted, apply func() error) (full bool, err error) {
	r.applying.RLock()
	defer r.applying.RUnlock()
	g := r.current.Load()
	for _, h := range n.keys {
		g.add(h)
	}
	for _, letters := range n.ranges {
		for letter := int(letters[0]); letter <= int(letters[1]); letter++ {
			g.ranged[letter].Store(true)
		}
	}
	before := g.keys.Add(int64(len(n.keys))) - int64(len(n.keys))
	err = apply()
	// Each time it fills anew, one batch reports it, also where the last turn could not be made.
	return (before+int64(len(n.keys)))/recentKeys > before/recentKeys, err
}

// turn begins a generation, together with a memory table: flush closes the current one and returns a channel that is
// closed when it is in tables. While the previous generation is not, nothing is done.
func (r *recent) turn(flush func() (<-chan struct{}, error)) (flushed <-chan struct{}) {
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.previous.Load() != nil {
		return nil
	}
	old := r.current.Load()
	// First previous, then current: has looks the other way round.
	r.previous.Store(old)
	r.current.Store(new(generation))
	flushed, err := flush()
	if err != nil {
		return nil // the old one stays for good: look-ups of its keys search memory tables, as all others did before
	}
	return flushed
}

// flushed forgets the previous generation.
func (r *recent) flushed() { r.previous.Store(nil) }
