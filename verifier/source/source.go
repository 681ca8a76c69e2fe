// Package source asks authorities whether values belong together.
//
// A [Source] answers one query with one [Answer] in the verdict model of package product, or fails with a
// fault; a failure is never a verdict. The [Router] picks the sources of a product in the operator's order.
// Adapters live in folders of their own, and only they do network I/O.
package source

import (
	"context"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Query is one question. It holds exactly the product's fields.
type Query struct {
	Product   *product.Product
	Values    []field.Value
	PlateKind string // 号牌种类; empty = any
	Purpose   product.Purpose
}

// Value returns the query's value of a kind.
func (q *Query) Value(kind field.Kind) field.Value {
	for _, v := range q.Values {
		if v.Kind() == kind {
			return v
		}
	}
	return field.Value{}
}

// Answer is what an authority said.
type Answer struct {
	Source  string // who answered
	Verdict product.Verdict
	Fields  product.FieldVerdicts
	AsOf    time.Time // how old its data is; zero = not stated
	Code    string    // its own code, if it has one
	Dataset string    // dataset and generation, "people/3"
	Billed  bool      // whether the client pays
	// Pending says that a billed call left and its outcome is not known: there is no verdict.
	Pending bool
}

// Source is one authority.
//
// Check MUST return within ctx. It MUST NOT change or keep the query. An error is a [fault.Fault], mostly
// SOURCE_UNAVAILABLE; a source whose own store fails an integrity check answers STORE_UNAVAILABLE. It may be
// called from many goroutines.
type Source interface {
	// Name is the slug that verifications and log records carry, e.g. "registry".
	Name() string
	// Recipient is the id of the recipient that consents have to name; empty where values stay inside.
	Recipient() string
	Check(ctx context.Context, q *Query) (Answer, error)
}

// Router picks sources.
type Router struct {
	routes  map[product.ID][]Source
	sandbox Source
}

// NewRouter makes a router. routes holds each product's sources in the operator's order; sandbox answers
// test credentials, whatever the product.
func NewRouter(routes map[product.ID][]Source, sandbox Source) *Router {
	return &Router{routes: routes, sandbox: sandbox}
}

// Recipients lists the recipients that a consent for a product has to name one of.
func (r *Router) Recipients(id product.ID) []string {
	var list []string
	for _, s := range r.routes[id] {
		if recipient := s.Recipient(); recipient != "" {
			list = append(list, recipient)
		}
	}
	return list
}

// Choose returns the first source of a product whose recipient is allowed; sources that a consent does not
// name are skipped. It answers RECIPIENT_NOT_CONSENTED where sources exist and none is left
// (MV-2.1-share-separate).
func (r *Router) Choose(id product.ID, test bool, allowed func(recipient string) bool) (Source, error) {
	if test {
		return r.sandbox, nil
	}
	route := r.routes[id]
	if len(route) == 0 {
		return nil, fault.New(fault.SourceUnavailable).WithHint("No source is configured for this product.")
	}
	for _, s := range route {
		if recipient := s.Recipient(); recipient == "" || allowed(recipient) {
			return s, nil
		}
	}
	return nil, fault.New(fault.RecipientNotConsented).With("product", string(id))
}
