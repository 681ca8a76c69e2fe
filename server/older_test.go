package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// keep copies a part of the data, as it lies on the disk now, and returns what puts it back in its place. Nothing may be
// written to it meanwhile.
func (w *world) keep(part string) (putBack func()) {
	w.t.Helper()
	dir, older := filepath.Join(w.Dir, part), filepath.Join(w.t.TempDir(), part)
	must(w.t, os.CopyFS(older, os.DirFS(dir)))
	return func() {
		w.t.Helper()
		must(w.t, os.RemoveAll(dir))
		must(w.t, os.CopyFS(dir, os.DirFS(older)))
	}
}

// refused wants a start to be refused for an older store, and returns what it says.
func (w *world) refused(accept uint64) *server.OlderStoreError {
	w.t.Helper()
	w.store.Hook(nil)
	options := w.same()
	options.AcceptOlderStore = accept
	err := servertest.Refused(w.t, options)
	var older *server.OlderStoreError
	if !errors.As(err, &older) {
		w.t.Fatalf("the start says %v", err)
	}
	return older
}

// accept starts with the older store.
func (w *world) accept(older *server.OlderStoreError) {
	w.t.Helper()
	w.store.Hook(nil)
	options := w.same()
	options.AcceptOlderStore = older.Log
	w.start(options)
}

// given is an answer that a client has.
type given struct {
	id      ledger.ID
	at      ledger.Position
	request string
	person  int
}

func (w *world) give(request string, person int) given {
	w.t.Helper()
	id, at := w.answer(request, person)
	return given{id, at, request, person}
}

// written reads the places of the records of an event, by what they are about.
func (w *world) written(event record.Event) (places map[string][]uint64) {
	w.t.Helper()
	places = map[string][]uint64{}
	for i, r := range w.Records(0) {
		if r.Event == event {
			places[r.Object.ID] = append(places[r.Object.ID], uint64(i))
		}
	}
	return places
}

// checkLost wants exactly these answers to be on record as lost, once each, as what they were, and to be gone.
func (w *world) checkLost(t *testing.T, lost ...given) {
	t.Helper()
	all, written := w.Records(0), w.written(record.VerificationLost)
	for _, g := range lost {
		places := written[g.id.String()]
		if len(places) != 1 {
			t.Errorf("the answer to %q is lost at %v", g.request, places)
			continue
		}
		was, is := all[g.at.Index], all[places[0]]
		if !reflect.DeepEqual(is.Processing, was.Processing) || is.Actor != (record.Actor{Kind: record.ActorSystem, OnBehalfOf: "bank"}) ||
			is.Outcome != (record.Outcome{Kind: record.Success}) || is.Severity != record.Warning {
			t.Errorf("lost as %+v by %+v\nwas    %+v", is.Processing, is.Actor, was.Processing)
		}
		if got := w.amendment(g.at); got != `"verification.lost"` {
			t.Errorf("the record of %q is amended by %q", g.request, got)
		}
		w.checkRow(t, g.id, false)
	}
	if len(written) != len(lost) {
		t.Errorf("%d answers are lost, want %d", len(written), len(lost))
	}
	if voided := w.written(record.VerificationVoided); len(voided) > 0 {
		t.Errorf("voided: %v", voided)
	}
}

// checkQuiet wants the newest start to have repaired nothing.
func (w *world) checkQuiet(t *testing.T) {
	t.Helper()
	if done := w.reconciled(); len(done) > 0 {
		t.Errorf("the start wrote %q", servertest.Brief(done))
	}
}

