package origins

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Entry is one record of one origin. Leaf is valid during the call that it is given to.
type Entry struct {
	Origin string
	Index  uint64
	Time   time.Time
	Leaf   []byte
}

// Stream is the records of one origin. Records MUST call fn in ascending order of the index, and end with fn's error.
type Stream struct {
	Origin  string
	Records func(ctx context.Context, fn func(index uint64, leaf []byte) error) error
}

// Broken is a stream that ended before its end.
type Broken struct {
	Origin string
	Err    error
}

// Merge calls fn with the records of all streams by their time; of the same time, by origin. Records of one origin stay
// in the order of their indexes, even where their times step back: whatever stands behind a record is shown after it.
// A record that this version cannot read has the time of the one before it.
//
// Of each stream one record is held: a slow fn makes every stream wait. What comes next depends on what was not shown yet
// and on nothing before, so that a merge which ended goes on from each origin's next index as if it had not.
//
// A stream that fails is left, and the others go on; it is in broken. Merge ends with fn's error or the context's.
func Merge(ctx context.Context, streams []Stream, fn func(Entry) error) (broken []Broken, err error) {
	return merge(ctx, streams, byTime, fn)
}

// byTime is the order of records of several origins.
func byTime(a, b Entry) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return strings.Compare(a.Origin, b.Origin)
}

// merge is Merge by any order.
func merge(ctx context.Context, streams []Stream, order func(a, b Entry) int, fn func(Entry) error) (broken []Broken, err error) {
	waiting := queue{order: order}
	defer func() {
		for _, c := range waiting.cursors {
			c.stop()
		}
	}()
	take := func(c *cursor) bool {
		ok := c.advance()
		if !ok && c.err != nil {
			broken = append(broken, Broken{c.at.Origin, c.err})
		}
		return ok
	}
	for _, s := range streams {
		if c := newCursor(ctx, s); take(c) {
			waiting.cursors = append(waiting.cursors, c)
		}
	}
	heap.Init(&waiting)
	for len(waiting.cursors) > 0 {
		if err := ctx.Err(); err != nil {
			return broken, err
		}
		if err := fn(waiting.cursors[0].at); err != nil {
			return broken, err
		}
		if take(waiting.cursors[0]) {
			heap.Fix(&waiting, 0)
		} else {
			heap.Pop(&waiting)
		}
	}
	return broken, ctx.Err()
}

// cursor stands on one record of a stream.
type cursor struct {
	at   Entry
	next func() (Entry, bool)
	stop func()
	err  error // why the stream ended
}

var errStopped = errors.New("origins: stopped")

func newCursor(ctx context.Context, s Stream) *cursor {
	c := &cursor{at: Entry{Origin: s.Origin}}
	c.next, c.stop = iter.Pull(func(yield func(Entry) bool) {
		e := Entry{Origin: s.Origin}
		c.err = s.Records(ctx, func(index uint64, leaf []byte) error {
			e.Index, e.Leaf = index, leaf
			if r, err := record.Parse(leaf); err == nil {
				e.Time = r.Time
			}
			if !yield(e) {
				return errStopped
			}
			return nil
		})
	})
	return c
}

// advance moves to the next record; false at the end of the stream, and where it failed.
func (c *cursor) advance() (ok bool) {
	var e Entry
	if e, ok = c.next(); ok {
		c.at = e
	}
	return ok
}

// queue is a heap of cursors, the next record first.
type queue struct {
	order   func(a, b Entry) int
	cursors []*cursor
}

func (q *queue) Len() int { return len(q.cursors) }

func (q *queue) Less(i, j int) bool { return q.order(q.cursors[i].at, q.cursors[j].at) < 0 }

func (q *queue) Swap(i, j int) { q.cursors[i], q.cursors[j] = q.cursors[j], q.cursors[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { q.cursors = append(q.cursors, x.(*cursor)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := q.cursors[len(q.cursors)-1]
	q.cursors = q.cursors[:len(q.cursors)-1]
	return last
}
