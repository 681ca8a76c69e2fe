package config

import (
	"fmt"

	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Products returns the catalogue. A field beyond the six refuses to load (MV-1.1-ceiling).
func (c *Config) Products() (*product.Catalogue, error) {
	if len(c.Catalogue) == 0 {
		return product.NewCatalogue(product.Builtin())
	}
	products := make([]product.Product, 0, len(c.Catalogue))
	for _, p := range c.Catalogue {
		var fields field.Set
		for _, name := range p.Fields {
			kind, ok := field.KindByName(name)
			if !ok {
				return nil, fmt.Errorf("product %q: there is no field %q beside the six", p.ID, name)
			}
			if fields.Has(kind) {
				return nil, fmt.Errorf("product %q: field %q stands twice", p.ID, name)
			}
			fields = fields.With(kind)
		}
		anchor, ok := field.KindByName(p.Anchor)
		if !ok {
			return nil, fmt.Errorf("product %q: there is no field %q beside the six", p.ID, p.Anchor)
		}
		products = append(products, product.Product{ID: product.ID(p.ID), Title: p.Title, Fields: fields, Anchor: anchor})
	}
	return product.NewCatalogue(products)
}
