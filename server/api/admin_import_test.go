package api

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/subject"
)

func TestImport(t *testing.T) {
	o := newOffice(t)
	var messages []*heyanv1.ImportRecordsRequest
	for i := range 40 { // more than circulate
		var rows []*heyanv1.ImportRows_Row
		for j := range 50 {
			rows = append(rows, personRow(50*i+j))
		}
		messages = append(messages, rowsOf(uint64(50*i+1), rows...))
	}
	end := o.imports("anna", &upload{messages: append([]*heyanv1.ImportRecordsRequest{headerOf("people")}, messages...)})
	reply := accepted(t, end)
	if reply.GetGeneration() != 1 || reply.GetAcceptedRows() != 2000 || reply.GetRejectedRows() != 0 || reply.GetBytes() == 0 || reply.GetAnchors() == 0 {
		t.Errorf("imported %v", reply)
	}
	g := o.generation("people", 1)
	if g.State != dataset.Staged || g.ImportedBy != "anna" || g.ImportPerson != "anna" || g.Rows != 2000 || g.Anchors != reply.GetAnchors() || g.Suite != o.Keys.Suite() {
		t.Errorf("on file: %+v", g)
	}
	if end.record.Object != (record.Object{Type: "dataset", ID: "people"}) || end.record.Change == nil {
		t.Errorf("its record says %+v", end.record)
	}
	for _, p := range o.Catalogue.All() {
		for _, n := range []int{0, 777, 1999} {
			if verdict := o.asks("people", 1, p.ID, personRow(n).GetFields()); verdict != product.Match {
				t.Errorf("%s of person %d: %v", p.ID, n, verdict)
			}
		}
	}
}

func TestImportRejects(t *testing.T) {
	with := func(n int, change func(*heyanv1.ImportRows_Row)) *heyanv1.ImportRows_Row {
		row := personRow(n)
		change(row)
		return row
	}
	rows := []*heyanv1.ImportRows_Row{
		personRow(1),
		with(2, func(r *heyanv1.ImportRows_Row) { r.Fields.IdNumber = proto.String("110105194912310020") }),
		{Fields: &heyanv1.Fields{Name: proto.String("张伟")}},
		{},
		with(3, func(r *heyanv1.ImportRows_Row) { r.Fields.PhoneNumber = proto.String("") }),
		with(4, func(r *heyanv1.ImportRows_Row) { r.PlateKind = "2" }),
		{PlateKind: "02", Fields: &heyanv1.Fields{Name: proto.String("张伟"), PhoneNumber: proto.String("13800138000")}},
		{Fields: &heyanv1.Fields{PhoneNumber: proto.String("13800138000")}},
		personRow(5),
	}
	want := []string{"11 FIELD_ID_NUMBER CHECK_DIGIT", "12 FIELD_UNSPECIFIED NO_ANCHOR", "13 FIELD_UNSPECIFIED NO_ANCHOR", "14 FIELD_PHONE_NUMBER EMPTY",
		"15 FIELD_LICENSE_PLATE_NUMBER PLATE_KIND", "16 FIELD_LICENSE_PLATE_NUMBER PLATE_KIND", "17 FIELD_UNSPECIFIED NO_ANCHOR"}
	o := newOffice(t)
	// Row numbers that are not stated go on from the message before.
	reply := accepted(t, o.imports("anna", &upload{messages: []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(10, rows[:4]...), rowsOf(0, rows[4:]...)}}))
	var got []string
	for _, r := range reply.GetRejects() {
		got = append(got, fmt.Sprintf("%d %v %s", r.GetRow(), r.GetField(), r.GetCause()))
	}
	if !slices.Equal(got, want) {
		t.Errorf("rejects:\n%q\nwant\n%q", got, want)
	}
	if reply.GetAcceptedRows() != 2 || reply.GetRejectedRows() != 7 {
		t.Errorf("counted %v", reply)
	}

	strict := headerOf("people")
	strict.GetHeader().Strict = true
	end := o.imports("anna", &upload{messages: []*heyanv1.ImportRecordsRequest{strict, rowsOf(10, rows...)}})
	refusedFor(t, end.refused, fault.FieldMalformed, "rows.id_number CHECK_DIGIT")
	if end.refused.Metadata["row"] != "11" {
		t.Errorf("it names row %q", end.refused.Metadata["row"])
	}

	none := accepted(t, o.imports("anna", &upload{messages: []*heyanv1.ImportRecordsRequest{headerOf("empty"), rowsOf(1, rows[1])}}))
	if none.GetGeneration() != 0 || none.GetRejectedRows() != 1 {
		t.Errorf("of nothing it made %v", none)
	}
	if _, there := o.Directory.Now().Datasets["empty"]; there {
		t.Error("an import of nothing is on file")
	}
}

func TestImportTellsOfTheFirstRejectsOnly(t *testing.T) {
	o := newOffice(t)
	messages := []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, personRow(1))}
	for i := range 11 {
		messages = append(messages, rowsOf(uint64(2+1000*i), slices.Repeat([]*heyanv1.ImportRows_Row{{}}, 1000)...))
	}
	reply := accepted(t, o.imports("anna", &upload{messages: messages}))
	if n := len(reply.GetRejects()); n != 10_000 || reply.GetRejectedRows() != 11_000 || reply.GetRejects()[n-1].GetRow() != 10_001 {
		t.Errorf("%d rejects told of %d", n, reply.GetRejectedRows())
	}
}

