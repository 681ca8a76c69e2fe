package dataset_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func ring(t testing.TB) *digest.Keyring {
	t.Helper()
	chain, err := digest.NewChain(rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	return digest.NewKeyring(chain)
}

func values(t testing.TB, texts map[field.Kind]string) []field.Value {
	t.Helper()
	var list []field.Value
	for _, kind := range field.Kinds() {
		if text, ok := texts[kind]; ok {
			v, err := (*field.Rules)(nil).Parse(kind, text, now)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, v)
		}
	}
	return list
}

func shape(t testing.TB) dataset.Shape {
	t.Helper()
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	return catalogue.Shape()
}

var everything = map[field.Kind]string{
	field.Name: "王小明", field.IDNumber: "11010519491231002X", field.PhoneNumber: "13800138000",
	field.BankCardNumber: "6222020000000000000", field.LicensePlateNumber: "京A12345", field.DriverLicenseNumber: "11010519491231002X",
}

// Only pairs that some product asks are kept, and no two entries hold equal bytes.
func TestEntries(t *testing.T) {
	keys := ring(t)
	row := values(t, everything)
	entries := shape(t).Entries(nil, keys, row, "02")
	want := map[digest.Digest]int{}
	for _, v := range row {
		switch v.Kind() {
		case field.IDNumber:
			want[dataset.Anchor(keys, v)] = 1 // name
		case field.PhoneNumber, field.LicensePlateNumber, field.DriverLicenseNumber:
			want[dataset.Anchor(keys, v)] = 2 // name, ID
		case field.BankCardNumber:
			want[dataset.Anchor(keys, v)] = 3 // name, ID, phone
		}
	}
	seen := map[digest.Digest]bool{}
	for _, e := range entries {
		if len(e.Record.Links) != want[e.Anchor] {
			t.Errorf("an anchor has %d links, want %d", len(e.Record.Links), want[e.Anchor])
		}
		delete(want, e.Anchor)
		for _, d := range append([]digest.Digest{e.Anchor}, digests(e.Record)...) {
			if seen[d] {
				t.Error("two entries share a digest: they could be joined")
			}
			seen[d] = true
		}
		plate := len(e.Record.Links) == 2 && e.Record.PlateKind != ""
		if plate && e.Anchor != dataset.Anchor(keys, row[4]) {
			t.Error("a plate kind stands under another anchor than the plate")
		}
	}
	if len(want) != 0 {
		t.Errorf("%d anchors are missing", len(want))
	}
	lonely := shape(t).Entries(nil, keys, values(t, map[field.Kind]string{field.PhoneNumber: "13800138000"}), "")
	if len(lonely) != 0 {
		t.Error("a number alone was kept")
	}
}

func digests(r dataset.Record) (list []digest.Digest) {
	for _, l := range r.Links {
		list = append(list, l.Digest)
	}
	return list
}

func TestRecordCodec(t *testing.T) {
	for _, e := range shape(t).Entries(nil, ring(t), values(t, everything), "52") {
		encoded := dataset.AppendRecord(nil, &e.Record)
		if size := 1 + len(e.Record.PlateKind) + 32*len(e.Record.Links); len(encoded) != size {
			t.Errorf("%d bytes, want %d", len(encoded), size)
		}
		var got dataset.Record
		if err := dataset.ParseRecord(encoded, &got); err != nil || got.PlateKind != e.Record.PlateKind || len(got.Links) != len(e.Record.Links) {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, l := range e.Record.Links {
			if d, ok := got.Get(l.Kind); !ok || d != l.Digest {
				t.Error("a link was lost")
			}
		}
		for n := range encoded {
			if err := dataset.ParseRecord(encoded[:n], &got); !errors.Is(err, dataset.ErrRecord) {
				t.Fatalf("a record cut at %d was read", n)
			}
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, e := range shape(f).Entries(nil, ring(f), values(f, everything), "52") {
		f.Add(dataset.AppendRecord(nil, &e.Record))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r dataset.Record
		if dataset.ParseRecord(b, &r) != nil {
			return
		}
		if !bytes.Equal(dataset.AppendRecord(nil, &r), b) {
			t.Error("a record has two forms")
		}
	})
}

func TestGenerations(t *testing.T) {
	d := dataset.Dataset{ID: "people"}
	if _, ok := d.Active(); ok || d.Next() != 1 {
		t.Error("an empty dataset")
	}
	d.Generations = []dataset.Generation{{Number: 1, State: dataset.Replaced}, {Number: 2, State: dataset.Active}, {Number: 5, State: dataset.Staged}}
	if g, ok := d.Active(); !ok || g.Number != 2 || d.Next() != 6 {
		t.Error("active and next")
	}
	if _, ok := d.Find(3); ok {
		t.Error("found a generation that is not there")
	}
}

func TestFreshest(t *testing.T) {
	active := func(id string, age time.Duration, order int) *dataset.Dataset {
		return &dataset.Dataset{ID: id, Order: order, Generations: []dataset.Generation{{Number: 1, State: dataset.Active, AsOf: now.Add(-age)}}}
	}
	list := []*dataset.Dataset{active("d", time.Hour, 0), active("c", time.Minute, 2), active("b", time.Minute, 1), active("a", time.Minute, 1)}
	dataset.Freshest(list)
	got := ""
	for _, d := range list {
		got += d.ID
	}
	if got != "abcd" {
		t.Errorf("order %s", got)
	}
}

func BenchmarkEntries(b *testing.B) {
	keys, s := ring(b), shape(b)
	row := values(b, everything)
	var entries []dataset.Entry
	b.ReportAllocs()
	for b.Loop() {
		entries = s.Entries(entries[:0], keys, row, "02")
	}
}
