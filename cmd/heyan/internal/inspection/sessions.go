package inspection

import (
	"cmp"
	"slices"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// ClientDay is what one client did on one day at +08:00.
type ClientDay struct {
	Day             string
	Client          string
	LogIns, LogOuts uint64
	Calls           uint64 // records of access
	Refused         uint64 // of these, or others of the client: not SUCCESS
}

type clientDay struct{ day, client string }

// maxOpen bounds the sessions whose end is awaited; one that is forgotten is shown without its end.
const maxOpen = 100_000

// session shows log-in and log-out of people on one row. Sessions of clients are counted only.
func (c *Collector) session(index uint64, r *record.Record) {
	sessions := c.log.Sessions
	switch {
	case r.Event != record.SessionOpened && r.Event != record.SessionClosed:
		c.log.Failures.add(rowOf(index, r))
	case r.Actor.Kind == record.ActorClient || r.Actor.Kind == record.ActorStranger:
	case r.Event == record.SessionOpened:
		if len(c.open) < maxOpen {
			c.open[r.Session] = int(sessions.Total)
		}
		row := rowOf(index, r)
		row.Detail = r.Actor.AuthMethod
		sessions.add(row)
	default:
		at, found := c.open[r.Session]
		delete(c.open, r.Session)
		// Rows before the first one that is kept are gone.
		if at -= int(sessions.Total) - len(sessions.Rows); found && at >= 0 {
			sessions.Rows[at].Until = r.Time
			return
		}
		if !found { // it was opened before the range
			row := rowOf(index, r)
			row.Time, row.Until = time.Time{}, r.Time
			sessions.add(row)
		}
	}
}

// client counts what clients do, by day.
func (c *Collector) client(r *record.Record) {
	if r.Actor.Kind != record.ActorClient {
		return
	}
	key := clientDay{r.Time.In(China).Format(time.DateOnly), r.Actor.ID}
	day := c.clients[key]
	if day == nil {
		day = &ClientDay{Day: key.day, Client: key.client}
		c.clients[key] = day
	}
	switch {
	case r.Event == record.SessionOpened:
		day.LogIns++
	case r.Event == record.SessionClosed:
		day.LogOuts++
	default:
		if r.Category == record.CategoryAccess {
			day.Calls++
		}
		if r.Outcome.Kind != record.Success {
			day.Refused++
		}
	}
}

// days are the clients' days, in order.
func (c *Collector) days() []ClientDay {
	all := make([]ClientDay, 0, len(c.clients))
	for _, day := range c.clients {
		all = append(all, *day)
	}
	slices.SortFunc(all, func(a, b ClientDay) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Client, b.Client))
	})
	return all
}
