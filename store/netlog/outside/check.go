package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Reason is why a log is refused. Zero is invalid.
type Reason uint8

// The reasons.
const (
	Behind   Reason = iota + 1 // the log is shorter than a checkpoint of it
	Forked                     // at a checkpoint's size it has another root
	OtherKey                   // a note names the origin, and is of another key
	Forged                     // a note names the log's key, which did not sign it
)

// RefusedError refuses a log that a checkpoint elsewhere contradicts.
type RefusedError struct {
	Target      string
	Origin      string
	Reason      Reason
	There, Here uint64 // records by the checkpoint, and in the log
}

// Error implements error.
func (e *RefusedError) Error() string {
	switch e.Reason {
	case Behind:
		return fmt.Sprintf("the network log is older than its checkpoint elsewhere: %s ends after %d records here, and had %d when the checkpoint in %s was signed: "+
			"it was rolled back or cut", e.Origin, e.Here, e.There, e.Target)
	case Forked:
		return fmt.Sprintf("the network log is another one than its checkpoint elsewhere: of the %d records of %s here, the first %d are not those of the checkpoint in %s: "+
			"it was rolled back and written on, or rewritten", e.Here, e.Origin, e.There, e.Target)
	case OtherKey:
		return fmt.Sprintf("a checkpoint elsewhere names this network log under another key: %s has one of %s with %d records; the log here has %d", e.Target, e.Origin, e.There, e.Here)
	}
	return fmt.Sprintf("a checkpoint elsewhere has a wrong signature under this network log's key: %s has one of %s with %d records; the log here has %d", e.Target, e.Origin, e.There, e.Here)
}

// Remedy says what a person can do.
func (e *RefusedError) Remedy() string {
	if e.Reason == Behind || e.Reason == Forked {
		return "put the newer log directory back"
	}
	return "find out who wrote it, and keep it as evidence; then take it out of the target"
}

// Log is what is held against checkpoints: a *netlog.Log or a *netlog.Reader.
type Log interface {
	ReadHashes(indexes []int64) ([]tree.Hash, error)
	Key() string // C2SP signed-note verifier key
	Size() uint64
}

// ErrNone means that a target holds no checkpoint of this log: it is new there, or was emptied.
var ErrNone = errors.New("outside: no checkpoint of this log")

// Check holds the log against the newest checkpoint that each target has. Errors: every [RefusedError] that the log has
// earned, joined, or that of a log whose tree cannot be read. doubt is told, one call at a time, of each target that says
// nothing: it cannot be read, [ErrNone], or netlog.ErrPurged where its newest checkpoint is of records that were.
func Check(ctx context.Context, targets []*Target, log Log, doubt func(*Target, error)) error {
	verifier, err := tree.NewVerifier(log.Key())
	if err != nil {
		return err
	}
	found := eachTarget(ctx, targets, verifier)
	var refused []error
	for i, t := range targets {
		f := found[i]
		var claim *claimError
		switch {
		case errors.Is(f.err, errWriteOnly):
		case errors.As(f.err, &claim):
			refused = append(refused, &RefusedError{Target: t.String(), Origin: verifier.Origin(), Reason: claim.reason, There: claim.size, Here: log.Size()})
		case f.err != nil:
			doubt(t, f.err)
		}
		for _, c := range f.newest {
			reason, err := compare(c, log)
			if errors.Is(err, netlog.ErrPurged) {
				doubt(t, err) // it is older than what the log keeps
				continue
			}
			if err != nil {
				return err
			}
			if reason != 0 {
				refused = append(refused, &RefusedError{Target: t.String(), Origin: c.Origin, Reason: reason, There: c.Size, Here: log.Size()})
			}
		}
	}
	return errors.Join(refused...)
}

// compare is why a checkpoint that the log's key signed contradicts it; zero where it does not.
func compare(c tree.Checkpoint, log Log) (Reason, error) {
	if c.Size > log.Size() {
		return Behind, nil
	}
	then, err := tree.Load(c.Size, log)
	if err != nil {
		return 0, fmt.Errorf("outside: the tree of the log's first %d records cannot be read: %w", c.Size, err)
	}
	if then.Root() != c.Root {
		return Forked, nil
	}
	return 0, nil
}

// Newest returns the largest checkpoint of an origin that any target has, for whoever begins the origin after it; the zero
// Checkpoint where none can be read. What is not signed by that key is left out.
func Newest(ctx context.Context, targets []*Target, verifier tree.Verifier) (best tree.Checkpoint) {
	for _, f := range eachTarget(ctx, targets, verifier) {
		for _, c := range f.newest {
			if c.Size > best.Size {
				best = c
			}
		}
	}
	return best
}

// found is what a target has of an origin.
type found struct {
	newest []tree.Checkpoint // of one size; several only where several roots were signed
	err    error
}

// eachTarget reads all targets at the same time.
func eachTarget(ctx context.Context, targets []*Target, verifier tree.Verifier) []found {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	all := make([]found, len(targets))
	var wait sync.WaitGroup
	for i, t := range targets {
		wait.Go(func() { all[i].newest, all[i].err = t.newest(ctx, verifier) })
	}
	wait.Wait()
	return all
}

// claimError is a note that names the origin and is not what its key signed.
type claimError struct {
	reason Reason
	size   uint64
}

func (e *claimError) Error() string { return "outside: a note that is not of the log's key" }

// newest reads the target for the largest checkpoint of the origin. Every note is read for whom it names, and only the
// largest are verified.
func (t *Target) newest(ctx context.Context, verifier tree.Verifier) ([]tree.Checkpoint, error) {
	var best []Note
	err := t.read(ctx, func(in io.Reader) (bool, error) {
		_, err := Scan(until{ctx, in}, func(n Note) error {
			if n.Claims.Origin != verifier.Origin() {
				return nil
			}
			switch named, whole := n.by(verifier); {
			case !named:
				return &claimError{OtherKey, n.Claims.Size}
			case whole: // else it was cut short while it was written
				best = larger(best, n)
			}
			return nil
		})
		return len(best) > 0, err
	})
	if err == nil && len(best) == 0 {
		err = ErrNone
	}
	if err != nil {
		return nil, err
	}
	newest := make([]tree.Checkpoint, len(best))
	for i, n := range best {
		if newest[i], err = verifier.Open(n.Signed); err != nil {
			return nil, &claimError{Forged, n.Claims.Size}
		}
	}
	return newest, nil
}

// larger keeps the notes of the largest size, one a root.
func larger(best []Note, n Note) []Note {
	if len(best) == 0 || n.Claims.Size > best[0].Claims.Size {
		return append(best[:0], n)
	}
	if n.Claims.Size < best[0].Claims.Size {
		return best
	}
	for _, b := range best {
		if b.Claims.Root == n.Claims.Root {
			return best
		}
	}
	return append(best, n)
}

// until is a reader that fails once ctx has ended.
type until struct {
	ctx context.Context
	in  io.Reader
}

func (u until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.in.Read(b)
}
