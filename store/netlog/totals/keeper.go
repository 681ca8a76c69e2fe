package totals

import (
	"context"

	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// Log is the log that is counted: a [netlog.Log].
type Log interface {
	Size() uint64
	Coverage(ctx context.Context) (netlog.Coverage, error)
	Read(ctx context.Context, from, to uint64, fn func(index uint64, leaf []byte) error) error
	Search(ctx context.Context, q *netlog.Query, from, to uint64, fn func(index uint64, leaf []byte, r *record.Record) error) error
}

// Keeper makes the totals of a log that grows. It is safe for concurrent use; one call works at a time.
type Keeper struct {
	log   Log
	write func(parts []*record.Totals) error

	turn    chan struct{} // holds one; who took it works with what follows
	counter *Counter      // nil: the newest total was not looked for yet
	hour    uint64        // that the counter's total is of, where it holds a record
}

// NewKeeper returns a Keeper that writes totals by write, which returns when all parts are durable.
func NewKeeper(log Log, write func(parts []*record.Totals) error) *Keeper {
	k := &Keeper{log: log, write: write, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

// Count counts what is durable by now, and writes a total where another hour has begun.
func (k *Keeper) Count(ctx context.Context, hour uint64) error {
	return k.inTurn(ctx, func() error {
		if err := k.catchUp(ctx, hour); err != nil {
			return err
		}
		if k.hour == hour {
			return nil
		}
		return k.flush(hour)
	})
}

// Write counts what is durable by now and writes a total of it. Every record below the log's size at the time of the call
// is counted when it returns nil.
func (k *Keeper) Write(ctx context.Context, hour uint64) error {
	return k.inTurn(ctx, func() error {
		if err := k.catchUp(ctx, hour); err != nil {
			return err
		}
		return k.flush(hour)
	})
}

func (k *Keeper) inTurn(ctx context.Context, work func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.turn:
	}
	defer func() { k.turn <- struct{}{} }()
	return work()
}

// flush writes the total of what was counted. Where that fails, the next one counts the same, and more: what is durable of
// this one is not all its parts.
func (k *Keeper) flush(hour uint64) error {
	parts := k.counter.Parts()
	if len(parts) == 0 {
		return nil
	}
	if err := k.write(parts); err != nil {
		return err
	}
	k.counter.next()
	k.hour = hour
	return nil
}

// catchUp counts to the end of the log.
func (k *Keeper) catchUp(ctx context.Context, hour uint64) error {
	if k.counter == nil {
		if err := k.resume(ctx, hour); err != nil {
			return err
		}
	}
	size := k.log.Size()
	for k.counter.to < size {
		// A group more a record at most: it is never much more than full.
		end := min(size, k.counter.to+maxGroups)
		if err := k.log.Read(ctx, k.counter.to, end, k.count); err != nil {
			return err
		}
		if !k.counter.Full() {
			continue
		}
		if err := k.flush(hour); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) count(_ uint64, leaf []byte) error {
	r, err := record.Parse(leaf)
	if err != nil {
		return err
	}
	k.counter.Add(&r)
	return nil
}

// anew is how many records are counted from the first on where no total is found. A longer log is one that was begun
// before there were totals: counting begins at its end.
const anew = 1 << 20

// resume goes on where the newest total ends. It is of the hour of the first record behind that.
func (k *Keeper) resume(ctx context.Context, hour uint64) error {
	held, err := k.log.Coverage(ctx)
	if err != nil {
		return err
	}
	newest, err := k.newest(ctx, held)
	if err != nil {
		return err
	}
	begin, from := held.First, held.First
	switch {
	case newest != nil && newest.To >= held.First:
		begin, from = newest.begin, newest.To
	case held.Size-held.First > anew:
		begin, from = held.Size, held.Size
	}
	k.hour = hour
	err = k.log.Read(ctx, from, from+1, func(_ uint64, leaf []byte) error {
		r, err := record.Parse(leaf)
		k.hour = record.HourOf(r.Time)
		return err
	})
	if err != nil {
		return err
	}
	k.counter = NewCounter(begin, from)
	return nil
}

// newest looks for the newest total of which every part is there, from the end of the log backwards; nil = there is none.
func (k *Keeper) newest(ctx context.Context, held netlog.Coverage) (*whole, error) {
	for width := uint64(1 << 14); ; width *= 4 {
		from := max(held.First, held.Size-min(width, held.Size))
		list, err := k.list(ctx, from, held.Size)
		if err != nil || len(list) > 0 {
			return last(list), err
		}
		if from == held.First {
			return nil, nil
		}
	}
}

func last(list []*placed) *whole {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1].whole
}

func (k *Keeper) list(ctx context.Context, from, to uint64) ([]*placed, error) {
	var a assembly
	err := k.log.Search(ctx, &netlog.Query{Event: record.SystemTotals}, from, to, func(index uint64, _ []byte, r *record.Record) error {
		if r.Totals != nil {
			a.add(index, r.Totals)
		}
		return nil
	})
	return a.list, err
}
