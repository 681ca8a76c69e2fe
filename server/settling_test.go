package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/workday"
)

// outcome is what ResolvePending is told; the zero outcome is that the call never happened.
type outcome struct {
	verdict heyanv1.Verdict
	billing heyanv1.Billing
}

var (
	matched       = outcome{heyanv1.Verdict_VERDICT_MATCH, heyanv1.Billing_BILLING_BILLED}
	neverHappened = outcome{}
)

// resolve states the outcome of a pending verification.
func (w *world) resolve(id ledger.ID, o outcome) error {
	_, err := heyanv1.NewAdminServiceClient(w.system).ResolvePending(context.Background(), &heyanv1.ResolvePendingRequest{
		Verification: id.String(), Verdict: o.verdict, Billing: o.billing, Reason: "statement"})
	return err
}

// settlings returns the places of the records that say how a verification ended.
func (w *world) settlings(id ledger.ID) (places []uint64) {
	w.t.Helper()
	for i, r := range w.Records(0) {
		if r.Event == record.VerificationReconciled && r.Object.ID == id.String() {
			places = append(places, uint64(i))
		}
	}
	return places
}

// totals prints what the client's quota and usage have counted.
func (w *world) totals() string {
	w.t.Helper()
	e := w.Directory.Now().Entitlement("bank", "id2")
	used, reserved, err := w.Store.Counter(context.Background(), verifier.QuotaKey("bank", "id2", false, e.Quota, w.Clock.Now()))
	must(w.t, err)
	today := workday.DateOf(w.Clock.Now())
	rows, err := w.Store.Usage(context.Background(), "bank", today, today)
	must(w.t, err)
	counted := ""
	for _, row := range rows {
		counted += fmt.Sprint(" ", row.Verdicts, row.Billed)
	}
	return fmt.Sprintf("used %d, reserved %d, usage%s", used, reserved, counted)
}

// TestSettlingIsFinished: a verification is settled once verification.reconciled is durable, also where the store failed
// then, and the machine right after.
func TestSettlingIsFinished(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome outcome
		state   ledger.State
		verdict product.Verdict
		billing product.Billing
		totals  string
	}{
		{"as a match", matched, ledger.Active, product.Match, product.Billed, "used 1, reserved 0, usage [0 1 0 0 0 0] 1"},
		{"as nothing", neverHappened, ledger.Deleted, 0, product.Free, "used 0, reserved 0, usage [0 0 0 0 0 0] 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := withAuthority(t, servertest.Options{})
			a.pending.Store(true)
			id, _ := w.answer("p", 1)
			before, err := w.Mark()
			must(t, err)
			w.store.Hook(func(method string) error {
				if method == "ResolvePending" {
					return servertest.ErrDown()
				}
				return nil
			})
			if seen := refusal(w.resolve(id, c.outcome)); seen != "Unavailable STORE_UNAVAILABLE" {
				t.Fatalf("a store that fails: %s", seen)
			}
			said := w.settlings(id)
			if len(said) != 1 || said[0] < before {
				t.Fatalf("the log says at %v how it ended", said)
			}
			if mark, err := w.Mark(); err != nil || mark > said[0] {
				t.Errorf("the mark passes the record at %d: %d, %v", said[0], mark, err)
			}
			for range 2 {
				w.restart(nil)
				if done := w.reconciled(); len(done) > 0 {
					t.Errorf("the start wrote %q", servertest.Brief(done))
				}
				v, err := w.Store.Verification(t.Context(), "bank", id)
				must(t, err)
				if v.State != c.state || v.Verdict != c.verdict || v.Billing != c.billing || !v.ReconcileBy.IsZero() ||
					v.Resolution != (ledger.Position{Origin: w.Log.Origin(), Index: said[0]}) {
					t.Errorf("the row is %+v", v)
				}
				if got := w.totals(); got != c.totals {
					t.Errorf("%s, want %s", got, c.totals)
				}
				if seen := refusal(w.resolve(id, c.outcome)); seen != "NotFound RESOURCE_NOT_FOUND" {
					t.Errorf("settled again: %s", seen)
				}
			}
		})
	}
}