// TestOlderStore: a store that knows less than the log states is refused, unless a person chose to go on with that very
// one. Then every answer since is lost, none is voided, and what the store has stays.
func TestOlderStore(t *testing.T) {
	for _, c := range []struct {
		name string
		// set makes one answer that the older store has, and those that it lacks, and puts it back.
		set func(w *world) (has given, lacks []given)
	}{
		{"from before a stop", func(w *world) (given, []given) {
			has := w.give("has", 1)
			var putBack func()
			w.restart(func() { putBack = w.keep("store") })
			lacks := []given{w.give("a", 2), w.give("b", 3)}
			w.Stop()
			putBack()
			return has, lacks
		}},
		{"from before a start, and then a crash", func(w *world) (given, []given) {
			has := w.give("has", 1)
			var putBack func()
			w.restart(func() { putBack = w.keep("store") })
			w.noMark()
			lacks := []given{w.give("a", 2), w.give("b", 3)}
			w.Stop()
			putBack()
			return has, lacks
		}},
		{"of the same run, from before a heartbeat", func(w *world) (given, []given) {
			has := w.give("has", 1)
			w.noMark() // which nothing is written with
			putBack := w.keep("store")
			first := w.give("a", 2)
			w.store.Hook(nil)
			must(w.t, w.Heartbeat())
			w.noMark()
			lacks := []given{first, w.give("b", 3)} // the second is newer than what the log states
			w.Stop()
			putBack()
			return has, lacks
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, servertest.Options{})
			_, err := w.Mark()
			must(t, err)
			has, lacks := c.set(w)
			older := w.refused(0)
			if older.Origin != has.at.Origin || older.Ledger > lacks[0].at.Index || older.Log <= older.Ledger || older.Since.IsZero() {
				t.Errorf("refused with %+v, and lacks what is recorded from %d on", older, lacks[0].at.Index)
			}
			for _, said := range []string{fmt.Sprint(older.Ledger), fmt.Sprint(older.Log), older.Origin, "withdrawals", "2026-11-22T04:00:0"} {
				if !strings.Contains(older.Error(), said) {
					t.Errorf("%q is not in: %v", said, older)
				}
			}
			w.refused(older.Ledger)  // a choice of another store
			w.refused(older.Log + 1) // and of another moment
			w.accept(older)
			w.checkAccepted(t, older)
			w.checkLost(t, lacks...)
			w.checkRow(t, has.id, true)
			w.checkClient(t, has, lacks)
			if report, err := w.Log.Verify(t.Context()); err != nil || !report.Whole() {
				t.Errorf("the log verifies as %+v, %v", report, err)
			}
			w.restart(nil)
			w.checkQuiet(t)
		})
	}
}

// checkAccepted wants the choice on record, once, CRITICAL, with both numbers, before what is lost.
func (w *world) checkAccepted(t *testing.T, older *server.OlderStoreError) {
	t.Helper()
	places := w.written(record.StoreRollbackAccepted)[older.Origin]
	if len(places) != 1 {
		t.Fatalf("the choice is recorded at %v", places)
	}
	r := w.Records(places[0])[0]
	if want := fmt.Sprintf("ledger_mark=%d stated=%d", older.Ledger, older.Log); r.Severity != record.Critical || r.Status.LedgerMark != older.Ledger || r.Change.Diff != want {
		t.Errorf("the choice is recorded as %v: %+v %+v", r.Severity, r.Change, r.Status)
	}
	for id, lost := range w.written(record.VerificationLost) {
		if lost[0] < places[0] {
			t.Errorf("%s was lost before the choice", id)
		}
	}
}

// checkClient wants a client to see what the older store has, and nothing of what it lacks.
func (w *world) checkClient(t *testing.T, has given, lacks []given) {
	t.Helper()
	client := heyanv1.NewVerificationServiceClient(w.bank.Conn)
	list, err := client.ListVerifications(t.Context(), &heyanv1.ListVerificationsRequest{})
	must(t, err)
	if got := list.GetVerifications(); len(got) != 1 || got[0].GetId() != has.id.String() {
		t.Errorf("listed: %v", got)
	}
	if _, err := client.GetReceipt(t.Context(), &heyanv1.GetReceiptRequest{Id: has.id.String()}); err != nil {
		t.Errorf("the receipt of what is there: %v", err)
	}
	for _, g := range lacks {
		_, err := client.GetReceipt(t.Context(), &heyanv1.GetReceiptRequest{Id: g.id.String()})
		_, read := client.GetVerification(t.Context(), &heyanv1.GetVerificationRequest{Id: g.id.String()})
		if refusal(err) != "NotFound RESOURCE_NOT_FOUND" || refusal(read) != refusal(err) {
			t.Errorf("of what is lost the receipt: %v, the verification: %v", err, read)
		}
	}
	stream, err := heyanv1.NewLogServiceClient(w.audit).ListLogEntries(t.Context(), &heyanv1.ListLogEntriesRequest{StartIndex: lacks[0].at.Index, Limit: 1})
	must(t, err)
	if m, err := stream.Recv(); err != nil || m.GetAmendedBy() != "verification.lost" {
		t.Errorf("the listing says that its record is amended by %q: %v", m.GetAmendedBy(), err)
	}
	if seen, _ := verify(w.bank.Conn, w.Request(lacks[0].request, lacks[0].person)); seen.Code != codes.OK {
		t.Errorf("its request_id cannot be used again: %v", seen.Err)
	}
}

