package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/fault"
)

// Log is the LogService: listing and following (log_list.go), exporting (log_export.go), its segments (log_segments.go), and
// what the log says of itself.
type Log struct {
	heyanv1.UnimplementedLogServiceServer
	d *Deps
}

// NewLog makes the service.
func NewLog(d *Deps) *Log { return &Log{d: d} }

// OriginRow is what the store keeps of an origin for ever: a document of kind store.Origins under the origin's id,
// which every server writes for its own log when it starts.
type OriginRow struct {
	Node        string
	Key         string    // C2SP signed-note verifier key
	FirstTime   time.Time // of its first record
	Checkpoint  []byte    // the newest signed note that the store knows; nil = none
	Predecessor string    // origin; empty = none
	Cause       string    // why it was begun
}

const (
	maxEvidence     = 100 // outside checkpoints of one verification
	maxEvidenceSize = 16 << 10
)

// unreadable says that the log could not be read. It is not LOG_UNAVAILABLE, with which no record is written: the
// log takes records, and has one of this refusal.
func unreadable(ctx context.Context, err error) *fault.Fault {
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return f
	case ctx.Err() != nil:
		return cancelled(ctx, err)
	}
	return fault.New(fault.StoreUnavailable).WithCause(err).WithRetryAfter(time.Second)
}

// VerifyLog reads the whole log from the disk and verifies it, against itself and against what left the machine.
func (l *Log) VerifyLog(ctx context.Context, req *heyanv1.VerifyLogRequest) (*heyanv1.VerifyLogResponse, error) {
	outside, err := outsideOf(req)
	if err != nil {
		return nil, err
	}
	log, err := l.chosen(ctx, req.GetOrigin())
	if err != nil {
		return nil, err
	}
	report, err := log.Verify(ctx, outside...)
	if err != nil {
		return nil, unreadable(ctx, err)
	}
	journal.From(ctx).SetAccess(&record.LogAccess{To: report.Size, Count: report.Verified})
	response := &heyanv1.VerifyLogResponse{
		Whole: report.Whole(), Records: report.Verified, Commits: report.Commits, Anchored: uint32(report.Anchors),
		Checkpoint: &heyanv1.Checkpoint{Origin: report.Origin, Size: report.Size, Root: report.Root[:], VerifierKey: report.Key},
	}
	// The signed note is only given where it is of the very tree that was verified.
	if newest := headOf(log); newest.GetSize() == report.Size && slices.Equal(newest.GetRoot(), report.Root[:]) {
		response.Checkpoint = newest
	}
	for _, f := range report.Findings {
		response.Findings = append(response.Findings, &heyanv1.VerifyLogResponse_Finding{
			Kind: strings.ToUpper(f.Verdict.String()), File: f.File, Index: f.From, Text: f.Detail,
		})
	}
	return response, nil
}

// publicCheckpoint opens a signed note; nil where it is none of that key's.
func publicCheckpoint(note []byte, key string) *heyanv1.Checkpoint {
	verifier, err := tree.NewVerifier(key)
	if err != nil {
		return nil
	}
	c, err := verifier.Open(note)
	if err != nil {
		return nil
	}
	return &heyanv1.Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root[:], Note: note, VerifierKey: key}
}

// origins returns every origin that the store has seen, this server's included.
func (l *Log) origins(ctx context.Context) ([]store.Row[OriginRow], error) {
	rows, err := store.TableOf[OriginRow](l.d.Store, store.Origins).List(ctx, "", "", 0)
	if err != nil {
		return nil, storeFault(err)
	}
	own := l.d.Log.Origin()
	at := slices.IndexFunc(rows, func(row store.Row[OriginRow]) bool { return row.ID == own })
	if at < 0 {
		at = len(rows)
		// An origin is its node's name, a hyphen and a random id.
		rows = append(rows, store.Row[OriginRow]{ID: own, Value: OriginRow{Node: own[:max(0, strings.LastIndexByte(own, '-'))]}})
	}
	coverage, err := l.d.Log.Coverage(ctx)
	if err != nil {
		return nil, unreadable(ctx, err)
	}
	rows[at].Value.Key, rows[at].Value.Checkpoint = l.d.Log.Key(), l.d.Log.Checkpoint()
	if first := rows[at].Value.FirstTime; first.IsZero() || coverage.Oldest.Before(first) {
		rows[at].Value.FirstTime = coverage.Oldest
	}
	slices.SortStableFunc(rows, func(a, b store.Row[OriginRow]) int { return a.Value.FirstTime.Compare(b.Value.FirstTime) })
	return rows, nil
}

// ListOrigins lists every origin, oldest first.
func (l *Log) ListOrigins(ctx context.Context, _ *heyanv1.ListOriginsRequest) (*heyanv1.ListOriginsResponse, error) {
	r, err := l.reading(ctx)
	if err != nil {
		return nil, err
	}
	response := &heyanv1.ListOriginsResponse{Problems: r.problems()}
	for _, row := range r.rows {
		v, live := &row.Value, row.ID == l.d.Log.Origin()
		response.Origins = append(response.Origins, &heyanv1.Origin{
			Id: row.ID, Node: v.Node, VerifierKey: v.Key, FirstTime: stamp(v.FirstTime), Checkpoint: publicCheckpoint(v.Checkpoint, v.Key),
			Predecessor: v.Predecessor, Cause: v.Cause, Live: live, Readable: r.log(row.ID) != nil,
		})
	}
	return response, nil
}

// GetCheckpoint reads the newest checkpoint of this log, or the last known one of another origin.
func (l *Log) GetCheckpoint(ctx context.Context, req *heyanv1.GetCheckpointRequest) (*heyanv1.Checkpoint, error) {
	id := req.GetOrigin()
	if id == "" {
		id = l.d.Log.Origin()
	}
	r, err := l.reading(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range r.rows {
		if row.ID != id {
			continue
		}
		journal.From(ctx).SetObject("origin", row.ID)
		if c := publicCheckpoint(row.Value.Checkpoint, row.Value.Key); c != nil {
			return c, nil
		}
	}
	return nil, notFound()
}

// GetLogCoverage judges whether the log covers what has to be covered today. An origin that cannot be read here is
// missing, and the days that only it covered are a shortfall.
func (l *Log) GetLogCoverage(ctx context.Context, _ *heyanv1.GetLogCoverageRequest) (*heyanv1.LogCoverage, error) {
	r, err := l.reading(ctx)
	if err != nil {
		return nil, err
	}
	coverage, err := r.coverage(ctx, l.d.Now())
	if err != nil {
		return nil, unreadable(ctx, err)
	}
	if coverage.RetentionStatement, err = l.d.retentionStatement(ctx); err != nil {
		return nil, err
	}
	plan, err := l.d.Keeper.Plan(ctx, l.d.Log.Segments())
	if err != nil {
		return nil, storeFault(err)
	}
	coverage.NextPurge = nextPurge(plan)
	return coverage, nil
}
