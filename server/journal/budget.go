package journal

import (
	"sync"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// A client may be refused refusalBurst times at once and refusalRate times a second with a record for each. What failed
// for a reason of Heyan's own spends nothing; what its caller gave up does, or a client could fill the log with it.
// Above that its connection is closed and refusals are counted by client, method, reason and second.
const (
	refusalBurst = 500
	refusalRate  = 50
)

// Budgets keeps each client's refusal budget. It is safe for concurrent use.
type Budgets struct {
	journal *Journal

	mu      sync.Mutex
	clients map[string]*budget
	counted map[refusalKey]*refusalRow
}

type budget struct {
	left float64
	at   time.Time
	out  bool
}

type refusalKey struct {
	client, method, reason string
	second                 int64
}

type refusalRow struct {
	count   uint64
	outcome record.Outcome
	actor   record.Actor
}

// NewBudgets makes the budgets.
func NewBudgets(j *Journal) *Budgets {
	return &Budgets{journal: j, clients: map[string]*budget{}, counted: map[refusalKey]*refusalRow{}}
}

// Spend takes one refusal of a client's budget. ok = false means that it is used up: the refusal is counted
// here instead of recorded, and the connection is to be closed. first is true when that happens for the first
// time since the budget was last full.
func (b *Budgets) Spend(c *Call, outcome record.Outcome) (ok, first bool) {
	now := c.Journal.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	row := b.clients[c.Principal.ID]
	if row == nil {
		row = &budget{left: refusalBurst, at: now}
		b.clients[c.Principal.ID] = row
	}
	row.left = min(refusalBurst, row.left+now.Sub(row.at).Seconds()*refusalRate)
	row.at = now
	if row.left == refusalBurst {
		row.out = false
	}
	if row.left >= 1 {
		row.left--
		return true, false
	}
	first = !row.out
	row.out = true
	key := refusalKey{c.Principal.ID, c.Method, outcome.Reason, now.Unix()}
	counted := b.counted[key]
	if counted == nil {
		counted = &refusalRow{outcome: outcome, actor: actor(&c.Principal, "")}
		b.counted[key] = counted
	}
	counted.count++
	return false, first
}

// Flush writes what was counted, a record a row, and begins anew. On an error what was not written is kept.
func (b *Budgets) Flush() error {
	b.mu.Lock()
	rows := b.counted
	b.counted = map[refusalKey]*refusalRow{}
	b.mu.Unlock()
	err := writeRows(b.journal, rows, func(key refusalKey, row *refusalRow) *record.Record {
		at := time.Unix(key.second, 0)
		return &record.Record{
			Event: record.RefusalBulk, Action: key.method, Outcome: row.outcome, Actor: row.actor, Time: b.journal.now(),
			Tally:    &record.Tally{Count: row.count, First: at, Last: at.Add(time.Second - 1)},
			Security: &record.Security{Attack: "REFUSAL_FLOOD", Target: key.method, Count: row.count, Limit: refusalBurst, Window: time.Second},
		}
	})
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		for key, row := range rows {
			if since := b.counted[key]; since != nil {
				row.count += since.count
			}
			b.counted[key] = row
		}
	}
	return err
}

// writeRows appends a record for each row and waits once, for the last: records become durable in order. On an
// error rows holds those that were not appended.
func writeRows[K comparable, R any](j *Journal, rows map[K]R, recordOf func(K, R) *record.Record) error {
	durable := func() error { return nil }
	for key, row := range rows {
		_, wait, err := j.Begin(recordOf(key, row))
		if err != nil {
			return err
		}
		durable = wait
		delete(rows, key)
	}
	return durable()
}
