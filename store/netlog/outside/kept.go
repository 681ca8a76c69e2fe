package outside

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/heyan-project/heyan/store/netlog/tree"
)

// keptWait bounds the reading of whole files, each of more than half a year.
const keptWait = 5 * time.Minute

// Kept returns the checkpoints of an origin, of sizes in (from, to], that the files among the targets hold: a file keeps
// all that it was sent, any other target the newest at most. Whether the key signed them is not verified; that costs more
// than comparing the few that are wanted with the log. Error: that of a file that cannot be read.
func Kept(ctx context.Context, targets []*Target, verifier tree.Verifier, from, to uint64) ([]tree.Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, keptWait)
	defer cancel()
	found := map[tree.Checkpoint]bool{}
	var all []tree.Checkpoint
	for _, t := range targets {
		if t.Kind != File {
			continue
		}
		err := t.read(ctx, func(in io.Reader) (enough bool, err error) {
			_, err = Scan(until{ctx, in}, func(n Note) error {
				_, whole := n.by(verifier)
				if c := n.Claims; whole && c.Origin == verifier.Origin() && c.Size > from && c.Size <= to && !found[c] {
					found[c] = true
					all = append(all, c)
				}
				return nil
			})
			return false, err
		})
		if err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w", t, err)
		}
	}
	return all, nil
}
