// Package registry is the embedded authority: the operator's own licensed data, imported as link digests.
//
// A look-up is one read of an immutable file. Of several active datasets the freshest that knows the anchor
// and every asked field decides alone; where none knows every field, the freshest that knows the anchor.
// MATCH needs one record that holds every asked link, so two people who share a SIM or a car never combine
// into a third. A field that no record of the anchor holds is NOT_COMPARED, and the verdict then is
// NOT_VERIFIABLE unless a compared field differs.
//
// A record that fails its integrity check is STORE_UNAVAILABLE, never a verdict. So is a registry without any
// active dataset: an empty one would answer NO_RECORD as if it were true.
package registry

import (
	"context"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/source"
)

// Name is the source's slug.
const Name = "registry"

// Table is one active generation.
type Table struct {
	Name string // "people/3"
	AsOf time.Time
	// Lookup calls each with every record of an anchor that is not deleted. The bytes are valid during the
	// call only. It returns whether the anchor is known, and an error only where the store cannot tell.
	Lookup func(ctx context.Context, anchor digest.Digest, each func(record []byte) error) (known bool, err error)
}

// Tables returns the active generations, freshest first. It is called for every query and has to be cheap.
type Tables func() []Table

// Source is the registry.
type Source struct {
	ring   *digest.Keyring
	tables Tables
}

// New makes the source.
func New(ring *digest.Keyring, tables Tables) *Source { return &Source{ring: ring, tables: tables} }

// Name implements [source.Source].
func (*Source) Name() string { return Name }

// Recipient implements [source.Source]: values stay inside.
func (*Source) Recipient() string { return "" }

// Check implements [source.Source].
func (s *Source) Check(ctx context.Context, q *source.Query) (source.Answer, error) {
	tables := s.tables()
	answer, err := s.check(ctx, q, tables)
	if err == nil {
		return answer, nil
	}
	// A generation that was replaced under this look-up is gone with its file: the new one answers.
	if now := s.tables(); !same(tables, now) {
		return s.check(ctx, q, now)
	}
	return answer, err
}

func same(a, b []Table) bool {
	return slices.EqualFunc(a, b, func(x, y Table) bool { return x.Name == y.Name })
}

func (s *Source) check(ctx context.Context, q *source.Query, tables []Table) (source.Answer, error) {
	if len(tables) == 0 {
		return source.Answer{}, fault.New(fault.SourceUnavailable).WithHint("No dataset is active.")
	}
	c := comparisons.Get().(*comparison)
	defer comparisons.Put(c)
	c.ask(s.ring, q)
	var first *source.Answer
	for i := range tables {
		t := &tables[i]
		c.begin()
		known, err := t.Lookup(ctx, c.anchor, c.each)
		if err != nil {
			return source.Answer{}, err
		}
		if !known || c.records == 0 {
			continue
		}
		answer := c.decide()
		answer.AsOf, answer.Dataset = t.AsOf, t.Name
		if c.held == c.kinds {
			return answer, nil
		}
		if first == nil {
			first = &answer
		}
	}
	if first != nil {
		return *first, nil
	}
	answer := source.Answer{Source: Name, Verdict: product.NoRecord, AsOf: tables[0].AsOf, Dataset: tables[0].Name}
	for _, kind := range c.kinds.Kinds() {
		answer.Fields.Set(kind, product.FieldNotCompared)
	}
	return answer, nil
}

var comparisons = sync.Pool{New: func() any {
	c := &comparison{}
	c.each = c.record
	return c
}}

// comparison is one query against the records of one anchor.
type comparison struct {
	anchor    digest.Digest
	asked     []dataset.Link
	kinds     field.Set
	plateKind string
	each      func([]byte) error

	records int
	held    field.Set // asked kinds that some record holds
	best    field.Set // what the best record agrees in
	bestLen int
	parsed  dataset.Record
	agrees  []field.Set // a set a record
}

func (c *comparison) ask(ring *digest.Keyring, q *source.Query) {
	anchor := q.Value(q.Product.Anchor)
	c.anchor = dataset.Anchor(ring, anchor)
	c.asked, c.kinds, c.plateKind = c.asked[:0], 0, q.PlateKind
	for _, v := range q.Values {
		if v.Kind() != q.Product.Anchor {
			c.asked = append(c.asked, dataset.LinkOf(ring, anchor, v))
			c.kinds = c.kinds.With(v.Kind())
		}
	}
}

func (c *comparison) begin() {
	c.records, c.held, c.best, c.bestLen = 0, 0, 0, -1
	c.agrees = c.agrees[:0]
}

// record compares one record. It never stops early, so that the time taken says nothing about which record
// or field agreed.
func (c *comparison) record(b []byte) error {
	if err := dataset.ParseRecord(b, &c.parsed); err != nil {
		return fault.New(fault.StoreUnavailable).WithCause(err)
	}
	if c.plateKind != "" && c.parsed.PlateKind != "" && c.parsed.PlateKind != c.plateKind {
		return nil
	}
	c.records++
	var agree field.Set
	for i := range c.asked {
		have, ok := c.parsed.Get(c.asked[i].Kind)
		if !ok {
			continue
		}
		c.held = c.held.With(c.asked[i].Kind)
		if subtle.ConstantTimeCompare(have[:], c.asked[i].Digest[:]) == 1 {
			agree = agree.With(c.asked[i].Kind)
		}
	}
	c.agrees = append(c.agrees, agree)
	if agree.Len() > c.bestLen {
		c.best, c.bestLen = agree, agree.Len()
	}
	return nil
}

func (c *comparison) decide() source.Answer {
	answer := source.Answer{Source: Name}
	matched := false    // one record holds every asked link
	compatible := false // one record agrees in every asked kind that any record holds
	for _, agree := range c.agrees {
		matched = matched || agree == c.kinds
		compatible = compatible || agree == c.held
	}
	for _, kind := range c.kinds.Kinds() {
		switch {
		case c.best.Has(kind):
			answer.Fields.Set(kind, product.FieldMatch)
		case c.held.Has(kind):
			answer.Fields.Set(kind, product.FieldMismatch)
		default:
			answer.Fields.Set(kind, product.FieldNotCompared)
		}
	}
	switch {
	case matched:
		answer.Verdict = product.Match
	case c.held != c.kinds && compatible:
		answer.Verdict = product.NotVerifiable
	default:
		answer.Verdict = product.Mismatch
	}
	answer.Billed = answer.Verdict == product.Match || answer.Verdict == product.Mismatch
	return answer
}
