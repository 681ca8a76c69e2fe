package api

import (
	"context"
	"runtime"
	"sync"
	"testing"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
)

const benchRows = 100_000

func benchMessages() []*heyanv1.ImportRecordsRequest {
	messages := []*heyanv1.ImportRecordsRequest{headerOf("people")}
	for first := 0; first < benchRows; first += 500 {
		rows := make([]*heyanv1.ImportRows_Row, 500)
		for i := range rows {
			rows[i] = personRow(first + i)
		}
		messages = append(messages, rowsOf(uint64(first+1), rows...))
	}
	return messages
}

// BenchmarkImport is an import of rows with all six values, from decoded messages to the durable, verified file.
// BenchmarkImportDigests is its floor: the same rows' digests alone, on the same cores. performance.md asks for 0.5.
func BenchmarkImport(b *testing.B) {
	o := newOffice(b)
	messages := benchMessages()
	call := &journal.Call{Journal: o.Journal, Principal: o.person("anna"), Method: "/heyan.v1.AdminService/ImportRecords"}
	b.ReportAllocs()
	for b.Loop() {
		*call = journal.Call{Journal: o.Journal, Principal: o.person("anna"), Method: call.Method, Event: 1}
		u := &upload{ctx: journal.With(context.Background(), call), messages: messages}
		must(b, o.admin.ImportRecords(u))
		if u.reply.GetAcceptedRows() != benchRows {
			b.Fatal(u.reply)
		}
	}
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkImportDigests(b *testing.B) {
	o := newOffice(b)
	var rows [][]field.Value
	for n := range benchRows {
		var values []field.Value
		for i, cell := range cells(personRow(n).GetFields()) {
			values = append(values, value(o.Rules.Parse(field.Kind(i+1), *cell, start))(b))
		}
		rows = append(rows, values)
	}
	shape := dataset.Shape(o.Catalogue.Shape())
	b.ReportAllocs()
	for b.Loop() {
		var group sync.WaitGroup
		for part := range runtime.GOMAXPROCS(0) {
			group.Go(func() {
				for i := part; i < len(rows); i += runtime.GOMAXPROCS(0) {
					digestRow(o.Keys, shape, rows[i])
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
}

// digestRow makes every digest that an import makes of a row, and nothing else.
func digestRow(keys *digest.Keyring, shape dataset.Shape, values []field.Value) {
	name := values[0]
	for _, anchor := range values[1:] {
		keys.Values(digest.RegistryAnchor, anchor)
		for _, v := range values {
			if shape[anchor.Kind()].Has(v.Kind()) && v.Kind() != anchor.Kind() {
				keys.Values(digest.RegistryLink, anchor, v)
			}
		}
		if id, ok := anchor.IDNumber(); ok {
			keys.Values(digest.Restriction, id)
		} else {
			keys.Values(digest.Restriction, anchor, name)
		}
	}
}