// A failed import leaves nothing behind, whenever it fails.
func TestFailedImportLeavesNoTrace(t *testing.T) {
	tests := []struct {
		name     string
		messages []*heyanv1.ImportRecordsRequest
		failure  error
		want     wants
	}{
		{"no header", []*heyanv1.ImportRecordsRequest{rowsOf(1, personRow(1))}, nil, refusal(fault.RequestMalformed, "header FIRST_MESSAGE")},
		{"nothing", nil, nil, refusal(fault.RequestMalformed, "header FIRST_MESSAGE")},
		{"two headers", []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, personRow(1)), headerOf("people")}, nil, refusal(fault.RequestMalformed, "header ONLY_ONCE")},
		{"too many rows", []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, slices.Repeat([]*heyanv1.ImportRows_Row{personRow(1)}, 1001)...)}, nil,
			refusal(fault.RequestTooLarge, "rows.rows AT_MOST_1000")},
		{"the caller leaves", []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, personRow(1))}, errGone, refusal(fault.CallerCancelled)},
		{"no slug", []*heyanv1.ImportRecordsRequest{headerOf("People")}, nil, refusal(fault.RequestMalformed, "header.dataset SLUG")},
		{"no as_of", []*heyanv1.ImportRecordsRequest{asOf(headerOf("people"), nil)}, nil, refusal(fault.FieldMissing, "header.as_of")},
		{"as_of in the future", []*heyanv1.ImportRecordsRequest{asOf(headerOf("people"), timestamppb.New(start.Add(time.Hour)))}, nil,
			refusal(fault.RequestMalformed, "header.as_of IN_THE_FUTURE")},
	}
	o := newOffice(t)
	watched := &watchedStore{Store: o.Store}
	o.Store = watched
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ends(t, o.imports("anna", &upload{messages: test.messages, failure: test.failure}), test.want)
			if len(o.Directory.Now().Datasets) != 0 || watched.begun != watched.aborted {
				t.Errorf("%d datasets are on file; %d files begun, %d given up", len(o.Directory.Now().Datasets), watched.begun, watched.aborted)
			}
		})
	}
	if r := o.importOf("people", personRow(1)); r.GetGeneration() != 1 {
		t.Errorf("the first that worked has number %d", r.GetGeneration())
	}
}

// watchedStore counts the files that imports begin and give up.
type watchedStore struct {
	store.Store
	begun, aborted int
}

func (w *watchedStore) ImportDataset(ctx context.Context, info store.ImportInfo) (store.Importer, error) {
	w.begun++
	importer, err := w.Store.ImportDataset(ctx, info)
	return &watchedImporter{importer, w}, err
}

type watchedImporter struct {
	store.Importer
	store *watchedStore
}

func (w *watchedImporter) Abort() {
	w.store.aborted++
	w.Importer.Abort()
}

func TestOneImportAtATime(t *testing.T) {
	o := newOffice(t)
	if f := o.admin.beginImport("people"); f != nil {
		t.Fatal(f)
	}
	u := &upload{messages: []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, personRow(1))}}
	refusedFor(t, o.imports("anna", u).refused, fault.RevisionConflict)
	o.importOf("cars", personRow(1)) // another dataset
	o.admin.endImport("people")
	o.importOf("people", personRow(1))
	if r := o.importOf("people", personRow(1)); r.GetGeneration() != 2 {
		t.Errorf("the second import has number %d", r.GetGeneration())
	}
}

// A crash between the file and its document leaves a file of the next number, which must not end all imports.
func TestImportOverAnOrphanedFile(t *testing.T) {
	o := newOffice(t)
	importer := value(o.Store.ImportDataset(t.Context(), store.ImportInfo{Dataset: "people", Generation: 1, Suite: o.Keys.Suite()}))(t)
	must(t, importer.Add([32]byte{1}, []byte{2, 1}))
	_, _, err := importer.Finish()
	must(t, err)
	o.importOf("people", personRow(1))
	if o.asks("people", 1, "id2", personRow(1).GetFields()) != product.Match {
		t.Error("the orphan was kept")
	}
}

// Who was erased does not come back with the next import.
func TestImportLeavesTheSuppressedOut(t *testing.T) {
	o := newOffice(t)
	erased := personRow(7).GetFields()
	values := []field.Value{
		value(o.Rules.Parse(field.Name, erased.GetName(), start))(t), value(o.Rules.Parse(field.IDNumber, erased.GetIdNumber(), start))(t),
	}
	must(t, o.Store.Restrict(t.Context(), subject.Restrictions(o.Keys, values), store.Suppressed, time.Time{}))
	reply := o.importOf("people", personRow(6), personRow(7), personRow(8))
	if reply.GetSuppressedRows() != 1 || reply.GetAcceptedRows() != 2 || reply.GetRejectedRows() != 0 {
		t.Errorf("imported %v", reply)
	}
	if o.asks("people", 1, "id2", erased) != product.NoRecord {
		t.Error("the erased person is there again")
	}
}

// A panic beside the handler's goroutine would end the process, whatever the chain recovers.
func TestImportSurvivesAPanic(t *testing.T) {
	o := newOffice(t)
	o.Store = panicking{o.Store}
	u := &upload{messages: []*heyanv1.ImportRecordsRequest{headerOf("people"), rowsOf(1, personRow(1))}}
	refusedFor(t, o.imports("anna", u).refused, fault.InternalError)
}

type panicking struct{ store.Store }

func (panicking) Restricted(context.Context, []subject.Handle, store.Restriction, time.Time) (bool, error) {
	panic("张伟")
}
