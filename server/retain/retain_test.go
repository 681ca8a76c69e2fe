package retain_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/netlog"
	logkeep "github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/retention"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 11, 27, 4, 0, 0, 0, time.UTC)
)

// world opens a keeper over a real store, and opens it again over the same data.
func world(t *testing.T, configured logkeep.Policy) (reopen func() *retain.Keeper, engine func() *embedded.Store) {
	t.Helper()
	key := func() []byte {
		b := make([]byte, embedded.KeySize)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	options := embedded.Options{Dir: filepath.Join(t.TempDir(), "store"), SubjectKey: key(), BusinessKey: key(), RegistryKey: key()}
	must(t, embedded.Create(options))
	var s *embedded.Store
	closing := func() {
		if s != nil {
			must(t, s.Close())
		}
		s = nil
	}
	t.Cleanup(closing)
	return func() *retain.Keeper {
		t.Helper()
		closing()
		var err error
		s, err = embedded.Open(options)
		must(t, err)
		return retain.New(s, configured, func() logkeep.Clock { return logkeep.Clock{Synchronised: true} }, func() time.Time { return now })
	}, func() *embedded.Store { return s }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, k *retain.Keeper, h retention.Hold, expect int64) {
	t.Helper()
	_, err := k.PutHold(ctx, h, expect)
	must(t, err)
}

// TestHolds (MV-3.2-hold-2-court): a hold binds until it is released or ends by itself, over a restart of the process, and
// keeps what it concerns.
func TestHolds(t *testing.T) {
	reopen, _ := world(t, logkeep.Default())
	k := reopen()
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	segments := []netlog.Manifest{{First: 0, End: 256, Oldest: day, Latest: day.Add(time.Hour), Bytes: 10}, {First: 256, End: 512, Oldest: day.AddDate(0, 0, 1), Latest: day.AddDate(0, 0, 2)}}
	plan := func() [2]logkeep.Reason {
		t.Helper()
		list, err := k.Plan(ctx, segments)
		must(t, err)
		return [2]logkeep.Reason{list[0].Why, list[1].Why}
	}
	free := [2]logkeep.Reason{logkeep.Purgeable, logkeep.Purgeable}
	if got := plan(); got != free {
		t.Fatalf("without holds: %v", got)
	}
	put(t, k, retention.Hold{ID: "a", Cause: retention.Court, Reference: "17", From: day.AddDate(0, 0, 1)}, 0)
	put(t, k, retention.Hold{ID: "b", Cause: retention.Dispute, Reference: "18", Until: now}, 0)
	put(t, k, retention.Hold{ID: "c", Cause: retention.Court, Reference: "19", ReleaseTime: now}, 0)
	if _, err := k.PutHold(ctx, retention.Hold{ID: "a"}, 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second hold of the same id: %v", err)
	}
	for range 2 {
		if got, want := plan(), [2]logkeep.Reason{logkeep.Purgeable, logkeep.Held}; got != want {
			t.Errorf("under a hold: %v, want %v", got, want)
		}
		holds, err := k.Holds(ctx)
		must(t, err)
		if len(holds) != 1 || holds[0].ID != "a" || !holds[0].From.Equal(day.AddDate(0, 0, 1)) {
			t.Errorf("the holds that bind are %+v", holds)
		}
		k = reopen()
	}
	row, err := k.Hold(ctx, "a")
	must(t, err)
	row.Value.ReleaseTime = now
	if _, err := k.PutHold(ctx, row.Value, row.Revision+1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a release of another revision: %v", err)
	}
	put(t, k, row.Value, row.Revision)
	if got := plan(); got != free {
		t.Errorf("after the release: %v", got)
	}
	if _, err := k.Hold(ctx, "d"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a hold that is not there: %v", err)
	}
}

// TestPolicy (MV-3.2-hold-1-logs): the longer one is in force, over a restart of the process, and never one below the floor.
func TestPolicy(t *testing.T) {
	reopen, _ := world(t, logkeep.Policy{Months: 8, Grace: 3})
	k := reopen()
	want := func(k *retain.Keeper, months, grace int) {
		t.Helper()
		if p, err := k.RetentionPolicy(ctx); err != nil || p != (logkeep.Policy{Months: months, Grace: grace}) {
			t.Errorf("in force is %+v (%v), want %d months and %d days", p, err, months, grace)
		}
	}
	want(k, 8, 3)
	for revision, s := range []retention.Setting{{Months: 12, Grace: 1}, {Months: 6, Grace: 30}} {
		if _, err := k.PutSetting(ctx, s, int64(revision)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.PutSetting(ctx, s, int64(revision)); !errors.Is(err, store.ErrConflict) {
			t.Errorf("the same revision again: %v", err)
		}
		k = reopen()
		want(k, max(8, s.Months), max(3, s.Grace))
	}
	for _, short := range []logkeep.Policy{{}, {Months: 5, Grace: 100}, {Months: 6, Grace: -1}} {
		if reopen, _ := world(t, short); reopen().Configured() != logkeep.Default() {
			t.Errorf("%+v is taken from the configuration", short)
		}
	}
}

// TestUnreadable: without an answer of the store there is none, rather than one that lets records go.
func TestUnreadable(t *testing.T) {
	reopen, engine := world(t, logkeep.Default())
	k := reopen()
	for kind, ask := range map[store.Kind]func() error{
		store.Holds:      func() error { _, err := k.Holds(ctx); return err },
		store.Retentions: func() error { _, err := k.RetentionPolicy(ctx); return err },
	} {
		_, err := engine().PutDocument(ctx, kind, "log", []byte("{"), 0)
		must(t, err)
		if ask() == nil {
			t.Errorf("a %s that cannot be read is ignored", kind)
		}
		if plan, err := k.Plan(ctx, nil); err == nil {
			t.Errorf("a plan without the %s: %v", kind, plan)
		}
	}
}
