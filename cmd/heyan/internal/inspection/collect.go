package inspection

import (
	"fmt"
	"strings"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Log is what the records of an export say, as far as the pages show it.
type Log struct {
	First, Last time.Time
	Records     uint64
	Counts      map[Kind]uint64

	Sessions *Newest // of operators
	Failures *Newest // authentication that failed
	Days     []ClientDay
	Readings *Newest // of the log
	Config   *Newest
	Admin    *Newest
	Security *Newest
	Keeping  *Newest // retention, holds, purges, backups
	System   *Newest // all but heartbeats and totals
	Status   Status
	Samples  []Sample
}

// Kind is what records are counted by.
type Kind struct {
	Category record.Category
	Event    record.Event
	Outcome  record.OutcomeKind
}

// Newest is the newest rows of many.
type Newest struct {
	Rows  []Row
	Total uint64
	limit int
}

// add forgets the oldest row where there are too many, half of them at a time.
func (n *Newest) add(r Row) {
	n.Total++
	if len(n.Rows) >= 2*n.limit {
		n.Rows = append(n.Rows[:0], n.Rows[n.limit:]...)
	}
	n.Rows = append(n.Rows, r)
}

func (n *Newest) trim() {
	if len(n.Rows) > n.limit {
		n.Rows = n.Rows[len(n.Rows)-n.limit:]
	}
}

// Row is a record as a table shows it.
type Row struct {
	Index   uint64
	Time    time.Time
	Event   string
	Actor   string
	Role    string
	Source  string
	Outcome string
	Object  string
	Detail  string
	Session string    // the connection
	Until   time.Time // of a session: its end
}

// Collector reads records, in order, once.
type Collector struct {
	log     *Log
	limit   int
	open    map[string]int // sessions of operators: where the row is, from the beginning of all rows
	clients map[clientDay]*ClientDay
	status  heartbeats
	samples sampler
}

// NewCollector returns a collector that keeps at most rows rows of each table, and samples records of each event.
func NewCollector(rows, samples int) *Collector {
	log := &Log{Counts: map[Kind]uint64{}}
	for _, n := range []**Newest{&log.Sessions, &log.Failures, &log.Readings, &log.Config, &log.Admin, &log.Security, &log.Keeping, &log.System} {
		*n = &Newest{limit: rows}
	}
	return &Collector{log: log, limit: rows, open: map[string]int{}, clients: map[clientDay]*ClientDay{},
		samples: sampler{each: samples, seen: map[record.Event]int{}}}
}

// Add reads a record. One that cannot be read is an error.
func (c *Collector) Add(index uint64, leaf []byte) error {
	r, err := record.Parse(leaf)
	if err != nil {
		return fmt.Errorf("record %d: %w", index, err)
	}
	if r.Category == 0 {
		r.Category = r.Event.Category()
	}
	if c.log.Records++; c.log.Records == 1 {
		c.log.First = r.Time
	}
	c.log.Last = r.Time
	c.log.Counts[Kind{r.Category, r.Event, r.Outcome.Kind}]++
	c.status.add(&r)
	c.client(&r)
	c.sort(index, &r)
	return c.samples.add(index, &r, leaf)
}

// sort puts a record into the tables that show it.
func (c *Collector) sort(index uint64, r *record.Record) {
	log := c.log
	switch r.Category {
	case record.CategoryAuthentication:
		c.session(index, r)
	case record.CategoryLogAccess:
		log.Readings.add(rowOf(index, r))
	case record.CategoryConfig:
		log.Config.add(rowOf(index, r))
		if strings.HasPrefix(r.Event.String(), "retention.") {
			log.Keeping.add(rowOf(index, r))
		}
	case record.CategoryAdmin:
		log.Admin.add(rowOf(index, r))
	case record.CategorySecurity:
		log.Security.add(rowOf(index, r))
	case record.CategoryDataLifecycle:
		switch object, _, _ := strings.Cut(r.Event.String(), "."); object {
		case "hold", "log", "backup", "store", "journal", "dataset":
			log.Keeping.add(rowOf(index, r))
		}
	case record.CategorySystem:
		if r.Event != record.SystemHeartbeat && r.Event != record.SystemTotals {
			log.System.add(rowOf(index, r))
		}
	}
}

// Done returns what was read.
func (c *Collector) Done() *Log {
	for _, n := range []*Newest{c.log.Sessions, c.log.Failures, c.log.Readings, c.log.Config, c.log.Admin, c.log.Security, c.log.Keeping, c.log.System} {
		n.trim()
	}
	c.log.Days = c.days()
	c.log.Status = c.status.done(c.log.First, c.log.Last)
	c.log.Samples = c.samples.all
	return c.log
}

// rowOf shows a record in few columns.
func rowOf(index uint64, r *record.Record) Row {
	row := Row{Index: index, Time: r.Time, Event: r.Event.String(), Actor: r.Actor.ID, Role: r.Actor.Role,
		Source: address(r.Source), Outcome: r.Outcome.Kind.String(), Session: r.Session}
	if row.Actor == "" && r.Actor.Kind != 0 {
		row.Actor = strings.ToLower(r.Actor.Kind.String())
	}
	if r.Outcome.Reason != "" {
		row.Outcome += " " + r.Outcome.Reason
	}
	row.Object = strings.TrimSpace(r.Object.Type + " " + r.Object.ID)
	row.Detail = strings.Join(details(r), "\n")
	return row
}

// details are what only some records have.
func details(r *record.Record) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if v := r.Change; v != nil {
		if v.Before != "" || v.After != "" {
			say("%s → %s", none(v.Before), none(v.After))
		}
		if v.Diff != "" {
			say("%s", strings.ReplaceAll(v.Diff, "\n", " | "))
		}
		for _, d := range v.Digests {
			say("%s %s", d.Name, d.Value)
		}
	}
	if v := r.LogAccess; v != nil {
		say("[%d, %d) × %d", v.From, v.To, v.Count)
		if len(v.Filters) > 0 {
			say("%s", strings.Join(v.Filters, ","))
		}
	}
	if v := r.Security; v != nil {
		say("%s", strings.TrimSpace(v.Attack+" "+v.Target+" "+v.Rule))
		if v.Count > 0 {
			say("%d / %d, %s", v.Count, v.Limit, v.Window)
		}
	}
	if v := r.Tally; v != nil {
		say("× %d", v.Count)
	}
	if v := r.Birth; v != nil {
		say("%s %s", v.Origin, v.Cause)
	}
	if v := r.Recovery; v != nil {
		say("%s: −%d B, %d", v.File, v.CutBytes, v.Size)
	}
	if v := r.Purge; v != nil {
		say("[%d, %d), %s + %d d", v.From, v.To, v.Period, v.GraceDays)
	}
	return all
}

func none(digest string) string {
	if digest == "" {
		return "–"
	}
	return digest
}

// address is an address with its port.
func address(p record.Peer) string {
	if !p.IP.IsValid() {
		return ""
	}
	text := p.IP.String()
	switch {
	case p.PrefixBits > 0:
		return fmt.Sprintf("%s/%d", text, p.PrefixBits)
	case p.Port > 0 && p.IP.Is6():
		return fmt.Sprintf("[%s]:%d", text, p.Port)
	case p.Port > 0:
		return fmt.Sprintf("%s:%d", text, p.Port)
	}
	return text
}
