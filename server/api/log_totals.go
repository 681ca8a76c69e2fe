package api

import (
	"context"
	"errors"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/totals"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// totals returns the filter as totals know it, and whether it is one that they can be held against. What is not filtered
// needs none: all its records are there.
func (q *logQuery) totals() (f *totals.Filter, comparable bool) {
	f = &totals.Filter{
		From: q.From, To: q.To, Client: q.Client, Actor: q.Actor, Method: q.Method, MethodEnd: q.methodEnd, Outcome: q.Outcome,
		Other: q.Source.IsValid() || q.Event != 0 || q.eventGroup != "" || q.Category != 0 || q.Reason != "" || q.Product != "" ||
			q.Verification != "" || q.Session != "",
	}
	return f, len(q.names) > 0 && f.Comparable()
}

// planTotals returns where the totals are that an export of [from, to) carries, in a log of the given size.
func planTotals(ctx context.Context, log origins.Records, f *totals.Filter, from, to, size uint64) ([]uint64, error) {
	plan := totals.NewPlan(f, from, to)
	err := log.Search(ctx, &netlog.Query{Event: record.SystemTotals}, from, size, func(index uint64, _ []byte, r *record.Record) error {
		if r.Totals != nil && plan.Add(index, r.Totals) {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return plan.Indexes(), nil
}

// sendTotals sends the evidence.
func (e *exporting) sendTotals(ctx context.Context, log origins.Records) error {
	m, size := &heyanv1.ExportLogResponse_Totals{}, 0
	flush := func() error {
		if len(m.Entries) == 0 {
			return nil
		}
		err := e.send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_Totals_{Totals: m}})
		m, size = &heyanv1.ExportLogResponse_Totals{}, 0
		return err
	}
	for _, index := range e.evidence {
		leaf, err := log.Get(ctx, index)
		if err != nil {
			return err
		}
		e.totals = append(e.totals, tree.LeafHash(leaf))
		m.Entries = append(m.Entries, &heyanv1.ExportLogResponse_Entry{Index: index, Leaf: leaf})
		if size += len(leaf); size < exportBytes && len(m.Entries) < exportEntries {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// proveTotals puts the totals that stand before an index to the proof. One that stands there is a record that passes, and
// comes by itself.
func (e *exporting) proveTotals(index uint64) error {
	for len(e.evidence) > 0 && e.evidence[0] <= index {
		if e.evidence[0] < index {
			if err := e.proof.Add(e.evidence[0], e.totals[0]); err != nil {
				return err
			}
		}
		e.evidence, e.totals = e.evidence[1:], e.totals[1:]
	}
	return nil
}
