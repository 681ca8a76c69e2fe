package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/retention"
)

// CreateHold keeps records of the network log from being purged. It binds at once, on one signature
// (MV-3.2-hold-2-court): what a purge has taken before, its cost does not count.
func (c *Compliance) CreateHold(ctx context.Context, req *heyanv1.CreateHoldRequest) (*heyanv1.Hold, error) {
	if req.GetValidateOnly() {
		journal.From(ctx).Event = record.HoldAssessed
	}
	h, f := c.newHold(ctx, req.GetHold())
	if f != nil {
		return nil, f
	}
	var answer *heyanv1.Hold
	err := c.d.Keeper.Alone(func() (err error) {
		answer, err = c.putHold(ctx, h, req.GetValidateOnly())
		return err
	})
	return answer, err
}

func (c *Compliance) putHold(ctx context.Context, h *retention.Hold, judgeOnly bool) (*heyanv1.Hold, error) {
	if err := c.holdsSomething(ctx, h); err != nil {
		return nil, err
	}
	policy, err := c.d.Keeper.RetentionPolicy(ctx)
	if err != nil {
		return nil, storeFault(err)
	}
	var revision int64
	if !judgeOnly {
		if revision, err = c.d.Keeper.PutHold(ctx, *h, 0); err != nil {
			return nil, exists(err, "hold.id")
		}
		journal.From(ctx).SetObject("hold", h.ID)
		changed(ctx, nil, h)
	}
	answer := publicHold(h, revision, h.CreateTime)
	answer.Cost = c.cost(policy, h, h.CreateTime)
	return answer, nil
}

// newHold reads what is asked for.
func (c *Compliance) newHold(ctx context.Context, p *heyanv1.Hold) (*retention.Hold, *fault.Fault) {
	if f := c.d.slug(ctx, "hold.id", p.GetId()); f != nil {
		return nil, f
	}
	if f := c.d.texts(ctx, text{"hold.reference", p.GetReference()}, text{"hold.reason", p.GetReason()}); f != nil {
		return nil, f
	}
	if p.GetLogRange() == nil {
		return nil, missing("hold.log_range").WithHint("A range without bounds is the whole log.")
	}
	h := &retention.Hold{ID: p.GetId(), Cause: holdCauseEnum.domain(p.GetCause()), Reference: p.GetReference(), Reason: p.GetReason(),
		CreatedBy: caller(ctx).ID, Creator: caller(ctx).Person, CreateTime: c.d.Now()}
	var f *fault.Fault
	if h.From, f = instant("hold.log_range.start_time", p.GetLogRange().GetStartTime()); f != nil {
		return nil, f
	}
	if h.To, f = instant("hold.log_range.end_time", p.GetLogRange().GetEndTime()); f != nil {
		return nil, f
	}
	if h.Until, f = instant("hold.expire_time", p.GetExpireTime()); f != nil {
		return nil, f
	}
	return h, h.Check()
}

// holdsSomething refuses a hold on a time of which there is no record and never will be: whoever wanted it would think that
// something is kept. Where the store knows of other logs, what those still have is not known here, and only a time before the
// first record of all counts.
func (c *Compliance) holdsSomething(ctx context.Context, h *retention.Hold) error {
	if h.To.IsZero() {
		return nil
	}
	rows, err := NewLog(c.d).origins(ctx)
	if err != nil {
		return err
	}
	oldest := rows[0].Value.FirstTime
	if len(rows) == 1 {
		held, err := c.d.Log.Coverage(ctx)
		if err != nil {
			return unreadable(ctx, err)
		}
		oldest = held.Oldest
		for _, s := range c.d.Log.Segments() { // whose records need not be in the order of their times
			if s.Oldest.Before(oldest) {
				oldest = s.Oldest
			}
		}
	}
	if h.To.After(oldest) {
		return nil
	}
	return malformed("hold.log_range.end_time", "BEFORE_FIRST_RECORD").WithHint("There is no record of that time, so nothing to hold.")
}

// cost says what a hold keeps of this server's log.
func (c *Compliance) cost(policy logkeep.Policy, h *retention.Hold, now time.Time) *heyanv1.HoldCost {
	cost := policy.Cost(retain.Segments(c.d.Log.Segments()), retain.Bound(h), now)
	return &heyanv1.HoldCost{Segments: int32(cost.Segments), Records: cost.Records, Bytes: cost.Bytes, FirstTime: stamp(cost.First),
		Days: int32(cost.Days), DailyBytes: cost.Daily}
}

