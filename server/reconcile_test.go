package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// restart stops the server as it stands, does what is between, and starts it again on the same data.
func (w *world) restart(between func()) {
	w.t.Helper()
	w.Stop()
	if between != nil {
		between()
	}
	w.between = nil
	w.store.Hook(nil)
	w.start(w.same())
}

// same are the options of a start on the same data.
func (w *world) same() servertest.Options {
	return servertest.Options{Start: w.Clock.Now(), Store: w.store.Wrap, LogFS: w.disk, Dir: w.Dir, Keys: w.Keys}
}

// start starts the server again.
func (w *world) start(options servertest.Options) {
	w.t.Helper()
	w.Server = servertest.Start(w.t, options)
	w.dial()
	w.bank.Conn = w.WithKey(w.bank.Key)
}

// reconciled returns what the newest start wrote between the stop before it and config.loaded.
func (w *world) reconciled() []record.Record {
	w.t.Helper()
	var done, since []record.Record
	for _, r := range w.Calls(0) {
		switch r.Event {
		case record.SystemStopped:
			since = nil
		case record.ConfigLoaded:
			done = since
		default:
			since = append(since, r)
		}
	}
	return done
}

// answer makes one verification that is stored, and returns its id and its place in the log.
func (w *world) answer(request string, n int) (ledger.ID, ledger.Position) {
	w.t.Helper()
	answered, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(context.Background(), w.Request(request, n))
	must(w.t, err)
	v := answered.GetVerification()
	id, err := ledger.ParseID(v.GetId())
	must(w.t, err)
	return id, ledger.Position{Origin: v.GetLogEntry().GetOrigin(), Index: v.GetLogEntry().GetIndex()}
}

// amendment reads what a listing says became of a record; empty = nothing.
func (w *world) amendment(at ledger.Position) string {
	w.t.Helper()
	document, err := w.Store.GetDocument(context.Background(), store.Amendments, fmt.Sprintf("%s/%020d", at.Origin, at.Index))
	if err != nil {
		return ""
	}
	return string(document.Value)
}

// noMark keeps the ledger's mark where it is, as a crash does: a graceful stop raises it.
func (w *world) noMark() {
	w.store.Hook(func(method string) error {
		if method == "SetMark" {
			return servertest.ErrDown()
		}
		return nil
	})
}

