package verifier_test

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
	"github.com/heyan-project/heyan/verifier/source/registry"
	"github.com/heyan-project/heyan/verifier/subject"
)

// authority is a registry that knows the person of lawful, in memory.
func authority(b *testing.B, ring *digest.Keyring, catalogue *product.Catalogue) *registry.Source {
	b.Helper()
	records := map[digest.Digest][]byte{}
	values := parsed(b, nil)
	for _, entry := range dataset.Shape(catalogue.Shape()).Entries(nil, ring, values, "") {
		records[entry.Anchor] = dataset.AppendRecord(nil, &entry.Record)
	}
	tables := []registry.Table{{Name: "people/1", AsOf: now, Lookup: func(_ context.Context, anchor digest.Digest, each func([]byte) error) (bool, error) {
		record, known := records[anchor]
		if !known {
			return false, nil
		}
		return true, each(record)
	}}}
	return registry.New(ring, func() []registry.Table { return tables })
}

// parsed appends the values of lawful in their canonical form.
func parsed(b *testing.B, values []field.Value) []field.Value {
	for _, f := range lawful().Fields {
		value, err := (*field.Rules)(nil).Parse(f.Kind, f.Text.Reveal(), now)
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, value)
	}
	return values
}

// BenchmarkDomain is what a verification costs of computing: two fields normalised, every digest that a call makes, one
// record compared. No gate, no ledger, no log.
func BenchmarkDomain(b *testing.B) {
	chain, err := digest.NewChain(rand.Reader, now)
	if err != nil {
		b.Fatal(err)
	}
	catalogue, err := product.NewCatalogue(product.Builtin())
	if err != nil {
		b.Fatal(err)
	}
	ring := digest.NewKeyring(chain)
	known := authority(b, ring, catalogue)
	bought, found := catalogue.Get("id2")
	if !found {
		b.Fatal("no id2")
	}
	texts := lawful().Fields
	query := source.Query{Product: bought}
	b.ReportAllocs()
	for b.Loop() {
		query.Values = query.Values[:0]
		for i := range texts {
			value, err := (*field.Rules)(nil).Parse(texts[i].Kind, texts[i].Text.Reveal(), now)
			if err != nil {
				b.Fatal(err)
			}
			query.Values = append(query.Values, value)
		}
		subject.Handles(ring, query.Values, false)
		subject.Restrictions(ring, query.Values)
		verifier.RequestKey(ring, "acme", "r-1")
		verifier.EvidenceKey(ring, "acme", "agr-1")
		ring.Values(digest.Content, query.Values...)
		answer, err := known.Check(b.Context(), &query)
		if err != nil || answer.Verdict != product.Match {
			b.Fatal(answer.Verdict, err)
		}
	}
}

// BenchmarkVerify is a whole Verify with every gate, over a ledger and a journal that do nothing.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	request := lawful()
	b.ReportAllocs()
	for b.Loop() {
		answer, _, err := w.verify(request)
		if err != nil || answer.Verification.Verdict != product.Match {
			b.Fatal(err)
		}
	}
}
