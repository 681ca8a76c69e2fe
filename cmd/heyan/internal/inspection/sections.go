package inspection

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// section is a part of a page, printed from a new sheet.
type section struct {
	ID, Title string
	Notes     []string
	Tables    []table
}

// table is rows under a heading.
type table struct {
	Title   string
	Heading []string
	Rows    [][]string
	Note    string
	Pairs   bool // the first column names what the second says
}

// builder makes the sections in one language.
type builder struct {
	Lang
	*Facts
}

func (b builder) sections() ([]section, error) {
	all := []section{b.accounts(), b.sessions(), b.coverage(), b.readings(), b.configuration(), b.administration(),
		b.security(), b.retention(), b.operation()}
	samples, err := b.samples()
	return append(all, samples), err
}

// heading translates the keys of columns.
func (b builder) heading(keys ...string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = b.say("h." + key)
	}
	return names
}

// records shows the newest records of a kind.
func (b builder) records(title string, n *Newest) table {
	t := table{Title: title, Heading: b.heading("index", "time", "event", "actor", "outcome", "detail")}
	for _, r := range slices.Backward(n.Rows) {
		t.Rows = append(t.Rows, []string{strconv.FormatUint(r.Index, 10), clock(r.Time), stacked(r.Event, r.Object), stacked(who(r), r.Source),
			r.Outcome, r.Detail})
	}
	t.Note = b.more(len(n.Rows), n.Total)
	return t
}

// more says that a table does not show all.
func (b builder) more(shown int, total uint64) string {
	if uint64(shown) >= total {
		return ""
	}
	return b.say("newest", shown, total)
}

func (b builder) sessions() section {
	people := table{Title: b.say("s.people"), Heading: b.heading("login", "logout", "who", "role", "source", "auth", "session")}
	for _, r := range slices.Backward(b.Log.Sessions.Rows) {
		people.Rows = append(people.Rows, []string{clock(r.Time), clock(r.Until), r.Actor, r.Role, r.Source, r.Detail, r.Session})
	}
	people.Note = b.more(len(people.Rows), b.Log.Sessions.Total)
	clients := table{Title: b.say("s.clients"), Heading: b.heading("day", "client", "logins", "logouts", "calls", "refused")}
	days := b.Log.Days
	if limit := b.Log.Sessions.limit; len(days) > limit {
		days = days[len(days)-limit:]
	}
	for _, d := range slices.Backward(days) {
		clients.Rows = append(clients.Rows, []string{d.Day, d.Client, count(d.LogIns), count(d.LogOuts), count(d.Calls), count(d.Refused)})
	}
	clients.Note = b.more(len(days), uint64(len(b.Log.Days)))
	return section{"sessions", b.say("s"), []string{b.say("s.note")}, []table{people, clients, b.records(b.say("s.failed"), b.Log.Failures)}}
}

func (b builder) coverage() section {
	c := b.Coverage
	said := table{Pairs: true, Rows: [][]string{
		{b.say("o.oldest"), moment(c.GetOldestTime())}, {b.say("o.newest"), moment(c.GetNewestTime())},
		{b.say("o.records"), count(c.GetRecords())}, {b.say("o.required"), c.GetRequiredFrom()},
		{b.say("o.shortfall"), strconv.Itoa(int(c.GetShortfallDays()))},
		{b.say("o.missing"), cmp.Or(strings.Join(c.GetMissingOrigins(), ", "), b.say("nothing"))},
		{b.say("o.gaps"), cmp.Or(strings.Join(b.Gaps, "; "), b.say("nothing"))},
	}}
	origins := table{Title: b.say("o.origins"), Heading: b.heading("id", "node", "since", "count", "readable", "follows")}
	for _, o := range b.Origins {
		origins.Rows = append(origins.Rows, []string{o.GetId(), o.GetNode(), moment(o.GetFirstTime()), count(o.GetCheckpoint().GetSize()),
			b.mark(o.GetReadable()), strings.TrimSpace(o.GetPredecessor() + " " + o.GetCause())})
	}
	counts := table{Title: b.say("o.counts"), Heading: b.heading("category", "type", "outcome", "count")}
	for _, k := range b.kinds() {
		counts.Rows = append(counts.Rows, []string{b.say(k.Category.String()), k.Event.String(), k.Outcome.String(), count(b.Log.Counts[k])})
	}
	return section{"coverage", b.say("o"), []string{b.say("a.note")}, []table{said, origins, counts}}
}

