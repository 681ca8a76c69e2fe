// Package subject makes the handles under which Heyan finds what it holds of a person, without holding who
// the person is.
//
// A call has one handle for each identifying value in it. An ID number, and a driver's licence number that
// is one, identify alone. Any other number identifies only together with its holder's name, so that the next
// holder of a recycled phone number inherits nothing. Consents, objections and links stand under each handle.
//
// The families of handles never agree: those of [Handles] die with an erasure, those of [Restrictions]
// (deny list, objections, suppression) outlive it. Test credentials have a family of their own, so that what they
// do to a person never meets what was done with live ones.
package subject

import (
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
)

// Handle is a keyed digest that stands for a person.
type Handle = digest.Digest

// Handles returns the handles of the person that values are about, one for each identifying value: those of live
// credentials, or of test credentials.
func Handles(ring *digest.Keyring, values []field.Value, test bool) []Handle {
	if test {
		return handles(ring, digest.TestSubject, values)
	}
	return handles(ring, digest.Subject, values)
}

// Restrictions returns the same under the key that erasure does not touch.
func Restrictions(ring *digest.Keyring, values []field.Value) []Handle {
	return handles(ring, digest.Restriction, values)
}

func handles(ring *digest.Keyring, use digest.Use, values []field.Value) []Handle {
	name, named := nameOf(values)
	list := make([]Handle, 0, len(values))
	for _, v := range values {
		if v.Kind() == field.Name {
			continue
		}
		if id, ok := v.IDNumber(); ok {
			list = add(list, ring.Values(use, id))
		} else if named {
			list = add(list, ring.Values(use, v, name))
		}
	}
	return list
}

func nameOf(values []field.Value) (field.Value, bool) {
	for _, v := range values {
		if v.Kind() == field.Name {
			return v, true
		}
	}
	return field.Value{}, false
}

// add keeps the list free of repeats: an ID number and the same number as a licence are one handle.
func add(list []Handle, h Handle) []Handle {
	for _, have := range list {
		if have == h {
			return list
		}
	}
	return append(list, h)
}

// Common reports whether a and b share a handle, and so speak of the same person.
func Common(a, b []Handle) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
