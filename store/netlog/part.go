package netlog

import (
	"errors"
	"iter"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/sidecar"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// part is one write-ahead file as a reader sees it: the records [first, end), and a way to their places and tree
// hashes, which is memory for the live file and a sidecar for a closed one. Fields without a lock of their own are
// guarded by Reader.mu.
type part struct {
	path     string
	first    uint64
	end      uint64
	bytes    int64 // valid ones
	identity disk.Identity
	memory   *memory // nil when the sidecar serves
	damage   error   // why the file cannot be read beyond end

	mu   sync.Mutex
	side *sidecar.File // opened when it is first needed
}

func (p *part) sidePath() string { return strings.TrimSuffix(p.path, walSuffix) + sideSuffix }

// sidecar returns the part's open sidecar.
func (p *part) sidecar() (*sidecar.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.side == nil {
		f, err := sidecar.Open(p.sidePath())
		if err != nil {
			return nil, err
		}
		if f.First != p.first || f.End != p.end {
			f.Close()
			return nil, sidecar.ErrDamaged
		}
		p.side = f
	}
	return p.side, nil
}

// hash returns the tree hash with package tlog's number x from the sidecar.
func (p *part) hash(x int64) (tree.Hash, error) {
	side, err := p.sidecar()
	if err != nil {
		return tree.Hash{}, gone(err)
	}
	h, err := side.Hash(x)
	return h, gone(err)
}

func (p *part) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.side != nil {
		p.side.Close()
		p.side = nil
	}
}

// memory is what a sidecar holds, for a file that has none yet. Tree hashes are kept in chunks, so that growing never
// copies megabytes under a lock.
type memory struct {
	batches []sidecar.Batch
	chunks  [][]tree.Hash
	n       int64 // hashes
}

const chunk = 4096

func (m *memory) add(b sidecar.Batch, stored []tree.Hash) {
	m.batches = append(m.batches, b)
	m.n += int64(len(stored))
	for len(stored) > 0 {
		last := len(m.chunks) - 1
		if last < 0 || len(m.chunks[last]) == chunk {
			m.chunks = append(m.chunks, make([]tree.Hash, 0, chunk))
			last++
		}
		room := min(chunk-len(m.chunks[last]), len(stored))
		m.chunks[last] = append(m.chunks[last], stored[:room]...)
		stored = stored[room:]
	}
}

func (m *memory) hash(i int64) (tree.Hash, bool) {
	if i < 0 || i >= m.n {
		return tree.Hash{}, false
	}
	return m.chunks[i/chunk][i%chunk], true
}

func (m *memory) hashes() iter.Seq[tree.Hash] {
	return func(yield func(tree.Hash) bool) {
		for _, c := range m.chunks {
			for _, h := range c {
				if !yield(h) {
					return
				}
			}
		}
	}
}

// find returns the batch that holds a record; there MUST be one.
func (m *memory) find(index uint64) sidecar.Batch {
	n := sort.Search(len(m.batches), func(i int) bool { return m.batches[i].First > index })
	return m.batches[n-1]
}

// settle writes the sidecar of a closed part, and lets it serve instead of the memory.
func (r *Reader) settle(fsys disk.FS, p *part) error {
	src, err := os.Open(p.path)
	if err != nil {
		return err
	}
	header, err := wal.ReadHeader(src)
	src.Close()
	if err != nil {
		return err
	}
	// The part is closed: its memory is not written any more, and may be read without the lock.
	root, err := tree.Load(p.end, r)
	if err != nil {
		return err
	}
	info := sidecar.Info{ID: header.ID(), First: p.first, End: p.end, Bytes: p.bytes, Root: root.Root(), Batches: uint64(len(p.memory.batches))}
	if err := sidecar.Write(fsys, p.sidePath(), info, slices.Values(p.memory.batches), p.memory.hashes()); err != nil {
		return err
	}
	if _, err := p.sidecar(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.memory = nil
	return nil
}

var errNoHash = errors.New("netlog: no such tree hash")