// kinds are what the range holds, in order.
func (b builder) kinds() []Kind {
	all := make([]Kind, 0, len(b.Log.Counts))
	for k := range b.Log.Counts {
		all = append(all, k)
	}
	slices.SortFunc(all, func(x, y Kind) int {
		return cmp.Or(cmp.Compare(x.Category, y.Category), cmp.Compare(x.Event.String(), y.Event.String()), cmp.Compare(x.Outcome, y.Outcome))
	})
	return all
}

func (b builder) readings() section {
	return section{"readings", b.say("r"), []string{b.say("r.note")}, []table{b.records("", b.Log.Readings)}}
}

func (b builder) configuration() section {
	return section{"configuration", b.say("g"), []string{b.say("g.note")}, []table{b.records("", b.Log.Config)}}
}

func (b builder) administration() section {
	approvals := table{Title: b.say("m.approvals"), Heading: b.heading("since", "act", "detail", "requested", "decided", "state")}
	for _, a := range b.Accounts.Approvals {
		method := a.GetMethod()[strings.LastIndexByte(a.GetMethod(), '/')+1:]
		approvals.Rows = append(approvals.Rows, []string{moment(a.GetCreateTime()), method, strings.Join(a.GetSummary(), "; "),
			both(a.GetRequestedBy(), a.GetRequesterPerson()), both(a.GetDecidedBy(), a.GetDeciderPerson()), enum(a.GetState())})
	}
	return section{"administration", b.say("m"), nil, []table{b.records("", b.Log.Admin), approvals}}
}

func (b builder) security() section {
	counts := table{Heading: b.heading("type", "outcome", "count")}
	for _, k := range b.kinds() {
		if k.Category == record.CategorySecurity {
			counts.Rows = append(counts.Rows, []string{k.Event.String(), k.Outcome.String(), count(b.Log.Counts[k])})
		}
	}
	tables := []table{b.records("", b.Log.Security)}
	if len(counts.Rows) > 0 {
		tables = append([]table{counts}, tables...)
	}
	return section{"security", b.say("e"), nil, tables}
}

func (b builder) retention() section {
	said := table{Pairs: true, Rows: [][]string{{b.say("k.said"), b.Retention}}}
	return section{"retention", b.say("k"), nil, []table{said, b.records(b.say("k.events"), b.Log.Keeping)}}
}

func (b builder) operation() section {
	status := b.Log.Status
	notes := []string{b.say("t.note")}
	gaps := table{Title: b.say("t.gaps"), Heading: b.heading("from", "to", "length", "what")}
	for _, g := range slices.Backward(status.Gaps) {
		what := b.say([]string{Silent: "t.silent", Stopped: "t.stopped", Edge: "t.edge"}[g.Why])
		gaps.Rows = append(gaps.Rows, []string{clock(g.From), clock(g.To), g.To.Sub(g.From).Round(time.Second).String(), what})
	}
	if gaps.Note = b.more(len(status.Gaps), status.Total); status.Total == 0 {
		gaps.Note = b.say("t.nogaps")
	}
	days := table{Title: b.say("t.days"), Heading: b.heading("day", "minutes", "calls", "failures", "disk", "unsync")}
	for _, d := range slices.Backward(status.Days) {
		free := ""
		if d.LeastFree > 0 {
			free = output.Bytes(int64(d.LeastFree))
		}
		days.Rows = append(days.Rows, []string{d.Day, fmt.Sprintf("%d / %d", d.Minutes, d.Expected), count(d.Calls), count(d.Failures), free,
			strconv.Itoa(d.Unsynchronised)})
	}
	return section{"operation", b.say("t"), notes, []table{gaps, days, b.records(b.say("t.events"), b.Log.System)}}
}

// clock shows a time at +08:00; none for a zero one.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(China).Format("2006-01-02 15:04:05")
}

func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return "–"
	}
	return clock(t.AsTime())
}

func count(n uint64) string { return output.Count(int64(n)) }

// who is an actor with its role.
func who(r Row) string {
	if r.Role == "" {
		return r.Actor
	}
	return r.Actor + " (" + r.Role + ")"
}

func (b builder) mark(is bool) string {
	if is {
		return b.say("yes")
	}
	return b.say("no")
}

// stacked puts two texts of one cell on a line each.
func stacked(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}
