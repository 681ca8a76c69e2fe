package registry_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/registry"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

type row map[field.Kind]string

type table struct {
	rows      []row
	plateKind string
	age       time.Duration
	fail      error
	raw       []byte
}

type world struct {
	ring      *digest.Keyring
	catalogue *product.Catalogue
}

func newWorld(t testing.TB) *world {
	t.Helper()
	chain, err := digest.NewChain(rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	return &world{digest.NewKeyring(chain), catalogue}
}

func (w *world) values(t testing.TB, r row) []field.Value {
	t.Helper()
	var values []field.Value
	for _, kind := range field.Kinds() {
		if text, ok := r[kind]; ok {
			v, err := (*field.Rules)(nil).Parse(kind, text, now)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
	}
	return values
}

// source builds a registry over tables, freshest first, as an import would.
func (w *world) source(t testing.TB, tables ...table) *registry.Source {
	t.Helper()
	var active []registry.Table
	for i, tab := range tables {
		records := map[digest.Digest][][]byte{}
		for _, r := range tab.rows {
			for _, e := range dataset.Shape(w.catalogue.Shape()).Entries(nil, w.ring, w.values(t, r), tab.plateKind) {
				records[e.Anchor] = append(records[e.Anchor], dataset.AppendRecord(nil, &e.Record))
			}
		}
		active = append(active, registry.Table{Name: string(rune('a' + i)), AsOf: now.Add(-tab.age),
			Lookup: func(_ context.Context, anchor digest.Digest, each func([]byte) error) (bool, error) {
				if tab.fail != nil {
					return false, tab.fail
				}
				if tab.raw != nil {
					return true, each(tab.raw)
				}
				for _, r := range records[anchor] {
					if err := each(r); err != nil {
						return true, err
					}
				}
				return len(records[anchor]) > 0, nil
			}})
	}
	return registry.New(w.ring, func() []registry.Table { return active })
}

func (w *world) ask(t testing.TB, s *registry.Source, id product.ID, plateKind string, r row) (source.Answer, error) {
	t.Helper()
	p, ok := w.catalogue.Get(id)
	if !ok {
		t.Fatal(id)
	}
	return s.Check(context.Background(), &source.Query{Product: p, Values: w.values(t, r), PlateKind: plateKind})
}

const (
	wang, li   = "王小明", "李雷"
	wangID     = "11010519491231002X"
	liID       = "110105201501010033"
	sim, sim2  = "13800138000", "13900139000"
	plate      = "京A12345"
	match, not = product.FieldMatch, product.FieldMismatch
	none       = product.FieldNotCompared
)

func TestDecide(t *testing.T) {
	w := newWorld(t)
	both := table{rows: []row{
		{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim},
		{field.Name: li, field.IDNumber: liID, field.PhoneNumber: sim},
		{field.Name: wang, field.PhoneNumber: sim2}, // the carrier has no ID for this number
	}}
	for name, c := range map[string]struct {
		product product.ID
		row     row
		verdict product.Verdict
		dNames  [2]product.FieldVerdict // name, id_number
	}{
		"first holder":                   {"phone3", row{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim}, product.Match, [2]product.FieldVerdict{match, match}},
		"second holder":                  {"phone3", row{field.Name: li, field.IDNumber: liID, field.PhoneNumber: sim}, product.Match, [2]product.FieldVerdict{match, match}},
		"two holders never combine":      {"phone3", row{field.Name: wang, field.IDNumber: liID, field.PhoneNumber: sim}, product.Mismatch, [2]product.FieldVerdict{match, not}},
		"name of neither":                {"phone2", row{field.Name: "张三", field.PhoneNumber: sim}, product.Mismatch, [2]product.FieldVerdict{not, 0}},
		"a field that no record holds":   {"phone3", row{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim2}, product.NotVerifiable, [2]product.FieldVerdict{match, none}},
		"the same, and the name differs": {"phone3", row{field.Name: li, field.IDNumber: wangID, field.PhoneNumber: sim2}, product.Mismatch, [2]product.FieldVerdict{not, none}},
		"two fields of it suffice":       {"phone2", row{field.Name: wang, field.PhoneNumber: sim2}, product.Match, [2]product.FieldVerdict{match, 0}},
		"unknown anchor":                 {"phone2", row{field.Name: wang, field.PhoneNumber: "13700137000"}, product.NoRecord, [2]product.FieldVerdict{none, 0}},
		"the same person by ID":          {"id2", row{field.Name: wang, field.IDNumber: wangID}, product.Match, [2]product.FieldVerdict{match, 0}},
	} {
		a, err := w.ask(t, w.source(t, both), c.product, "", c.row)
		if err != nil || a.Verdict != c.verdict {
			t.Errorf("%s: %v %v, want %v", name, a.Verdict, err, c.verdict)
		}
		if got := [2]product.FieldVerdict{a.Fields[field.Name], a.Fields[field.IDNumber]}; c.product != "id2" && got != c.dNames {
			t.Errorf("%s: fields %v, want %v", name, got, c.dNames)
		}
		if billed := a.Verdict == product.Match || a.Verdict == product.Mismatch; a.Billed != billed {
			t.Errorf("%s: billed %v", name, a.Billed)
		}
	}
}

func TestPlateKind(t *testing.T) {
	w := newWorld(t)
	s := w.source(t, table{plateKind: "02", rows: []row{{field.Name: wang, field.LicensePlateNumber: plate}}})
	unmarked := w.source(t, table{rows: []row{{field.Name: wang, field.LicensePlateNumber: plate}}})
	asked := row{field.Name: wang, field.LicensePlateNumber: plate}
	for _, c := range []struct {
		s    *registry.Source
		kind string
		want product.Verdict
	}{{s, "02", product.Match}, {s, "", product.Match}, {s, "07", product.NoRecord}, {unmarked, "07", product.Match}} {
		if a, err := w.ask(t, c.s, "plate2", c.kind, asked); err != nil || a.Verdict != c.want {
			t.Errorf("kind %q: %v %v, want %v", c.kind, a.Verdict, err, c.want)
		}
	}
}

// The freshest dataset that knows the anchor and every asked field decides alone; where none knows every
// field, the freshest that knows the anchor.
func TestWhichDatasetDecides(t *testing.T) {
	w := newWorld(t)
	stale := table{age: 48 * time.Hour, rows: []row{{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim}}}
	fresh := table{age: time.Hour, rows: []row{{field.Name: li, field.IDNumber: liID, field.PhoneNumber: sim}}}
	partial := table{age: time.Minute, rows: []row{{field.Name: li, field.PhoneNumber: sim}}}
	asked := row{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim}
	for name, c := range map[string]struct {
		tables  []table
		verdict product.Verdict
		from    string
	}{
		"the fresh one, though the stale one agrees": {[]table{fresh, stale}, product.Mismatch, "a"},
		"not one that lacks a field":                 {[]table{partial, stale}, product.Match, "b"},
		"one that lacks a field, where all do":       {[]table{partial}, product.Mismatch, "a"},
		"not one that does not know the anchor":      {[]table{{age: time.Second}, stale}, product.Match, "b"},
	} {
		a, err := w.ask(t, w.source(t, c.tables...), "phone3", "", asked)
		if err != nil || a.Verdict != c.verdict || a.Dataset != c.from {
			t.Errorf("%s: %v by %s, %v", name, a.Verdict, a.Dataset, err)
		}
	}
}

// Whatever a store cannot tell is a failure, never a verdict.
func TestFailuresAreNoVerdicts(t *testing.T) {
	w := newWorld(t)
	asked := row{field.Name: wang, field.IDNumber: wangID}
	for name, c := range map[string]struct {
		tables []table
		want   fault.Reason
	}{
		"no dataset":         {nil, fault.SourceUnavailable},
		"integrity":          {[]table{{fail: fault.New(fault.StoreUnavailable)}}, fault.StoreUnavailable},
		"second one broken":  {[]table{{}, {fail: fault.New(fault.StoreUnavailable)}}, fault.StoreUnavailable},
		"a record cut short": {[]table{{raw: []byte{2, 1, 2, 3}}}, fault.StoreUnavailable},
		"an empty record":    {[]table{{raw: []byte{}}}, fault.StoreUnavailable},
	} {
		a, err := w.ask(t, w.source(t, c.tables...), "id2", "", asked)
		if !fault.Is(err, c.want) || a.Verdict != 0 {
			t.Errorf("%s: %v, %v", name, a.Verdict, err)
		}
	}
	broken := errors.New("x")
	if a, err := w.ask(t, w.source(t, table{fail: broken}), "id2", "", asked); !errors.Is(err, broken) || a.Verdict != 0 {
		t.Errorf("%v %v", a, err)
	}
}

// A generation that is replaced while it is read is asked no more; the new one answers.
func TestReplacedMeanwhile(t *testing.T) {
	w := newWorld(t)
	p, _ := w.catalogue.Get("id2")
	q := &source.Query{Product: p, Values: w.values(t, row{field.Name: wang, field.IDNumber: wangID})}
	calls := 0
	swapped := registry.New(w.ring, func() []registry.Table {
		calls++
		if calls == 1 {
			return []registry.Table{{Name: "people/1", Lookup: func(context.Context, digest.Digest, func([]byte) error) (bool, error) {
				return false, fault.New(fault.StoreUnavailable)
			}}}
		}
		return []registry.Table{{Name: "people/2", Lookup: func(context.Context, digest.Digest, func([]byte) error) (bool, error) { return false, nil }}}
	})
	if a, err := swapped.Check(context.Background(), q); err != nil || a.Verdict != product.NoRecord || a.Dataset != "people/2" {
		t.Errorf("%+v, %v", a, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	s := w.source(b, table{rows: []row{{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim}}})
	p, _ := w.catalogue.Get("phone3")
	q := &source.Query{Product: p, Values: w.values(b, row{field.Name: wang, field.IDNumber: wangID, field.PhoneNumber: sim})}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := s.Check(context.Background(), q); err != nil || a.Verdict != product.Match {
			b.Fatal(a, err)
		}
	}
}
