package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

// pass moves the clock on.
func (w *world) pass(d time.Duration) { w.Clock.Set(w.Clock.Now().Add(d)) }

// deleted deletes the records of a person, and returns how many there were.
func (w *world) deleted(n int) int64 {
	w.t.Helper()
	done, err := heyanv1.NewAdminServiceClient(w.system).DeleteRecords(context.Background(),
		&heyanv1.DeleteRecordsRequest{Dataset: servertest.Dataset, Subjects: []*heyanv1.Fields{servertest.Person(n)}, Reason: "correction 17"})
	must(w.t, err)
	return done.GetDeleted()
}

// rewritten returns the records of rewriting from an index on.
func (w *world) rewritten(from uint64) (found []record.Record) {
	w.t.Helper()
	for _, r := range w.Records(from) {
		if r.Event == record.DatasetRewritten {
			found = append(found, r)
		}
	}
	return found
}

// listed is the first generation as ListDatasets shows it.
func (w *world) listed() *heyanv1.Dataset_Generation {
	w.t.Helper()
	list, err := heyanv1.NewAdminServiceClient(w.system).ListDatasets(context.Background(), &heyanv1.ListDatasetsRequest{})
	must(w.t, err)
	return list.GetDatasets()[0].GetGenerations()[0]
}

// inFiles reports whether a person's ID number as an anchor lies in a file of the datasets.
func (w *world) inFiles(n int) bool {
	w.t.Helper()
	id, err := new(field.Rules).Parse(field.IDNumber, servertest.Person(n).GetIdNumber(), w.Clock.Now())
	must(w.t, err)
	anchor := dataset.Anchor(w.Ring, id)
	files, err := filepath.Glob(filepath.Join(w.Dir, "store", "registry", "data", "*"))
	must(w.t, err)
	for _, name := range files {
		contents, err := os.ReadFile(name)
		if must(w.t, err); bytes.Contains(contents, anchor[:]) {
			return true
		}
	}
	return false
}

// MV-5.3-delete-request: a deleted record is found by nobody at once, and within a day it is in no file.
func TestDatasetsAreRewritten(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	look := w.Rewriter()
	before := w.listed()
	from := w.Log.Size()
	gone := w.deleted(1)
	if gone == 0 || !w.inFiles(1) || !w.inFiles(2) {
		t.Fatalf("%d records deleted; the case tests nothing", gone)
	}
	w.pass(3 * time.Hour)
	look()
	if found := w.rewritten(from); len(found) != 0 || !w.inFiles(1) {
		t.Errorf("rewritten after three hours: %+v", found)
	}
	w.pass(time.Hour)
	look()
	found := w.rewritten(from)
	if len(found) != 1 {
		t.Fatalf("%d records of rewriting", len(found))
	}
	r := found[0]
	if r.Category != record.CategoryDataLifecycle || r.Object != (record.Object{Type: "dataset", ID: servertest.Dataset}) ||
		r.Outcome.Kind != record.Success || r.Actor.Kind != record.ActorSystem ||
		r.Change == nil || r.Change.Diff != "generation=1 removed=2" || gone != 2 || r.Change.Before == r.Change.After {
		t.Errorf("its record says %+v, %+v", r, r.Change)
	}
	if w.inFiles(1) || !w.inFiles(2) {
		t.Error("the wrong records are left in the file")
	}
	after := w.listed()
	if after.GetAnchors() != before.GetAnchors()-gone || after.GetBytes() >= before.GetBytes() || after.GetBytes() <= 0 ||
		after.GetDeletedRecords() != gone || after.GetRows() != before.GetRows() || after.GetState() != before.GetState() {
		t.Errorf("listed %v, before %v", after, before)
	}
	look()
	if n := len(w.rewritten(from)); n != 1 {
		t.Errorf("%d records of rewriting once nothing is left to do", n)
	}
	for n, want := range map[int]heyanv1.Verdict{1: heyanv1.Verdict_VERDICT_NO_RECORD, 2: heyanv1.Verdict_VERDICT_MATCH} {
		answer, err := heyanv1.NewVerificationServiceClient(w.bank.Conn).Verify(context.Background(), w.Request(fmt.Sprint("after-", n), n))
		if must(t, err); answer.GetVerification().GetVerdict() != want {
			t.Errorf("person %d: %v, want %v", n, answer.GetVerification().GetVerdict(), want)
		}
	}
}

