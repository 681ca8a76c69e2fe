package api

import (
	"crypto/subtle"
	"encoding/base64"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
)

// A page token is where the page before ended, under a keyed digest of that place, of who asked, of the method and
// of the filters. So a token works only for the caller who got it, only with the filters that it was made for, and
// cannot be made up; it holds no filter and no text that a caller sent.
const pageMACSize = 16

// pages makes and reads the tokens of one list.
type pages struct {
	keys    *digest.Keyring
	owner   string // id of the caller
	filters []string
}

// pages begins a list. method is its name; filters are all that select from it.
func (d *Deps) pages(owner, method string, filters ...string) *pages {
	return &pages{keys: d.Keys, owner: owner, filters: append([]string{"page", method}, filters...)}
}

func (p *pages) mac(place string) []byte {
	sum := p.keys.Text(digest.Reference, p.owner, append(p.filters[:len(p.filters):len(p.filters)], place)...)
	return sum[:pageMACSize]
}

// token returns the token for the page behind place.
func (p *pages) token(place string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.mac(place), place...))
}

// place reads a token; empty is the first page.
func (p *pages) place(token string) (string, *fault.Fault) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= pageMACSize {
		return "", badToken()
	}
	place := string(b[pageMACSize:])
	if subtle.ConstantTimeCompare(b[:pageMACSize], p.mac(place)) != 1 {
		return "", badToken()
	}
	return place, nil
}

func badToken() *fault.Fault {
	return fault.New(fault.RequestMalformed).WithField("page_token", "NOT_OF_THIS_LIST").
		WithHint("Send next_page_token of the page before, with the same filters.")
}
