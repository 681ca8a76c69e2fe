package api

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/registry"
)

// asks looks a person up in one generation, as the registry does.
func (o *office) asks(name string, generation int64, id product.ID, fields *heyanv1.Fields) product.Verdict {
	o.t.Helper()
	p, _ := o.Catalogue.Get(id)
	q := &source.Query{Product: p}
	for i, cell := range cells(fields) {
		if kind := field.Kind(i + 1); p.Fields.Has(kind) {
			q.Values = append(q.Values, value(o.Rules.Parse(kind, *cell, o.Now()))(o.t))
		}
	}
	table := registry.Table{Name: name, Lookup: func(ctx context.Context, anchor digest.Digest, each func([]byte) error) (bool, error) {
		return o.Store.Lookup(ctx, name, generation, anchor, each)
	}}
	answer, err := registry.New(o.Keys, func() []registry.Table { return []registry.Table{table} }).Check(o.t.Context(), q)
	must(o.t, err)
	return answer.Verdict
}

func (o *office) generation(id string, number int64) dataset.Generation {
	v := o.Directory.Now().Datasets[id].Value
	g, ok := v.Find(number)
	if !ok {
		o.t.Fatalf("%s/%d is not on file", id, number)
	}
	return *g
}

func TestActivateDataset(t *testing.T) {
	o := newOffice(t)
	o.bind("dan", role.Binding{Person: "dan", Roles: role.Of(role.SecurityAdmin), BoundBy: "anna"})
	o.bind("anna-2", role.Binding{Person: "anna", Roles: role.Of(role.SecurityAdmin)})
	o.importOf("people", personRow(1))
	refusedFor(t, o.activate("anna-2", "people", 1).refused, fault.SeparationOfDuties)
	refusedFor(t, o.activate("dan", "people", 1).refused, fault.SeparationOfDuties) // bound by the importer, yesterday
	refusedFor(t, o.activate("bo", "people", 2).refused, fault.ResourceNotFound)
	refusedFor(t, o.activate("bo", "animals", 1).refused, fault.ResourceNotFound)
	if o.generation("people", 1).State != dataset.Staged {
		t.Error("activated by one person")
	}
	done := o.activate("bo", "people", 1)
	if g := accepted(t, done).GetGenerations()[0]; g.GetState() != heyanv1.Dataset_STATE_ACTIVE || g.GetActivatedBy() != "bo" || g.GetImportedBy() != "anna" {
		t.Errorf("active: %v", g)
	}
	if done.record.Object != (record.Object{Type: "dataset", ID: "people"}) {
		t.Errorf("its record is about %+v", done.record.Object)
	}
	accepted(t, o.activate("bo", "people", 1)) // again is the same
	o.importOf("people", personRow(2))
	accepted(t, o.activate("bo", "people", 2))
	if o.generation("people", 1).State != dataset.Replaced {
		t.Error("two generations are active")
	}
	if _, err := o.Store.Lookup(t.Context(), "people", 1, [32]byte{}, func([]byte) error { return nil }); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("the old file is still there: %v", err)
	}
	refusedFor(t, o.activate("bo", "people", 1).refused, fault.DatasetNotActive)
	if o.asks("people", 2, "id2", personRow(2).GetFields()) != product.Match {
		t.Error("the new file does not answer")
	}
}

// The file of a staged generation is gone: activating it must not end every look-up.
func TestActivateNeedsTheFile(t *testing.T) {
	o := newOffice(t)
	o.importOf("people", personRow(1))
	must(t, o.Store.DropGeneration(t.Context(), "people", 1))
	refusedFor(t, o.activate("bo", "people", 1).refused, fault.StoreUnavailable)
	if o.generation("people", 1).State != dataset.Staged {
		t.Error("activated all the same")
	}
}

