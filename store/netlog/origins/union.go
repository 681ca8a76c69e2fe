package origins

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// ErrTwoHistories means that two copies of one origin hold different records under the same index.
var ErrTwoHistories = errors.New("origins: two copies hold different records")

// Union is the records that several copies or parts of one origin hold: each once, in the order of the indexes. It ends
// with [ErrTwoHistories] where two differ. A copy that fails is left, and Union fails when the others are at their end.
func Union(origin string, copies []Stream) Stream {
	if len(copies) == 1 {
		return copies[0]
	}
	return Stream{origin, func(ctx context.Context, fn func(index uint64, leaf []byte) error) error {
		var last tree.Hash
		next := uint64(0) // one more than the index of last
		broken, err := merge(ctx, copies, byIndex, func(e Entry) error {
			hash := tree.LeafHash(e.Leaf)
			if next == e.Index+1 {
				if hash != last {
					return fmt.Errorf("%w: record %d of %s", ErrTwoHistories, e.Index, origin)
				}
				return nil
			}
			next, last = e.Index+1, hash
			return fn(e.Index, e.Leaf)
		})
		for _, b := range broken {
			err = errors.Join(err, b.Err)
		}
		return err
	}}
}

// byIndex is the order of records of one origin.
func byIndex(a, b Entry) int { return cmp.Compare(a.Index, b.Index) }
