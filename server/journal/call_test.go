package journal_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
)

func answerOf(t *testing.T, reused bool) *verifier.Answer {
	t.Helper()
	id, err := ledger.NewID(start, rand.Reader)
	must(t, err)
	return &verifier.Answer{Reused: reused, Verification: &ledger.Verification{ID: id, Client: "bank", Product: "id2", Verdict: product.Match}}
}

func clientCall(w *world) *journal.Call {
	c := callOf(w.Journal, "bank", "/m")
	c.Event, c.Start = record.VerificationVerify, w.clock()
	return c
}

func brief(records []record.Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, r.Event.String()+" "+r.Outcome.Kind.String())
	}
	return list
}

// TestOneRecordACall: a call has one record of its own, whoever writes it, unless it fails after its answer was
// recorded.
func TestOneRecordACall(t *testing.T) {
	internal := fault.New(fault.InternalError)
	for _, c := range []struct {
		name string
		act  func(t *testing.T, c *journal.Call)
		end  *fault.Fault
		want []string
		own  int // which of them the trailer names
	}{
		{"the chain writes it", func(*testing.T, *journal.Call) {}, nil, []string{"verification.verify SUCCESS"}, 0},
		{"a refusal", func(*testing.T, *journal.Call) {}, fault.New(fault.ConsentMissing), []string{"verification.verify DENIED"}, 0},
		{"the handler writes it", func(t *testing.T, c *journal.Call) {
			_, err := c.Finish(nil)
			must(t, err)
		}, nil, []string{"verification.verify SUCCESS"}, 0},
		{"the answer is it", func(t *testing.T, c *journal.Call) {
			_, wait, err := c.Verification().Answered(answerOf(t, false))
			must(t, errors.Join(err, wait()))
		}, nil, []string{"verification.verify SUCCESS"}, 0},
		{"the answer is voided", func(t *testing.T, c *journal.Call) {
			entry, a := c.Verification(), answerOf(t, false)
			at, wait, err := entry.Answered(a)
			must(t, errors.Join(err, wait()))
			a.At = at
			_, err = entry.Voided(a, fault.New(fault.ConsentWithdrawn))
			must(t, err)
		}, fault.New(fault.ConsentWithdrawn), []string{"verification.verify SUCCESS", "verification.voided DENIED"}, 1},
		{"a defect after the answer", func(t *testing.T, c *journal.Call) {
			_, wait, err := c.Verification().Answered(answerOf(t, false))
			must(t, errors.Join(err, wait()))
		}, internal, []string{"verification.verify SUCCESS", "verification.verify FAILED"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			from, call := w.log.Size(), clientCall(w)
			c.act(t, call)
			at, err := call.Finish(c.end)
			must(t, err)
			if got := brief(w.records(from)); !slices.Equal(got, c.want) {
				t.Errorf("records %q, want %q", got, c.want)
			}
			if at.Index != from+uint64(c.own) || at.Origin != w.log.Origin() {
				t.Errorf("the call stands at %v, want %d", at, from+uint64(c.own))
			}
		})
	}
}

// TestSettled: the mark never passes a record whose ledger row may still be missing; replays and refusals do not
// hold it up.
func TestSettled(t *testing.T) {
	w := newWorld(t)
	settled := func() uint64 { return w.Settled(w.log.Size()) }
	begin := func(reused bool) (*journal.Call, uint64) {
		c := clientCall(w)
		at, wait, err := c.Verification().Answered(answerOf(t, reused))
		must(t, errors.Join(err, wait()))
		return c, at.Index
	}
	first, one := begin(false)
	second, two := begin(false)
	begin(true)
	_, err := clientCall(w).Finish(fault.New(fault.ConsentMissing))
	must(t, err)
	if got := settled(); got != one {
		t.Errorf("settled at %d with %d open", got, one)
	}
	first.Settled(nil)
	if got := settled(); got != two {
		t.Errorf("settled at %d with %d open", got, two)
	}
	second.Settled(nil)
	if got := settled(); got != w.log.Size() {
		t.Errorf("settled at %d of %d with none open", got, w.log.Size())
	}
	batch := clientCall(w)
	var items []*journal.Item
	var places []uint64
	for range 3 {
		item := batch.Item()
		at, wait, err := item.Answered(answerOf(t, false))
		must(t, errors.Join(err, wait()))
		items, places = append(items, item), append(places, at.Index)
	}
	items[0].Settled(fault.New(fault.ConsentWithdrawn))
	items[1].Settled(fault.New(fault.StoreUnavailable)) // nobody knows
	items[2].Settled(nil)
	batch.Settled(nil)
	if got := settled(); got != places[1] {
		t.Errorf("settled at %d with one item open at %d", got, places[1])
	}
}

// TestOpen: the mark stays below a record that the ledger is to follow, until it has.
func TestOpen(t *testing.T) {
	w := newWorld(t)
	at, follows, err := clientCall(w).Open(record.VerificationReconciled, func(r *record.Record) { r.Actor.OnBehalfOf = "bank" })
	must(t, err)
	_, err = clientCall(w).Finish(nil)
	must(t, err)
	if got := w.Settled(w.log.Size()); got != at.Index || at.Origin != w.log.Origin() {
		t.Errorf("settled at %d with %v open", got, at)
	}
	follows()
	if got := w.Settled(w.log.Size()); got != w.log.Size() {
		t.Errorf("settled at %d of %d with none open", got, w.log.Size())
	}
	if r := w.records(at.Index)[0]; r.Event != record.VerificationReconciled || r.Actor.ID != "bank" || r.Actor.OnBehalfOf != "bank" {
		t.Errorf("recorded %+v", r)
	}
	w.breakDisk()
	if _, _, err := clientCall(w).Open(record.VerificationReconciled, func(*record.Record) {}); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("a record that is not durable: %v", err)
	}
}

