// Package retain says what keeps the records of a network log: the policy in force, which is the longer of what the
// configuration says and what a person chose since, and the holds. It knows what is on file; what follows from it for a
// segment, package store/netlog/retention decides.
//
// Guaranteed: what is on file is read from the store at each question, so that a hold which another process created
// binds as soon as it is there. Where the store cannot be read there is no answer, and so nothing to purge by. Whoever
// purges decides and begins in one call of [Keeper.Alone], as the creation of a hold is one: then a hold of this process
// is there before the decision, or its creation sees that the segment is gone.
//
// Not guaranteed: that a hold of another process stops a purge that has been decided here already.
package retain

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/retention"
)

// logSetting is the id of the one document of kind store.Retentions.
const logSetting = "log"

// Keeper answers for one log. It is safe for concurrent use.
type Keeper struct {
	holds      store.Table[retention.Hold]
	settings   store.Table[retention.Setting]
	configured logkeep.Policy
	clock      func() logkeep.Clock
	now        func() time.Time

	alone sync.Mutex // held over what must not come between a decision and what it is of
}

// New makes the keeper of a log. configured is what the configuration says: one below the floor is taken for the default.
func New(documents store.Documents, configured logkeep.Policy, clock func() logkeep.Clock, now func() time.Time) *Keeper {
	if configured.Check() != nil {
		configured = logkeep.Default()
	}
	return &Keeper{holds: store.TableOf[retention.Hold](documents, store.Holds), settings: store.TableOf[retention.Setting](documents, store.Retentions),
		configured: configured, clock: clock, now: now}
}

// Alone runs do while nobody else of this process is in Alone. Creating a hold and deciding what is purged both are.
func (k *Keeper) Alone(do func() error) error {
	k.alone.Lock()
	defer k.alone.Unlock()
	return do()
}

// Configured returns what the configuration says.
func (k *Keeper) Configured() logkeep.Policy { return k.configured }

// Setting returns what a person chose, with its revision; 0 where nobody did.
func (k *Keeper) Setting(ctx context.Context) (store.Row[retention.Setting], error) {
	row, err := k.settings.Get(ctx, logSetting)
	if errors.Is(err, store.ErrNotFound) {
		return store.Row[retention.Setting]{ID: logSetting}, nil
	}
	return row, err
}

// PutSetting writes what a person chose in place of a revision, or answers store.ErrConflict.
func (k *Keeper) PutSetting(ctx context.Context, s retention.Setting, expect int64) (int64, error) {
	return k.settings.Put(ctx, logSetting, s, expect)
}

// RetentionPolicy returns the policy in force.
func (k *Keeper) RetentionPolicy(ctx context.Context) (logkeep.Policy, error) {
	row, err := k.Setting(ctx)
	return k.Effective(row.Value), err
}

// Effective returns the policy that is in force with a setting.
func (k *Keeper) Effective(s retention.Setting) logkeep.Policy {
	return k.configured.Longer(logkeep.Policy{Months: s.Months, Grace: s.Grace})
}

// Hold returns one hold, or store.ErrNotFound.
func (k *Keeper) Hold(ctx context.Context, id string) (store.Row[retention.Hold], error) {
	return k.holds.Get(ctx, id)
}

// PutHold writes a hold in place of a revision, 0 for a new one, or answers store.ErrConflict.
func (k *Keeper) PutHold(ctx context.Context, h retention.Hold, expect int64) (int64, error) {
	return k.holds.Put(ctx, h.ID, h, expect)
}

// ListHolds returns every hold ever, by id.
func (k *Keeper) ListHolds(ctx context.Context) ([]store.Row[retention.Hold], error) {
	return k.holds.List(ctx, "", "", 0)
}

// Holds returns the holds that bind now.
func (k *Keeper) Holds(ctx context.Context) ([]logkeep.Hold, error) {
	rows, err := k.ListHolds(ctx)
	if err != nil {
		return nil, err
	}
	var active []logkeep.Hold
	now := k.now()
	for i := range rows {
		if h := &rows[i].Value; h.StateAt(now) == retention.Active {
			active = append(active, Bound(h))
		}
	}
	return active, nil
}

// Bound is a hold as package store/netlog/retention judges by it.
func Bound(h *retention.Hold) logkeep.Hold {
	return logkeep.Hold{ID: h.ID, From: h.From, To: h.To, Until: h.Until}
}

// Plan decides on the segments of a log by what is on file now.
func (k *Keeper) Plan(ctx context.Context, segments []netlog.Manifest) ([]logkeep.Decision, error) {
	policy, err := k.RetentionPolicy(ctx)
	if err != nil {
		return nil, err
	}
	holds, err := k.Holds(ctx)
	if err != nil {
		return nil, err
	}
	return policy.Plan(Segments(segments), holds, k.clock(), k.now()), nil
}

// Segments are the segments of a log as package store/netlog/retention judges them.
func Segments(manifests []netlog.Manifest) []logkeep.Segment {
	segments := make([]logkeep.Segment, len(manifests))
	for i, m := range manifests {
		segments[i] = logkeep.Segment{First: m.First, End: m.End, Oldest: m.Oldest, Latest: m.Latest, Bytes: m.Bytes}
	}
	return segments
}