// TestSettlingIsSaidAgain: where the log lost the record by which a row was settled, it is written again, and the receipt
// has it. A start that stopped between the record and the row's stamp is finished by the next one.
func TestSettlingIsSaidAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(w *world, id ledger.ID)
		want []string
	}{
		{"the record is gone", func(w *world, id ledger.ID) {
			older := filepath.Join(w.t.TempDir(), "log")
			w.restart(func() { must(w.t, os.CopyFS(older, os.DirFS(filepath.Join(w.Dir, "log")))) })
			w.noMark()
			must(w.t, w.resolve(id, matched))
			w.between = func() { // a disk that lost the log's last records
				must(w.t, os.RemoveAll(filepath.Join(w.Dir, "log")))
				must(w.t, os.CopyFS(filepath.Join(w.Dir, "log"), os.DirFS(older)))
			}
		}, []string{"verification.reconciled SUCCESS"}},
		{"the row is not stamped", func(w *world, id ledger.ID) {
			w.noMark()
			must(w.t, w.resolve(id, matched))
			_, err := w.Journal().System(record.VerificationReconciled, func(r *record.Record) {
				r.Actor.OnBehalfOf = "bank"
				r.Object = record.Object{Type: "verification", ID: id.String()}
				r.Processing = &record.Processing{Product: "id2", Verdict: "MATCH", Billing: "BILLED"}
			})
			must(w.t, err)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := withAuthority(t, servertest.Options{})
			a.pending.Store(true)
			id, _ := w.answer("p", 1)
			_, err := w.Mark()
			must(t, err)
			c.set(w, id)
			w.restart(w.between)
			done := w.reconciled()
			if got := servertest.Brief(done); !slices.Equal(got, c.want) {
				t.Errorf("the start wrote %q, want %q", got, c.want)
			}
			for _, r := range done {
				if r.Object.ID != id.String() || r.Actor.Kind != record.ActorSystem || r.Actor.OnBehalfOf != "bank" || r.Processing.Verdict != "MATCH" || r.Processing.Billing != "BILLED" {
					t.Errorf("%v of %+v for %q: %+v", r.Event, r.Object, r.Actor.OnBehalfOf, r.Processing)
				}
			}
			said := w.settlings(id)
			v, err := w.Store.Verification(t.Context(), "bank", id)
			must(t, err)
			if want := (ledger.Position{Origin: w.Log.Origin(), Index: said[len(said)-1]}); v.Resolution != want || v.State != ledger.Active {
				t.Errorf("the row was settled at %v, and the log says so at %v: %+v", v.Resolution, said, v)
			}
			receipt, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).GetReceipt(t.Context(), &heyanv1.GetReceiptRequest{Id: id.String()})
			must(t, err)
			if r, err := record.Parse(receipt.GetResolutionLeaf()); err != nil || r.Event != record.VerificationReconciled {
				t.Errorf("the receipt's second leaf: %v, %v", r.Event, err)
			}
			w.restart(nil)
			if again := w.reconciled(); len(again) > 0 {
				t.Errorf("a second start wrote %q", servertest.Brief(again))
			}
		})
	}
}

// The mark passes a settling that the ledger has followed.
func TestMarkPassesASettling(t *testing.T) {
	w, a := withAuthority(t, servertest.Options{})
	a.pending.Store(true)
	id, _ := w.answer("p", 1)
	must(t, w.resolve(id, matched))
	if mark, err := w.Mark(); err != nil || mark <= w.settlings(id)[0] {
		t.Errorf("the mark stands at %d, the record at %v: %v", mark, w.settlings(id), err)
	}
}

// A verification that was never pending, or still is, is nothing to a start.
func TestNothingToSettle(t *testing.T) {
	w, a := withAuthority(t, servertest.Options{})
	w.noMark()
	w.answer("r", 1)
	a.pending.Store(true)
	id, _ := w.answer("p", 2)
	w.restart(nil)
	if done := w.reconciled(); len(done) > 0 {
		t.Errorf("the start wrote %q", servertest.Brief(done))
	}
	if seen, _ := verify(w.bank.Conn, w.Request("p", 2)); seen.Code != codes.OK {
		t.Errorf("its replay: %v", seen.Err)
	}
	if v, err := w.Store.Verification(t.Context(), "bank", id); err != nil || v.State != ledger.Pending {
		t.Errorf("the pending one: %+v, %v", v, err)
	}
}

// TestOlderStoreAndPending: of a verification that an older store has pending, the log says how it ended, and it ends so
// again. One that it lacks is lost as what it was settled to.
func TestOlderStoreAndPending(t *testing.T) {
	w, a := withAuthority(t, servertest.Options{})
	a.pending.Store(true)
	has := w.give("has", 1)
	w.Stop()
	putBack := w.keep("store")
	options := w.same()
	options.Sources = nil
	w.start(options)
	must(t, w.resolve(has.id, matched))
	w.Stop()
	putBack()
	w.accept(w.refused(0))
	v, err := w.Store.Verification(context.Background(), "bank", has.id)
	if err != nil || v.State != ledger.Active || v.Resolution.Index != w.settlings(has.id)[0] {
		t.Errorf("what was pending: %+v, %v", v, err)
	}
	if got := w.totals(); got != "used 1, reserved 0, usage [0 1 0 0 0 0] 1" {
		t.Error(got)
	}
	w.checkLost(t)
}

// TestLostAsItWasSettled: a pending verification that was settled before it was lost is lost as what it was settled to,
// billed or not.
func TestLostAsItWasSettled(t *testing.T) {
	w, a := withAuthority(t, servertest.Options{})
	w.noMark()
	putBack := w.keep("store")
	a.pending.Store(true)
	billed, unknown, never := w.give("a", 1), w.give("b", 2), w.give("c", 3)
	must(t, errors.Join(w.resolve(billed.id, matched), w.resolve(never.id, neverHappened)))
	w.store.Hook(nil)
	w.Stop()
	putBack()
	w.accept(w.refused(0))
	said := map[ledger.ID]string{}
	for _, r := range w.Records(0) {
		if r.Event == record.VerificationLost {
			id, err := ledger.ParseID(r.Object.ID)
			must(t, err)
			said[id] = r.Processing.Verdict + " " + r.Processing.Billing
		}
	}
	if want := map[ledger.ID]string{billed.id: "MATCH BILLED", unknown.id: " UNKNOWN", never.id: " FREE"}; !reflect.DeepEqual(said, want) {
		t.Errorf("lost as %v, want %v", said, want)
	}
}