// ReleaseHold lets a hold end before its time. It needs two persons.
func (c *Compliance) ReleaseHold(ctx context.Context, req *heyanv1.ReleaseHoldRequest) (*heyanv1.Hold, error) {
	row, err := c.d.Keeper.Hold(ctx, req.GetId())
	if err != nil {
		return nil, storeFault(err)
	}
	before, now := row.Value, c.d.Now()
	journal.From(ctx).SetObject("hold", before.ID)
	if req.GetReason() == "" {
		return nil, missing("reason")
	}
	if f := c.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	switch {
	case before.StateAt(now) != retention.Active:
		return nil, fault.New(fault.DeadlinePassed).WithHint("The hold is released or has ended already.")
	case req.GetRevision() != 0 && req.GetRevision() != row.Revision:
		return nil, fault.New(fault.RevisionConflict)
	}
	p, err := c.d.permit(ctx, act{request: req, summary: releaseSummary(&before, req.GetReason())})
	if err != nil {
		return nil, err
	}
	after := before
	after.ReleaseTime, after.ReleasedBy, after.Releaser = now, caller(ctx).ID, caller(ctx).Person
	after.ApprovedBy, after.ReleaseReason = p.person(), req.GetReason()
	revision, err := c.d.Keeper.PutHold(ctx, after, row.Revision)
	if err != nil {
		return nil, p.unused(ctx, storeFault(err))
	}
	changed(ctx, &before, &after)
	return publicHold(&after, revision, now), nil
}

// releaseSummary shows free text by its digest: the second person has it from the first, and can tell that it is this one.
func releaseSummary(h *retention.Hold, reason string) []string {
	digest := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	return lines(
		line("hold", h.ID), line("cause", h.Cause.String()), line("reference_sha256", digest(h.Reference)), line("created_by", h.CreatedBy),
		timeLine("create_time", h.CreateTime), timeLine("log_from", h.From), timeLine("log_to", h.To), timeLine("expire_time", h.Until),
		line("reason_sha256", digest(reason)),
	)
}

// ListHolds lists them, sorted by id.
func (c *Compliance) ListHolds(ctx context.Context, req *heyanv1.ListHoldsRequest) (*heyanv1.ListHoldsResponse, error) {
	rows, err := c.d.Keeper.ListHolds(ctx)
	if err != nil {
		return nil, storeFault(err)
	}
	policy, err := c.d.Keeper.RetentionPolicy(ctx)
	if err != nil {
		return nil, storeFault(err)
	}
	state, now := holdStateEnum.domain(req.GetState()), c.d.Now()
	all := map[string]store.Row[retention.Hold]{}
	for _, row := range rows {
		all[row.ID] = row
	}
	ids := sortedIDs(all, func(row store.Row[retention.Hold]) bool { return state == 0 || row.Value.StateAt(now) == state })
	cut, next, f := pageOf(c.d.pages(caller(ctx).ID, "ListHolds", req.GetState().String()), ids, req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListHoldsResponse{NextPageToken: next}
	for _, id := range cut {
		row := all[id]
		p := publicHold(&row.Value, row.Revision, now)
		if row.Value.StateAt(now) == retention.Active {
			p.Cost = c.cost(policy, &row.Value, now)
		}
		response.Holds = append(response.Holds, p)
	}
	return response, nil
}

func publicHold(h *retention.Hold, revision int64, now time.Time) *heyanv1.Hold {
	return &heyanv1.Hold{
		Id: h.ID, Cause: holdCauseEnum.public(h.Cause), Reference: h.Reference, Reason: h.Reason,
		LogRange:   &heyanv1.Hold_LogRange{StartTime: stamp(h.From), EndTime: stamp(h.To)},
		ExpireTime: stamp(h.Until), State: holdStateEnum.public(h.StateAt(now)), CreatedBy: h.CreatedBy, CreatorPerson: h.Creator,
		CreateTime: stamp(h.CreateTime), ReleasedBy: h.ReleasedBy, ReleaserPerson: h.Releaser, ReleaseApprovedBy: h.ApprovedBy,
		ReleaseTime: stamp(h.ReleaseTime), ReleaseReason: h.ReleaseReason, Revision: revision,
	}
}