// TestReconcile puts log and ledger at odds in each way that a stop can, and starts the server again. A second
// start has nothing left to do.
func TestReconcile(t *testing.T) {
	for _, c := range []struct {
		name string
		// set puts log and ledger at odds. It returns the verification, its place in the log before the start,
		// and where the ledger has it.
		set  func(w *world) (ledger.ID, ledger.Position)
		want []string // records of the start
		// row: whether the verification is in the ledger afterwards; at the place of the record it then names.
		row     bool
		amended string
	}{
		{name: "they agree", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			return id, at
		}, row: true},
		{name: "a record without a row", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			must(w.t, w.Store.Void(context.Background(), "bank", id))
			return id, at
		}, want: []string{"verification.voided DENIED STORE_UNAVAILABLE"}, amended: `"verification.voided"`},
		{name: "a row without a record", set: func(w *world) (ledger.ID, ledger.Position) {
			older := filepath.Join(w.t.TempDir(), "log")
			w.restart(func() { must(w.t, os.CopyFS(older, os.DirFS(filepath.Join(w.Dir, "log")))) })
			w.noMark()
			id, at := w.answer("r", 1)
			w.between = func() { // a disk that lost the log's last records
				must(w.t, os.RemoveAll(filepath.Join(w.Dir, "log")))
				must(w.t, os.CopyFS(filepath.Join(w.Dir, "log"), os.DirFS(older)))
			}
			return id, at
		}, want: []string{"verification.recovered SUCCESS"}, row: true},
		{name: "voided, and the row is still there", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			_, err := w.Journal().System(record.VerificationVoided, func(r *record.Record) {
				r.Object = record.Object{Type: "verification", ID: id.String()}
				r.Outcome = record.Outcome{Kind: record.Denied, Reason: "STORE_UNAVAILABLE"}
			})
			must(w.t, err)
			return id, at
		}, amended: `"verification.voided"`},
		{name: "voided, and nobody noted it", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			must(w.t, w.Store.Void(context.Background(), "bank", id))
			_, err := w.Journal().System(record.VerificationVoided, func(r *record.Record) {
				r.Object = record.Object{Type: "verification", ID: id.String()}
				r.Outcome = record.Outcome{Kind: record.Denied, Reason: "STORE_UNAVAILABLE"}
			})
			must(w.t, err)
			return id, at
		}, amended: `"verification.voided"`},
		{name: "recovered, and not restamped", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			_, err := w.Journal().System(record.VerificationRecovered, func(r *record.Record) {
				r.Object = record.Object{Type: "verification", ID: id.String()}
			})
			must(w.t, err)
			return id, at
		}, row: true},
		{name: "deleted by its client", set: func(w *world) (ledger.ID, ledger.Position) {
			id, at := w.answer("r", 1)
			_, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).DeleteVerification(context.Background(), &heyanv1.DeleteVerificationRequest{Id: id.String()})
			must(w.t, err)
			return id, at
		}, row: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, servertest.Options{})
			w.noMark()
			others, _ := w.answer("other", 2)
			id, at := c.set(w)
			w.restart(w.between)
			done := w.reconciled()
			if got := servertest.Brief(done); !slices.Equal(got, c.want) {
				t.Errorf("the start wrote %q, want %q", got, c.want)
			}
			for _, r := range done {
				if r.Object.ID != id.String() || r.Actor.Kind != record.ActorSystem || r.Actor.OnBehalfOf != "bank" || r.Processing == nil || r.Processing.Product != "id2" {
					t.Errorf("%v of %+v for %q: %+v", r.Event, r.Object, r.Actor.OnBehalfOf, r.Processing)
				}
			}
			w.checkRow(t, id, c.row)
			w.checkRow(t, others, true)
			if got := w.amendment(at); got != c.amended {
				t.Errorf("the record is amended by %q, want %q", got, c.amended)
			}
			w.restart(nil)
			if again := w.reconciled(); len(again) > 0 {
				t.Errorf("a second start wrote %q", servertest.Brief(again))
			}
			w.checkRow(t, id, c.row)
		})
	}
}

// checkRow compares the ledger with the log: a row stands at the newest record of its answer.
func (w *world) checkRow(t *testing.T, id ledger.ID, want bool) {
	t.Helper()
	v, err := w.Store.Verification(context.Background(), "bank", id)
	if (err == nil) != want {
		t.Fatalf("in the ledger: %v, want %v: %v", err == nil, want, err)
	}
	if !want {
		return
	}
	newest := -1
	for i, r := range w.Records(0) {
		if r.Object.ID == id.String() && (r.Event == record.VerificationVerify || r.Event == record.VerificationRecovered) {
			newest = i
		}
	}
	if int(v.Log.Index) != newest || v.Log.Origin != w.Log.Origin() {
		t.Errorf("the row stands at %v, its record at %d", v.Log, newest)
	}
}

// TestVoidedRequestMayBeSentAgain: a client whose answer was voided asks again under the same request_id, and is
// counted once.
func TestVoidedRequestMayBeSentAgain(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	w.noMark()
	id, _ := w.answer("r", 1)
	must(t, w.Store.Void(context.Background(), "bank", id))
	w.restart(nil)
	again, _ := w.answer("r", 1)
	if again == id {
		t.Error("the voided verification is back")
	}
	usage, err := heyanv1.NewCatalogServiceClient(w.bank.Conn).GetUsage(context.Background(), &heyanv1.GetUsageRequest{})
	must(t, err)
	total := int64(0)
	for _, row := range usage.GetRows() {
		total += row.GetMatch()
	}
	if total != 1 {
		t.Errorf("%d matches counted: %v", total, usage)
	}
	if seen, _ := verify(w.bank.Conn, w.Request("r", 2)); seen.Code != codes.AlreadyExists {
		t.Errorf("the same request_id with other content: %v", seen.Err)
	}
}
