// Package product is what Heyan sells: products, the catalogue, entitlements with their quota, and the one
// model of verdicts that every product and source shares.
//
// A product is an exact set of fields out of six. [Product.CheckFields] is the whitelist gate: a field that
// the product does not list, and one that it lists and the call lacks, are refused before any digest is made
// (MV-1.1-whitelist, MV-1.1-necessary-or-no-service). An operator's catalogue may add or narrow products and
// can never exceed the six fields, because there is no seventh [field.Kind] (MV-1.1-ceiling).
package product

import (
	"fmt"
	"strings"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

// ID is a product's slug, e.g. "id2".
type ID string

// Product is an exact set of fields, looked up by one of them.
type Product struct {
	ID       ID
	Title    string // 中文名
	Fields   field.Set
	Anchor   field.Kind
	Replaces []string // what other services call it
}

// CheckFields reports whether present is exactly the product's set. suggest may name the product that
// would fit; it may be nil.
func (p *Product) CheckFields(present field.Set, suggest func(field.Set) (ID, bool)) *fault.Fault {
	if extra := present.Minus(p.Fields); extra.Len() > 0 {
		f := fault.New(fault.FieldNotInProduct)
		for _, name := range extra.Names() {
			f.WithField("fields."+name, "")
		}
		f.With("product", string(p.ID))
		if suggest != nil {
			if id, ok := suggest(present); ok {
				f.With("fitting_product", string(id))
			}
		}
		return f
	}
	if missing := p.Fields.Minus(present); missing.Len() > 0 {
		f := fault.New(fault.FieldMissing).With("product", string(p.ID))
		for _, name := range missing.Names() {
			f.WithField("fields."+name, "")
		}
		return f
	}
	return nil
}

// Links returns the fields that are compared under the anchor.
func (p *Product) Links() field.Set { return p.Fields.Minus(field.SetOf(p.Anchor)) }

// Sensitive are the fields that need a separate consent for sensitive personal information: ID, card and
// licence numbers (PIPL art. 28; GB/T 45574-2025 lists account numbers, ID numbers are treated alike).
func Sensitive() field.Set {
	return field.SetOf(field.IDNumber, field.BankCardNumber, field.DriverLicenseNumber)
}

// Catalogue is an immutable list of products.
type Catalogue struct {
	products []Product
	byID     map[ID]*Product
}

// Builtin returns the ten products of the built-in catalogue.
func Builtin() []Product {
	name, id, phone := field.Name, field.IDNumber, field.PhoneNumber
	card, plate, licence := field.BankCardNumber, field.LicensePlateNumber, field.DriverLicenseNumber
	set := field.SetOf
	return []Product{
		{"id2", "身份证二要素", set(name, id), id, []string{"IdCardVerification", "Id2MetaVerify"}},
		{"phone2", "手机号二要素", set(name, phone), phone, []string{"CheckPhoneAndName", "Mobile2MetaVerify"}},
		{"phone3", "运营商三要素", set(name, id, phone), phone, []string{"PhoneVerification", "Mobile3MetaSimpleVerify", "Mobile3MetaDetailVerify"}},
		{"card2", "银行卡二要素", set(name, card), card, []string{"BankCard2EVerification", "BankMetaVerify"}},
		{"card3", "银行卡三要素", set(name, card, id), card, []string{"BankCardVerification", "BankMetaVerify"}},
		{"card4", "银行卡四要素", set(name, card, id, phone), card, []string{"BankCard4EVerification", "BankMetaVerify"}},
		{"plate2", "人车二要素", set(name, plate), plate, []string{"VehicleMetaVerify"}},
		{"plate3", "人车三要素", set(name, plate, id), plate, []string{"VehicleMetaVerify"}},
		{"driver2", "驾驶证二要素", set(name, licence), licence, nil},
		{"driver3", "驾驶证三要素", set(name, licence, id), licence, nil},
	}
}

// NewCatalogue checks products and freezes them. Errors name the product and what is wrong with it.
func NewCatalogue(products []Product) (*Catalogue, error) {
	c := &Catalogue{products: append([]Product(nil), products...), byID: make(map[ID]*Product, len(products))}
	for i := range c.products {
		p := &c.products[i]
		switch {
		case !ValidSlug(string(p.ID)):
			return nil, fmt.Errorf("product %d: its id is not 1 to 64 of a-z, 0-9 and -", i+1)
		case c.byID[p.ID] != nil:
			return nil, fmt.Errorf("product %s stands twice", p.ID)
		case !p.Fields.Has(field.Name):
			return nil, fmt.Errorf("product %s does not verify a name", p.ID)
		case !p.Anchor.Valid() || p.Anchor == field.Name || !p.Fields.Has(p.Anchor):
			return nil, fmt.Errorf("product %s needs an anchor among its fields, other than the name", p.ID)
		}
		c.byID[p.ID] = p
	}
	return c, nil
}

// Get returns a product.
func (c *Catalogue) Get(id ID) (*Product, bool) {
	p, ok := c.byID[id]
	return p, ok
}

// All returns the products in order. The slice is the caller's, the products are shared: do not change them.
func (c *Catalogue) All() []*Product {
	all := make([]*Product, len(c.products))
	for i := range c.products {
		all[i] = &c.products[i]
	}
	return all
}

// Fitting returns the product whose fields are exactly set.
func (c *Catalogue) Fitting(set field.Set) (ID, bool) {
	for i := range c.products {
		if c.products[i].Fields == set {
			return c.products[i].ID, true
		}
	}
	return "", false
}

// Shape returns, for each anchor, the fields that some product compares under it: only those pairs are
// ever imported into a dataset.
func (c *Catalogue) Shape() map[field.Kind]field.Set {
	shape := make(map[field.Kind]field.Set)
	for i := range c.products {
		p := &c.products[i]
		shape[p.Anchor] = shape[p.Anchor].Union(p.Links())
	}
	return shape
}

// ValidSlug reports whether s is an id that people choose: 1–64 of a–z, 0–9 and -, beginning and ending
// with a letter or digit.
func ValidSlug(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ValidReference reports whether s is a reference that a caller chose: 1–64 of A–Z, a–z, 0–9, ".", "_", ":"
// and "-". References are kept as keyed digests only.
func ValidReference(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}
