package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
)

// keptLive is what keeps the part of a log that is not sealed.
const keptLive = "LIVE"

// ListLogSegments lists the sealed segments of this server's log and its live part, and what keeps each.
func (l *Log) ListLogSegments(ctx context.Context, req *heyanv1.ListLogSegmentsRequest) (*heyanv1.ListLogSegmentsResponse, error) {
	manifests := l.d.Log.Segments() // before the head, which is then at least as far
	plan, err := l.d.Keeper.Plan(ctx, manifests)
	if err != nil {
		return nil, storeFault(err)
	}
	live, err := l.livePart(ctx, manifests)
	if err != nil {
		return nil, unreadable(ctx, err)
	}
	all, ids := map[string]*heyanv1.LogSegment{}, []string{}
	add := func(s *heyanv1.LogSegment) {
		id := fmt.Sprintf("%020d", s.GetFirstIndex())
		all[id], ids = s, append(ids, id)
	}
	for i := range manifests {
		add(publicSegment(&manifests[i], &plan[i]))
	}
	if live != nil {
		add(live)
	}
	cut, next, f := pageOf(l.d.pages(caller(ctx).ID, "ListLogSegments"), ids, req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListLogSegmentsResponse{NextPageToken: next}
	for _, id := range cut {
		response.Segments = append(response.Segments, all[id])
	}
	journal.From(ctx).SetAccess(&record.LogAccess{Count: uint64(len(cut))})
	return response, nil
}

func publicSegment(m *netlog.Manifest, d *logkeep.Decision) *heyanv1.LogSegment {
	s := &heyanv1.LogSegment{
		FirstIndex: m.First, EndIndex: m.End, Bytes: m.Bytes, Sha256: bytesOf(m.SHA256), Root: bytesOf(m.Root), OldestTime: stamp(m.Oldest),
		LatestTime: stamp(m.Latest), Region: m.Region, PurgeableFrom: stamp(d.From),
	}
	s.KeptBy, s.Hold = keptBy(d)
	return s
}

// keptBy is what keeps a segment; empty where nothing does.
func keptBy(d *logkeep.Decision) (why, hold string) {
	if d.Why == logkeep.Purgeable {
		return "", ""
	}
	return d.Why.String(), d.Hold
}

// livePart is what the log holds behind its sealed segments; nil where that is nothing.
func (l *Log) livePart(ctx context.Context, sealed []netlog.Manifest) (*heyanv1.LogSegment, error) {
	head := headOf(l.d.Log)
	held, err := l.d.Log.Coverage(ctx)
	if err != nil || head == nil {
		return nil, errors.Join(err, errNoHead(head))
	}
	live := &heyanv1.LogSegment{FirstIndex: held.First, EndIndex: head.GetSize(), Root: head.GetRoot(), Region: l.d.Region, KeptBy: keptLive}
	if len(sealed) > 0 {
		live.FirstIndex = sealed[len(sealed)-1].End
	}
	if live.FirstIndex >= live.EndIndex {
		return nil, nil
	}
	oldest, err := l.timeOf(ctx, live.FirstIndex)
	if err != nil {
		return nil, err
	}
	latest, err := l.timeOf(ctx, live.EndIndex-1)
	live.OldestTime, live.LatestTime = stamp(oldest), stamp(latest)
	return live, err
}

// timeOf returns the time of a record.
func (l *Log) timeOf(ctx context.Context, index uint64) (time.Time, error) {
	leaf, err := l.d.Log.Get(ctx, index)
	if err != nil {
		return time.Time{}, err
	}
	r, err := record.Parse(leaf)
	return r.Time, err
}

// nextPurge says what would go next, by a plan; nil where no segment is sealed.
func nextPurge(plan []logkeep.Decision) *heyanv1.LogCoverage_NextPurge {
	if len(plan) == 0 {
		return nil
	}
	next := &heyanv1.LogCoverage_NextPurge{Time: stamp(plan[0].From), FirstIndex: plan[0].First}
	if plan[0].Why != logkeep.NotYet {
		next.KeptBy, next.Hold = keptBy(&plan[0])
	}
	for i := range plan {
		if goes := plan[i].Why == plan[0].Why; !goes || plan[i].Why != logkeep.Purgeable && plan[i].From.After(plan[0].From) {
			break
		}
		next.EndIndex = plan[i].End
	}
	next.Records = next.EndIndex - next.FirstIndex
	return next
}