// TestOlderStoreUnnoticed: what is newer than everything that the log states of the ledger cannot be told from what a
// crash cut off. This test is the documented limit.
func TestOlderStoreUnnoticed(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	must(t, w.Heartbeat())
	w.noMark()
	putBack := w.keep("store")
	g := w.give("r", 1)
	w.Stop()
	putBack()
	w.restart(nil)
	if got := servertest.Brief(w.reconciled()); !slices.Equal(got, []string{"verification.voided DENIED STORE_UNAVAILABLE"}) {
		t.Errorf("the start wrote %q", got)
	}
	w.checkRow(t, g.id, false)
}

// TestCrashLosesNothing: wherever a crash comes, the store is not taken for an older one, and nothing is lost: what the
// log states of the mark was durable in the store before.
func TestCrashLosesNothing(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	for i, crash := range []func(){
		func() {},
		func() { must(t, w.Heartbeat()) },
		func() { w.noMark(); w.answer("a", 2) },
		func() {
			w.noMark()
			if w.Heartbeat() == nil { // the mark cannot be raised, and so not be stated
				t.Error("a heartbeat raised a mark that cannot be raised")
			}
		},
		func() { must(t, w.Heartbeat()); w.noMark(); w.answer("b", 3) },
	} {
		w.give(fmt.Sprint("r", i), 10+i)
		crash()
		stated := uint64(0)
		for at, r := range w.Records(0) {
			if r.Status != nil && r.Status.LedgerMark > 0 {
				if r.Status.LedgerMark < stated || r.Status.LedgerMark > uint64(at) {
					t.Errorf("record %d states %d after %d", at, r.Status.LedgerMark, stated)
				}
				stated = r.Status.LedgerMark
			}
		}
		if mark, err := w.Store.Mark(t.Context(), w.Log.Origin()); err != nil || mark < stated || stated == 0 {
			t.Errorf("crash %d: the log states %d, the store has %d: %v", i, stated, mark, err)
		}
		w.noMark() // the stop states nothing new either
		w.restart(nil)
		w.checkQuiet(t)
	}
	if lost := w.written(record.VerificationLost); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
}

// TestAcceptingIsFinished: a start with an older store that ends anywhere in the middle is finished by the next one,
// without being asked again once the choice is durable, and nothing is written twice.
func TestAcceptingIsFinished(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	has := w.give("has", 1)
	var putBack func()
	w.restart(func() { putBack = w.keep("store") })
	var lacks []given
	for i := range 5 {
		lacks = append(lacks, w.give(fmt.Sprint("r", i), 2+i))
	}
	w.Stop()
	putBack()
	older := w.refused(0)
	again := w.keep("store")
	whole := w.keep("log")
	for _, fails := range []struct {
		name  string
		disk  disktest.Kind
		count int    // which of them fails, from 1; the first is that of opening the log
		at    string // or the store's method
		asked bool   // the choice is not durable, and has to be made again
	}{
		{name: "the choice is not written", disk: disktest.Write, count: 2, asked: true},
		{name: "the choice is not flushed", disk: disktest.Sync, count: 2},
		{name: "the first that are lost are not written", disk: disktest.Write, count: 3},
		{name: "the first that are lost are not flushed", disk: disktest.Sync, count: 3},
		{name: "nothing can be noted", at: "PutDocument"},
		{name: "the mark cannot be raised", at: "SetMark"},
	} {
		t.Run(fails.name, func(t *testing.T) {
			again()
			whole()
			var count atomic.Int64
			w.disk.Hook(func(op disktest.Op) error {
				if op.Kind == fails.disk && int(count.Add(1)) == fails.count {
					return errors.New("injected: the disk fails")
				}
				return nil
			})
			w.store.Hook(func(method string) error {
				if method == fails.at {
					return servertest.ErrDown()
				}
				return nil
			})
			options := w.same()
			options.AcceptOlderStore = older.Log
			t.Log(servertest.Refused(t, options))
			w.disk.Hook(nil)
			if fails.asked {
				w.accept(w.refused(0))
			} else {
				w.store.Hook(nil)
				w.start(w.same())
			}
			w.checkAccepted(t, older)
			w.checkLost(t, lacks...)
			w.checkRow(t, has.id, true)
			w.restart(nil)
			w.checkQuiet(t)
			w.checkLost(t, lacks...)
			w.Stop()
		})
	}
}

