package netlog

import (
	"net/netip"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Query filters records. A zero field does not filter; all others must hold. The zero Query matches every record.
type Query struct {
	From, To     time.Time // [From, To)
	Client       string    // the actor's id, of a client
	Actor        string    // the actor's id, of any kind, or on whose behalf
	Source       netip.Prefix
	Method       string // full method
	Event        record.Event
	Category     record.Category
	Outcome      record.OutcomeKind
	Reason       string
	Product      string
	Verification string // id
	Session      string
}

// Match tells whether the record passes the filter. It does not allocate.
func (q *Query) Match(r *record.Record) bool {
	return q.matchTime(r) && q.matchActor(r) && q.matchSource(r) &&
		(q.Method == "" || q.Method == r.Action) &&
		(q.Event == 0 || q.Event == r.Event) &&
		(q.Category == 0 || q.Category == r.Category) &&
		(q.Outcome == 0 || q.Outcome == r.Outcome.Kind) &&
		(q.Reason == "" || q.Reason == r.Outcome.Reason) &&
		(q.Product == "" || r.Processing != nil && q.Product == r.Processing.Product) &&
		(q.Verification == "" || r.Object.Type == "verification" && q.Verification == r.Object.ID) &&
		(q.Session == "" || q.Session == r.Session)
}

func (q *Query) matchTime(r *record.Record) bool {
	return (q.From.IsZero() || !r.Time.Before(q.From)) && (q.To.IsZero() || r.Time.Before(q.To))
}

func (q *Query) matchActor(r *record.Record) bool {
	return (q.Client == "" || r.Actor.Kind == record.ActorClient && q.Client == r.Actor.ID) &&
		(q.Actor == "" || q.Actor == r.Actor.ID || q.Actor == r.Actor.OnBehalfOf)
}

// matchSource: a record that counts a whole prefix matches when the two overlap.
func (q *Query) matchSource(r *record.Record) bool {
	if !q.Source.IsValid() {
		return true
	}
	ip := r.Source.IP
	if !ip.IsValid() {
		return false
	}
	bits := ip.BitLen()
	if n := int(r.Source.PrefixBits); n > 0 && n < bits {
		bits = n
	}
	return q.Source.Overlaps(netip.PrefixFrom(ip, bits))
}

// Fields returns the names of the filters that are set, for the record that a reading of the log leaves.
func (q *Query) Fields() []string {
	var names []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"from", !q.From.IsZero()}, {"to", !q.To.IsZero()}, {"client", q.Client != ""}, {"actor", q.Actor != ""},
		{"source", q.Source.IsValid()}, {"method", q.Method != ""}, {"event", q.Event != 0}, {"category", q.Category != 0},
		{"outcome", q.Outcome != 0}, {"reason", q.Reason != ""}, {"product", q.Product != ""},
		{"verification", q.Verification != ""}, {"session", q.Session != ""},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}
