package origins

import (
	"context"
	"errors"
	"fmt"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Tree is what an origin is compared by.
type Tree interface {
	Origin() string
	Size() uint64
	Get(ctx context.Context, index uint64) ([]byte, error)
	ReadHashes(indexes []int64) ([]tree.Hash, error)
}

// Link is what an origin says of the one before it, or of another copy of itself, and whether that is so.
type Link struct {
	Origin      string
	Predecessor string // empty = it was the first; the origin itself = another copy of it
	Size        uint64 // how many records of it were known
	Given       bool   // the predecessor is among those compared
	Verdict     netlog.Verdict
	Detail      string // what is wrong, or why nothing could be compared
}

// Agrees tells that the two were compared and fit.
func (l Link) Agrees() bool { return l.Given && l.Verdict == 0 && l.Size > 0 }

// Links compares each of some logs with what its successor, where that is among them, states in its first record: the
// records of the predecessor that were known must be there (else netlog.Missing) as they were (else netlog.Tampered).
// Two logs of one origin must have the same beginning. What was purged is not compared; what cannot be read otherwise
// is netlog.Unverifiable.
func Links(ctx context.Context, logs []Tree) ([]Link, error) {
	first := map[string]Tree{}
	var links []Link
	for _, log := range logs {
		twin, ok := first[log.Origin()]
		if !ok {
			first[log.Origin()] = log
			continue
		}
		links = append(links, copies(twin, log))
	}
	for _, log := range logs {
		if first[log.Origin()] != log {
			continue
		}
		link, err := linkOf(ctx, log, first)
		if err != nil {
			return links, err
		}
		links = append(links, link)
	}
	return links, nil
}

// copies compares two logs of one origin.
func copies(a, b Tree) Link {
	link := Link{Origin: a.Origin(), Predecessor: a.Origin(), Size: min(a.Size(), b.Size()), Given: true}
	before, err := tree.Load(link.Size, a)
	if err == nil {
		var agrees bool
		if agrees, err = holds(b, link.Size, before.Root()); err == nil && !agrees {
			link.Verdict, link.Detail = netlog.Tampered, "two histories of one origin"
		}
	}
	if err != nil {
		link.Verdict, link.Detail = netlog.Unverifiable, "the two copies cannot be compared"
	}
	return link
}

func linkOf(ctx context.Context, log Tree, all map[string]Tree) (Link, error) {
	link := Link{Origin: log.Origin()}
	birth, err := birthOf(ctx, log)
	if ctx.Err() != nil {
		return link, ctx.Err()
	}
	if errors.Is(err, netlog.ErrPurged) {
		link.Detail = "its first record was purged: what it said of the one before is not known"
		return link, nil
	}
	if err != nil {
		link.Verdict, link.Detail = netlog.Unverifiable, "its first record cannot be read: what it says of the one before is not known"
		return link, nil
	}
	link.Predecessor, link.Size = birth.Predecessor, birth.PredecessorSize
	before, given := all[birth.Predecessor]
	if !given || link.Predecessor == "" {
		return link, nil
	}
	link.Given = true
	if link.Size == 0 {
		return link, nil
	}
	if size := before.Size(); size < link.Size {
		link.Verdict, link.Detail = netlog.Missing, fmt.Sprintf("%d records of it were known, and %d are here", link.Size, size)
		return link, nil
	}
	switch agrees, err := holds(before, link.Size, birth.PredecessorRoot); {
	case errors.Is(err, netlog.ErrPurged):
		link.Given, link.Detail = false, "what was known of the one before was purged"
	case err != nil:
		link.Verdict, link.Detail = netlog.Unverifiable, "the tree of the one before cannot be read"
	case !agrees:
		link.Verdict, link.Detail = netlog.Tampered, "the one before had another history when this one was begun"
	}
	return link, nil
}

// birthOf reads what a log's first record says.
func birthOf(ctx context.Context, log Tree) (*record.Birth, error) {
	leaf, err := log.Get(ctx, 0)
	if err != nil {
		return nil, err
	}
	r, err := record.Parse(leaf)
	if err != nil {
		return nil, err
	}
	if r.Birth == nil {
		return nil, fmt.Errorf("origins: the first record of %s is not its birth", log.Origin())
	}
	return r.Birth, nil
}