// A record goes at once, and nobody else's with it.
func TestDeleteRecords(t *testing.T) {
	o := newOffice(t)
	shared := personRow(2) // another person under the same phone
	shared.Fields.PhoneNumber = proto.String(personRow(1).GetFields().GetPhoneNumber())
	o.importOf("people", personRow(1), shared)
	remove := func(subjects ...*heyanv1.Fields) outcome[*heyanv1.DeleteRecordsResponse] {
		return does(o, "anna", "AdminService/DeleteRecords", record.DatasetRecordsDeleted, o.admin.DeleteRecords,
			&heyanv1.DeleteRecordsRequest{Dataset: "people", Subjects: subjects, Reason: "asked for"})
	}
	refusedFor(t, remove(personRow(1).GetFields()).refused, fault.DatasetNotActive)
	accepted(t, o.activate("bo", "people", 1))
	refusedFor(t, remove().refused, fault.FieldMissing, "subjects")
	refusedFor(t, remove(&heyanv1.Fields{Name: proto.String("张伟")}).refused, fault.FieldMissing, "subjects")
	refusedFor(t, remove(&heyanv1.Fields{IdNumber: personRow(1).GetFields().IdNumber}).refused, fault.FieldMissing, "subjects")
	refusedFor(t, remove(&heyanv1.Fields{Name: proto.String("张伟"), IdNumber: proto.String("123")}).refused, fault.FieldMalformed, "fields.id_number LENGTH")
	someoneElse := proto.Clone(personRow(1).GetFields()).(*heyanv1.Fields)
	someoneElse.Name = proto.String("李四")
	if n := accepted(t, remove(someoneElse)).GetDeleted(); n != 0 {
		t.Errorf("%d records went under another name", n)
	}
	// Phone, ID, card, plate and licence: five anchors.
	if n := accepted(t, remove(personRow(1).GetFields())).GetDeleted(); n != 5 {
		t.Errorf("%d records went, want 5", n)
	}
	for id, want := range map[product.ID]product.Verdict{"id2": product.NoRecord, "phone2": product.Mismatch, "driver2": product.NoRecord} {
		if got := o.asks("people", 1, id, personRow(1).GetFields()); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if got := o.asks("people", 1, "phone3", shared.GetFields()); got != product.Match {
		t.Errorf("who shares the phone: %v", got)
	}
	if g := o.generation("people", 1); g.Deleted != 5 {
		t.Errorf("%d noted on file", g.Deleted)
	}
	if n := accepted(t, remove(personRow(1).GetFields())).GetDeleted(); n != 0 {
		t.Errorf("%d went twice", n)
	}
}

// TestDeletedFromWhatIsStaged: who was deleted does not come back with a generation that was imported before.
func TestDeletedFromWhatIsStaged(t *testing.T) {
	o := newOffice(t)
	o.importOf("people", personRow(1), personRow(2))
	o.importOf("people", personRow(1), personRow(2))
	accepted(t, o.activate("bo", "people", 1))
	gone := does(o, "anna", "AdminService/DeleteRecords", record.DatasetRecordsDeleted, o.admin.DeleteRecords,
		&heyanv1.DeleteRecordsRequest{Dataset: "people", Subjects: []*heyanv1.Fields{personRow(1).GetFields()}, Reason: "asked for"})
	if n := accepted(t, gone).GetDeleted(); n != 5 {
		t.Errorf("%d records went, want the 5 that answered", n)
	}
	accepted(t, o.activate("bo", "people", 2))
	for n, want := range map[int]product.Verdict{1: product.NoRecord, 2: product.Match} {
		if got := o.asks("people", 2, "id2", personRow(n).GetFields()); got != want {
			t.Errorf("person %d: %v, want %v", n, got, want)
		}
	}
	if g := o.generation("people", 2); g.Deleted != 5 {
		t.Errorf("%d noted on file", g.Deleted)
	}
}

func TestDeleteDataset(t *testing.T) {
	o := newOffice(t)
	remove := func(generation int64) outcome[*heyanv1.DeleteDatasetResponse] {
		return does(o, "anna", "AdminService/DeleteDataset", record.DatasetDeleted, o.admin.DeleteDataset,
			&heyanv1.DeleteDatasetRequest{Dataset: "people", Generation: generation})
	}
	refusedFor(t, remove(0).refused, fault.ResourceNotFound)
	o.importOf("people", personRow(1))
	o.importOf("people", personRow(2))
	accepted(t, o.activate("bo", "people", 1))
	refusedFor(t, remove(1).refused, fault.DatasetNotActive)
	refusedFor(t, remove(3).refused, fault.ResourceNotFound)
	accepted(t, remove(2))
	if o.generation("people", 2).State != dataset.Replaced || o.generation("people", 1).State != dataset.Active {
		t.Error("the wrong generation went")
	}
	accepted(t, remove(0))
	accepted(t, remove(0))
	for n := range int64(2) {
		if o.generation("people", n+1).State != dataset.Replaced {
			t.Errorf("generation %d is still there", n+1)
		}
		if _, err := o.Store.Lookup(t.Context(), "people", n+1, [32]byte{}, func([]byte) error { return nil }); err == nil {
			t.Errorf("the file of generation %d is still there", n+1)
		}
	}
	if r := o.importOf("people", personRow(3)); r.GetGeneration() != 3 {
		t.Errorf("number %d was given again", r.GetGeneration())
	}
	list := accepted(t, does(o, "cai", "AdminService/ListDatasets", record.DatasetListed, o.admin.ListDatasets, &heyanv1.ListDatasetsRequest{}))
	if len(list.GetDatasets()) != 1 || len(list.GetDatasets()[0].GetGenerations()) != 3 {
		t.Errorf("listed %v", list)
	}
}

func asOf(m *heyanv1.ImportRecordsRequest, t *timestamppb.Timestamp) *heyanv1.ImportRecordsRequest {
	m.GetHeader().AsOf = t
	return m
}
