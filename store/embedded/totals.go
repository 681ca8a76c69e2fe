package embedded

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/usage"
)

// totals are the counters and the rows of usage that were touched lately, as absolute numbers. A checkpoint
// writes those that changed; until then what changed them stands in L and O rows.
type totals struct {
	business *sealed.DB

	counting sync.RWMutex
	counters map[string]*counter

	using sync.Mutex
	usage map[usage.Key]*tally
}

// tally is one row of usage.
type tally struct {
	usage.Counts
	dirty bool
}

// kept is how many counters, and how many rows of usage, stay in memory after a checkpoint.
const kept = 4096

func (t *totals) open(business *sealed.DB) {
	t.business = business
	t.counters = make(map[string]*counter)
	t.usage = make(map[usage.Key]*tally)
}

// counter is one reserve's counter. Units go from held to used or pending; while a commit is on its way to the
// disk its unit is unsettled: counted as used already, and still shown as reserved.
type counter struct {
	key  string
	pins atomic.Int64 // claims that know it

	sync.Mutex
	used      int64
	pending   int64
	held      int64 // by open claims
	unsettled int64
	dirty     bool
}

// counter returns a counter, pinned.
func (t *totals) counter(key string) (*counter, error) {
	t.counting.RLock()
	c := t.counters[key]
	if c != nil {
		c.pins.Add(1)
	}
	t.counting.RUnlock()
	if c != nil {
		return c, nil
	}
	t.counting.Lock()
	defer t.counting.Unlock()
	if c = t.counters[key]; c == nil {
		c = &counter{key: key}
		row, found, err := t.business.Get(nil, counterKey(nil, key))
		if err != nil {
			return nil, err
		}
		if found {
			d := decoder{b: row}
			c.used, c.pending = d.int(), d.int()
			if err := d.done(); err != nil {
				return nil, err
			}
		}
		t.counters[key] = c
	}
	c.pins.Add(1)
	return c, nil
}

func (c *counter) unpin() { c.pins.Add(-1) }

// full reports whether limit units are taken. A negative limit is none. The caller holds c.
func (c *counter) full(limit int64) bool { return limit >= 0 && c.used+c.pending+c.held >= limit }

// take holds one unit, unless limit units are taken. A negative limit is none.
func (c *counter) take(limit int64) bool {
	c.Lock()
	defer c.Unlock()
	if c.full(limit) {
		return false
	}
	c.held++
	return true
}

func (c *counter) giveBack() {
	c.Lock()
	c.held--
	c.Unlock()
}

// commit turns a held unit into a pending one, or into a used one that is not settled yet.
func (c *counter) commit(pending bool) {
	c.Lock()
	c.held--
	if pending {
		c.pending++
	} else {
		c.used++
		c.unsettled++
	}
	c.dirty = true
	c.Unlock()
}

func (c *counter) settle() {
	c.Lock()
	c.unsettled--
	c.Unlock()
}

func (c *counter) add(used, pending int64) {
	c.Lock()
	c.used, c.pending, c.dirty = c.used+used, c.pending+pending, true
	c.Unlock()
}

// count adds to a row of usage.
func (t *totals) count(key usage.Key, counts *usage.Counts) error {
	t.using.Lock()
	defer t.using.Unlock()
	row := t.usage[key]
	if row == nil {
		row = &tally{}
		stored, found, err := t.business.Get(nil, usageKey(nil, &key))
		if err != nil {
			return err
		}
		if found {
			if _, row.Counts, err = parseUsage(stored); err != nil {
				return err
			}
		}
		t.usage[key] = row
	}
	row.Add(*counts)
	row.dirty = true
	return nil
}

// add adds what one operation added, sign times, or nothing.
func (t *totals) add(a *addition, sign int64) error {
	if err := t.load(a); err != nil {
		return err
	}
	counts := a.counts
	for i := range counts.Verdicts {
		counts.Verdicts[i] *= sign
	}
	counts.Billed, counts.AmountFen, counts.Replayed = sign*counts.Billed, sign*counts.AmountFen, sign*counts.Replayed
	if err := t.count(a.key, &counts); err != nil {
		return err
	}
	used, pending := sign, int64(0)
	if a.pending {
		used, pending = 0, sign
	}
	return t.move(a.counters, used, pending)
}

// load brings what an addition touches into memory, so that adding it cannot fail halfway.
func (t *totals) load(a *addition) error {
	if err := t.count(a.key, &usage.Counts{}); err != nil {
		return err
	}
	return t.move(a.counters, 0, 0)
}

// move adds to each of the counters.
func (t *totals) move(keys []string, used, pending int64) error {
	for _, key := range keys {
		c, err := t.counter(key)
		if err != nil {
			return err
		}
		c.add(used, pending)
		c.unpin()
	}
	return nil
}

// write puts every changed total into a batch that is certain to be applied, and forgets idle ones. The caller
// holds acts for writing.
func (t *totals) write(batch *sealed.Batch) {
	t.counting.Lock()
	idle := len(t.counters) > kept
	for key, c := range t.counters {
		c.Lock()
		if c.dirty {
			e := encoder{}
			e.int(c.used)
			e.int(c.pending)
			batch.Set(counterKey(nil, key), e.b)
			c.dirty = false
		}
		if idle && c.held == 0 && c.unsettled == 0 && c.pins.Load() == 0 {
			// The batch is applied before anybody can read the counter anew: see Begin, which holds acts.
			delete(t.counters, key)
		}
		c.Unlock()
	}
	t.counting.Unlock()
	t.using.Lock()
	idle = len(t.usage) > kept
	for key, row := range t.usage {
		if row.dirty {
			e := encoder{}
			e.usageKey(&key)
			e.counts(&row.Counts)
			batch.Set(usageKey(nil, &key), e.b)
			row.dirty = false
		}
		if idle {
			delete(t.usage, key)
		}
	}
	t.using.Unlock()
}

func parseUsage(b []byte) (key usage.Key, counts usage.Counts, err error) {
	d := decoder{b: b}
	d.usageKey(&key)
	d.counts(&counts)
	return key, counts, d.done()
}

// Counter returns how many units of a reserve are used and reserved.
func (s *Store) Counter(ctx context.Context, key string) (used, reserved int64, err error) {
	err = s.read(ctx, func() error {
		s.claims.sweep(s.options.Now())
		s.acts.RLock()
		defer s.acts.RUnlock()
		c, err := s.totals.counter(key)
		if err != nil {
			return err
		}
		defer c.unpin()
		c.Lock()
		defer c.Unlock()
		used, reserved = c.used-c.unsettled, c.held+c.pending+c.unsettled
		return nil
	})
	return used, reserved, err
}