// TestAcceptingIsGoodOnce: the choice that was made is no choice for the next older store, not even for the same one.
func TestAcceptingIsGoodOnce(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	var putBack func()
	w.restart(func() { putBack = w.keep("store") })
	first := w.give("a", 1)
	w.Stop()
	putBack()
	older := w.refused(0)
	w.accept(older)
	second := w.give("b", 2)
	w.Stop()
	putBack()
	next := w.refused(older.Log)
	w.accept(next)
	w.checkLost(t, first, second)
	if n := len(w.written(record.StoreRollbackAccepted)[next.Origin]); n != 2 {
		t.Errorf("%d choices are recorded", n)
	}
}

// TestNewerStorePutBackAfterAll: where the store that has the answers comes back after they were given up, they are
// recovered, and what was answered in between is lost; also where starts that find it stop before they are done.
func TestNewerStorePutBackAfterAll(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	var older, newer func()
	w.restart(func() { older = w.keep("store") })
	first := w.give("a", 1)
	w.Stop()
	newer = w.keep("store")
	older()
	w.accept(w.refused(0))
	second := w.give("b", 2)
	w.Stop()
	newer()
	options := w.same()
	options.AcceptOlderStore = w.refused(0).Log
	for _, fails := range []string{"Restamp", "SetMark"} {
		w.store.Hook(func(method string) error {
			if method == fails {
				return servertest.ErrDown()
			}
			return nil
		})
		t.Log(servertest.Refused(t, options))
	}
	w.store.Hook(nil)
	w.start(w.same())
	w.checkRow(t, first.id, true)
	w.checkRow(t, second.id, false)
	places := w.written(record.VerificationRecovered)[first.id.String()]
	if len(places) != 1 || w.amendment(ledger.Position{Origin: first.at.Origin, Index: places[0]}) != "" {
		t.Errorf("recovered at %v", places)
	}
	if got := w.amendment(first.at); got != `"verification.recovered"` {
		t.Errorf("the record of what is back is amended by %q", got)
	}
	if got := w.amendment(second.at); got != `"verification.lost"` {
		t.Errorf("the record of what is lost is amended by %q", got)
	}
	if _, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).GetReceipt(t.Context(), &heyanv1.GetReceiptRequest{Id: first.id.String()}); err != nil {
		t.Errorf("the receipt of what is back: %v", err)
	}
	w.restart(nil)
	w.checkQuiet(t)
	w.checkRow(t, first.id, true)
}

// TestStatedMark: of what the log states the newest counts, however far back it is, and nothing from before the index.
func TestStatedMark(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log, err := netlog.Create(netlog.Options{Dir: filepath.Join(t.TempDir(), "log"), Node: "test", Now: time.Now, SigningKey: key}, "test")
	must(t, err)
	defer func() { must(t, log.Close()) }()
	states := map[uint64]*record.Status{100: {LedgerMark: 90}, 3000: {LedgerMark: 2000}, 3001: {Uptime: time.Hour}}
	var last netlog.Ticket
	for i := log.Size(); i < 9000; i++ {
		r := record.Record{Time: time.Now(), Event: record.SystemHeartbeat, Outcome: record.Outcome{Kind: record.Success}, Status: states[i]}
		leaf, err := record.Append(nil, &r)
		must(t, err)
		last, err = log.Append(leaf)
		must(t, err)
		if i%500 == 0 {
			must(t, last.Wait(t.Context()))
		}
	}
	must(t, last.Wait(t.Context()))
	for from, want := range map[uint64]uint64{0: 2000, 101: 2000, 3000: 2000, 3001: 0, 8999: 0, 9000: 0} {
		if got, err := server.StatedMark(t.Context(), log, from); err != nil || got != want {
			t.Errorf("from %d on the log states %d, want %d: %v", from, got, want, err)
		}
	}
}
