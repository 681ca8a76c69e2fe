package api

import (
	"context"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

// reading is every origin that the store has seen, and which of them can be read from here.
type reading struct {
	rows []store.Row[OriginRow] // oldest first
	view origins.View
	own  origins.Log
}

// reading looks at all origins, and opens the closed ones that lie where the configuration says.
func (l *Log) reading(ctx context.Context) (*reading, error) {
	rows, err := l.origins(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]origins.Known, len(rows))
	for _, row := range rows {
		known[row.ID] = origins.Known{Key: row.Value.Key, Checkpoint: row.Value.Checkpoint}
	}
	r := &reading{rows: rows, view: l.d.Archive.Look(l.d.Log.Origin(), known), own: l.d.Log}
	for i := range rows {
		// A server that was killed may have written more than the store heard of.
		row := &rows[i]
		if log := r.view.Log(row.ID); log != nil && log.Size() > publicCheckpoint(row.Value.Checkpoint, row.Value.Key).GetSize() {
			row.Value.Checkpoint = log.Checkpoint()
		}
	}
	return r, nil
}

// log returns an origin; nil where it cannot be read.
func (r *reading) log(id string) origins.Log {
	if id == r.own.Origin() {
		return r.own
	}
	return r.view.Log(id)
}

// all returns what can be read, oldest first.
func (r *reading) all() []origins.Log {
	var logs []origins.Log
	for _, row := range r.rows {
		if log := r.log(row.ID); log != nil {
			logs = append(logs, log)
		}
	}
	return logs
}

// missing returns the origins that cannot be read.
func (r *reading) missing() []string {
	var ids []string
	for _, row := range r.rows {
		if r.log(row.ID) == nil {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

// partial returns the origins of which some records cannot be read.
func (r *reading) partial() []string {
	var ids []string
	for _, p := range r.view.Problems {
		if p.Kind == origins.Shorter || p.Kind == origins.Damaged {
			ids = append(ids, p.Origin)
		}
	}
	return ids
}

// Problems says what is wrong with the places of closed logs, a line each.
func (l *Log) Problems(ctx context.Context) ([]string, error) {
	r, err := l.reading(ctx)
	if err != nil {
		return nil, err
	}
	return r.problems(), nil
}

// problems are the problems of places, a line each.
func (r *reading) problems() []string {
	var lines []string
	for _, p := range r.view.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

// chosen returns the log of a request for one origin; empty is this server's own.
func (l *Log) chosen(ctx context.Context, id string) (origins.Log, error) {
	if id == "" || id == l.d.Log.Origin() {
		return l.d.Log, nil
	}
	log, err := l.d.closed(ctx, id)
	if err != nil {
		return nil, err
	}
	journal.From(ctx).SetObject("origin", log.Origin())
	return log, nil
}

// closed opens one closed origin.
func (d *Deps) closed(ctx context.Context, id string) (origins.Log, error) {
	row, err := store.TableOf[OriginRow](d.Store, store.Origins).Get(ctx, id)
	if err != nil {
		return nil, storeFault(err)
	}
	view := d.Archive.Look(d.Log.Origin(), map[string]origins.Known{row.ID: {Key: row.Value.Key, Checkpoint: row.Value.Checkpoint}})
	if log := view.Log(row.ID); log != nil {
		return log, nil
	}
	return nil, notFound().WithHint("The store has seen this log, but it cannot be read from this server: name its directory in log.also of " +
		"the configuration. heyan log origins says what is wrong with a directory that is named there.")
}

// headOf returns a log's newest checkpoint; nil where it cannot be read.
func headOf(log origins.Log) *heyanv1.Checkpoint {
	return publicCheckpoint(log.Checkpoint(), log.Key())
}

// outsideOf reads the evidence of a request.
func outsideOf(req *heyanv1.VerifyLogRequest) ([]netlog.Evidence, error) {
	switch {
	case len(req.GetCheckpoints()) > maxEvidence:
		return nil, fault.New(fault.RequestTooLarge).WithField("checkpoints", "AT_MOST_100")
	case len(req.GetReceipts()) > maxEvidence:
		return nil, fault.New(fault.RequestTooLarge).WithField("receipts", "AT_MOST_100")
	}
	outside := make([]netlog.Evidence, 0, len(req.GetCheckpoints())+len(req.GetReceipts()))
	for _, note := range req.GetCheckpoints() {
		if len(note) == 0 || len(note) > maxEvidenceSize {
			return nil, malformed("checkpoints", "SIGNED_NOTE")
		}
		outside = append(outside, netlog.Evidence{Checkpoint: note})
	}
	for _, r := range req.GetReceipts() {
		records := []netlog.Evidence{{Leaf: r.GetLeaf(), Proof: r.GetProof()}}
		if len(r.GetResolutionLeaf()) > 0 {
			records = append(records, netlog.Evidence{Leaf: r.GetResolutionLeaf(), Proof: r.GetResolutionProof()})
		}
		for _, e := range records {
			if len(e.Leaf) == 0 || len(e.Leaf) > record.MaxSize || len(e.Proof) == 0 || len(e.Proof) > maxEvidenceSize {
				return nil, malformed("receipts", "LEAF_AND_PROOF")
			}
		}
		outside = append(outside, records...)
	}
	return outside, nil
}
