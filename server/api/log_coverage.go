package api

import (
	"context"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/retention"
)

// Reasons of gaps of several origins.
const (
	gapBetween = "BETWEEN_ORIGINS"
	gapNotHere = "NOT_HERE"
)

// coverage judges all origins that the store has seen. A closed origin whose first or last record cannot be read is
// missing, too: of what time it holds records is not known.
func (r *reading) coverage(ctx context.Context, now time.Time) (*heyanv1.LogCoverage, error) {
	answer := &heyanv1.LogCoverage{MissingOrigins: r.missing()}
	var spans []retention.Span
	for _, log := range r.all() {
		held, err := log.Coverage(ctx)
		switch {
		case err != nil && (log == r.own || ctx.Err() != nil):
			return nil, err
		case err != nil:
			answer.MissingOrigins = append(answer.MissingOrigins, log.Origin())
			continue
		}
		answer.Records += held.Size - held.First
		if held.First > 0 {
			answer.Gaps = append(answer.Gaps, &heyanv1.LogGap{EndIndex: held.First, Reason: gapPurged, Origin: log.Origin()})
		}
		spans = append(spans, retention.Span{Origin: log.Origin(), Oldest: held.Oldest, Newest: held.Newest})
	}
	judged := retention.Cover(spans, r.rows[0].Value.FirstTime, now)
	answer.OldestTime, answer.NewestTime = stamp(judged.Oldest), stamp(judged.Newest)
	answer.RequiredFrom, answer.ShortfallDays = judged.RequiredFrom.String(), int32(judged.Shortfall)
	for _, s := range judged.Silences {
		answer.Gaps = append(answer.Gaps, &heyanv1.LogGap{StartTime: stamp(s.From), EndTime: stamp(s.To), Reason: gapBetween, Origin: s.Before})
	}
	for _, p := range r.view.Problems {
		if p.Kind == origins.Shorter || p.Kind == origins.Damaged {
			answer.Gaps = append(answer.Gaps, &heyanv1.LogGap{StartIndex: p.From, EndIndex: p.To, Reason: gapNotHere, Origin: p.Origin})
		}
	}
	return answer, nil
}
