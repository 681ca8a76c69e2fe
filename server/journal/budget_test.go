package journal_test

import (
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// failingLog is a log that takes nothing while it is broken.
type failingLog struct {
	*netlog.Log
	broken bool
}

func (f *failingLog) Append(leaf []byte) (netlog.Ticket, error) {
	if f.broken {
		return netlog.Ticket{}, netlog.ErrBusy
	}
	return f.Log.Append(leaf)
}

var denied = record.Outcome{Kind: record.Denied, Code: 7, Reason: "ROLE_REQUIRED"}

func callOf(j *journal.Journal, client, method string) *journal.Call {
	return &journal.Call{Journal: j, Method: method, Principal: authn.Principal{Kind: authn.Client, ID: client}, Codes: codeOf}
}

// flood spends n refusals of one client and checks that the first 500 have a record each.
func flood(t *testing.T, w *world, b *journal.Budgets, j *journal.Journal, n int) {
	t.Helper()
	for i := range n {
		ok, first := b.Spend(callOf(j, "bank", "/m"), denied)
		if ok != (i < 500) || first != (i == 500) {
			t.Fatalf("refusal %d: own record %v, first %v", i, ok, first)
		}
	}
}

// TestRefusalBudget: 500 refusals at once and 50 a second have a record each; others are counted by client,
// method, reason and second.
func TestRefusalBudget(t *testing.T) {
	w := newWorld(t)
	b := journal.NewBudgets(w.Journal)
	from := w.log.Size()
	flood(t, w, b, w.Journal, 510)
	if ok, _ := b.Spend(callOf(w.Journal, "shop", "/m"), denied); !ok {
		t.Error("another client pays for it")
	}
	b.Spend(callOf(w.Journal, "bank", "/n"), denied)
	w.pass(20 * time.Millisecond) // one refusal's worth
	if ok, _ := b.Spend(callOf(w.Journal, "bank", "/m"), denied); !ok {
		t.Error("the budget does not grow again")
	}
	w.pass(10 * time.Millisecond)
	b.Spend(callOf(w.Journal, "bank", "/m"), denied)
	w.pass(time.Second)
	granted := 0
	for range 60 {
		if ok, _ := b.Spend(callOf(w.Journal, "bank", "/m"), denied); ok {
			granted++
		}
	}
	if granted != 50 {
		t.Errorf("%d refusals with a record in the second after, want 50", granted)
	}
	w.pass(9 * time.Second)
	for range 450 + 1 { // not full again: the same flood
		if _, first := b.Spend(callOf(w.Journal, "bank", "/m"), record.Outcome{Kind: record.Denied, Reason: "OTHER"}); first {
			t.Error("a flood is told twice")
		}
	}
	must(t, b.Flush())
	type key struct {
		method string
		second time.Time
	}
	got := map[key]uint64{}
	for _, r := range w.records(from) {
		if r.Outcome.Reason == "OTHER" {
			continue
		}
		if r.Event != record.RefusalBulk || r.Actor.ID != "bank" || r.Outcome != denied || r.Security == nil || r.Security.Count != r.Tally.Count {
			t.Errorf("row %v of %q: %+v", r.Event, r.Actor.ID, r.Outcome)
		}
		if !r.Tally.Last.Equal(r.Tally.First.Add(time.Second - 1)) {
			t.Errorf("a row from %v to %v", r.Tally.First, r.Tally.Last)
		}
		got[key{r.Action, r.Tally.First.UTC()}] += r.Tally.Count
	}
	want := map[key]uint64{{"/m", start}: 11, {"/n", start}: 1, {"/m", start.Add(time.Second)}: 10}
	if len(got) != len(want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s at %v: %d, want %d", k.method, k.second, got[k], n)
		}
	}
}

// TestRefusalBudgetGrowsBack: a client that kept quiet for ten seconds has a whole budget, and its next flood is
// told again.
func TestRefusalBudgetGrowsBack(t *testing.T) {
	w := newWorld(t)
	b := journal.NewBudgets(w.Journal)
	flood(t, w, b, w.Journal, 501)
	w.pass(10 * time.Second)
	flood(t, w, b, w.Journal, 501)
}