// A server that is stopped meanwhile looks when it starts: the store knows since when a record is deleted.
func TestRewritingOutlivesAStop(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	w.deleted(1)
	w.pass(2 * time.Hour)
	w.restart(nil)
	w.Rewriter()()
	if len(w.rewritten(from)) != 0 {
		t.Error("rewritten after two hours")
	}
	w.pass(3 * time.Hour)
	w.restart(nil)
	for deadline := time.Now().Add(10 * time.Second); len(w.rewritten(from)) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if len(w.rewritten(from)) != 1 || w.inFiles(1) {
		t.Error("not rewritten at the start after five hours")
	}
}

// A failure is told to the operator and tried again.
func TestRewritingFails(t *testing.T) {
	output := &buffer{}
	w := newWorld(t, servertest.Options{LogOutput: output})
	look := w.Rewriter()
	from := w.Log.Size()
	w.deleted(1)
	w.pass(5 * time.Hour)
	var tries atomic.Int64
	w.store.Hook(func(method string) error {
		if method == "CompactDataset" {
			tries.Add(1)
			return fault.New(fault.StoreUnavailable).WithCause(errors.New("no space left"))
		}
		return nil
	})
	for _, c := range []struct {
		wait  time.Duration
		tries int64
		told  string
	}{
		{0, 1, `"overdue":false`},
		{14 * time.Minute, 1, ""},
		{2 * time.Minute, 2, `"overdue":false`},
		{24 * time.Hour, 3, `"overdue":true`},
	} {
		said := len(output.String())
		w.pass(c.wait)
		look()
		told := output.String()[said:]
		if tries.Load() != c.tries {
			t.Errorf("after another %v: %d tries, want %d", c.wait, tries.Load(), c.tries)
		}
		if c.told == "" && told != "" || !strings.Contains(told, c.told) ||
			c.told != "" && !(strings.Contains(told, `"dataset":"people"`) && strings.Contains(told, `"cause":"no space left"`)) {
			t.Errorf("after another %v the operator is told %q", c.wait, told)
		}
	}
	if len(w.rewritten(from)) != 0 || !w.inFiles(1) {
		t.Error("rewritten all the same")
	}
	w.store.Hook(nil)
	w.pass(16 * time.Minute)
	look()
	if len(w.rewritten(from)) != 1 || w.inFiles(1) {
		t.Error("not tried again")
	}
}

// What is noted on file beside the record is tried again where an activation came between, and its failure is told.
func TestRewritingIsNoted(t *testing.T) {
	for name, c := range map[string]struct {
		fails int64
		err   error
		noted bool
	}{
		"an activation came between": {3, store.ErrConflict, true},
		"it cannot be noted":         {1 << 30, servertest.ErrDown(), false},
	} {
		t.Run(name, func(t *testing.T) {
			output := &buffer{}
			w := newWorld(t, servertest.Options{LogOutput: output})
			before, from := w.listed(), w.Log.Size()
			w.deleted(1)
			w.pass(5 * time.Hour)
			var calls atomic.Int64
			w.store.Hook(func(method string) error {
				if method == "PutDocument" && calls.Add(1) <= c.fails {
					return c.err
				}
				return nil
			})
			w.Rewriter()()
			w.store.Hook(nil)
			if noted := w.listed().GetBytes() < before.GetBytes(); noted != c.noted || len(w.rewritten(from)) != 1 || w.inFiles(1) {
				t.Errorf("noted is %v, and %d records", noted, len(w.rewritten(from)))
			}
			if told := strings.Contains(output.String(), "noting that a dataset was rewritten"); told == c.noted {
				t.Errorf("told is %v: %s", told, output)
			}
		})
	}
}
