package api

import (
	"context"
	"errors"
	"fmt"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/retention"
)

// GetRetentionPolicy says how long the network log is kept.
func (c *Compliance) GetRetentionPolicy(ctx context.Context, _ *heyanv1.GetRetentionPolicyRequest) (*heyanv1.RetentionPolicy, error) {
	row, err := c.d.Keeper.Setting(ctx)
	if err != nil {
		return nil, storeFault(err)
	}
	return c.publicRetention(row), nil
}

// UpdateRetentionPolicy has the network log kept longer than the configuration says, or no longer so. What is below the floor
// is refused before anything else is looked at (MV-3.2-hold-1-logs).
func (c *Compliance) UpdateRetentionPolicy(ctx context.Context, req *heyanv1.UpdateRetentionPolicyRequest) (*heyanv1.RetentionPolicy, error) {
	p, mask := req.GetRetentionPolicy(), req.GetUpdateMask().GetPaths()
	if len(mask) == 0 {
		return nil, missing("update_mask")
	}
	row, err := c.d.Keeper.Setting(ctx)
	if err != nil {
		return nil, storeFault(err)
	}
	var before any
	after := row.Value
	if row.Revision == 0 {
		configured := c.d.Keeper.Configured()
		after.Months, after.Grace = configured.Months, configured.Grace
	} else {
		stored := row.Value
		before = &stored
	}
	for _, path := range mask {
		if f := setPeriod(ctx, &after, p.GetLog(), path); f != nil {
			return nil, f
		}
	}
	if p.GetRevision() != 0 && p.GetRevision() != row.Revision {
		return nil, fault.New(fault.RevisionConflict)
	}
	after.SetBy, after.Setter, after.Time = caller(ctx).ID, caller(ctx).Person, c.d.Now()
	revision, err := c.d.Keeper.PutSetting(ctx, after, row.Revision)
	if err != nil {
		return nil, storeFault(err)
	}
	journal.From(ctx).SetObject("retention", row.ID)
	changed(ctx, before, &after)
	return c.publicRetention(store.Row[retention.Setting]{ID: row.ID, Revision: revision, Value: after}), nil
}

// setPeriod sets the member that a path of the mask names.
func setPeriod(ctx context.Context, s *retention.Setting, p *heyanv1.LogPeriod, path string) *fault.Fault {
	switch path {
	case "log":
		if f := setPeriod(ctx, s, p, "log.period"); f != nil {
			return f
		}
		return setPeriod(ctx, s, p, "log.grace_days")
	case "log.period":
		months, err := logkeep.ParsePeriod(p.GetPeriod())
		if err != nil {
			return periodFault(ctx, err)
		}
		s.Months = months
		return nil
	case "log.grace_days":
		grace := int(p.GetGraceDays())
		switch err := (logkeep.Policy{Months: logkeep.Floor, Grace: grace}).Check(); {
		case errors.Is(err, logkeep.ErrBelowFloor):
			return belowFloor(ctx, "retention_policy.log.grace_days", "NEGATIVE")
		case err != nil:
			return malformed("retention_policy.log.grace_days", "0_TO_3653")
		}
		s.Grace = grace
		return nil
	}
	return malformed("update_mask", "UNKNOWN_PATH").WithHint("Paths are log, log.period and log.grace_days.")
}

// periodFault says why a period is none. A number of days that is too short for some date is below the floor, whatever its
// form.
func periodFault(ctx context.Context, err error) *fault.Fault {
	const name = "retention_policy.log.period"
	switch {
	case errors.Is(err, logkeep.ErrNotMonths) && errors.Is(err, logkeep.ErrBelowFloor):
		return belowFloor(ctx, name, "CALENDAR_MONTHS").WithHint("Write P6M, P1Y or P1Y6M: a fixed number of days is shorter than six months for some dates.")
	case errors.Is(err, logkeep.ErrBelowFloor):
		return belowFloor(ctx, name, "P6M_AT_LEAST")
	case errors.Is(err, logkeep.ErrTooLong):
		return malformed(name, "AT_MOST_10_YEARS").WithHint("Addresses are personal data, kept no longer than needed.")
	}
	return malformed(name, "CALENDAR_MONTHS").WithHint("Write P6M, P1Y or P1Y6M.")
}

// belowFloor refuses to keep less than the law asks for, and makes the call's record say that somebody tried.
func belowFloor(ctx context.Context, name, cause string) *fault.Fault {
	journal.From(ctx).Event = record.RetentionRefused
	return fault.New(fault.RetentionBelowFloor).WithField(name, cause)
}

func (c *Compliance) publicRetention(row store.Row[retention.Setting]) *heyanv1.RetentionPolicy {
	s := &row.Value
	p := &heyanv1.RetentionPolicy{
		LogConfigured: publicPeriod(c.d.Keeper.Configured()), LogEffective: publicPeriod(c.d.Keeper.Effective(*s)),
		LogFloor: logkeep.Policy{Months: logkeep.Floor}.String(), SetBy: s.SetBy, SetterPerson: s.Setter, UpdateTime: stamp(s.Time), Revision: row.Revision,
	}
	if row.Revision > 0 {
		p.Log = publicPeriod(logkeep.Policy{Months: s.Months, Grace: s.Grace})
	}
	return p
}

func publicPeriod(p logkeep.Policy) *heyanv1.LogPeriod {
	return &heyanv1.LogPeriod{Period: p.String(), GraceDays: int32(p.Grace)}
}

// retentionStatement says what is kept, for people: in GetLogCoverage and at the end of an export.
func (d *Deps) retentionStatement(ctx context.Context) (string, error) {
	policy, err := d.Keeper.RetentionPolicy(ctx)
	if err != nil {
		return "", storeFault(err)
	}
	holds, err := d.Keeper.Holds(ctx)
	if err != nil {
		return "", storeFault(err)
	}
	return fmt.Sprintf("Records are kept to the end of the day, at +08:00, that is %d calendar months after their own, and %d days more "+
		"(the floor is %d months: Cybersecurity Law art. 23(3), on file). Then whole segments may be purged, from the oldest on, unless a hold "+
		"or a clock that is not trusted keeps them. Active holds: %d.", policy.Months, policy.Grace, logkeep.Floor, len(holds)), nil
}
