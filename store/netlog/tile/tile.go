// Package tile keeps the upper part of the log's Merkle tree as C2SP tlog-tiles: the hashes of subtrees of 256 leaves and
// more, so that a proof over years of sealed records opens no segment but the one that holds its leaf.
//
// A tile of level L has 256 hashes of tree level 8·L, side by side, in the file tile/L/N, where N is written in groups of
// three digits (x001/x234/067). The last tile of a level may be partial; then its name ends in ".p/W" for W hashes. Level
// 0, the leaves' hashes, is not kept: a segment's frame gives them. They are 1/256 of a hash a record here, and go with
// their records, while these tiles stay when records are purged.
//
// Everything here is derived from the footers of segments and can be made again, while those are there: of purged records
// it is what is left. Nothing is trusted: a proof is checked
// against the signed root before it is given out.
//
// # Guaranteed
//
//   - When [Store.Extend] has returned nil, the tiles are durable. A crash before leaves those of before, or wider ones in
//     their place; extending again from there by the same hashes then gives the same files.
//
// # Not guaranteed
//
//   - That a file is a tile: one of the wrong length is [ErrDamaged], one of other bytes shows at the root.
package tile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Width is how many hashes a full tile has; Height is the levels of the tree between two levels of tiles.
const (
	Width  = 256
	Height = 8
)

var (
	// ErrDamaged is a tile that is missing or has a wrong length.
	ErrDamaged = errors.New("tile: damaged or missing")
	// ErrNotFound is a hash that the store does not keep: below level 8, or not complete.
	ErrNotFound = errors.New("tile: no such hash")
)

// Store is the tiles of one log. It is safe for concurrent reading; whoever extends it does so alone.
type Store struct {
	FS  disk.FS
	Dir string // holds tile/
}

// path returns the name of a tile: partial where width is not that of a full one.
func (s *Store) path(level int, n uint64, width int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = filepath.Join(fmt.Sprintf("x%03d", n%1000), name)
	}
	if width < Width {
		name = filepath.Join(name+".p", fmt.Sprint(width))
	}
	return filepath.Join(s.Dir, "tile", fmt.Sprint(level), name)
}

// read returns the first hashes of a tile: from the file of that width, or from a wider one.
func (s *Store) read(level int, n uint64, width int) ([]tree.Hash, error) {
	for have := width; have <= Width; have++ {
		b, err := os.ReadFile(s.path(level, n, have))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(b) != have*len(tree.Hash{}) {
			break
		}
		hashes := make([]tree.Hash, width)
		for i := range hashes {
			copy(hashes[i][:], b[i*len(hashes[i]):])
		}
		return hashes, nil
	}
	return nil, fmt.Errorf("%w: level %d, number %d", ErrDamaged, level, n)
}

func (s *Store) write(level int, n uint64, hashes []tree.Hash) error {
	name := s.path(level, n, len(hashes))
	if err := disk.MakeDir(s.FS, filepath.Dir(name)); err != nil {
		return err
	}
	b := make([]byte, 0, len(hashes)*len(tree.Hash{}))
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return disk.WriteFile(s.FS, name, b)
}

// Extend adds the roots of the next subtrees of 256 leaves to a store that holds size of them.
func (s *Store) Extend(size uint64, roots []tree.Hash) error {
	for level := 1; len(roots) > 0; level++ {
		var done []tree.Hash // roots of the tiles that are full now
		width := int(size % Width)
		n, tile := size/Width, []tree.Hash(nil)
		if width > 0 {
			var err error
			if tile, err = s.read(level, n, width); err != nil {
				return err
			}
		}
		for len(roots) > 0 {
			take := min(Width-len(tile), len(roots))
			tile, roots = append(tile, roots[:take]...), roots[take:]
			if err := s.write(level, n, tile); err != nil {
				return err
			}
			if len(tile) == Width {
				done = append(done, root(tile))
				n, tile = n+1, nil
			}
		}
		if width > 0 {
			// The partial tile of before is of no more use, now that a wider one is durable. One that is left does no harm.
			_ = s.FS.Remove(s.path(level, size/Width, width))
		}
		size, roots = size/Width, done
	}
	return nil
}

// root returns the root of a complete subtree, given the hashes of some level of it.
func root(hashes []tree.Hash) tree.Hash {
	var f tree.Frontier
	for _, h := range hashes {
		f.AppendSubtree(0, h, nil)
	}
	return f.Root()
}

// Hash returns the root of the n-th complete subtree of 2^level leaves, for level 8 and above, of a store that holds size
// roots of subtrees of 256 leaves.
func (s *Store) Hash(level int, n, size uint64) (h tree.Hash, err error) {
	at := level / Height
	if level < Height || level > 62 || (n+1)<<(level-Height) > size {
		return h, ErrNotFound
	}
	// Tiles of level at hold hashes of tree level 8·at; 2^within of them make the one that is asked for.
	within := level % Height
	first := n << within
	hashes, have := []tree.Hash(nil), size>>(Height*(at-1))
	width := int(min(have-first/Width*Width, Width))
	if hashes, err = s.read(at, first/Width, width); err != nil {
		return h, err
	}
	return root(hashes[first%Width : first%Width+1<<within]), nil
}
