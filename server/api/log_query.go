package api

import (
	"context"
	"net/netip"
	"strings"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// logQuery is a filter: what package netlog compares, and the two patterns of the API.
type logQuery struct {
	netlog.Query
	methodEnd  string   // "/Verify"; empty = no filter
	eventGroup string   // "verification."; empty = no filter
	names      []string // of the filters that are set, for the record of the reading
}

// passes reports whether a record passes. Without a filter it is not read.
func (q *logQuery) passes(leaf []byte) (bool, error) {
	if len(q.names) == 0 {
		return true, nil
	}
	r, err := record.Parse(leaf)
	if err != nil {
		return false, err
	}
	return q.Match(&r) && q.patterns(&r), nil
}

// patterns is what package netlog does not compare.
func (q *logQuery) patterns(r *record.Record) bool {
	return strings.HasSuffix(r.Action, q.methodEnd) && strings.HasPrefix(r.Event.String(), q.eventGroup)
}

// scan calls fn with the records of [from, to) that pass, in order; with a filter it reads what may hold one.
func (q *logQuery) scan(ctx context.Context, log origins.Records, from, to uint64, fn func(index uint64, leaf []byte) error) error {
	if len(q.names) == 0 {
		return log.Read(ctx, from, to, fn)
	}
	return log.Search(ctx, &q.Query, from, to, func(index uint64, leaf []byte, r *record.Record) error {
		if !q.patterns(r) {
			return nil
		}
		return fn(index, leaf)
	})
}

// queryOf reads a filter. Names outside a closed list are refused, since they would match nothing for ever.
func queryOf(p *heyanv1.LogFilter) (*logQuery, *fault.Fault) {
	q := &logQuery{Query: netlog.Query{
		Client: p.GetClient(), Actor: p.GetActor(), Reason: p.GetReason(), Product: p.GetProduct(), Verification: p.GetVerification(), Session: p.GetSession(),
	}}
	var f *fault.Fault
	if q.From, f = instant("filter.start_time", p.GetStartTime()); f != nil {
		return nil, f
	}
	if q.To, f = instant("filter.end_time", p.GetEndTime()); f != nil {
		return nil, f
	}
	for _, set := range []func(*heyanv1.LogFilter) *fault.Fault{q.setSource, q.setMethod, q.setEvent, q.setEnums} {
		if f := set(p); f != nil {
			return nil, f
		}
	}
	q.names = q.Fields()
	if q.methodEnd != "" {
		q.names = append(q.names, "method")
	}
	if q.eventGroup != "" {
		q.names = append(q.names, "event")
	}
	return q, nil
}

func (q *logQuery) setSource(p *heyanv1.LogFilter) *fault.Fault {
	s := p.GetSource()
	if s == "" {
		return nil
	}
	if address, err := netip.ParseAddr(s); err == nil && address.Zone() == "" {
		address = address.Unmap()
		q.Source = netip.PrefixFrom(address, address.BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return malformed("filter.source", "ADDRESS_OR_PREFIX")
	}
	q.Source = prefix.Masked()
	return nil
}

func (q *logQuery) setMethod(p *heyanv1.LogFilter) *fault.Fault {
	switch m := p.GetMethod(); {
	case strings.HasPrefix(m, "/"):
		q.Method = m
	case m != "":
		q.methodEnd = "/" + m
	}
	return nil
}

func (q *logQuery) setEvent(p *heyanv1.LogFilter) *fault.Fault {
	name := p.GetEvent()
	if group, ok := strings.CutSuffix(name, "*"); ok && strings.HasSuffix(group, ".") {
		for _, e := range record.Events() {
			if strings.HasPrefix(e.String(), group) {
				q.eventGroup = group
				return nil
			}
		}
		return malformed("filter.event", "NO_EVENT_OF_THIS_GROUP")
	}
	if name == "" {
		return nil
	}
	var ok bool
	if q.Event, ok = record.ParseEvent(name); !ok {
		return malformed("filter.event", "NO_EVENT")
	}
	return nil
}

func (q *logQuery) setEnums(p *heyanv1.LogFilter) *fault.Fault {
	var ok bool
	if p.GetCategory() != "" {
		if q.Category, ok = record.ParseCategory(p.GetCategory()); !ok {
			return malformed("filter.category", "NO_CATEGORY")
		}
	}
	if p.GetOutcome() != "" {
		if q.Outcome, ok = record.ParseOutcomeKind(p.GetOutcome()); !ok {
			return malformed("filter.outcome", "NO_OUTCOME")
		}
	}
	return nil
}
