package api

import (
	"strings"
	"testing"
)

// A token of one list does not open another one, and every token reads back.
func TestPageTokens(t *testing.T) {
	w := newWorld(t)
	list := w.pages("acme", "ListThings", "a", "b")
	for _, place := range []string{"x", "onboarding-v3", strings.Repeat("\x00", 16), "\xff"} {
		if got, f := list.place(list.token(place)); f != nil || got != place {
			t.Errorf("%q became %q, %v", place, got, f)
		}
	}
	token := list.token("x")
	for name, other := range map[string]*pages{
		"owner": w.pages("other", "ListThings", "a", "b"), "method": w.pages("acme", "ListOthers", "a", "b"),
		"filter": w.pages("acme", "ListThings", "a", "c"), "split": w.pages("acme", "ListThings", "ab", ""), "fewer": w.pages("acme", "ListThings", "a"),
	} {
		if _, f := other.place(token); f == nil {
			t.Errorf("a token of another %s is taken", name)
		}
	}
	if _, f := list.before(token); f == nil {
		t.Error("a place that is no id is taken as one")
	}
}

func FuzzPageToken(f *testing.F) {
	w := newWorld(f)
	list := w.pages("acme", "ListThings")
	f.Add(list.token("onboarding-v3"), "x")
	f.Fuzz(func(t *testing.T, token, place string) {
		if got, refused := list.place(token); refused == nil && got != "" && list.token(got) != token {
			t.Errorf("%q reads as a place whose token is another", token)
		}
		if place == "" {
			return
		}
		if got, refused := list.place(list.token(place)); refused != nil || got != place {
			t.Errorf("%q became %q, %v", place, got, refused)
		}
	})
}
