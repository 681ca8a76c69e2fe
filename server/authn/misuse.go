package authn

import (
	"context"
	"sync"
	"time"
)

// A right API key from a wrong address is a stolen or a misplaced key. After misuseLimit of them within
// misuseWindow it is locked. Guessing never locks: nobody else can lock a client out.
const (
	misuseLimit  = 10
	misuseWindow = 10 * time.Minute
	misuseRows   = 1024
)

type misuse struct {
	lock func(ctx context.Context, credential string)

	mu   sync.Mutex
	rows map[string]*misuseRow
}

type misuseRow struct {
	since time.Time
	count int
}

func newMisuse(lock func(ctx context.Context, credential string)) *misuse {
	return &misuse{lock: lock, rows: map[string]*misuseRow{}}
}

func (m *misuse) note(ctx context.Context, credential string, now time.Time) {
	m.mu.Lock()
	row := m.rows[credential]
	if row == nil || now.Sub(row.since) > misuseWindow {
		if len(m.rows) >= misuseRows {
			clear(m.rows)
		}
		row = &misuseRow{since: now}
		m.rows[credential] = row
	}
	row.count++
	reached := row.count == misuseLimit
	if reached {
		delete(m.rows, credential) // once unlocked, it may be locked again
	}
	m.mu.Unlock()
	if reached {
		m.lock(ctx, credential)
	}
}