// TestItemsSpend: a refused item spends the client's refusal budget, and has no record once it is used up; one that
// was validated spends nothing.
func TestItemsSpend(t *testing.T) {
	w := newWorld(t)
	c := clientCall(w)
	var spent []string
	c.Spend = func(_ *journal.Call, refused record.Outcome) (bool, error) {
		spent = append(spent, refused.Reason)
		return len(spent) < 2, nil
	}
	refuse := func(f *fault.Fault) error {
		_, wait, err := c.Item().Refused(f)
		if err == nil {
			err = wait()
		}
		return err
	}
	must(t, errors.Join(refuse(nil), refuse(fault.New(fault.StoreUnavailable)), refuse(fault.New(fault.InternalError))))
	must(t, refuse(fault.New(fault.CallerCancelled)))
	from := w.log.Size()
	if err := refuse(fault.New(fault.FieldMissing)); !errors.Is(err, journal.ErrSpent) || w.log.Size() != from {
		t.Errorf("above the budget: %v", err)
	}
	if !slices.Equal(spent, []string{"CALLER_CANCELLED", "FIELD_MISSING"}) {
		t.Errorf("spent %q", spent)
	}
}

// TestLogDown: nothing is written, and whoever waits is told LOG_UNAVAILABLE.
func TestLogDown(t *testing.T) {
	w := newWorld(t)
	w.breakDisk()
	c := clientCall(w)
	for range 2 {
		at, err := c.Finish(nil)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Reason != fault.LogUnavailable || at != (ledger.Position{}) {
			t.Fatalf("finished at %v with %v", at, err)
		}
	}
	if _, written := c.At(); written {
		t.Error("the call says that it is on record")
	}
}

// TestRecordOfACall: who, over what, for how long, and with which outcome.
func TestRecordOfACall(t *testing.T) {
	w := newWorld(t)
	from, c := w.log.Size(), clientCall(w)
	c.Principal = authn.Principal{Kind: authn.Client, ID: "bank", Credential: "0190b1a0-0000-7000-8000-000000000001", Method: authn.ByAPIKey, Test: true}
	c.Connection.Session = "s-1"
	c.SetAsked("id2", []string{"name", "id_number"})
	w.pass(3 * time.Second)
	_, err := c.Finish(fault.New(fault.QuotaExceeded))
	must(t, err)
	r := w.records(from)[0]
	if r.Actor.Kind != record.ActorClient || r.Actor.Credential != c.Principal.Credential || r.Actor.AuthMethod != authn.ByAPIKey || r.Session != "s-1" || r.Action != "/m" {
		t.Errorf("who: %+v in %q calling %q", r.Actor, r.Session, r.Action)
	}
	if r.Traffic.Duration != 3*time.Second || r.Outcome != (record.Outcome{Kind: record.Denied, Code: 2, Reason: "QUOTA_EXCEEDED"}) {
		t.Errorf("how: %+v, %+v", r.Traffic, r.Outcome)
	}
	if p := r.Processing; p == nil || p.Product != "id2" || !slices.Equal(p.Fields, []string{"name", "id_number"}) || !p.Test || p.Verdict != "" {
		t.Errorf("what: %+v", p)
	}
}

// TestOutcomes: each kind of refusal is DENIED, FAILED or CANCELLED in the log.
func TestOutcomes(t *testing.T) {
	failed := map[fault.Kind]bool{fault.Unavailable: true, fault.Deadline: true, fault.Internal: true, fault.Unimplemented: true}
	for _, reason := range fault.Reasons() {
		f := fault.New(reason)
		want := record.Denied
		switch {
		case failed[f.Kind()]:
			want = record.Failed
		case f.Kind() == fault.Cancelled:
			want = record.Cancelled
		}
		if got := journal.OutcomeOf(f, 7); got.Kind != want || got.Reason != reason.String() || got.Code != 7 {
			t.Errorf("%v: %+v", reason, got)
		}
	}
	if got := journal.OutcomeOf(nil, 0); got != (record.Outcome{Kind: record.Success}) {
		t.Errorf("success: %+v", got)
	}
}

// TestARecordThatTheFormatRefuses leaves one that says that there was a call and that it failed.
func TestARecordThatTheFormatRefuses(t *testing.T) {
	w := newWorld(t)
	from := w.log.Size()
	c := clientCall(w)
	c.SetObject("no text of a record", "x")
	_, err := c.Finish(nil)
	if !fault.Is(err, fault.InternalError) {
		t.Errorf("finished with %v", err)
	}
	records := w.records(from)
	if got := brief(records); !slices.Equal(got, []string{"verification.verify FAILED"}) {
		t.Fatalf("recorded %q", got)
	}
	if r := records[0]; r.Actor.ID != "bank" || r.Action != "/m" || r.Outcome.Reason != fault.InternalError.String() || r.Object.Type != "" {
		t.Errorf("recorded %+v", r)
	}
}
