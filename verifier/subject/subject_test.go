package subject_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/subject"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func TestHandles(t *testing.T) {
	chain, err := digest.NewChain(rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	ring := digest.NewKeyring(chain)
	value := func(kind field.Kind, text string) field.Value {
		v, err := (*field.Rules)(nil).Parse(kind, text, now)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	wang, li := value(field.Name, "王小明"), value(field.Name, "李雷")
	id, licence := value(field.IDNumber, "11010519491231002X"), value(field.DriverLicenseNumber, "11010519491231002X")
	phone, foreign := value(field.PhoneNumber, "13800138000"), value(field.DriverLicenseNumber, "AB1234567")
	handles := func(values ...field.Value) []subject.Handle { return subject.Handles(ring, values, false) }
	for name, c := range map[string]struct {
		a, b   []subject.Handle
		common bool
		count  int // of a
	}{
		"an ID identifies alone":             {handles(wang, id), handles(li, id), true, 1},
		"a licence that is an ID is that ID": {handles(wang, licence), handles(li, id), true, 1},
		"and counts once":                    {handles(wang, licence, id), handles(wang, id), true, 1},
		"a phone with its holder's name":     {handles(wang, phone), handles(wang, phone), true, 1},
		"the next holder inherits nothing":   {handles(wang, phone), handles(li, phone), false, 1},
		"a handle for every value":           {handles(wang, id, phone), handles(wang, phone), true, 2},
		"a foreign licence needs the name":   {handles(wang, foreign), handles(li, foreign), false, 1},
		"a phone without a name is nobody":   {handles(phone), handles(phone), false, 0},
		"a name alone is nobody":             {handles(wang), handles(wang), false, 0},
	} {
		if got := subject.Common(c.a, c.b); got != c.common || len(c.a) != c.count {
			t.Errorf("%s: common %v, %d handles", name, got, len(c.a))
		}
	}
	if subject.Common(handles(wang, id, phone), subject.Handles(ring, []field.Value{wang, id, phone}, true)) {
		t.Error("a live handle and a test one are equal")
	}
	// An erasure of the one family leaves the other.
	if subject.Common(handles(wang, id, phone), subject.Restrictions(ring, []field.Value{wang, id, phone})) {
		t.Error("a handle and a restriction are equal")
	}
}
